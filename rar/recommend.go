package rar

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
)

const (
	// maxRecommendations bounds the list: what would save the most is worth reading, the rest is not.
	maxRecommendations = 5
	// minComparable is how many comparable remediations a recommendation needs.
	minComparable = 8
	// minRetried is how many executions with retries show that these do not help.
	minRetried = 3
	// originRule marks a recommendation of the rules below.
	originRule = "rule"
)

// recommendations ask each rule, and keep what would save the most. What saves no time comes last, in the order of the rules.
func (b *builder) recommendations() []Recommendation {
	all := []Recommendation{}
	for _, rule := range []func() *Recommendation{b.approveAutomatically, b.doesNotHold, b.retryInVain, b.timeoutTooShort, b.timeoutTooLong, b.slowInvestigator, b.failingChannel} {
		if r := rule(); r != nil {
			r.Origin = originRule
			all = append(all, *r)
		}
	}
	slices.SortStableFunc(all, func(x, y Recommendation) int { return cmp.Compare(saving(&y), saving(&x)) })
	all = all[:min(len(all), maxRecommendations)]
	for i := range all {
		all[i].Priority = i + 1
	}
	return all
}

func saving(r *Recommendation) float64 {
	if r.SavingSeconds == nil {
		return 0
	}
	return *r.SavingSeconds
}

// earlier are the comparable remediations before this one that a condition holds for, and their refs in a table.
func (b *builder) earlier(holds func(*Case) bool) (found []Case) {
	for i := range b.newest {
		if c := &b.newest[i]; c.RemediationID != b.in.RemediationID && holds(c) {
			found = append(found, *c)
		}
	}
	return found
}

func (b *builder) refsOf(cases []Case, table string, of func(*Case) Row) []string {
	var refs []string
	for i := range cases {
		refs = append(refs, b.ledger.place(table, of(&cases[i]))...)
	}
	return refs
}

func analysisOf(c *Case) Row  { return c.Analysis }
func executionOf(c *Case) Row { return c.Execution }

// approveAutomatically: a person was waited for, and people never refused the same action on the same alert.
func (b *builder) approveAutomatically() *Recommendation {
	p := b.report.Approval
	if p == nil || p.WaitSeconds == nil || *p.WaitSeconds <= 0 || p.RequestedAt == nil || p.Status == approvalRejected {
		return nil
	}
	refused, succeeded, known := 0, int64(0), int64(0)
	asked := b.earlier(func(c *Case) bool {
		return c.ApprovalRequestedAt != nil && c.RecommendedAction == b.analysis.RecommendedAction && (c.ApprovalStatus == approvalApproved || c.ApprovalStatus == approvalRejected)
	})
	for i := range asked {
		if asked[i].ApprovalStatus == approvalRejected {
			refused++
		}
		if good, has := asked[i].verdict(b.in.AsOf); has {
			if known++; good {
				succeeded++
			}
		}
	}
	if len(asked) < minComparable || refused > 0 || 5*succeeded < 4*known { // an action that fails often is looked at by people for a reason
		return nil
	}
	saved := *p.WaitSeconds
	r := &Recommendation{
		Rule: "approve-automatically", SavingSeconds: &saved,
		Text: fmt.Sprintf("Approve %s on this alert automatically: it would have saved %s of waiting.", shownName(b.analysis.RecommendedAction), duration(saved)),
		Refs: join(p.Refs, b.refsOf(asked, models.TableAIAnalysis, analysisOf)),
	}
	r.Basis = fmt.Sprintf("People were asked about the same action on the same alert %d times in the 30 days before, and never refused it.", len(asked))
	if known > 0 {
		r.Basis += fmt.Sprintf(" %d of %d of these worked and held: what did not is the risk.", succeeded, known)
	}
	return r
}

// doesNotHold: the workflow succeeds, and the alert comes back.
func (b *builder) doesNotHold() *Recommendation {
	if b.execution == nil || b.outcome() != outcomeRemediated {
		return nil
	}
	came := b.earlier(func(c *Case) bool {
		return c.WorkflowID == b.execution.WorkflowID && c.Outcome == outcomeRemediated && c.CameBackAt != nil
	})
	all := b.earlier(func(c *Case) bool { return c.WorkflowID == b.execution.WorkflowID && c.Outcome == outcomeRemediated })
	back, n := len(came), len(all)
	refs := join(b.executionRefs(), b.requestRefs())
	n++
	if len(b.recurrences) > 0 {
		back++
		refs = join(refs, b.recurrences[0].Refs)
	}
	if back < 2 && len(b.recurrences) == 0 || 4*back < n { // a quarter, and not a single one long ago
		return nil
	}
	text := fmt.Sprintf("Look for the cause of the alert: after %s it came back within 7 days in %d of %d cases, this one included.", shownName(b.execution.WorkflowID), back, n)
	if n == 1 {
		text = fmt.Sprintf("Look for the cause of the alert: it came back %s after %s.", duration(b.recurrences[0].AfterSeconds), shownName(b.execution.WorkflowID))
	}
	return &Recommendation{
		Rule: "repair-does-not-hold", Text: text,
		Basis:         "The same fingerprint and target was received again after a success. Each return costs another remediation: the saving is the time of this one.",
		SavingSeconds: b.total(), Refs: join(refs, b.refsOf(came, models.TableOrchestration, func(c *Case) Row { return c.Row })),
	}
}

