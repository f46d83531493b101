package workflowexecution

import (
	"context"
	"errors"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// verify checks the post-conditions until all hold, or the time for it is over.
func (r *Reconciler) verify(ctx context.Context, s *scope) (ctrl.Result, error) {
	if len(s.wfe.Spec.PostConditions) == 0 {
		return r.complete(ctx, s)
	}
	results, err := r.look(ctx, s, v1alpha1.StagePost, s.wfe.Spec.PostConditions)
	failed := failures(results)
	if failed == "" {
		s.status.Validations = append(s.status.Validations, results...)
		return r.complete(ctx, s)
	}
	began := s.now
	if s.status.VerifyingTime != nil {
		began = s.status.VerifyingTime.Time
	} else { // another hand wrote the phase: the window must begin at some time, or it never ends
		s.status.VerifyingTime = outboxapi.NewTimePointer(s.now)
		if err := s.draft.Save(ctx, nil); err != nil {
			return ctrl.Result{}, fmt.Errorf("save the start of the verification: %w", err)
		}
	}
	// A pod that becomes ready a moment late is available only when it has been ready for so long.
	window := min(r.verifyWindow, stepTimeout(&s.wfe.Spec.Steps[len(s.wfe.Spec.Steps)-1])) + action.MinReady(s.target)
	left := s.untilTimeout(began.Add(window).Sub(s.now))
	switch {
	case left > 0 && err != nil && transient(err):
		return ctrl.Result{}, err
	case left > 0 && err == nil:
		return ctrl.Result{RequeueAfter: pollDelay(s.now.Sub(began), left)}, nil
	}
	s.status.Validations = append(s.status.Validations, results...)
	failed += r.describeTarget(ctx, s)
	ending, reason := v1alpha1.WorkflowFailed, fmt.Sprintf("post-conditions did not hold within %s: %s", window, failed)
	switch {
	case errors.Is(err, condition.ErrCost): // another look would cost as much again
		reason = "post-conditions could not be evaluated: " + failed
	case s.timedOut():
		ending, reason = v1alpha1.WorkflowTimedOut, s.timeoutReason()+", and post-conditions did not hold: "+failed
	}
	if s.changed() {
		return r.rollBackThen(ctx, s, ending, eventVerificationFailed, reason)
	}
	return r.end(ctx, s, ending, reason)
}

// describeTarget says how far the target's pods are, after the conditions that do not hold. It is "" when that cannot be known.
func (r *Reconciler) describeTarget(ctx context.Context, s *scope) string {
	if s.target == nil {
		return ""
	}
	limited, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	w, err := r.workload(limited, s.wfe)
	if err != nil {
		return ""
	}
	if text := action.Describe(limited, w, s.target); text != "" {
		return "; " + text
	}
	return ""
}

// completeAll ends a workflow whose changes still stand. If steps failed and were skipped the outcome is partial, and if none succeeded the workflow has failed.
func (r *Reconciler) completeAll(ctx context.Context, s *scope) (ctrl.Result, error) {
	var failed []string
	for i := range s.status.Steps {
		if s.status.Steps[i].Failed {
			failed = append(failed, stepReason(&s.status.Steps[i]))
		}
	}
	reason := strings.Join(failed, "; ")
	if len(failed) == len(s.status.Steps) {
		return r.end(ctx, s, v1alpha1.WorkflowFailed, "no step succeeded: "+reason)
	}
	return r.end(ctx, s, v1alpha1.WorkflowCompleted, reason)
}
