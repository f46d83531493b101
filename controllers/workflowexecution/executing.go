package workflowexecution

import (
	"context"
	"fmt"
	"slices"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// execute begins the next step, or resumes the current one.
func (r *Reconciler) execute(ctx context.Context, s *scope) (ctrl.Result, error) {
	if st := s.fatal(); st != nil {
		return r.end(ctx, s, v1alpha1.WorkflowFailed, stepReason(st))
	}
	step, st := s.step()
	if step == nil {
		return ctrl.Result{}, fmt.Errorf("the workflow has no step left and is still in phase %s", s.status.Phase)
	}
	if s.timedOut() {
		return r.timeOut(ctx, s)
	}
	if st != nil && st.NextAttemptTime != nil && s.now.Before(st.NextAttemptTime.Time) {
		return ctrl.Result{RequeueAfter: s.untilTimeout(st.NextAttemptTime.Time.Sub(s.now))}, nil
	}
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	a, w, err := r.prepare(ctx, s, step)
	if err != nil {
		return r.attemptFailed(ctx, s, err)
	}
	if st == nil || st.AttemptStartedTime == nil {
		return r.begin(ctx, s, a, w)
	}
	return r.resume(ctx, s, a, w)
}

// prepare collects what an attempt needs.
func (r *Reconciler) prepare(ctx context.Context, s *scope, step *v1alpha1.WorkflowStep) (action.Action, action.Workload, error) {
	a, err := action.Parse(*step)
	if err != nil {
		return nil, action.Workload{}, err
	}
	ending, err := lifecycle.NamespaceEnding(ctx, r.live, s.wfe.Namespace)
	if err != nil {
		return nil, action.Workload{}, fmt.Errorf("read namespace %s: %w", s.wfe.Namespace, err)
	}
	if ending {
		return nil, action.Workload{}, fmt.Errorf("%w: namespace %s is being deleted", action.ErrGone, s.wfe.Namespace)
	}
	w, err := r.workload(ctx, s.wfe)
	return a, w, err
}

// begin saves what an attempt will do, and then does it. A retry keeps the intent of the attempt before it.
func (r *Reconciler) begin(ctx context.Context, s *scope, a action.Action, w action.Workload) (ctrl.Result, error) {
	step, st := s.step()
	if st == nil || len(st.Intent) == 0 {
		plan, err := a.Plan(ctx, w, s.now)
		if err != nil {
			return r.attemptFailed(ctx, s, err)
		}
		st = s.openAttempt(step)
		s.adjust(step.Name, plan.Adjustments)
		if plan.Nothing {
			return r.stepDone(ctx, s, st, plan.Message)
		}
		st.Intent, st.Previous, st.Message = plan.Intent, plan.Previous, bound(plan.Message)
	} else {
		s.openAttempt(step)
	}
	if err := s.draft.Save(ctx, nil); err != nil {
		return ctrl.Result{}, fmt.Errorf("write down what step %s will do: %w", step.Name, err)
	}
	return r.resume(ctx, s, a, w)
}

// resume carries out the saved intent, whether this pass or an earlier process saved it.
func (r *Reconciler) resume(ctx context.Context, s *scope, a action.Action, w action.Workload) (ctrl.Result, error) {
	step, st := s.step()
	began := st.AttemptStartedTime.Time
	left := s.untilTimeout(began.Add(stepTimeout(step)).Sub(s.now))
	if left <= 0 {
		return r.expire(ctx, s, a, w)
	}
	limited, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	progress, err := a.Apply(limited, w, st.Intent, s.attempt(st))
	switch {
	case err != nil:
		return r.attemptFailed(ctx, s, err)
	case !progress.Done:
		return r.goOn(ctx, s, st, progress, left)
	}
	return r.stepDone(ctx, s, st, progress.Message)
}

// attempt is what an action is told about the attempt that is under way.
func (s *scope) attempt(st *v1alpha1.StepStatus) action.Attempt {
	rolled := slices.ContainsFunc(s.status.Steps, func(earlier v1alpha1.StepStatus) bool {
		return earlier.State == v1alpha1.StepSucceeded && len(earlier.Intent) > 0 && action.ChangesTemplate(earlier.Action)
	})
	return action.Attempt{Began: st.AttemptStartedTime.Time, Now: s.now, Rolled: rolled}
}

// goOn lets an attempt continue later, unless it has come no further for too long. How far it has come is saved when that changes.
func (r *Reconciler) goOn(ctx context.Context, s *scope, st *v1alpha1.StepStatus, progress action.Progress, left time.Duration) (ctrl.Result, error) {
	again := ctrl.Result{RequeueAfter: pollDelay(s.now.Sub(st.AttemptStartedTime.Time), left)}
	if progress.Patience == 0 {
		return again, nil
	}
	further := st.Progress == nil || progress.Reached > st.Progress.Reached
	if further {
		st.Progress = &v1alpha1.StepProgress{Reached: progress.Reached, Time: outboxapi.NewTime(s.now)}
	}
	if s.now.Sub(st.Progress.Time.Time) >= progress.Patience {
		return r.giveUpAttempt(ctx, s, fmt.Errorf("no progress for %s: %s", progress.Patience, progress.Message))
	}
	if message := bound(progress.Message); further || message != st.Message {
		st.Message = message
		if err := s.draft.Save(ctx, nil); err != nil {
			return ctrl.Result{}, fmt.Errorf("write down how far step %s is: %w", st.Name, err)
		}
	}
	return again, nil
}

// expire ends an attempt whose time is over, after a last check whether it has succeeded all the same.
func (r *Reconciler) expire(ctx context.Context, s *scope, a action.Action, w action.Workload) (ctrl.Result, error) {
	step, st := s.step()
	limited, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	var progress action.Progress
	var err error
	if len(st.Intent) == 0 { // a wait: applying it is looking
		progress, err = a.Apply(limited, w, nil, s.attempt(st))
	} else {
		progress.Done, err = a.Applied(limited, w, st.Intent)
		progress.Message = st.Message
	}
	if err == nil && progress.Done {
		return r.stepDone(ctx, s, st, progress.Message)
	}
	if err != nil {
		progress.Message = err.Error()
	}
	return r.giveUpAttempt(ctx, s, fmt.Errorf("timed out after %s: %s", stepTimeout(step), progress.Message))
}
