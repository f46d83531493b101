package rar

import (
	"cmp"
	"fmt"
	"strings"
)

// compliance answers an auditor's questions with what the rows are evidence for. It judges nothing.
func (b *builder) compliance() []Question {
	all := []Question{}
	ask := func(id, question string, answer func() (string, []string)) {
		text, refs := answer()
		if id != "chain" && b.damaged(refs) {
			text = "A row behind this answer was changed or moved. As it stands: " + text
		}
		all = append(all, Question{ID: id, Question: question, Answer: text, Evidence: notEmpty(refs)})
	}
	ask("who-asked", "Who asked for the remediation?", b.whoAsked)
	ask("who-decided", "Who decided on the action?", b.whoDecided)
	ask("with-which-right", "With which right did the deciding person decide?", b.withWhichRight)
	ask("same-person", "Was the deciding person the one who asked?", b.samePerson)
	ask("in-time", "Was the decision made before its deadline?", b.inTime)
	ask("acted-as", "What was changed, and as whom?", b.actedAs)
	ask("sent-twice", "Was anything sent twice?", b.sentTwice)
	ask("closed", "Was the record closed?", b.recordClosed)
	ask("chain", "Is the chain whole, and how can I check that?", b.chainWhole)
	ask("others", "Did anybody else write under this id?", b.othersWrote)
	return all
}

const noRequest = "No row of the request is visible."

func (b *builder) whoAsked() (string, []string) {
	switch {
	case b.request == nil:
		return noRequest, nil
	case b.posted:
		return fmt.Sprintf("The record was posted by %s. Nothing in it shows who asked.", shownName(b.request.RecordedBy)), b.requestRefs()
	case b.request.RequestedBy == "":
		return "The record does not say: the admission policy that writes the caller's name was not in force.", b.requestRefs()
	}
	return fmt.Sprintf("%s. The admission policy holdfast-identity writes the caller's name as the API server authenticated it.", shownName(b.request.RequestedBy)), b.requestRefs()
}

// person is who decided, empty where no person did.
func (b *builder) person() string {
	p := b.report.Approval
	if p == nil || p.Status != approvalApproved && p.Status != approvalRejected {
		return ""
	}
	return p.By
}

func (b *builder) whoDecided() (string, []string) {
	p := b.report.Approval
	if p == nil {
		return "There was nothing to decide, as far as the record says.", b.analysisRefs()
	}
	switch p.Status {
	case approvalApproved, approvalRejected:
		answer := fmt.Sprintf("%s %s it", cmp.Or(shownName(p.By), "Somebody whom the record does not name"), p.Status)
		if p.DecidedAt != nil {
			answer += " at " + moment(*p.DecidedAt)
		}
		if p.Method != "" {
			answer += " by " + shownName(p.Method)
		}
		return answer + "." + because(p.Justification), p.Refs
	case approvalAutoApproved:
		answer := "No person: the policy approved it"
		if p.Threshold != nil && p.Confidence != nil {
			answer += fmt.Sprintf(", since its confidence of %s reaches the threshold of %s", number(*p.Confidence), number(*p.Threshold))
		}
		return answer + ".", p.Refs
	case approvalExpired:
		return "Nobody: the time for the decision ran out.", p.Refs
	case approvalPending:
		return "Nobody yet: the decision is awaited.", p.Refs
	}
	return "Nobody, as far as the record says.", p.Refs
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " Reason given: " + quotedText(why) + "."
}

func (b *builder) withWhichRight() (string, []string) {
	switch {
	case b.person() == "":
		return "No person decided.", b.analysisRefs()
	case b.posted:
		return "The record was posted over REST. It is no evidence for a right.", b.analysisRefs()
	}
	return "The admission policy holdfast-approval refuses a decision by somebody who does not hold the verb approve at that moment. The row is evidence for the right as far as that policy was in force.", b.analysisRefs()
}

func (b *builder) samePerson() (string, []string) {
	refs := join(b.requestRefs(), b.analysisRefs())
	switch person := b.person(); {
	case person == "":
		return "No person decided.", refs
	case b.request == nil || b.request.RequestedBy == "":
		return "The record does not say who asked.", refs
	case b.request.RequestedBy == person:
		return fmt.Sprintf("Yes: %s asked, and decided.", shownName(person)), refs
	default:
		return fmt.Sprintf("No: %s asked, %s decided.", shownName(b.request.RequestedBy), shownName(person)), refs
	}
}

