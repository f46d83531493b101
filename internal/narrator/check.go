package narrator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/rar"
)

// Reasons for dropping a claim. They are values of a metric's label.
const (
	badSchema      = "schema"
	badLength      = "length"
	badCharacter   = "character"
	badNumber      = "number"
	badMarkup      = "markup"
	badPlaceholder = "placeholder"
	badFact        = "unknown-fact"
	badCitation    = "citation"
	badWord        = "word"
	badLabel       = "label"
	badSubject     = "subject"
	badOrder       = "order"
	badRepetition  = "repetition"
	badCount       = "count"
)

var reasons = []string{badSchema, badLength, badCharacter, badNumber, badMarkup, badPlaceholder, badFact, badCitation, badWord, badLabel, badSubject, badOrder, badRepetition, badCount}

// objection is why a claim is not shown. Its detail is for the model, in the second round.
type objection struct{ reason, detail string }

func object(reason, format string, args ...any) *objection {
	return &objection{reason, fmt.Sprintf(format, args...)}
}

// Kinds of claims.
const (
	observation    = "observation"
	inference      = "inference"
	recommendation = "recommendation"
)

var (
	kinds    = []string{observation, inference, recommendation}
	sections = []string{"summary", "bottleneck", "ai", "approval", "execution", "notifications", "effectiveness", "history", "recommendations"}
)

// claim is one of an answer.
type claim struct {
	Section string   `json:"section"`
	Kind    string   `json:"kind"`
	Text    string   `json:"text"`
	Facts   []string `json:"facts"`
}

const (
	maxText  = 600 // bytes
	maxTimes = 2   // one fact in one claim
)

// token is a piece of a text: a word, a mark, or a placeholder.
type token struct {
	text string
	fact *rar.Fact // of a placeholder
}

func (t *token) word() string { return strings.ToLower(t.text) }

// pieces of a text in the one form that is taken: words and placeholders with single spaces between, marks directly behind them.
var (
	pieces      = regexp.MustCompile(`^(?:([A-Za-z]+|\{\{F[1-9]\d{0,2}\}\})([,;:.]?)(?: |$))`)
	placeholder = regexp.MustCompile(`\{\{F[1-9]\d{0,2}\}\}`)
)

// check reads a claim and returns its text in pieces, or why it is not shown.
func check(c *claim, facts map[string]*rar.Fact) ([]token, *objection) {
	switch {
	case !slices.Contains(sections, c.Section):
		return nil, object(badSchema, "section is not one of %s", strings.Join(sections, ", "))
	case !slices.Contains(kinds, c.Kind):
		return nil, object(badSchema, "kind is not one of %s", strings.Join(kinds, ", "))
	case c.Text == "" || len(c.Text) > maxText:
		return nil, object(badLength, "text has %d bytes, expected 1 to %d", len(c.Text), maxText)
	}
	tokens, bad := split(c.Text, facts)
	if bad == nil {
		bad = cites(c, tokens)
	}
	for i, clause := range clauses(tokens) {
		if bad == nil {
			bad = checkClause(clause, c.Kind, i > 0)
		}
	}
	return tokens, bad
}

// split cuts a text into pieces.
func split(text string, facts map[string]*rar.Fact) ([]token, *objection) {
	if bad := alphabet(placeholder.ReplaceAllString(text, "")); bad != nil {
		return nil, bad
	}
	var tokens []token
	for rest := text; rest != ""; {
		found := pieces.FindStringSubmatch(rest)
		if found == nil {
			return nil, object(badPlaceholder, "words and placeholders are separated by one space, and marks follow them directly")
		}
		rest = rest[len(found[0]):]
		t := token{text: found[1]}
		if id, ok := strings.CutPrefix(found[1], "{{"); ok {
			if t.fact = facts[strings.TrimSuffix(id, "}}")]; t.fact == nil {
				return nil, object(badFact, "there is no fact %s", strings.Trim(found[1], "{}"))
			}
		} else if w := t.word(); w != t.text && (len(tokens) > 0 || w[1:] != t.text[1:]) {
			return nil, object(badWord, "%q has a capital letter; only the first letter of the text may be one", t.text)
		}
		if tokens = append(tokens, t); found[2] != "" {
			tokens = append(tokens, token{text: found[2]})
		}
		if found[2] == "." && rest != "" {
			return nil, object(badLength, "text has more than one sentence")
		}
	}
	return tokens, nil
}

