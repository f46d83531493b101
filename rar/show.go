package rar

import (
	"cmp"
	"fmt"
	"strings"
)

// maxReasons is how many reasons of an incomplete record are shown at the top.
const maxReasons = 6

// figure is a line of what a person looks for first.
type figure struct{ Name, Value, Note string }

// keyFigures are the same in Markdown and HTML.
func (r *Report) keyFigures() []figure {
	s := &r.Summary
	total := figure{Name: "Total time", Value: "open"}
	if s.TotalSeconds != nil {
		total.Value = duration(*s.TotalSeconds)
	}
	if h := r.History; h != nil && h.Longer != nil {
		total.Note = moreThanMean(*h.Longer)
	}
	all := []figure{total}
	if n := r.Bottleneck; n != nil {
		all = append(all, figure{"Longest part", n.Name, duration(n.Seconds) + ", " + percent(n.Share)})
	}
	if a := r.AI; a != nil {
		all = append(all, figure{"Recommendation", verdictWords[a.Verdict], strings.TrimSpace(line(a.Action, 60) + confidence(a.ActionConfidence))})
	}
	if p := r.Approval; p != nil && p.Status != "" {
		f := figure{"Approval", cmp.Or(approvalWords[p.Status], line(p.Status, 40)), ""}
		if p.RequestedAt != nil && p.WaitSeconds != nil {
			f.Note = "after " + duration(*p.WaitSeconds)
		}
		all = append(all, f)
	}
	if e := r.Effectiveness; e != nil && len(e.Held) > 0 {
		held, window := heldFor(e)
		all = append(all, figure{"Did it hold?", heldWord[held], windowWords[window]})
	}
	return all
}

func moreThanMean(longer float64) string {
	switch {
	case longer >= 0.01:
		return percent(longer) + " more than the mean"
	case longer <= -0.01:
		return percent(-longer) + " less than the mean"
	}
	return "as long as the mean"
}

func moreOrLess(excess float64) string {
	switch {
	case excess > 0:
		return duration(excess) + " more"
	case excess < 0:
		return duration(-excess) + " less"
	}
	return "as long"
}

var verdictWords = map[string]string{VerdictCorrect: "Correct", VerdictIncorrect: "Incorrect", VerdictUnproven: "Unproven", VerdictNotExecuted: "Not executed"}

var approvalWords = map[string]string{
	approvalApproved: "Approved", approvalRejected: "Rejected", approvalAutoApproved: "Automatic", approvalExpired: "Expired", approvalPending: "Awaited",
}

var heldWord = map[string]string{HeldYes: "Yes, so far", HeldNo: "No", HeldTooEarly: "Too early to say"}

func heldText(held string) string {
	switch held {
	case HeldYes:
		return "yes"
	case HeldNo:
		return "no, it came back"
	}
	return "too early to say"
}

// outcomeTitle is the outcome as a title.
func outcomeTitle(outcome string) string {
	return cmp.Or(outcomeWords[outcome], line(outcome, 50))
}

// stateTitle is the warning at the top; empty for a record that is whole and closed.
func stateTitle(c *Complete) string {
	switch {
	case len(c.Chain.Faults) > 0:
		return "This record is damaged. Figures below may be wrong."
	case c.State == StatePartial:
		return "This record is not complete. Figures below cover what is there."
	case c.State == StateOpen:
		return "This remediation is still open. Figures below will change."
	}
	return ""
}

// recordLine says in one line what was checked.
func recordLine(c *Complete) string {
	switch {
	case c.Chain.Rows == 0:
		return c.State + "; no row has a hash"
	case c.Chain.Verified:
		return fmt.Sprintf("%s; %s, every hash recomputed and right", c.State, plural(int64(c.Chain.Rows), "entry", "entries"))
	}
	return fmt.Sprintf("%s; %s, %s", c.State, plural(int64(c.Chain.Rows), "entry", "entries"), plural(int64(len(c.Chain.Faults)), "fault", "faults"))
}

