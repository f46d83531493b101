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
	maxAdjustments   = 40
	adjustmentReason = 256
)

// Pauses between attempts, and between polls of the target.
const (
	backoff    = 2 * time.Second
	maxBackoff = 30 * time.Second
	// The target is polled each pollInterval, and each slowPollInterval after slowPollsAfter.
	pollInterval     = time.Second
	slowPollInterval = 2 * time.Second
	slowPollsAfter   = 10 * time.Second
	// defaultTimeout is the timeout of steps without one. The CRD sets the same default; resources older than it have none.
	defaultTimeout = 5 * time.Minute
)

// scope has the facts of one pass. wfe, status and draft are one resource, set from the start. The phases change status and save it through the draft.
type scope struct {
	wfe    *v1alpha1.WorkflowExecution
	status *v1alpha1.WorkflowExecutionStatus
	draft  *outbox.Draft
	now    time.Time
	// target is as the conditions were looked at; nil before, and when it could not be read.
	target map[string]any
}

// stopReason says why the workflow must stop early, "" if it need not.
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
	return fmt.Sprintf("the workflow timed out after %s", s.wfe.Spec.Timeout.Duration)
}

// step is the current or the next step. Its status is nil if it was not begun; both are nil after the last step.
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

// dropStrangeSteps drops what the status has of more steps than the spec. Anybody who may write the status may have added them, and a step without a spec could be neither run nor recorded.
func (s *scope) dropStrangeSteps() {
	s.status.Steps = s.status.Steps[:min(len(s.status.Steps), len(s.wfe.Spec.Steps))]
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

// changed reports whether a rollback may have anything to restore.
func (s *scope) changed() bool { return s.toUndo() != nil }

// toUndo is the newest step that must be undone and was not given up, nil if there is none.
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
		if len(s.status.Adjustments) < maxAdjustments && !slices.Contains(s.status.Adjustments, a) { // a retry finds the same again
			s.status.Adjustments = append(s.status.Adjustments, a)
		}
	}
}

// retryDelay is the pause after that many attempts: 2 s, 4 s, … 30 s.
func retryDelay(attempts int32) time.Duration {
	return min(maxBackoff, backoff<<min(max(attempts, 1)-1, 8))
}

// pollDelay is the pause before the next poll, after waiting for that long. It ends when the time is over at the latest.
func pollDelay(waited, left time.Duration) time.Duration {
	every := pollInterval
	if waited >= slowPollsAfter {
		every = slowPollInterval
	}
	return max(min(every, left), 10*time.Millisecond)
}

func stepTimeout(step *v1alpha1.WorkflowStep) time.Duration {
	if step.Timeout == nil {
		return defaultTimeout
	}
	return step.Timeout.Duration
}

// transient reports whether an error says nothing about the attempt: the API server was away, busy or slow, or the pass was interrupted. Such a pass is repeated.
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