func (b *builder) inTime() (string, []string) {
	p := b.report.Approval
	switch {
	case p == nil || p.RequestedAt == nil:
		return "No person was asked.", b.analysisRefs()
	case p.Status == approvalExpired:
		return "No decision was made before the deadline.", p.Refs
	case p.DecidedAt == nil:
		return "There is no decision.", p.Refs
	case p.Deadline == nil:
		return "The record has no deadline.", p.Refs
	case p.DecidedAt.After(p.Deadline.Time):
		return fmt.Sprintf("No: it was made %s after the deadline.", duration(seconds(p.Deadline.Time, p.DecidedAt.Time))), p.Refs
	}
	return fmt.Sprintf("Yes: %s before it.", duration(seconds(p.DecidedAt.Time, p.Deadline.Time))), p.Refs
}

func (b *builder) actedAs() (string, []string) {
	e := b.execution
	switch {
	case e == nil:
		return "No workflow ran, as far as the record says.", b.requestRefs()
	case len(e.StepsExecuted) == 0:
		return "No step ran, as far as the record says.", b.executionRefs()
	}
	var steps []string
	for _, s := range e.StepsExecuted[:min(len(e.StepsExecuted), 10)] {
		steps = append(steps, fmt.Sprintf("%s (%s)", shownName(s.Name), shownName(s.Status)))
	}
	if more := len(e.StepsExecuted) - len(steps); more > 0 {
		steps = append(steps, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s on %s, as %s.", strings.Join(steps, ", "), cmp.Or(shownName(b.report.Summary.Target.String()), "an unknown target"), cmp.Or(shownName(e.ActedAs), "an account that the record does not name")), b.executionRefs()
}

// sentTwice looks for a channel that took the same notification more than once, or may have: an attempt whose result is unknown was repeated.
func (b *builder) sentTwice() (string, []string) {
	var refs, twice, unsure []string
	for _, n := range b.report.Notifications {
		refs = join(refs, n.Refs)
		sent, unknown := 0, 0
		for _, a := range n.Attempts {
			switch a.Status {
			case "success":
				sent++
			case "unknown":
				unknown++
			}
		}
		switch {
		case sent > 1:
			twice = append(twice, n.Channel)
		case unknown > 0 && len(n.Attempts) > 1:
			unsure = append(unsure, n.Channel)
		}
	}
	switch {
	case len(b.report.Notifications) == 0:
		return "Nothing was sent, as far as the record says.", b.requestRefs()
	case len(twice) > 0:
		return "Yes, by " + strings.Join(twice, ", ") + ".", refs
	case len(unsure) > 0:
		return "Possibly, by " + strings.Join(unsure, ", ") + ": the result of an attempt is unknown, and it was repeated.", refs
	}
	return "No: each channel took each notification at most once.", refs
}

func (b *builder) recordClosed() (string, []string) {
	var open []string
	var refs []string
	for _, t := range b.trails {
		if len(t.rows) > 0 {
			refs = append(refs, b.refs(t.rows[len(t.rows)-1])...)
		}
		if !t.closed() {
			open = append(open, t.title())
		}
	}
	switch {
	case b.posted:
		return "Rows that are posted over REST have no end: nothing shows whether more will follow.", refs
	case len(open) > 0:
		return "No: there is no end of " + strings.Join(open, ", ") + ".", refs
	case len(b.trails) == 0:
		return noRequest, nil
	}
	return fmt.Sprintf("Yes: each of %s ended with an entry that closes it.", plural(int64(len(b.trails)), "resource", "resources")), refs
}

func (b *builder) chainWhole() (string, []string) {
	c := b.report.Complete
	refs := b.trailRefs()
	if c.Chain.Rows == 0 {
		return "There is no chain: no row has a hash.", refs
	}
	how := " To check it: holdfast verify recomputes each hash from the stored texts; docs/entry.md says how to do that without Holdfast."
	switch {
	case !c.Chain.Verified:
		return fmt.Sprintf("No: %s found in %s.%s", plural(int64(len(c.Chain.Faults)), "fault was", "faults were"), plural(int64(c.Chain.Rows), "entry", "entries"), how), refs
	case len(c.Missing) > 0:
		return fmt.Sprintf("What is there agrees (%s), but parts are missing.%s", plural(int64(c.Chain.Rows), "entry", "entries"), how), refs
	}
	return fmt.Sprintf("Yes: %s, each with the hash that it claims and that of the one before it. Whoever owns the database could have rewritten all of them.%s", plural(int64(c.Chain.Rows), "entry", "entries"), how), refs
}

func (b *builder) othersWrote() (string, []string) {
	n, more := 0, ""
	for _, o := range b.other {
		n += o.Rows
		if o.AtLeast {
			more = "at least "
		}
	}
	if n == 0 {
		return "No other row under this id is visible to you.", nil
	}
	return fmt.Sprintf("Yes: %s%s under this id %s to others. Nothing in this report rests on them.", more, plural(int64(n), "row", "rows"), map[bool]string{true: "belongs", false: "belong"}[n == 1]), nil
}
