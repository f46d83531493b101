package aianalysis

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// DecidedByPolicy is who approved when no person was asked.
const DecidedByPolicy = "policy"

// decide is what follows a finding, in the same write: the end, or the request for a decision.
func (r *Reconciler) decide(ctx context.Context, s *scope) (ctrl.Result, error) {
	status := &s.analysis.Status
	rec := status.Recommendation
	switch {
	case rec == nil:
		return r.finish(ctx, s, v1alpha1.AnalysisCompleted, eventCompleted, "Nothing is to be done: "+status.NoActionReason, "")
	case s.analysis.Spec.Decision != nil:
		// A person has decided already. That decision counts even where the policy would approve.
		status.Approval = &v1alpha1.Approval{Required: true, RequestedTime: outboxapi.NewTimePointer(s.now)}
		problem, err := r.unguarded(ctx)
		if err != nil {
			return ctrl.Result{}, err
		}
		if problem == "" {
			return r.acceptDecision(ctx, s)
		}
		setRefused(s.analysis, reasonNotInForce, problem)
	case approvedByPolicy(s.analysis.Spec.Approval, rec.Confidence):
		return r.autoApprove(ctx, s)
	}
	status.Approval = &v1alpha1.Approval{Required: true, RequestedTime: outboxapi.NewTimePointer(s.now)}
	if err := r.save(ctx, s, v1alpha1.AnalysisAwaitingApproval, eventCompleted, lifecycle.DecisionWanted(s.analysis, lifecycle.ApprovalDeadline(s.analysis))); err != nil {
		return ctrl.Result{}, err
	}
	r.attempts.DropAll(s.key)
	return ctrl.Result{RequeueAfter: approvalLeft(s.analysis, s.now)}, nil
}

// approvedByPolicy reports whether spec.approval approves a recommendation without a person.
func approvedByPolicy(p v1alpha1.ApprovalPolicy, confidence int32) bool {
	return p.Mode == v1alpha1.ApprovalAuto && p.AutoApproveAbove != nil && confidence >= *p.AutoApproveAbove
}

func (r *Reconciler) autoApprove(ctx context.Context, s *scope) (ctrl.Result, error) {
	status := &s.analysis.Status
	why := fmt.Sprintf("The confidence of %d %% is at or above the threshold of %d %%.", status.Recommendation.Confidence, *s.analysis.Spec.Approval.AutoApproveAbove)
	status.Approval = &v1alpha1.Approval{Status: v1alpha1.ApprovalAutoApproved, DecidedBy: DecidedByPolicy, Justification: why,
		DecidedTime: outboxapi.NewTimePointer(s.now), DurationSeconds: ptr.To[int64](0)}
	return r.finish(ctx, s, v1alpha1.AnalysisCompleted, eventAutoApproved, fmt.Sprintf("Recommends %s, approved by the policy: %s", status.Recommendation.WorkflowID, why), "")
}