// retryInVain: attempts were repeated, and that helped neither here nor before.
func (b *builder) retryInVain() *Recommendation {
	e := b.execution
	if e == nil || !retriedInVain(e) {
		return nil
	}
	before := b.earlier(func(c *Case) bool { return c.WorkflowID == e.WorkflowID && value(c.RetriesPerformed) > 0 })
	if len(before) < minRetried || slices.ContainsFunc(before, func(c Case) bool { return c.ExecutionOutcome == executionSuccess }) {
		return nil
	}
	lost := 0.0
	for _, s := range e.StepsExecuted {
		if s.Attempts > 1 && s.Status != "success" {
			lost += float64(max(0, s.Duration)) * float64(s.Attempts-1) / float64(s.Attempts)
		}
	}
	return &Recommendation{
		Rule: "retry-never-helped", Text: fmt.Sprintf("Retry the steps of %s less: %s here ended in a failure all the same.", shownName(e.WorkflowID), plural(value(e.RetriesPerformed), "retry", "retries")),
		Basis:         fmt.Sprintf("Of %s of the workflow with retries on this alert in the 30 days before, none succeeded. The saving takes each attempt of a step as equally long.", plural(int64(len(before)), "execution", "executions")),
		SavingSeconds: ptr.To(rounded(lost, 3)), Refs: join(b.executionRefs(), b.refsOf(before, models.TableExecution, executionOf)),
	}
}

// limited is a phase with a timeout, as this remediation and the comparable ones went through it.
type limited struct {
	timeout string
	words   string
	expired bool // it ended here because the time was over
	of      func(*Case) *float64
}

func (b *builder) limited() []limited {
	toFloat := func(n *int64) *float64 {
		if n == nil {
			return nil
		}
		return ptr.To(float64(*n))
	}
	status := ""
	if b.analysis != nil {
		status = b.analysis.ApprovalStatus
	}
	timedOut := b.outcome() == outcomeTimedOut
	return []limited{
		{"approval", "the approval", status == approvalExpired, func(c *Case) *float64 {
			if c.ApprovalStatus == approvalExpired || c.ApprovalRequestedAt == nil {
				return nil
			}
			return toFloat(c.ApprovalDurationSeconds)
		}},
		{"execution", "the workflow", timedOut && b.execution != nil, func(c *Case) *float64 {
			if c.Outcome != outcomeRemediated {
				return nil
			}
			return toFloat(c.ExecutionSeconds)
		}},
		{"analysis", "the investigation", timedOut && b.execution == nil && status == "", func(c *Case) *float64 { return c.InvestigationSeconds }},
	}
}

// limitOf is the timeout of a phase, and how long it took in comparable remediations that did not run into it: the 90th percentile. ok is false where too few are known.
func (b *builder) limitOf(l *limited) (timeout, p90 float64, n int, refs []string, ok bool) {
	if b.request == nil || b.request.Policy == nil || b.request.Policy.TimeoutSeconds[l.timeout] <= 0 {
		return 0, 0, 0, nil, false
	}
	cases := b.earlier(func(c *Case) bool { return l.of(c) != nil })
	if len(cases) < minComparable {
		return 0, 0, 0, nil, false
	}
	times := make([]float64, 0, len(cases))
	for i := range cases {
		times = append(times, *l.of(&cases[i]))
	}
	slices.Sort(times)
	return float64(b.request.Policy.TimeoutSeconds[l.timeout]), quantile(times, 0.9), len(cases),
		join(b.requestRefs(), b.refsOf(cases, models.TableOrchestration, func(c *Case) Row { return c.Row })), true
}

// timeoutTooShort: the time was over, and what went well before took nearly as long.
func (b *builder) timeoutTooShort() *Recommendation {
	for _, l := range b.limited() {
		timeout, p90, n, refs, ok := b.limitOf(&l)
		if !l.expired || !ok || p90 < 0.8*timeout {
			continue
		}
		return &Recommendation{
			Rule: "timeout-too-short", Text: fmt.Sprintf("Give %s more time than %s: it ran out of it.", l.words, duration(timeout)),
			Basis: fmt.Sprintf("Nine of ten of %d comparable ones that ended in time took up to %s.", n, duration(p90)), Refs: refs,
		}
	}
	return nil
}

