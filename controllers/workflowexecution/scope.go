package workflowexecution

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Sizes of the texts that are kept in the status, in bytes.
const (
	messageBytes     = 1 << 10
	reasonBytes      = 2 << 10
	mostAdjustments  = 40
	adjustmentReason = 256
)

// Pace of attempts and of looking at the target.
const (
	backoff      = 2 * time.Second
	mostBackoff  = 30 * time.Second
	firstPolls   = time.Second
	laterPolls   = 2 * time.Second
	pollsAreLate = 10 * time.Second
	// defaultTimeout stands in for timeouts that the CRD would have defaulted.
	defaultTimeout = 5 * time.Minute
)

// scope has the facts of one pass. wfe, status and draft are one resource and set from the start; status is changed, then saved through the draft.
type scope struct {
	wfe    *v1alpha1.WorkflowExecution
	status *v1alpha1.WorkflowExecutionStatus
	draft  *outbox.Draft
	now    time.Time
}

// stopReason says why the workflow is to end before its time, "" when it is not.
func (s *scope) stopReason() string {
	switch {
	case s.wfe.DeletionTimestamp != nil:
		return "the workflow was deleted"
	case s.wfe.Spec.Cancel:
		return "the workflow was cancelled"
	}
	return ""
}

// remaining is the time left of the workflow's timeout, which counts from the first step, or from the creation before there was one.
func (s *scope) remaining() (left time.Duration, limited bool) {
	start := s.wfe.CreationTimestamp.Time
	if s.status.StartedTime != nil {
		start = s.status.StartedTime.Time
	}
	return lifecycle.Remaining(start, s.wfe.Spec.Timeout, s.now)
}

func (s *scope) timedOut() bool {
	left, limited := s.remaining()
	return limited && left <= 0
}

func (s *scope) timeoutReason() string {
	return fmt.Sprintf("the workflow's timeout of %s was over", s.wfe.Spec.Timeout.Duration)
}

// step is the step that is under way or comes next; status is nil when it was not begun, and both are nil after the last.
func (s *scope) step() (*v1alpha1.WorkflowStep, *v1alpha1.StepStatus) {
	n := len(s.status.Steps)
	if n > 0 && s.status.Steps[n-1].State == v1alpha1.StepRunning {
		return &s.wfe.Spec.Steps[n-1], &s.status.Steps[n-1]
	}
	if n < len(s.wfe.Spec.Steps) {
		return &s.wfe.Spec.Steps[n], nil
	}
	return nil, nil
}

// specOf is the spec of a step that was begun.
func (s *scope) specOf(st *v1alpha1.StepStatus) *v1alpha1.WorkflowStep {
	for i := range s.status.Steps {
		if &s.status.Steps[i] == st {
			return &s.wfe.Spec.Steps[i]
		}
	}
	return &v1alpha1.WorkflowStep{}
}

// untilTimeout cuts a duration to what is left of the workflow's timeout.
func (s *scope) untilTimeout(d time.Duration) time.Duration {
	if left, limited := s.remaining(); limited {
		return min(d, left)
	}
	return d
}

// changed tells whether any step may have left something that a rollback could restore.
func (s *scope) changed() bool { return s.toUndo() != nil }

// toUndo is the newest step that is to be undone and was not yet given up, nil when there is none.
func (s *scope) toUndo() *v1alpha1.StepStatus {
	for i := len(s.status.Steps) - 1; i >= 0; i-- {
		st := &s.status.Steps[i]
		if len(st.Previous) > 0 && st.State != v1alpha1.StepRolledBack && (st.Rollback == nil || st.Rollback.CompletedTime == nil) {
			return st
		}
	}
	return nil
}

func (s *scope) adjust(step string, adjustments []v1alpha1.Adjustment) {
	for _, a := range adjustments {
		a = v1alpha1.Adjustment{Step: step, Adjustment: outbox.Bound(a.Adjustment, adjustmentReason), Reason: outbox.Bound(a.Reason, adjustmentReason)}
		if len(s.status.Adjustments) < mostAdjustments && !slices.Contains(s.status.Adjustments, a) { // a retry finds the same again
			s.status.Adjustments = append(s.status.Adjustments, a)
		}
	}
}

// retryDelay is the pause after that many attempts: 2 s, 4 s, … 30 s.
func retryDelay(attempts int32) time.Duration {
	return min(mostBackoff, backoff<<min(max(attempts, 1)-1, 8))
}

// pollDelay is when to look again at what has been waited for that long, at the latest when the time is over.
func pollDelay(waited, left time.Duration) time.Duration {
	every := firstPolls
	if waited >= pollsAreLate {
		every = laterPolls
	}
	return max(min(every, left), 10*time.Millisecond)
}

func stepTimeout(step *v1alpha1.WorkflowStep) time.Duration {
	if step.Timeout == nil {
		return defaultTimeout
	}
	return step.Timeout.Duration
}

// transient reports whether an error says nothing about the attempt, since the API server was away, busy or slow, or the pass was ended: the pass is to be repeated.
func transient(err error) bool {
	if action.Permanent(err) || errors.Is(err, action.ErrNoEffect) {
		return false
	}
	if errors.Is(err, condition.ErrEnded) {
		return true
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		var network interface{ Timeout() bool } // what net and url errors have
		return errors.As(err, &network)
	}
	code := status.Status().Code
	return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusConflict
}
