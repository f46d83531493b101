package rar

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Phases of a remediation, as orchestration records name them in bottleneck_phase, and the intake before them, which their total does not include.
const (
	phaseIntake       = "intake"
	phaseAnalysis     = "ai_analysis"
	phaseApproval     = "approval_wait"
	phaseWorkflow     = "workflow_execution"
	phaseNotification = "notification"
	phaseQueueing     = "queueing"
)

// phaseNames are how people read them.
var phaseNames = map[string]string{
	phaseIntake: "Intake", phaseAnalysis: "AI analysis", phaseApproval: "Wait for approval", phaseWorkflow: "Workflow", phaseNotification: "Notification", phaseQueueing: "Hand-overs",
}

func phaseName(phase string) string { return cmp.Or(phaseNames[phase], phase) }

// Lanes of the spans that lie within phases.
const (
	laneSteps      = "Steps"
	laneDeliveries = "Deliveries"
	laneQuestions  = "Requests for approval"
)

// phase is a part of the remediation's time. Its times are as the rows say, end is zero while it is open. length is what it counts for in microseconds.
type phase struct {
	name       string
	start, end outboxapi.Time
	length     int64
	refs       []string
}

// findPhases lays the phases one after the other, from signal to completion, in the order in which one causes the next. Each counts for as long as its own clock says, and none beyond the
// completion, so they add up to the total at most. One that bears an earlier time than the end of the one before it is taken to follow it: its clock was behind, and clock_skew says so.
// What lies between two phases is queueing.
func (b *builder) findPhases() []phase {
	if b.request == nil {
		return nil
	}
	var all []phase
	at := b.received.Time
	for _, p := range b.claimedPhases() {
		start := within(p.start.Time, at, b.completed.Time)
		if len(all) > 0 && start.After(at) {
			all = append(all, phase{phaseQueueing, outboxapi.NewTime(at), outboxapi.NewTime(start), micros(at, start), join(all[len(all)-1].refs, p.refs)})
		}
		if p.end.IsZero() {
			return append(all, p) // what comes after an open phase is not known to come after it
		}
		p.end = outboxapi.NewTime(within(p.end.Time, p.start.Time, time.Time{}))
		end := within(time.UnixMicro(start.UnixMicro()+micros(p.start.Time, p.end.Time)), start, b.completed.Time)
		p.length = micros(start, end)
		all = append(all, p)
		at = end
	}
	if n := len(all); n > 0 && b.completed.After(at) {
		all = append(all, phase{phaseQueueing, outboxapi.NewTime(at), b.completed, micros(at, b.completed.Time), join(all[n-1].refs, b.requestRefs())})
	}
	return all
}

// claimedPhases are as the rows say, in the order of causes.
func (b *builder) claimedPhases() []phase {
	var all []phase
	told := false
	claim := func(name string, start, end *outboxapi.Time, t *trail, refs []string) {
		if start == nil || start.IsZero() {
			return
		}
		p := phase{name: name, start: *start, refs: refs}
		switch {
		case end != nil && !end.IsZero():
			p.end = *end
		case t != nil && t.closed():
			p.end = t.rows[len(t.rows)-1].Head().RecordedAt // as where an analysis is cancelled while its approval is awaited
		}
		all = append(all, p)
	}
	r := b.request
	claim(phaseIntake, &r.SignalReceivedAt, &r.RemediationCreatedAt, nil, b.requestRefs())
	if a := b.analysis; a != nil {
		// Until an investigator was asked, the start is the creation time.
		claim(phaseAnalysis, &a.InvestigationStartedAt, cmp.Or(a.InvestigationCompletedAt, a.ApprovalRequestedAt), b.analysisTrail, b.analysisRefs())
		claim(phaseApproval, a.ApprovalRequestedAt, a.ApprovalTime, b.analysisTrail, b.analysisRefs())
	} else {
		claim(phaseAnalysis, r.AIAnalysisStartedAt, cmp.Or(r.WorkflowStartedAt, r.NotificationSentAt, r.CompletedAt), nil, b.requestRefs())
	}
	if e := b.execution; e != nil {
		claim(phaseWorkflow, &e.ExecutionStartedAt, e.ExecutionCompletedAt, b.executionTrail, b.executionRefs())
	} else {
		claim(phaseWorkflow, r.WorkflowStartedAt, cmp.Or(r.NotificationSentAt, r.CompletedAt), nil, b.requestRefs())
	}
	for _, t := range b.trails {
		// One that asks for an approval lies within the wait for it.
		if n, ok := lastOf[*models.NotificationRow](t); ok && !told && tellsOutcome(n) {
			told = true
			claim(phaseNotification, &n.NotificationRequestedAt, cmp.Or(n.DeliveryConfirmedAt, n.NotificationSentAt), t, b.refs(n))
		}
	}
	return all
}