// alphabet refuses what is no letter, space or mark, by what it is an attempt at.
func alphabet(text string) *objection {
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', strings.ContainsRune(" .,;:", r):
		case r >= '0' && r <= '9':
			return object(badNumber, "text has a digit; numbers and times are facts: {{F1}}")
		case r == '{' || r == '}':
			return object(badPlaceholder, "text has a brace that is not part of a placeholder; write {{F1}}")
		case strings.ContainsRune("<>&*_`[]()#|~\\/\"'!@$%^=+", r):
			return object(badMarkup, "text has %q; expected letters, spaces and . , ; : only", r)
		default:
			return object(badCharacter, "text has %+q; expected English letters, spaces and . , ; : only", r)
		}
	}
	return nil
}

// cites checks that a claim cites the facts that it shows, those and no others, and at least one.
func cites(c *claim, tokens []token) *objection {
	times := map[string]int{}
	for _, t := range tokens {
		if t.fact != nil {
			times[t.fact.ID]++
		}
	}
	if len(times) == 0 {
		return object(badCitation, "text shows no fact")
	}
	for id, n := range times {
		if !slices.Contains(c.Facts, id) {
			return object(badCitation, "text shows %s, which is not in facts", id)
		}
		if n > maxTimes {
			return object(badRepetition, "text shows %s %d times", id, n)
		}
	}
	if len(c.Facts) != len(times) {
		return object(badCitation, "facts has %d entries, and text shows %d facts", len(c.Facts), len(times))
	}
	return nil
}

// clauses are the parts of a text between semicolons, without their marks at the end.
func clauses(tokens []token) (all [][]token) {
	from := 0
	for i, t := range tokens {
		if t.text == ";" || t.text == "." {
			all = append(all, tokens[from:i])
			from = i + 1
		}
	}
	if from < len(tokens) {
		all = append(all, tokens[from:])
	}
	return all
}

// checkClause checks that a clause is about one subject, that each value stands beside what it is, and that there is no word beyond the vocabulary.
func checkClause(clause []token, kind string, later bool) *objection {
	about, cited, bad := subjectOf(clause)
	if bad != nil {
		return bad
	}
	used, bad := allLabelled(clause)
	if bad != nil {
		return bad
	}
	may := labelsOfFacts(cited)
	if later && !begins(clause, may) {
		return object(badSubject, "what follows a semicolon has to begin with the, and a label of one of its facts")
	}
	for i := range clause {
		w := clause[i].word()
		switch {
		case clause[i].fact != nil || w == "," || w == ":":
		case later && pointing[w]:
			return object(badSubject, "%q after a semicolon can point at another subject; name it", w)
		case introducing[w] && introduces(clause, i), beside[w] && used[i]:
		case introducing[w], beside[w]:
			return object(badLabel, "%q has to stand directly beside its value", w)
		case verbs[w] != "" && !slices.Contains(cited, verbs[w]):
			return object(badLabel, "%q takes the fact named %s in the same clause", w, verbs[w])
		case !neutral[w] && !may[w] && !spoken(kind, w):
			return unknown(w, about)
		}
	}
	return nil
}

// begins reports whether a clause begins with what it is about.
func begins(clause []token, may map[string]bool) bool {
	return len(clause) >= 2 && clause[0].word() == "the" && may[clause[1].word()]
}

// allLabelled checks that each value stands beside what it is and in its place, and returns where a label is beside its value.
func allLabelled(clause []token) (used map[int]bool, _ *objection) {
	used = map[int]bool{}
	for i := range clause {
		if clause[i].fact != nil {
			if bad := labelled(clause, i, used); bad != nil {
				return nil, bad
			}
		}
	}
	return used, inPlace(clause)
}

// labelsOfFacts are the labels that facts bring along.
func labelsOfFacts(cited []string) map[string]bool {
	may := map[string]bool{}
	for _, name := range cited {
		for _, w := range slices.Concat(terms[name].before, terms[name].after, terms[name].also) {
			may[w] = true
		}
	}
	return may
}

// spoken reports whether a word is for claims of a kind.
func spoken(kind, w string) bool {
	return kind != observation && hedging[w] || kind == recommendation && advising[w]
}

