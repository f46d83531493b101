package remediation

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// maxTransitions is how many the CRD takes. A request has ten at most.
const maxTransitions = 100

// move sets the phase and keeps the transition, with the time spent in the phase before.
func move(st *v1alpha1.RemediationRequestStatus, to v1alpha1.RemediationPhase, now time.Time) {
	t := v1alpha1.PhaseTransition{From: st.Phase, To: to, Time: outboxapi.NewTime(now)}
	if n := len(st.Transitions); n > 0 {
		t.Duration = &metav1.Duration{Duration: max(0, t.Time.Sub(&st.Transitions[n-1].Time))}
	}
	st.Phase = to
	st.Transitions = append(st.Transitions[:min(len(st.Transitions), maxTransitions-1)], t) // anybody who may write the status may have filled them up
}

// finish works out what is known only at the end.
func finish(rr *v1alpha1.RemediationRequest, now time.Time) {
	st := &rr.Status
	st.CompletedTime = outboxapi.NewTimePointer(now)
	total := max(0, now.Sub(rr.CreationTimestamp.Time))
	st.TotalDurationSeconds = ptr.To(int64(total / time.Second))
	st.Bottleneck = bottleneck(st, total)
}

// Bottleneck phases, as the audit trail names them.
const (
	bottleneckAnalysis     = "ai_analysis"
	bottleneckApproval     = "approval_wait"
	bottleneckWorkflow     = "workflow_execution"
	bottleneckNotification = "notification"
	bottleneckQueueing     = "queueing"
)

// bottleneck is the part that took the longest. Analysis, approval and workflow count from the child's own start, so that the time in which a child
// waited to be picked up counts as queueing, like all time that belongs to no part.
func bottleneck(st *v1alpha1.RemediationRequestStatus, total time.Duration) *v1alpha1.Bottleneck {
	spent := map[string]time.Duration{}
	analysisEnd := firstSet(st.ApprovalRequestedTime, left(st, v1alpha1.RemediationAnalyzing))
	spent[bottleneckAnalysis] = between(st.AnalysisStartedTime, analysisEnd)
	spent[bottleneckApproval] = between(st.ApprovalRequestedTime, firstSet(st.ApprovalDecidedTime, left(st, v1alpha1.RemediationAwaitingApproval)))
	spent[bottleneckWorkflow] = between(st.WorkflowStartedTime, left(st, v1alpha1.RemediationExecuting))
	spent[bottleneckNotification] = between(entered(st, v1alpha1.RemediationNotifying), left(st, v1alpha1.RemediationNotifying))
	queueing := total
	for _, d := range spent {
		queueing -= d
	}
	spent[bottleneckQueueing] = max(0, queueing)

	longest := bottleneckAnalysis
	for _, phase := range []string{bottleneckApproval, bottleneckWorkflow, bottleneckNotification, bottleneckQueueing} {
		if spent[phase] > spent[longest] {
			longest = phase
		}
	}
	return &v1alpha1.Bottleneck{Phase: longest, DurationSeconds: int64(spent[longest] / time.Second)}
}

func between(from, to *outboxapi.Time) time.Duration { return max(0, to.Sub(from)) }

func firstSet(times ...*outboxapi.Time) *outboxapi.Time {
	for _, t := range times {
		if t != nil {
			return t
		}
	}
	return nil
}

// entered is when a phase was first entered, nil if it never was.
func entered(st *v1alpha1.RemediationRequestStatus, phase v1alpha1.RemediationPhase) *outboxapi.Time {
	for i := range st.Transitions {
		if st.Transitions[i].To == phase {
			return &st.Transitions[i].Time
		}
	}
	return nil
}

// left is when a phase was left, nil if it never was.
func left(st *v1alpha1.RemediationRequestStatus, phase v1alpha1.RemediationPhase) *outboxapi.Time {
	for i := range st.Transitions {
		if st.Transitions[i].From == phase {
			return &st.Transitions[i].Time
		}
	}
	return nil
}
