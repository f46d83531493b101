package remediation

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/lifecycle"
	"github.com/holdfast-dev/holdfast/outbox"
)

// receive writes down that the request is there, and goes on to the analysis.
func (r *Reconciler) receive(ctx context.Context, s *scope) (ctrl.Result, error) {
	if err := r.enter(ctx, s, v1alpha1.RemediationPending, "Received"); err != nil {
		return ctrl.Result{}, err
	}
	return r.startAnalysis(ctx, s)
}

// startAnalysis makes the analysis and waits for it.
func (r *Reconciler) startAnalysis(ctx context.Context, s *scope) (ctrl.Result, error) {
	// An analysis that an earlier process made, and did not live to say so, is taken up first: it has to be stopped.
	if reason, _ := overdue(s.rr, s.now); reason != "" && s.analysis == nil {
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeTimedOut, reason})
	}
	if ok, err := s.draft.Reserve(ctx, 1); !ok || err != nil {
		return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, err
	}
	spec := &s.rr.Spec
	analysis := &v1alpha1.AIAnalysis{Spec: v1alpha1.AIAnalysisSpec{
		RemediationRef:  refTo(s.rr),
		Signal:          spec.Signal,
		Target:          spec.Target,
		Approval:        spec.Approval,
		Timeout:         spec.Timeouts.Analysis,
		ApprovalTimeout: spec.Timeouts.Approval,
	}}
	if err := r.create(ctx, s.rr, analysisName(s.rr), analysis); err != nil {
		return r.refused(ctx, s, err)
	}
	s.analysis = analysis
	s.rr.Status.Analysis = analysis.Name
	return ctrl.Result{}, r.enter(ctx, s, v1alpha1.RemediationAnalyzing, "AnalysisStarted")
}

// refused ends a request whose next child the API server will never accept; other errors are tried again.
func (r *Reconciler) refused(ctx context.Context, s *scope, err error) (ctrl.Result, error) {
	if !errors.Is(err, errRefused) {
		return ctrl.Result{}, err
	}
	return r.conclude(ctx, s, verdict{v1alpha1.OutcomeFailed, outbox.Bound(err.Error(), 2048)})
}

// followAnalysis waits for the analysis and the approval, and goes on to the workflow or the end.
func (r *Reconciler) followAnalysis(ctx context.Context, s *scope) (ctrl.Result, error) {
	a := s.analysis
	if a == nil {
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeFailed, "The analysis was deleted before its end was seen"})
	}
	reason, next := overdue(s.rr, s.now)
	switch {
	case s.workflow != nil: // made by an earlier process that did not live to say so
		return r.startWorkflow(ctx, s)
	case reason != "" && !closed(a):
		_, err := r.cancelChildren(ctx, s)
		return ctrl.Result{}, err
	case !closed(a) && a.Status.Phase == v1alpha1.AnalysisAwaitingApproval && s.rr.Status.Phase == v1alpha1.RemediationAnalyzing:
		err := r.enter(ctx, s, v1alpha1.RemediationAwaitingApproval, "ApprovalRequested")
		_, next = overdue(s.rr, s.now)
		return ctrl.Result{RequeueAfter: next}, err
	case !closed(a):
		return ctrl.Result{RequeueAfter: next}, nil
	}
	v := judgeAnalysis(a)
	if reason != "" && (v.outcome == "" || a.Status.Phase == v1alpha1.AnalysisCancelled) {
		v = verdict{v1alpha1.OutcomeTimedOut, reason}
	}
	if v.outcome != "" {
		return r.conclude(ctx, s, v)
	}
	return r.startWorkflow(ctx, s)
}
