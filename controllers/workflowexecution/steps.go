package workflowexecution

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	"github.com/holdfast-dev/holdfast/internal/redact"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/outbox"
)

// lastLook bounds the last check of a step that is given up.
const lastLook = 10 * time.Second

// openAttempt begins an attempt of the step, unless one is open.
func (s *scope) openAttempt(step *v1alpha1.WorkflowStep) *v1alpha1.StepStatus {
	if _, st := s.step(); st == nil {
		s.status.Steps = append(s.status.Steps, v1alpha1.StepStatus{Name: step.Name, Action: step.Action, State: v1alpha1.StepRunning, StartedTime: outboxapi.NewTime(s.now)})
	}
	st := &s.status.Steps[len(s.status.Steps)-1]
	if st.AttemptStartedTime == nil {
		st.Attempt++
		st.AttemptStartedTime, st.NextAttemptTime, st.Progress = outboxapi.NewTimePointer(s.now), nil, nil
	}
	return st
}

// closeAttempt ends the step in a state.
func (s *scope) closeAttempt(st *v1alpha1.StepStatus, state v1alpha1.StepState, message string) {
	st.State, st.Failed = state, state == v1alpha1.StepFailed
	st.AttemptStartedTime, st.NextAttemptTime, st.Progress = nil, nil, nil
	st.CompletedTime = outboxapi.NewTimePointer(s.now)
	st.Message = bound(message)
	switch {
	case len(st.Previous) > 0: // a rollback may need it
	case state == v1alpha1.StepSucceeded:
		st.Intent = action.Lasting(st.Action, st.Intent)
	default:
		st.Intent = nil // nobody needs it any more
	}
}

func (r *Reconciler) stepDone(ctx context.Context, s *scope, st *v1alpha1.StepStatus, message string) (ctrl.Result, error) {
	s.now = r.clock.Now()
	s.closeAttempt(st, v1alpha1.StepSucceeded, message)
	s.verifyAfterLast()
	return r.record(ctx, s, eventStepCompleted, lifecycle.Normal, st.Name+": "+st.Message)
}

// attemptFailed handles an error of an attempt. A transient error repeats the pass; any other ends the attempt.
func (r *Reconciler) attemptFailed(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	if transient(err) {
		step, st := s.step()
		if st == nil || st.AttemptStartedTime == nil || s.now.Before(st.AttemptStartedTime.Time.Add(stepTimeout(step))) {
			return ctrl.Result{}, fmt.Errorf("step %s: %w", step.Name, err)
		}
	}
	return r.giveUpAttempt(ctx, s, err)
}

// giveUpAttempt ends a failed attempt. It ends the step too if no retry is left, or none can help.
func (r *Reconciler) giveUpAttempt(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	s.now = r.clock.Now()
	step, _ := s.step()
	st := s.openAttempt(step)
	if errors.Is(err, action.ErrNoEffect) || errors.Is(err, action.ErrGone) {
		st.Intent, st.Previous = nil, nil
	}
	if action.Permanent(err) || st.Attempt > step.Retries {
		s.closeAttempt(st, v1alpha1.StepFailed, err.Error())
		return r.stepFailed(ctx, s, step, st)
	}
	st.AttemptStartedTime, st.NextAttemptTime = nil, outboxapi.NewTimePointer(s.now.Add(retryDelay(st.Attempt)))
	st.Message = bound(err.Error())
	return r.record(ctx, s, eventStepAttemptFailed, lifecycle.Warning, fmt.Sprintf("%s, attempt %d: %s", st.Name, st.Attempt, st.Message))
}

// stepFailed saves the end of a step by its policy. The end of the workflow, if that follows, is an entry of its own (see fatal).
func (r *Reconciler) stepFailed(ctx context.Context, s *scope, step *v1alpha1.WorkflowStep, st *v1alpha1.StepStatus) (ctrl.Result, error) {
	switch {
	case step.OnFailure == v1alpha1.FailureContinue:
		s.verifyAfterLast()
	case step.OnFailure == v1alpha1.FailureRollback && s.changed():
		return r.rollBackThen(ctx, s, v1alpha1.WorkflowFailed, eventStepFailed, stepReason(st))
	}
	return r.record(ctx, s, eventStepFailed, lifecycle.Warning, st.Name+": "+st.Message)
}

// verifyAfterLast enters Verifying when no step is left.
func (s *scope) verifyAfterLast() {
	if step, _ := s.step(); step == nil {
		s.status.Phase = v1alpha1.WorkflowVerifying
		s.status.VerifyingTime = outboxapi.NewTimePointer(s.now)
	}
}

// fatal is the step whose failure ends the workflow, nil when there is none.
func (s *scope) fatal() *v1alpha1.StepStatus {
	n := len(s.status.Steps)
	if n == 0 || s.status.Steps[n-1].State != v1alpha1.StepFailed || s.wfe.Spec.Steps[n-1].OnFailure == v1alpha1.FailureContinue {
		return nil
	}
	return &s.status.Steps[n-1]
}

// timeOut ends the workflow when its time is over, by the policy of the current or the next step.
func (r *Reconciler) timeOut(ctx context.Context, s *scope) (ctrl.Result, error) {
	step, st := s.step()
	reason := s.timeoutReason() + " at step " + step.Name
	if st != nil {
		if st.Progress != nil {
			reason += ": " + st.Message
		}
		r.interrupt(ctx, s, st, reason)
	}
	if step.OnFailure == v1alpha1.FailureRollback && s.changed() {
		event := eventRollbackStarted
		if st != nil && st.Failed {
			event = eventStepFailed
		}
		return r.rollBackThen(ctx, s, v1alpha1.WorkflowTimedOut, event, reason)
	}
	return r.end(ctx, s, v1alpha1.WorkflowTimedOut, reason)
}

// cancel ends the workflow on request. What was changed stays; a wait or a backoff ends at once.
func (r *Reconciler) cancel(ctx context.Context, s *scope) (ctrl.Result, error) {
	reason := s.stopReason()
	if _, st := s.step(); st != nil {
		reason += " at step " + st.Name
		r.interrupt(ctx, s, st, reason)
	}
	return r.end(ctx, s, v1alpha1.WorkflowCancelled, reason)
}

// interrupt ends a step early. It changes nothing on the target. It checks whether the saved intent has taken effect, for the record.
func (r *Reconciler) interrupt(ctx context.Context, s *scope, st *v1alpha1.StepStatus, reason string) {
	if len(st.Intent) == 0 {
		s.closeAttempt(st, v1alpha1.StepFailed, reason)
		return
	}
	applied, err := r.lookApplied(ctx, s, st)
	switch {
	case err != nil:
		s.closeAttempt(st, v1alpha1.StepFailed, reason+"; unknown whether it took effect: "+err.Error())
	case applied:
		s.closeAttempt(st, v1alpha1.StepSucceeded, st.Message)
	default:
		st.Previous = nil
		s.closeAttempt(st, v1alpha1.StepFailed, reason+", before it was done")
	}
}

func (r *Reconciler) lookApplied(ctx context.Context, s *scope, st *v1alpha1.StepStatus) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	a, err := action.Parse(*s.specOf(st))
	if err != nil {
		return false, err
	}
	w, err := r.workload(limited, s.wfe)
	if err != nil {
		return false, err
	}
	return a.Applied(limited, w, st.Intent)
}

func stepReason(st *v1alpha1.StepStatus) string { return "step " + st.Name + " failed: " + st.Message }

func bound(message string) string { return outbox.Bound(redact.Text(message), messageBytes) }
