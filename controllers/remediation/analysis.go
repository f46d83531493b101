package remediation

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/redact"
	"github.com/holdfast-dev/holdfast/outbox"
)

// receive records the request's first entry, then starts the analysis.
func (r *Reconciler) receive(ctx context.Context, s *scope) (ctrl.Result, error) {
	if err := r.identify(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.enter(ctx, s, v1alpha1.RemediationPending, "Received"); err != nil {
		return ctrl.Result{}, err
	}
	return r.startAnalysis(ctx, s)
}

// startAnalysis makes the analysis and waits for it.
func (r *Reconciler) startAnalysis(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !s.claimed(s.analysisSlot) {
		if why, err := r.heldBack(ctx, s); err != nil {
			return ctrl.Result{}, err
		} else if why != "" {
			return r.holdBack(ctx, s, why)
		}
	}
	// An earlier process may have made an analysis and died before it saved that. Such an analysis is adopted first, because it has to be stopped.
	if reason, _ := overdue(s.rr, s.now); reason != "" && !s.running(s.analysisSlot) {
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeTimedOut, s.explain(reason, s.analysisSlot)})
	}
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	ready, err := r.adopt(ctx, s, s.analysisSlot, analysisOf(s.rr))
	if err != nil {
		return r.refused(ctx, s, s.analysisSlot, err)
	}
	if !ready {
		return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, nil
	}
	return ctrl.Result{}, r.enter(ctx, s, v1alpha1.RemediationAnalyzing, "AnalysisStarted")
}

// running reports whether a resource claims to be a child, was not adopted, and has not ended.
func (s *scope) running(l *slot) bool { return s.claimed(l) && !ended(l.found) }

// analysisOf is the analysis that a request makes.
func analysisOf(rr *v1alpha1.RemediationRequest) *v1alpha1.AIAnalysis {
	spec := &rr.Spec
	return &v1alpha1.AIAnalysis{Spec: v1alpha1.AIAnalysisSpec{
		RemediationRef:  refTo(rr),
		Signal:          spec.Signal,
		Target:          spec.Target,
		Approval:        spec.Approval,
		Timeout:         spec.Timeouts.Analysis,
		ApprovalTimeout: spec.Timeouts.Approval,
	}}
}

// refused ends a request whose next child the API server will never accept. One that it does not accept now is waited for. Other errors are retried. When the request's time is over, whatever may be running is
// cancelled as well.
func (r *Reconciler) refused(ctx context.Context, s *scope, l *slot, err error) (ctrl.Result, error) {
	reason, _ := overdue(s.rr, s.now)
	switch {
	case !errors.Is(err, errRefused) && reason != "" && s.running(l):
		_, cancelling := r.cancelChildren(ctx, s)
		return ctrl.Result{}, errors.Join(err, cancelling)
	case isBlocked(err) != nil:
		return r.wait(ctx, s, l, isBlocked(err))
	case !errors.Is(err, errRefused):
		return ctrl.Result{}, err
	}
	return r.conclude(ctx, s, verdict{v1alpha1.OutcomeFailed, outbox.Bound(redact.Text(err.Error()), 2048)})
}

// followAnalysis waits for the analysis and the approval, and goes on to the workflow or the end.
func (r *Reconciler) followAnalysis(ctx context.Context, s *scope) (ctrl.Result, error) {
	a := s.analysis()
	if a == nil {
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeFailed, "The analysis was deleted before it ended, or is too large to audit"})
	}
	reason, next := overdue(s.rr, s.now)
	if reason != "" && !lifecycle.Closed(a) {
		_, err := r.cancelChildren(ctx, s)
		return s.lookAgain(s.analysisSlot, next), err
	}
	if lifecycle.Closed(a) {
		r.adoptMessages(ctx, s)
	}
	v := judgeAnalysis(a)
	if due := lifecycle.Closed(a) && v.outcome == ""; !due && s.workflowSlot.unadopted() {
		if err := r.notDue(ctx, s, s.workflowSlot, "no workflow is due, because nothing was approved"); err != nil {
			return ctrl.Result{}, err
		}
	}
	switch {
	case !lifecycle.Closed(a) && a.Status.Phase == v1alpha1.AnalysisAwaitingApproval && s.rr.Status.Phase == v1alpha1.RemediationAnalyzing:
		return r.requestApproval(ctx, s)
	case !lifecycle.Closed(a):
		if err := r.noteRefusal(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
		return r.awaitDecision(ctx, s, next)
	case v.outcome == "" && s.running(s.workflowSlot): // an earlier process may have made it and died before it saved that: adopt or stop it, even if the time is over
		return r.startWorkflow(ctx, s)
	case reason != "" && (v.outcome == "" || a.Status.Phase == v1alpha1.AnalysisCancelled):
		return r.conclude(ctx, s, verdict{v1alpha1.OutcomeTimedOut, s.explain(reason, s.workflowSlot)})
	case v.outcome != "":
		return r.conclude(ctx, s, v)
	}
	return r.startWorkflow(ctx, s)
}

// noteRefusal puts into the Ready condition that the decision which was awaited was refused: what it said before is no longer true.
func (r *Reconciler) noteRefusal(ctx context.Context, s *scope) error {
	ready := meta.FindStatusCondition(s.rr.Status.Conditions, v1alpha1.ConditionReady)
	refused := meta.IsStatusConditionTrue(s.analysis().Status.Conditions, v1alpha1.ConditionDecisionRefused)
	if s.rr.Status.Phase != v1alpha1.RemediationAwaitingApproval || !refused || ready != nil && ready.Message == outbox.Bound(noteOf(s), 1024) {
		return nil
	}
	lifecycle.SetReady(s.rr, s.rr.Status.Phase, v1alpha1.RemediationCompleted, noteOf(s))
	if err := s.draft.Save(ctx, nil); err != nil {
		return fmt.Errorf("save that the decision was refused: %w", err)
	}
	return nil
}
