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
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

const (
	// rollbackAttempts bounds how often the undoing of one step is tried.
	rollbackAttempts = 5
	// rollbackTimeout bounds one of them.
	rollbackTimeout = 30 * time.Second
)

// rollBack undoes one step, the newest first. If a step cannot be undone, the older ones still are.
func (r *Reconciler) rollBack(ctx context.Context, s *scope) (ctrl.Result, error) {
	st := s.toUndo()
	if st == nil {
		return r.endRollback(ctx, s)
	}
	if rb := st.Rollback; rb != nil && rb.NextAttemptTime != nil && s.now.Before(rb.NextAttemptTime.Time) {
		return ctrl.Result{RequeueAfter: rb.NextAttemptTime.Time.Sub(s.now)}, nil
	}
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, rollbackTimeout)
	defer cancel()
	if st.Failed && st.Rollback == nil { // whether it took effect is open. This is checked before the intent is saved: whoever finds the intent knows that it did
		if applied, err := r.lookApplied(limited, s, st); err == nil && !applied {
			st.Previous, st.Intent = nil, nil
			return r.rollBack(ctx, s)
		}
	}
	if st.Rollback == nil || st.Rollback.NextAttemptTime != nil {
		if err := s.openRollback(ctx, st); err != nil {
			return ctrl.Result{}, err
		}
		st = s.toUndo()
	}
	message, err := r.undo(limited, s, st)
	return r.finishRollback(ctx, s, st, message, err)
}

// openRollback saves that the step is about to be undone.
func (s *scope) openRollback(ctx context.Context, st *v1alpha1.StepStatus) error {
	if st.Rollback == nil {
		st.Rollback = &v1alpha1.StepRollback{}
	}
	st.State = v1alpha1.StepRollingBack
	st.Rollback.Attempt++
	st.Rollback.NextAttemptTime = nil
	if err := s.draft.Save(ctx, nil); err != nil {
		return fmt.Errorf("write down that step %s will be undone: %w", st.Name, err)
	}
	return nil
}

func (r *Reconciler) undo(ctx context.Context, s *scope, st *v1alpha1.StepStatus) (string, error) {
	a, err := action.Parse(*s.specOf(st))
	if err != nil {
		return "", err
	}
	w, err := r.workload(ctx, s.wfe)
	if err != nil {
		return "", err
	}
	_, message, err := a.Undo(ctx, w, st.Intent)
	return message, err
}

// finishRollback saves the result of undoing a step.
func (r *Reconciler) finishRollback(ctx context.Context, s *scope, st *v1alpha1.StepStatus, message string, err error) (ctrl.Result, error) {
	s.now = r.clock.Now()
	rb := st.Rollback
	if err == nil {
		st.State, rb.Message, rb.CompletedTime = v1alpha1.StepRolledBack, bound(message), outboxapi.NewTimePointer(s.now)
		s.status.RollbacksPerformed++
		return r.record(ctx, s, eventStepRolledBack, lifecycle.Normal, st.Name+": "+rb.Message)
	}
	rb.Message = bound(err.Error())
	if !action.Permanent(err) && !errors.Is(err, action.ErrChanged) && rb.Attempt < rollbackAttempts {
		rb.NextAttemptTime = outboxapi.NewTimePointer(s.now.Add(retryDelay(rb.Attempt)))
		if err := s.draft.Save(ctx, nil); err != nil {
			return ctrl.Result{}, fmt.Errorf("write down that undoing step %s failed: %w", st.Name, err)
		}
		return ctrl.Result{RequeueAfter: retryDelay(rb.Attempt)}, nil
	}
	rb.Failed, rb.CompletedTime = true, outboxapi.NewTimePointer(s.now)
	st.State = v1alpha1.StepSucceeded
	if st.Failed {
		st.State = v1alpha1.StepFailed
	}
	return r.record(ctx, s, eventStepRollbackFailed, lifecycle.Warning, st.Name+": "+rb.Message)
}

// endRollback ends the workflow in the phase that was chosen when the rollback began. A cancellation that came meanwhile has waited for the rollback.
func (r *Reconciler) endRollback(ctx context.Context, s *scope) (ctrl.Result, error) {
	if stop := s.stopReason(); stop != "" {
		return r.end(ctx, s, v1alpha1.WorkflowCancelled, stop+" while it was rolled back, because "+s.status.FailureReason)
	}
	return r.end(ctx, s, s.status.Ending, s.status.FailureReason)
}