// within moves a time into bounds; an end that is zero bounds nothing.
func within(t, from, to time.Time) time.Time {
	if !to.IsZero() && t.After(to) {
		t = to
	}
	if t.Before(from) {
		t = from
	}
	return t
}

// parts adds up the phases by name, in the order in which they first come. It is nil while the remediation is open.
func (b *builder) parts() []Part {
	whole := b.totalMicros()
	if whole <= 0 {
		return nil
	}
	var parts []Part
	var lengths []int64
	for _, p := range b.phases {
		if p.end.IsZero() {
			continue
		}
		i := slices.IndexFunc(parts, func(q Part) bool { return q.Phase == p.name })
		if i < 0 {
			i, parts, lengths = len(parts), append(parts, Part{Phase: p.name, Name: phaseName(p.name)}), append(lengths, 0)
		}
		lengths[i] += p.length
		parts[i].Refs = join(parts[i].Refs, p.refs)
	}
	for i := range parts {
		parts[i].Seconds, parts[i].Share = rounded(float64(lengths[i])/1e6, 3), share(lengths[i], whole)
	}
	return parts
}

// bottleneck is the part that took the longest. Where a part has no end although the remediation has one, or only the request has rows, it is what the request recorded: the parts that are
// known may be the short ones.
func (b *builder) bottleneck() *Bottleneck {
	parts := b.parts()
	longest := Part{}
	for _, p := range parts {
		if p.Seconds > longest.Seconds {
			longest = p
		}
	}
	if unknown := slices.ContainsFunc(b.phases, func(p phase) bool { return p.end.IsZero() }); unknown || b.analysis == nil && b.execution == nil {
		recorded, known := b.recordedBottleneck()
		if known {
			longest = recorded
		} else if unknown {
			return nil
		}
	}
	if longest.Phase == "" {
		return nil
	}
	n := &Bottleneck{Phase: longest.Phase, Name: longest.Name, Seconds: longest.Seconds, Share: longest.Share, Breakdown: notEmpty(parts), Refs: longest.Refs}
	if c := b.in.Cohort; c != nil && c.N > 0 {
		n.Baseline = &Baseline{N: c.N, Mean: c.Mean, P50: c.P50, P90: c.P90, Refs: b.cohortRefs()}
		if c.Mean != nil {
			n.ExcessSeconds = ptr.To(rounded(*b.total()-*c.Mean, 3))
		}
	}
	return n
}

// recordedBottleneck is what the request's row says of it; known is false if that is nothing, or more than the total.
func (b *builder) recordedBottleneck() (_ Part, known bool) {
	if b.request == nil {
		return Part{}, false
	}
	n, whole := value(b.request.BottleneckDurationSeconds), b.totalMicros()
	if b.request.BottleneckPhase == "" || n <= 0 || whole <= 0 || n > whole/1e6 {
		return Part{}, false
	}
	p := b.request.BottleneckPhase
	return Part{Phase: p, Name: phaseName(p), Seconds: float64(n), Share: share(n*1e6, whole), Refs: b.requestRefs()}, true
}

// spans are the phases, then the steps and the deliveries within them.
func (b *builder) spans() []Span {
	spans := []Span{}
	whole := b.totalMicros()
	for _, p := range b.phases {
		s := Span{Lane: phaseName(p.name), Name: phaseName(p.name), Start: p.start, Refs: p.refs}
		if !p.end.IsZero() {
			s.End, s.Seconds = &p.end, ptr.To(seconds(p.start.Time, p.end.Time))
			if whole > 0 {
				s.Share = ptr.To(share(p.length, whole))
			}
		}
		spans = append(spans, s)
	}
	if b.execution != nil {
		for _, step := range b.execution.StepsExecuted {
			spans = appendSpan(spans, laneSteps, step.Name, step.StartedAt, step.CompletedAt, step.Status, b.executionRefs())
		}
	}
	for _, t := range b.trails {
		n, ok := lastOf[*models.NotificationRow](t)
		if !ok {
			continue
		}
		lane := laneDeliveries
		if !tellsOutcome(n) {
			lane = laneQuestions
		}
		for _, a := range n.DeliveryAttempts {
			spans = appendSpan(spans, lane, a.Channel, a.StartedAt, attemptEnd(a), a.Status, b.refs(n))
		}
	}
	return spans
}

// appendSpan adds a detail of a phase. One that ends before it begins has no length: clock_skew says so.
func appendSpan(spans []Span, lane, name string, start, end *outboxapi.Time, status string, refs []string) []Span {
	if start == nil || start.IsZero() {
		return spans
	}
	s := Span{Lane: lane, Name: name, Start: *start, Status: status, Refs: refs}
	if end != nil && !end.IsZero() {
		e := outboxapi.NewTime(within(end.Time, start.Time, time.Time{}))
		s.End, s.Seconds = &e, ptr.To(seconds(start.Time, e.Time))
	}
	return append(spans, s)
}
