package rar

import (
	"cmp"
	"fmt"
	"strings"
)

func (b *trendBuilder) note(refs []string, format string, args ...any) {
	b.trends.Notes = append(b.trends.Notes, Statement{fmt.Sprintf(format, args...), refs})
}

// notes say what limits the figures.
func (b *trendBuilder) notes() {
	t := b.trends
	if t.Scope == ScopeNamespaces {
		b.note(t.Outcomes.Refs, "Only rows of the namespaces that you may read count.")
	}
	if t.End.After(t.AsOf.Time) {
		b.note(t.Outcomes.Refs, "The window is not over: it ends after %s.", moment(t.AsOf))
	}
	if o := &t.Outcomes; o.Open > 0 {
		b.note(o.Refs, "%s of the window did not end within 7 days after it, or not yet: no time of theirs counts.", plural(o.Open, "signal", "signals"))
	}
	var backwards int64
	for _, r := range b.in.Outcomes {
		backwards = r.Backwards
	}
	if backwards > 0 {
		b.note(t.Outcomes.Refs, "%s before the signal, by their clocks: they have no time, and lose none.", plural(backwards, "remediation ends", "remediations end"))
	}
	if n := t.Bottlenecks.Unknown; n > 0 {
		b.note(t.Bottlenecks.Refs, "%s no bottleneck.", plural(n, "record names", "records name"))
	}
	if t.MTTR.N < MinJudged || t.MTTR.Before.N < MinJudged {
		b.note(t.MTTR.Refs, "The change of the time to repair rests on %s, and %d in the window before; below %d nothing is concluded.", plural(t.MTTR.N, "repair", "repairs"), t.MTTR.Before.N, MinJudged)
	}
	if r := &t.Recurrence; r.Censored > 0 {
		b.note(r.Refs, "The 7 days are not over for %d of %s: they count as long as they were watched (censored).", r.Censored, plural(r.N, "repair", "repairs"))
	}
	if a := &t.AI.All; a.Decisions > 0 {
		b.note(t.AI.Refs, "A label is known for %d of %s (%s); %d were executed. The rest says nothing about the investigator.", a.Labelled, plural(a.Decisions, "decision", "decisions"), percent(*a.Coverage), a.Executed)
	}
	if a := &t.Approvals; a.Expired+a.Undecided > 0 {
		b.note(a.Refs, "%s expired, %d ended undecided: their waits are in no percentile.", plural(a.Expired, "question to people", "questions to people"), a.Undecided)
	}
	if n := t.Deliveries.Unattempted; n > 0 {
		b.note(t.Deliveries.Refs, "%s ended without an attempt: no channel counts them.", plural(n, "notification", "notifications"))
	}
}

// Bounds of findings.
const (
	maxFindings     = 5
	notableShare    = 0.4  // of the time, for a bottleneck
	notableReturns  = 0.1  // of repairs
	notableFailures = 0.05 // of attempts to deliver
	tolerableRisk   = 0.1  // of failed cases, by the upper end of the interval, for a threshold
)

// findings are what to read first. Each rests on MinJudged cases or more.
func (b *trendBuilder) findings() {
	b.findingsOfAll(b.trends)
	b.findingsByName(b.trends)
	b.trends.Findings = b.trends.Findings[:min(len(b.trends.Findings), maxFindings)]
}

func (b *trendBuilder) find(refs []string, format string, args ...any) {
	b.trends.Findings = append(b.trends.Findings, Statement{fmt.Sprintf(format, args...), refs})
}

func (b *trendBuilder) findingsOfAll(t *Trends) {
	if c := t.MTTR.ChangeP50; c != nil && (c.Verdict == ChangeShorter || c.Verdict == ChangeLonger) {
		b.find(t.MTTR.Refs, "The median time to repair is %s: %s", duration(*t.MTTR.P50), c.Text)
	}
	if groups := t.Bottlenecks.Groups; len(groups) > 0 && t.Bottlenecks.N >= MinJudged && groups[0].Share >= notableShare {
		b.find(t.Bottlenecks.Refs, "%s took %s of the time that bottlenecks took: %s in %s.", groups[0].said(), percent(groups[0].Share), duration(groups[0].Seconds), plural(groups[0].N, "remediation", "remediations"))
	}
	if a := &t.AI.All; a.Verdict == ConfidenceOver || a.Verdict == ConfidenceUnder {
		b.find(t.AI.Refs, "%s", a.Text)
	}
	for _, c := range t.Thresholds.Items {
		if !c.TooFew && c.Interval[1] <= tolerableRisk && c.Seconds > 0 {
			b.find(t.Thresholds.Refs, "Automatic approval from a confidence of %d %% on would have saved %s of waiting in %s; %d of %d with a label failed (%s), and people had rejected %d more.",
				c.Threshold, duration(c.Seconds), plural(c.N, "case", "cases"), c.Failed, c.Labelled, between(c.Interval), c.Rejected)
			break
		}
	}
}