func narrativeOrigin(n *Narrative) string {
	switch {
	case n.Status == NarrativeGenerated && n.Provenance != nil:
		return "Written by " + n.Provenance.Model + " from the facts of this report; values are inserted by code. What it infers is marked."
	case n.Status == NarrativeRefused:
		return "The language model gave nothing that the facts support; written by rules instead."
	}
	if n.Reason != "" {
		return "Written by rules from the rows. A language model was asked for: " + n.Reason + "."
	}
	return "Written by rules from the rows."
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// fields of an approval, those that are known.
func (p *Approval) fields() []figure {
	var all []figure
	add := func(name, value string) {
		if value != "" {
			all = append(all, figure{Name: name, Value: value})
		}
	}
	add("Decision", cmp.Or(p.Status, "none"))
	add("By", p.By)
	add("Method", p.Method)
	add("Reason given", p.Justification)
	if p.RequestedAt != nil {
		add("Asked at", moment(*p.RequestedAt))
	}
	if p.DecidedAt != nil {
		add("Decided at", moment(*p.DecidedAt))
	}
	if p.WaitSeconds != nil && p.RequestedAt != nil {
		add("Wait", duration(*p.WaitSeconds))
	}
	if p.Deadline != nil {
		add("Deadline", moment(*p.Deadline))
	}
	mode := p.Mode
	if p.Threshold != nil {
		mode = strings.TrimSpace(mode + ", automatic from a confidence of " + number(*p.Threshold) + " %")
	}
	add("Mode", mode)
	return all
}

// line says what ran, as whom, and how it ended.
func (e *Execution) line() string {
	text := "Workflow " + cmp.Or(shownName(e.WorkflowID), "without a name")
	if e.ActedAs != "" {
		text += ", as " + shownName(e.ActedAs)
	}
	text += ": " + cmp.Or(shownName(e.Outcome), "no outcome yet")
	if e.Seconds != nil {
		text += " after " + duration(*e.Seconds)
	}
	return fmt.Sprintf("%s; %d of %s succeeded, %s, %s.", text, e.StepsSucceeded, plural(max(e.StepsTotal, int64(len(e.Steps))), "step", "steps"),
		plural(e.Retries, "retry", "retries"), plural(e.Rollbacks, "rollback", "rollbacks"))
}

// what an evidence is, within its resource.
func (e *Evidence) what() string {
	switch {
	case e.Query != "":
		return "an answer that many rows gave"
	case e.Sequence != 0 && e.Event != "":
		return fmt.Sprintf("%d, %s", e.Sequence, e.Event)
	case e.Sequence != 0:
		return fmt.Sprint(e.Sequence)
	}
	return strings.TrimSpace(e.Event + " by " + cmp.Or(e.RecordedBy, "an unknown caller"))
}

// who wrote other rows.
func (o *OtherRows) who() string {
	if o.Why == whyRest {
		return "others"
	}
	name := strings.Trim(o.Namespace+"/"+o.Name, "/")
	if o.SourceUID != "" {
		name = strings.TrimSpace(name + " " + o.SourceUID)
	}
	return cmp.Or(o.RecordedBy, name, "an unknown caller")
}

// count is how many rows they wrote.
func (o *OtherRows) count() string {
	if o.AtLeast {
		return fmt.Sprintf("%d or more", o.Rows)
	}
	return fmt.Sprint(o.Rows)
}

// headline is the summary in few words, without what the title says.
func (r *Report) headline() string {
	var parts []string
	if s := r.Summary.TotalSeconds; s != nil {
		parts = append(parts, duration(*s)+" in all")
	}
	if n := r.Bottleneck; n != nil {
		parts = append(parts, "the longest phase "+phaseInSentence(n.Phase)+" ("+duration(n.Seconds)+", "+percent(n.Share)+")")
	}
	if r.Effectiveness != nil {
		if held, window := heldFor(r.Effectiveness); held != "" {
			parts = append(parts, map[string]string{HeldYes: "held for " + windowWords[window], HeldNo: "did not hold", HeldTooEarly: "too early to say whether it holds"}[held])
		}
	}
	return strings.Join(parts, "; ")
}
