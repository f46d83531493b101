package rar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kinds of claims.
const (
	claimObservation    = "observation"
	claimInference      = "inference"
	claimRecommendation = "recommendation"
)

// Facts are the values of the report that sentences may cite, numbered from F1. A report has the same facts each time. Names are stable, numbers are not.
// What a record says, even in the place of a word such as the outcome, has the unit name, names, phase or text: whoever wrote the record may have chosen it. The other units are of what this package computed.
func (r *Report) Facts() []Fact {
	f := &factList{}
	f.summary(r)
	f.decision(r)
	f.done(r)
	f.after(r)
	return f.all
}

type factList struct{ all []Fact }

// add appends a fact; one without a value is left out.
func (f *factList) add(name, value, unit string, refs []string) {
	if value != "" {
		f.all = append(f.all, Fact{ID: "F" + strconv.Itoa(len(f.all)+1), Name: name, Value: value, Unit: unit, Refs: notEmpty(refs)})
	}
}

// names are written as a sentence shows each of them. Empty ones are left out.
func (f *factList) names(name string, list []string, between string, refs []string) {
	var all []string
	for _, one := range list {
		if one != "" {
			all = append(all, shownName(one))
		}
	}
	text := strings.Join(all[:min(len(all), maxNames)], between)
	if more := len(all) - maxNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	f.add(name, text, "names", refs)
}

// maxNames is how many names a sentence shows.
const maxNames = 10

func (f *factList) seconds(name string, s *float64, refs []string) {
	if s != nil {
		f.add(name, duration(*s), "duration", refs)
	}
}

func (f *factList) percent(name string, share *float64, refs []string) {
	if share != nil {
		f.add(name, percent(*share), "share", refs)
	}
}

func (f *factList) count(name string, n int64, refs []string) {
	f.add(name, strconv.FormatInt(n, 10), "count", refs)
}

func (f *factList) summary(r *Report) {
	s := &r.Summary
	f.add("outcome", s.Outcome, "name", s.Refs)
	f.add("alert", s.Alert, "name", s.Refs)
	f.add("severity", s.Severity, "name", s.Refs)
	f.add("target", s.Target.String(), "name", s.Refs)
	f.add("reason", s.Reason, "text", s.Refs)
	if !s.ReceivedAt.IsZero() {
		f.add("received", moment(s.ReceivedAt), "time", s.Refs)
	}
	f.seconds("total", s.TotalSeconds, s.Refs)
	if n := r.Bottleneck; n != nil {
		f.add("bottleneck", phaseInSentence(n.Phase), "phase", n.Refs)
		f.seconds("bottleneck_time", &n.Seconds, n.Refs)
		f.percent("bottleneck_share", &n.Share, n.Refs)
	}
}

func (f *factList) decision(r *Report) {
	if a := r.AI; a != nil {
		f.names("investigator", []string{a.Investigator, a.Model}, " ", a.Refs)
		f.seconds("investigation_time", a.Seconds, a.Refs)
		f.add("root_cause", headline(a.RootCause), "text", a.Refs)
		f.add("action", a.Action, "name", a.Refs)
		if a.ActionConfidence != nil {
			f.add("confidence", number(*a.ActionConfidence)+" %", "percent", a.Refs)
		}
		f.add("verdict", a.Verdict, "word", a.VerdictRefs)
		f.add("verdict_reason", a.VerdictReason, "text", a.VerdictRefs)
		f.add("no_action_reason", a.NoActionReason, "text", a.Refs)
		f.add("analysis_failure", a.FailureReason, "text", a.Refs)
	}
	if p := r.Approval; p != nil {
		f.add("approval", p.Status, "name", p.Refs)
		f.add("decided_by", p.By, "name", p.Refs)
		f.add("justification", p.Justification, "text", p.Refs)
		if p.RequestedAt != nil {
			f.seconds("wait", p.WaitSeconds, p.Refs)
		}
	}
}