// findingsByName are of the first alert, workflow and channel that stand out.
func (b *trendBuilder) findingsByName(t *Trends) {
	for _, a := range t.Recurrence.Alerts {
		if a.N >= MinJudged && float64(a.Returned) >= notableReturns*float64(a.N) {
			b.find(t.Recurrence.Refs, "%s came back after %d of %s, within 7 days at most%s.", shownName(line(a.Alert, 80)), a.Returned, plural(a.N, "repair", "repairs"), stillWatched(a.Censored))
			break
		}
	}
	for _, w := range t.Workflows.Items {
		if !w.TooFew && w.Interval[1] < 0.5 {
			b.find(t.Workflows.Refs, "Workflow %s succeeded in %d of %s (%s).", shownName(line(w.WorkflowID, 80)), w.Success, plural(w.N, "execution", "executions"), between(w.Interval))
			break
		}
	}
	for _, c := range t.Deliveries.Channels {
		if c.Attempts >= MinJudged && *c.Rate >= notableFailures {
			b.find(t.Deliveries.Refs, "Channel %s failed in %d of %s (%s).", shownName(line(c.Channel, 80)), c.Failed, plural(c.Attempts, "attempt", "attempts"), between(c.Interval))
			break
		}
	}
}

func stillWatched(censored int64) string {
	if censored == 0 {
		return ""
	}
	return fmt.Sprintf("; %d are still watched", censored)
}

// said is the phase in a sentence.
func (g *BottleneckGroup) said() string {
	return cmp.Or(phaseNames[g.Phase], shownName(line(g.Phase, 60)))
}

// Brief is a few sentences on the whole: what was repaired, how fast, what took the time, what people and the AI did, and what was delivered.
func (t *Trends) Brief() []Statement {
	all := []Statement{}
	say := func(refs []string, format string, args ...any) {
		all = append(all, Statement{fmt.Sprintf(format, args...), refs})
	}
	if t.Outcomes.N == 0 {
		say(t.Outcomes.Refs, "No remediation ended in the window.")
		return all
	}
	var parts []string
	others := t.Outcomes.N
	for _, g := range t.Outcomes.Groups[:min(len(t.Outcomes.Groups), 6)] {
		parts, others = append(parts, fmt.Sprintf("%d %s", g.N, shownName(line(g.Outcome, 40)))), others-g.N
	}
	if others > 0 {
		parts = append(parts, fmt.Sprintf("%d otherwise", others))
	}
	say(t.Outcomes.Refs, "%s ended: %s.", plural(t.Outcomes.N, "remediation", "remediations"), strings.Join(parts, ", "))
	if r := &t.MTTR; r.P50 != nil && r.P90 != nil {
		say(r.Refs, "Of the repairs half took %s or less, nine of ten %s or less.", duration(*r.P50), duration(*r.P90))
	}
	if groups := t.Bottlenecks.Groups; len(groups) > 0 {
		say(t.Bottlenecks.Refs, "The bottleneck that took the most time: %s, %s, %s of what bottlenecks took.", groups[0].said(), duration(groups[0].Seconds), percent(groups[0].Share))
	}
	if a := &t.Approvals; a.P50 != nil {
		say(a.Refs, "People were asked %s, approved %d and refused %d; half of these decisions took %s or less.", plural(a.Asked, "time", "times"), a.Approved, a.Rejected, duration(*a.P50))
	}
	if a := &t.AI.All; a.Decisions > 0 {
		say(t.AI.Refs, "%s", a.Text)
	}
	var attempts, failed int64
	for _, c := range t.Deliveries.Channels {
		attempts, failed = attempts+c.Attempts, failed+c.Failed
	}
	if attempts > 0 {
		say(t.Deliveries.Refs, "%d of %s to deliver a notification failed.", failed, plural(attempts, "attempt", "attempts"))
	}
	return all
}
