package remediation

import (
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
)

// grace is how long after a child's own timeout its request intervenes.
const grace = 30 * time.Second

// verdict is how a child ended, as the request sees it: the outcome it leads to, or "" to go on.
type verdict struct {
	outcome string
	reason  string
}

// judgeAnalysis maps an analysis that has ended to a verdict. An approved recommendation lets the workflow begin.
func judgeAnalysis(a *v1alpha1.AIAnalysis) verdict {
	st := &a.Status
	switch st.Phase {
	case v1alpha1.AnalysisCompleted:
		if st.Recommendation == nil {
			return verdict{v1alpha1.OutcomeNoAction, ""}
		}
		if !approved(st.Approval) {
			return verdict{v1alpha1.OutcomeFailed, "The analysis ended, but its recommendation was not approved"}
		}
		return verdict{}
	case v1alpha1.AnalysisRejected:
		reason := "The recommendation was rejected"
		if p := st.Approval; p != nil && p.DecidedBy != "" {
			reason += " by " + p.DecidedBy
			if p.Justification != "" {
				reason += ": " + p.Justification
			}
		}
		return verdict{v1alpha1.OutcomeRejected, reason}
	case v1alpha1.AnalysisTimedOut:
		return verdict{v1alpha1.OutcomeTimedOut, orElse(st.FailureReason, "The analysis timed out")}
	case v1alpha1.AnalysisCancelled:
		return verdict{v1alpha1.OutcomeFailed, orElse(st.FailureReason, "The analysis was cancelled")}
	default:
		return verdict{v1alpha1.OutcomeFailed, orElse(st.FailureReason, "The analysis failed")}
	}
}

func approved(a *v1alpha1.Approval) bool {
	return a != nil && (a.Status == v1alpha1.ApprovalApproved || a.Status == v1alpha1.ApprovalAutoApproved)
}

// judgeWorkflow maps a workflow that has ended to a verdict.
func judgeWorkflow(w *v1alpha1.WorkflowExecution) verdict {
	switch w.Status.Phase {
	case v1alpha1.WorkflowCompleted:
		return verdict{v1alpha1.OutcomeRemediated, ""}
	case v1alpha1.WorkflowTimedOut:
		return verdict{v1alpha1.OutcomeTimedOut, orElse(w.Status.FailureReason, "The workflow timed out")}
	case v1alpha1.WorkflowCancelled:
		return verdict{v1alpha1.OutcomeFailed, orElse(w.Status.FailureReason, "The workflow was cancelled")}
	default:
		return verdict{v1alpha1.OutcomeFailed, orElse(w.Status.FailureReason, "The workflow failed")}
	}
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// endPhase is the phase that an outcome ends in.
func endPhase(outcome string) v1alpha1.RemediationPhase {
	switch outcome {
	case v1alpha1.OutcomeRemediated, v1alpha1.OutcomeNoAction:
		return v1alpha1.RemediationCompleted
	case v1alpha1.OutcomeRejected:
		return v1alpha1.RemediationRejected
	case v1alpha1.OutcomeTimedOut:
		return v1alpha1.RemediationTimedOut
	case v1alpha1.OutcomeCancelled:
		return v1alpha1.RemediationCancelled
	default:
		return v1alpha1.RemediationFailed
	}
}

// overdue reports which limit has passed, in words, or how long until the next one passes. The children enforce the limits of their phases themselves. The request
// intervenes one grace later, and when the total time is over.
func overdue(rr *v1alpha1.RemediationRequest, now time.Time) (reason string, next time.Duration) {
	t := &rr.Spec.Timeouts
	next, limited := lifecycle.Remaining(rr.CreationTimestamp.Time, t.Total, now)
	if limited && next == 0 {
		return fmt.Sprintf("The request exceeded its total timeout of %s", t.Total.Duration), 0
	}
	limit := t.Analysis
	switch rr.Status.Phase {
	case v1alpha1.RemediationAwaitingApproval:
		limit = t.Approval
	case v1alpha1.RemediationExecuting:
		limit = t.Execution
	case v1alpha1.RemediationNotifying:
		limit = t.Notification
	}
	begun := entered(&rr.Status, rr.Status.Phase)
	if begun == nil || limit == nil {
		return "", next
	}
	left, _ := lifecycle.Remaining(begun.Add(grace), limit, now)
	if left == 0 {
		return fmt.Sprintf("Phase %s exceeded its timeout of %s", rr.Status.Phase, limit.Duration), 0
	}
	if !limited || left < next {
		next = left
	}
	return "", next
}