func (f *factList) done(r *Report) {
	if e := r.Execution; e != nil {
		f.add("workflow", e.WorkflowID, "name", e.Refs)
		f.add("acted_as", e.ActedAs, "name", e.Refs)
		f.count("steps", int64(len(e.Steps)), e.Refs)
		f.count("steps_succeeded", e.StepsSucceeded, e.Refs)
		f.count("retries", e.Retries, e.Refs)
		f.count("rollbacks", e.Rollbacks, e.Refs)
		f.seconds("execution_time", e.Seconds, e.Refs)
		f.add("execution_failure", e.FailureReason, "text", e.Refs)
	}
	var told, missed, refs []string
	for _, n := range r.Notifications {
		if n.Purpose != "" && n.Purpose != purposeOutcome { // one that asked for a decision
			continue
		}
		refs = join(refs, n.Refs)
		if n.DeliveredAt != nil {
			told = append(told, n.Channel)
		} else {
			missed = append(missed, n.Channel)
		}
	}
	f.names("told", slices.Compact(told), ", ", refs)
	f.names("not_told", slices.Compact(missed), ", ", refs)
}

func (f *factList) after(r *Report) {
	if e := r.Effectiveness; e != nil {
		if held, window := heldFor(e); held != "" {
			f.add("held", strings.ReplaceAll(held, "-", " "), "word", e.Refs)
			f.add("held_window", windowWords[window], "duration", e.Refs)
		}
		if len(e.Recurrences) > 0 {
			f.seconds("came_back_after", &e.Recurrences[0].AfterSeconds, e.Recurrences[0].Refs)
		}
	}
	if h := r.History; h != nil && h.N > 0 {
		f.count("comparable", h.N, h.Refs)
		f.count("comparable_success", h.Success, h.Refs)
		f.percent("comparable_rate", h.Rate, h.Refs)
		f.seconds("comparable_mean", h.Mean, h.Refs)
		if h.Longer != nil && *h.Longer > 0 {
			f.percent("longer", h.Longer, h.Refs)
		}
	}
	if len(r.Recommendations) > 0 {
		f.add("recommendation", r.Recommendations[0].Text, "text", r.Recommendations[0].Refs)
		f.add("recommendation_basis", r.Recommendations[0].Basis, "text", r.Recommendations[0].Refs)
	}
}

// sentence of the rules: a template whose values are facts by name. A sentence is told if the report has all of its facts and the condition, if it has one, holds.
type sentence struct {
	section, kind, template string
	when                    func(*Report) bool
}

// narrative is the report told by rules: which sentences fit is decided by the facts that there are.
func (b *builder) narrative() Narrative {
	if n := b.in.Narrative; n != nil {
		return *n
	}
	n := Narrative{Status: NarrativeRules, Claims: []Claim{}}
	facts := b.report.Facts()
	for _, s := range sentences {
		if s.when != nil && !s.when(b.report) {
			continue
		}
		if c, ok := s.claim(facts); ok {
			if b.damaged(c.Refs) {
				c.Text += " (A row that says so was changed or moved.)"
			}
			n.Claims = append(n.Claims, c)
		}
	}
	return n
}

// claim fills in the facts; ok is false if the report lacks one.
func (s *sentence) claim(facts []Fact) (c Claim, ok bool) {
	c = Claim{Section: s.section, Kind: s.kind, Facts: []string{}, Refs: []string{}}
	var text strings.Builder
	for rest := s.template; ; {
		words, after, more := strings.Cut(rest, "{{")
		text.WriteString(words)
		if !more {
			break
		}
		name, after, _ := strings.Cut(after, "}}")
		rest = after
		i := slices.IndexFunc(facts, func(f Fact) bool { return f.Name == name })
		if i < 0 {
			return c, false
		}
		c.Facts = join(c.Facts, []string{facts[i].ID})
		c.Refs = join(c.Refs, facts[i].Refs)
		if slices.Contains(ourSentences, name) {
			text.WriteString(strings.TrimRight(facts[i].Value, ". "))
		} else {
			text.WriteString(facts[i].Shown())
		}
	}
	c.Text = text.String()
	return c, true
}

