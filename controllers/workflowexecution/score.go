package workflowexecution

import (
	"math"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// outcome of a workflow that has ended. Success: every step succeeded and the post-conditions hold. Partial: it completed although steps failed, or it did not
// and something that it changed stays changed. Failure: all else.
func outcome(status *v1alpha1.WorkflowExecutionStatus) string {
	failed, remains := false, false
	for i := range status.Steps {
		st := &status.Steps[i]
		failed = failed || st.Failed
		remains = remains || len(st.Previous) > 0 && st.State != v1alpha1.StepRolledBack
	}
	switch {
	case status.Phase == v1alpha1.WorkflowCompleted && !failed:
		return v1alpha1.WorkflowSuccess
	case status.Phase == v1alpha1.WorkflowCompleted, remains:
		return v1alpha1.WorkflowPartial
	}
	return v1alpha1.WorkflowFailure
}

// effectiveness is a percentage of 0 to 100 for a workflow whose outcome is known, made of what was achieved:
//
//	60 × verified + 30 × steps + 10 × first
//
// verified is 1 when the post-conditions hold, 0.5 when the workflow completed and declares none, else 0; steps is the share of the workflow's steps that succeeded and
// were not rolled back; first is the share that did so at the first attempt. An outcome of failure is 0: nothing of it remains.
func effectiveness(spec *v1alpha1.WorkflowExecutionSpec, status *v1alpha1.WorkflowExecutionStatus) int32 {
	if status.Outcome == v1alpha1.WorkflowFailure || len(spec.Steps) == 0 {
		return 0
	}
	verified := 0.0
	if status.Phase == v1alpha1.WorkflowCompleted {
		verified = 1
		if len(spec.PostConditions) == 0 {
			verified = 0.5
		}
	}
	succeeded, first := 0, 0
	for i := range status.Steps {
		if status.Steps[i].State != v1alpha1.StepSucceeded {
			continue
		}
		succeeded++
		if status.Steps[i].Attempt == 1 {
			first++
		}
	}
	total := float64(len(spec.Steps))
	return int32(math.Round(60*verified + 30*float64(succeeded)/total + 10*float64(first)/total))
}
