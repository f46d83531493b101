package remediation

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
)

// startWorkflow renders the recommended workflow and makes its execution.
func (r *Reconciler) startWorkflow(ctx context.Context, s *scope) (ctrl.Result, error) {
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	// Its uid is on record, but whoever may write the status may have put it there.
	fields, err := differences(analysisOf(s.rr), s.analysis())
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(fields) > 0 {
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeFailed, fmt.Sprintf("AIAnalysis %s is not the one that this request would create: it differs in %s", s.analysis().Name, strings.Join(fields, ", "))})
	}
	execution, err := r.render(s)
	if err != nil {
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeFailed, err.Error()})
	}
	ready, err := r.adopt(ctx, s, s.workflowSlot, execution)
	if err != nil {
		return r.refused(ctx, s, s.workflowSlot, err)
	}
	if !ready {
		return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, nil
	}
	return ctrl.Result{}, r.enter(ctx, s, v1alpha1.RemediationExecuting, "WorkflowStarted")
}

func (r *Reconciler) render(s *scope) (*v1alpha1.WorkflowExecution, error) {
	recommended := s.analysis().Status.Recommendation
	workflow, ok := r.catalogue.Get(recommended.WorkflowID)
	if !ok {
		return nil, fmt.Errorf("the recommended workflow %q is not in the catalogue", recommended.WorkflowID)
	}
	plan, err := workflow.Render(recommended.Parameters)
	if err != nil {
		return nil, fmt.Errorf("the recommended workflow %q cannot be run: %w", recommended.WorkflowID, err)
	}
	return &v1alpha1.WorkflowExecution{Spec: v1alpha1.WorkflowExecutionSpec{
		RemediationRef:     refTo(s.rr),
		WorkflowID:         recommended.WorkflowID,
		Target:             s.rr.Spec.Target,
		ServiceAccountName: s.rr.Spec.ServiceAccountName,
		Timeout:            s.rr.Spec.Timeouts.Execution,
		Steps:              plan.Steps,
		PreConditions:      plan.PreConditions,
		PostConditions:     plan.PostConditions,
	}}, nil
}

// followWorkflow waits for the workflow's end.
func (r *Reconciler) followWorkflow(ctx context.Context, s *scope) (ctrl.Result, error) {
	w := s.workflow()
	if w == nil {
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeFailed, "The workflow was deleted before it ended, or is too large to audit"})
	}
	reason, next := overdue(s.rr, s.now)
	switch {
	case !lifecycle.Closed(w) && reason != "":
		_, err := r.cancelChildren(ctx, s)
		return s.lookAgain(s.workflowSlot, next), err
	case !lifecycle.Closed(w):
		return s.lookAgain(s.workflowSlot, next), nil
	}
	s.noteHarmless(w)
	v := judgeWorkflow(w)
	if reason != "" && w.Status.Phase == v1alpha1.WorkflowCancelled {
		v = verdict{v1alpha1.OutcomeTimedOut, reason}
	}
	return r.conclude(ctx, s, v)
}