// awaitDecision waits for a person, but not for ever.
func (r *Reconciler) awaitDecision(ctx context.Context, s *scope) (ctrl.Result, error) {
	a := s.analysis
	if approvalLeft(a, s.now) == 0 {
		return r.expire(ctx, s)
	}
	if a.Status.Recommendation == nil { // another hand wrote the status: there is nothing to decide
		return ctrl.Result{RequeueAfter: approvalLeft(a, s.now)}, nil
	}
	// A refused decision stays refused, even when the policy is in force later: nobody checked who wrote it, and nobody can any more.
	if a.Spec.Decision == nil || meta.IsStatusConditionTrue(a.Status.Conditions, v1alpha1.ConditionDecisionRefused) {
		return ctrl.Result{RequeueAfter: approvalLeft(a, s.now)}, nil
	}
	problem, err := r.unguarded(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if problem == "" {
		return r.acceptDecision(ctx, s)
	}
	setRefused(a, reasonNotInForce, problem)
	lifecycle.SetReady(a, a.Status.Phase, v1alpha1.AnalysisCompleted, lifecycle.DecisionWanted(a, lifecycle.ApprovalDeadline(a)))
	if err := s.draft.Save(ctx, nil); err != nil {
		return ctrl.Result{}, err
	}
	lifecycle.Announce(r.recorder, a, lifecycle.Warning, "DecisionRefused", problem)
	return ctrl.Result{RequeueAfter: approvalLeft(a, s.now)}, nil
}

// acceptDecision copies the person's decision into the status, as of now.
func (r *Reconciler) acceptDecision(ctx context.Context, s *scope) (ctrl.Result, error) {
	d, approval := s.analysis.Spec.Decision, s.analysis.Status.Approval
	s.close(approval)
	approval.DecidedBy, approval.Method = investigator.Clean(d.DecidedBy, maxDecidedBy), d.Method
	approval.Justification = investigator.Clean(d.Justification, maxJustification)
	id := s.analysis.Status.Recommendation.WorkflowID
	if d.Verdict == v1alpha1.VerdictApproved {
		approval.Status = v1alpha1.ApprovalApproved
		return r.finish(ctx, s, v1alpha1.AnalysisCompleted, eventApproved, fmt.Sprintf("%s approved %s.", approval.DecidedBy, id), "")
	}
	approval.Status = v1alpha1.ApprovalRejected
	reason := fmt.Sprintf("%s rejected %s", approval.DecidedBy, id)
	return r.finish(ctx, s, v1alpha1.AnalysisRejected, eventRejected, reason+".", reason)
}

// Bounds in bytes of what a person may write: 255 and 4,096 characters of up to four bytes.
const (
	maxDecidedBy     = 4 * 255
	maxJustification = 4 * 4096
)

// expire ends an analysis that nobody decided in time. A decision that exists by now may regard a state that is long over, so it does not count.
func (r *Reconciler) expire(ctx context.Context, s *scope) (ctrl.Result, error) {
	s.close(s.analysis.Status.Approval)
	s.analysis.Status.Approval.Status = v1alpha1.ApprovalExpired
	reason := fmt.Sprintf("nobody decided within spec.approvalTimeout of %s", lifecycle.ApprovalTimeout(s.analysis))
	if s.analysis.Spec.Decision != nil {
		reason = fmt.Sprintf("no decision counted within spec.approvalTimeout of %s", lifecycle.ApprovalTimeout(s.analysis))
	}
	return r.finish(ctx, s, v1alpha1.AnalysisTimedOut, eventExpired, reason, reason)
}

// close notes when the wait was over, and how long it was.
func (s *scope) close(a *v1alpha1.Approval) {
	a.DecidedTime = outboxapi.NewTimePointer(s.now)
	a.DurationSeconds = ptr.To(int64(a.DecidedTime.Sub(a.RequestedTime) / time.Second))
}

func approvalLeft(a *v1alpha1.AIAnalysis, now time.Time) time.Duration {
	return max(0, lifecycle.ApprovalDeadline(a).Sub(now))
}

// Reasons of the condition DecisionRefused.
const (
	reasonNotInForce = "PolicyNotInForce"
	reasonTooLate    = "TooLate"
)

// refuseLateDecision marks a decision that the analysis ends without. The admission policy rejects decisions that it can see are late. This marks the others: those that came just
// before the end, or before it was known that there is nothing to decide.
func (s *scope) refuseLateDecision(phase v1alpha1.AnalysisPhase) {
	a := s.analysis
	accepted := a.Status.Approval != nil && (a.Status.Approval.Status == v1alpha1.ApprovalApproved || a.Status.Approval.Status == v1alpha1.ApprovalRejected)
	if a.Spec.Decision == nil || accepted || meta.IsStatusConditionTrue(a.Status.Conditions, v1alpha1.ConditionDecisionRefused) {
		return
	}
	setRefused(a, reasonTooLate, fmt.Sprintf("The decision does not count: the analysis ended as %s without it", phase))
}

// setRefused says that the decision does not count, for good.
func setRefused(a *v1alpha1.AIAnalysis, reason, problem string) {
	meta.SetStatusCondition(&a.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionDecisionRefused, Status: metav1.ConditionTrue, Reason: reason, Message: problem, ObservedGeneration: a.Generation})
}