// ourSentences are facts that this package wrote.
var ourSentences = []string{"verdict_reason", "recommendation", "recommendation_basis"}

// headline is the first line of a text. The report has the whole text elsewhere.
func headline(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

func outcomeIs(outcomes ...string) func(*Report) bool {
	return func(r *Report) bool { return slices.Contains(outcomes, r.Summary.Outcome) }
}

func approvalIs(states ...string) func(*Report) bool {
	return func(r *Report) bool { return r.Approval != nil && slices.Contains(states, r.Approval.Status) }
}

func heldIs(held string) func(*Report) bool {
	return func(r *Report) bool { return r.Summary.Held == held }
}

// sentences of the narrative, in the order in which they are told.
var sentences = []sentence{
	{"summary", claimObservation, "Alert {{alert}} ({{severity}}) on {{target}} was received at {{received}}.", nil},
	{"summary", claimObservation, "It ended as {{outcome}} after {{total}}.", nil},
	{"summary", claimObservation, "It has not ended yet; its outcome is {{outcome}}.", outcomeIs(outcomeOpen)},
	{"summary", claimObservation, "The reason given: {{reason}}.", nil},
	{"bottleneck", claimObservation, "The longest phase was {{bottleneck}}: {{bottleneck_time}}, {{bottleneck_share}} of the total.", nil},
	{"ai", claimObservation, "The investigator {{investigator}} took {{investigation_time}} to find a root cause: {{root_cause}}.", nil},
	{"ai", claimObservation, "It recommended {{action}} with a confidence of {{confidence}}.", nil},
	{"ai", claimObservation, "It recommended nothing: {{no_action_reason}}.", nil},
	{"ai", claimObservation, "The analysis failed: {{analysis_failure}}.", nil},
	{"approval", claimObservation, "{{decided_by}} approved it after {{wait}}.", approvalIs(approvalApproved)},
	{"approval", claimObservation, "{{decided_by}} rejected it after {{wait}}.", approvalIs(approvalRejected)},
	{"approval", claimObservation, "The policy approved it ({{approval}}), so nobody was waited for.", approvalIs(approvalAutoApproved)},
	{"approval", claimObservation, "Nobody decided in time: after {{wait}} the request for an approval expired.", approvalIs(approvalExpired)},
	{"approval", claimObservation, "The decision is awaited ({{approval}}).", approvalIs(approvalPending)},
	{"execution", claimObservation, "Workflow {{workflow}} ran for {{execution_time}}. Steps that succeeded: {{steps_succeeded}} of {{steps}}; retries: {{retries}}; rollbacks: {{rollbacks}}.", nil},
	{"execution", claimObservation, "It failed: {{execution_failure}}.", nil},
	{"notifications", claimObservation, "The outcome was told through {{told}}.", nil},
	{"notifications", claimObservation, "Nothing was delivered through {{not_told}}.", nil},
	{"effectiveness", claimObservation, "The alert stayed away for {{held_window}}.", heldIs(HeldYes)},
	{"effectiveness", claimObservation, "The alert came back after {{came_back_after}}.", heldIs(HeldNo)},
	{"effectiveness", claimObservation, "Whether it holds is not known yet ({{held}}).", heldIs(HeldTooEarly)},
	{"ai", claimInference, "The recommendation is judged {{verdict}}: {{verdict_reason}}.", nil},
	{"history", claimObservation, "{{comparable}} comparable remediations ended in the 30 days before, {{comparable_success}} of them successful ({{comparable_rate}}), with a mean of {{comparable_mean}}.", nil},
	{"history", claimInference, "This one took {{longer}} longer than their mean; {{bottleneck}} took the longest.", nil},
	{"recommendations", claimRecommendation, "{{recommendation}}. {{recommendation_basis}}.", nil},
}