func unknown(w string, about subject) *objection {
	if labels[w] {
		return object(badLabel, "%q has to stand with a fact that it belongs to, in a clause about %s", w, about)
	}
	return object(badWord, "%q is not in the vocabulary", w)
}

// subjectOf is what a clause is about: one subject, and the signal.
func subjectOf(clause []token) (about subject, cited []string, _ *objection) {
	for _, t := range clause {
		if t.fact == nil {
			continue
		}
		cited = append(cited, t.fact.Name)
		switch is := terms[t.fact.Name].about; {
		case t.fact.Name == "target" || is == about:
		case is == aboutSignal && about == aboutOutcome:
		case about != "" && (about != aboutSignal || is != aboutOutcome):
			return "", nil, object(badSubject, "one clause is about %s and %s; write two claims, or separate them by a semicolon", about, is)
		default:
			about = is
		}
	}
	if len(cited) == 0 {
		return "", nil, object(badCitation, "a part of the text shows no fact")
	}
	if about == "" {
		about = aboutSignal
	}
	if at := slices.IndexFunc(clause, func(t token) bool { return happens[t.word()] }); at >= 0 && about == aboutOutcome {
		return "", nil, object(badSubject, "%q is said of the signal; write what it came to as another claim, or after a semicolon", clause[at].text)
	}
	return about, cited, complete(clause, cited)
}

// complete checks that the facts of a clause have beside them what they mislead without.
func complete(clause []token, cited []string) *objection {
	for _, name := range cited {
		needs, with := terms[name].needs, terms[name].with
		if len(needs) > 0 && !slices.ContainsFunc(clause, func(t token) bool {
			return t.fact != nil && slices.Contains(needs, "{{"+t.fact.Name+"}}") || slices.Contains(needs, t.word())
		}) {
			return object(badLabel, "the fact named %s takes one of these in the same clause: %s", name, strings.Join(needs, ", "))
		}
		if with != "" && !slices.Contains(cited, with) {
			return object(badLabel, "the fact named %s has to stand in one clause with %s", name, with)
		}
	}
	return nil
}

// labelled checks that a value stands directly beside a word that says what it is, and beside none that says that it is something else.
func labelled(clause []token, at int, used map[int]bool) *objection {
	t := terms[clause[at].fact.Name]
	ok := false
	for _, side := range []struct {
		step int
		own  []string
		all  map[string]bool
	}{{-1, t.before, before}, {1, t.after, after}} {
		i := at + side.step
		for i >= 0 && i < len(clause) && clause[i].fact == nil && (passing[clause[i].word()] || side.step < 0 && clause[i].text == ":") {
			i += side.step
		}
		if i < 0 || i >= len(clause) || clause[i].fact != nil {
			continue
		}
		w := clause[i].word()
		if slices.Contains(side.own, w) {
			ok, used[i] = true, true
			if w == "by" && !done(clause, i) {
				return object(badLabel, "by %s takes directly before it one of: decision, approval, decided, investigation, found, recommended", clause[at].fact.ID)
			}
		} else if side.all[w] {
			return object(badLabel, "%q says of %s that it is something else: it is %s", w, clause[at].fact.ID, clause[at].fact.Name)
		}
	}
	if !ok {
		return object(badLabel, "%s has to stand directly after %s or before %s", clause[at].fact.ID, orNothing(t.before), orNothing(t.after))
	}
	return nil
}

// done reports whether the word before by is what somebody does.
func done(clause []token, by int) bool {
	i := by - 1
	for i >= 0 && clause[i].fact == nil && passing[clause[i].word()] {
		i--
	}
	return i >= 0 && (clause[i].fact == nil && doer[clause[i].word()] || clause[i].fact != nil && clause[i].fact.Name == "approval")
}

func orNothing(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

// introduces reports whether the word before a value introduces it. What stands between is passed over, or a label of the value.
func introduces(clause []token, at int) bool {
	w := clause[at].word()
	i := at + 1
	for i < len(clause) && clause[i].fact == nil && (passing[clause[i].word()] || labels[clause[i].word()]) {
		i++
	}
	if i == len(clause) || clause[i].fact == nil {
		return false
	}
	t := terms[clause[i].fact.Name]
	if !slices.Contains(t.before, w) {
		return false
	}
	for _, between := range clause[at+1 : i] {
		if b := between.word(); !passing[b] && !slices.Contains(t.before, b) && !slices.Contains(t.also, b) {
			return false
		}
	}
	return true
}