// timeoutTooLong: the time was over, and what went well before took a small part of it. A shorter one would have told people earlier.
func (b *builder) timeoutTooLong() *Recommendation {
	for _, l := range b.limited() {
		timeout, p90, n, refs, ok := b.limitOf(&l)
		enough := 3 * p90
		if !l.expired || !ok || enough >= timeout/2 {
			continue
		}
		return &Recommendation{
			Rule: "timeout-too-long", Text: fmt.Sprintf("Wait for %s no longer than %s, not %s: people would have known of it earlier.", l.words, duration(enough), duration(timeout)),
			Basis:         fmt.Sprintf("Nine of ten of %d comparable ones took up to %s; three times that is the limit that is meant.", n, duration(p90)),
			SavingSeconds: ptr.To(rounded(timeout-enough, 3)), Refs: refs,
		}
	}
	return nil
}

// slowInvestigator: finding the action took longer than the action, here and as a rule.
func (b *builder) slowInvestigator() *Recommendation {
	a, e := b.analysis, b.report.Execution
	if a == nil || a.InvestigationCompletedAt == nil || e == nil || e.Seconds == nil {
		return nil
	}
	took := seconds(a.InvestigationStartedAt.Time, a.InvestigationCompletedAt.Time)
	known := b.earlier(func(c *Case) bool {
		return c.InvestigationSeconds != nil && c.ExecutionSeconds != nil && c.Investigator == a.Investigator
	})
	slower := 0
	for i := range known {
		if *known[i].InvestigationSeconds > float64(*known[i].ExecutionSeconds) {
			slower++
		}
	}
	if took <= *e.Seconds || took < 30 || len(known) < minComparable || 2*slower <= len(known) {
		return nil
	}
	return &Recommendation{
		Rule:          "investigator-slower-than-repair",
		Text:          fmt.Sprintf("Let rules recommend what %s keeps finding on this alert: it took %s to investigate, and %s to repair.", shownName(a.Investigator), duration(took), duration(*e.Seconds)),
		Basis:         fmt.Sprintf("In %d of %d comparable remediations the investigation took longer than the workflow. The saving is the investigation beyond the workflow's time.", slower, len(known)),
		SavingSeconds: ptr.To(rounded(took-*e.Seconds, 3)),
		Refs:          join(b.analysisRefs(), b.executionRefs(), b.refsOf(known, models.TableAIAnalysis, analysisOf)),
	}
}

// failingChannel: a channel took nothing, or only after attempts that failed, as it does in one of ten deliveries or more.
func (b *builder) failingChannel() *Recommendation {
	for _, n := range b.report.Notifications {
		failed := 0
		for _, a := range n.Attempts {
			if attemptFailed(n.Purpose, a) {
				failed++
			}
		}
		if failed == 0 || n.DeliveredAt == nil && b.report.Complete.State != StateFinal { // the end of the record may say otherwise
			continue
		}
		before := Deliveries{}
		if i := slices.IndexFunc(b.in.Deliveries, func(d Deliveries) bool { return d.Channel == n.Channel }); i >= 0 {
			before = b.in.Deliveries[i]
		}
		enough := before.N >= minComparable
		if n.DeliveredAt != nil && (!enough || 10*before.Failed < before.N) { // that happens once in a while
			continue
		}
		r := &Recommendation{Rule: "failing-channel", Text: fmt.Sprintf("Look at channel %s: it took nothing after %s.", shownName(n.Channel), plural(int64(len(n.Attempts)), "attempt", "attempts")), Refs: n.Refs}
		r.Basis = fmt.Sprintf("%d of %s of this notification failed or had no answer.", failed, plural(int64(len(n.Attempts)), "attempt", "attempts"))
		if interval := wilson(before.Failed, before.N); enough && interval != nil {
			r.Basis += fmt.Sprintf(" Of %d deliveries by it in the newest comparable remediations of the 30 days before, %d had a failed attempt (%s, 95 %% interval %s to %s), and %d never arrived.",
				before.N, before.Failed, percent(share(before.Failed, before.N)), percent(interval[0]), percent(interval[1]), before.Lost)
			r.Refs = join(r.Refs, []string{b.ledger.query(models.TableNotification, "cohort_deliveries.sql", "deliveries by "+n.Channel+" in comparable remediations, 30 days before "+b.received.String())})
		} else {
			r.Basis += fmt.Sprintf(" How the channel does otherwise is not known: %s in the 30 days before, and it takes %d.", plural(before.N, "comparable delivery", "comparable deliveries"), minComparable)
		}
		if n.DeliveredAt != nil {
			r.Text = fmt.Sprintf("Look at channel %s: it took the message only at attempt %d.", shownName(n.Channel), len(n.Attempts))
			r.SavingSeconds = n.Seconds
		}
		return r
	}
	return nil
}

// attemptFailed reports whether an attempt failed or had no answer. A question is called off when somebody decides: an attempt that this breaks off says nothing of the channel.
func attemptFailed(purpose string, a models.DeliveryAttempt) bool {
	return a.Status == "failed" || a.Status == "unknown" && (purpose == "" || purpose == purposeOutcome)
}
