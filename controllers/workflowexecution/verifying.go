package workflowexecution

import (
	"context"
	"errors"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
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
	began := s.status.VerifyingTime.Time
	window := min(r.verifyWindow, stepTimeout(&s.wfe.Spec.Steps[len(s.wfe.Spec.Steps)-1]))
	left := s.untilTimeout(began.Add(window).Sub(s.now))
	switch {
	case left > 0 && err != nil && transient(err):
		return ctrl.Result{}, err
	case left > 0 && err == nil:
		return ctrl.Result{RequeueAfter: pollDelay(s.now.Sub(began), left)}, nil
	}
	s.status.Validations = append(s.status.Validations, results...)
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

// complete ends a workflow whose post-conditions hold. If steps failed and were skipped the outcome is partial, and if none succeeded the workflow has failed.
func (r *Reconciler) complete(ctx context.Context, s *scope) (ctrl.Result, error) {
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
