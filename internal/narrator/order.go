package narrator

import (
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/rar"
)

// inPlace checks where values stand to one another: in a sentence that has only true values, their order says which of them is the cause, the subject or the measure of another.
func inPlace(clause []token) *objection {
	var before *rar.Fact // the target goes with everything
	from := 0
	for i, t := range clause {
		if t.fact == nil {
			if inverted(clause, i) {
				return object(badOrder, "%q before its subject makes a condition or a question; begin with the subject", t.text)
			}
			if bad := lastsLong(clause, i); bad != nil {
				return bad
			}
			continue
		}
		if bad := comesAfter(t.fact, before, clause[from:i]); bad != nil {
			return bad
		}
		if t.fact.Name == "longer" {
			if bad := compares(clause, i); bad != nil {
				return bad
			}
		}
		if t.fact.Name != "target" {
			before, from = t.fact, i+1
		}
	}
	return nil
}

// comesAfter checks that a fact may be said right after another one of its clause, with some words between.
func comesAfter(fact, before *rar.Fact, between []token) *objection {
	last := ""
	if before != nil {
		last = before.Name
	}
	follows := terms[fact.Name].follows
	switch {
	case fact.Name == "target":
		return nil
	case follows != nil && !slices.Contains(follows, last):
		return object(badOrder, "the fact named %s has to come directly after %s, with no other fact between", fact.Name, strings.Join(slices.DeleteFunc(slices.Clone(follows), func(f string) bool { return f == "" }), " or "))
	case before == nil:
		return nil
	case before.Unit == "text" && !slices.Contains(follows, last):
		return object(badOrder, "the fact named %s is a text of somebody else: it has to be the last of its part of the sentence", last)
	case before.Unit == "count" && fact.Unit == "count" && !slices.ContainsFunc(between, func(t token) bool { return t.text == "," || t.word() == "and" || t.word() == "with" }) &&
		terms[fact.Name].with != last && terms[last].with != fact.Name:
		return object(badOrder, "between the facts named %s and %s has to stand a comma, or one of: and, with", last, fact.Name)
	}
	return nil
}

// inverted reports whether a verb stands before its subject: "had it ended as" says that it did not.
func inverted(clause []token, at int) bool {
	switch {
	case !auxiliary[clause[at].word()]:
		return false
	case at == 0:
		return true
	case clause[at-1].text != "," && clause[at-1].text != ":" || at+1 == len(clause):
		return false
	}
	next := clause[at+1]
	return next.fact != nil || articles[next.word()] || one[next.word()]
}

// lastsLong checks what a verb of duration is said of.
func lastsLong(clause []token, at int) *objection {
	if !lasting[clause[at].word()] {
		return nil
	}
	for _, t := range clause[:at] {
		if t.fact != nil && !lasts[t.fact.Name] {
			return object(badOrder, "%q cannot stand after the fact named %s: it would be said of that", clause[at].text, t.fact.Name)
		}
	}
	return nil
}

// compares checks the two sides of longer: this remediation first, then the mean of the comparable ones.
func compares(clause []token, at int) *objection {
	has := func(part []token, words map[string]bool) bool {
		return slices.ContainsFunc(part, func(t token) bool { return words[t.word()] })
	}
	fact := func(t token) bool { return t.fact != nil && t.fact.Name != "target" }
	first, then := clause[:at], clause[at+1:]
	than := slices.IndexFunc(then, func(t token) bool { return t.word() == "than" })
	if !has(first, one) || has(first, others) || slices.ContainsFunc(first, fact) || than < 0 || has(then, one) || !slices.ContainsFunc(then[than:], func(t token) bool { return t.word() == "mean" }) {
		return object(badOrder, "write it as: the remediation was %s longer than the mean", clause[at].text)
	}
	return nil
}
