package remediation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/redact"
	"github.com/holdfast-dev/holdfast/outbox"
)

// conclude records the outcome and starts the notification. Without a channel the request ends at once.
func (r *Reconciler) conclude(ctx context.Context, s *scope, v verdict) (ctrl.Result, error) {
	if v.outcome == v1alpha1.OutcomeFailed {
		// The deletion of a namespace deletes its contents in no order. A child that went first, or that cannot be made any more, is no failure of the repair.
		ending, err := lifecycle.NamespaceEnding(ctx, r.live, s.rr.Namespace)
		if err != nil {
			return ctrl.Result{}, err
		}
		if ending {
			return ctrl.Result{}, r.cancel(ctx, s, "The namespace is being deleted. "+v.reason)
		}
	}
	st := &s.rr.Status
	before := verdict{st.Outcome, st.FailureReason}
	st.Outcome, st.FailureReason = v.outcome, outbox.Bound(v.reason, 4096)
	if len(s.rr.Spec.Notification.Channels) == 0 {
		return ctrl.Result{}, r.enter(ctx, s, endPhase(v.outcome), string(endPhase(v.outcome)))
	}
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	notification := &v1alpha1.NotificationRequest{Spec: v1alpha1.NotificationRequestSpec{
		RemediationRef: refTo(s.rr),
		Purpose:        v1alpha1.PurposeOutcome,
		Subject:        outbox.Bound(subject(s), subjectBytes),
		Body:           outbox.Bound(body(s), bodyBytes),
		Channels:       s.rr.Spec.Notification.Channels,
	}}
	st.Outcome, st.FailureReason = before.outcome, before.reason // until the child is adopted: what is saved meanwhile does not end the request
	ready, err := r.adopt(ctx, s, s.notificationSlot, notification)
	if err == nil && !ready {
		return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, nil
	}
	if blocked := isBlocked(err); blocked != nil && !s.untold() {
		return r.wait(ctx, s, s.notificationSlot, blocked)
	}
	st.Outcome, st.FailureReason = v.outcome, outbox.Bound(v.reason, 4096)
	if errors.Is(err, errRefused) || isBlocked(err) != nil { // as in a namespace that is terminating, or whose quota stays full: nobody can be told
		st.FailureReason = outbox.Bound(strings.TrimSpace(st.FailureReason+" (notification not sent: "+redact.Text(err.Error())+")"), 4096)
		return ctrl.Result{}, r.enter(ctx, s, endPhase(v.outcome), string(endPhase(v.outcome)))
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.enter(ctx, s, v1alpha1.RemediationNotifying, "NotificationStarted")
}

// followNotification waits for the end of the notification. Its result does not change the outcome.
func (r *Reconciler) followNotification(ctx context.Context, s *scope) (ctrl.Result, error) {
	n := s.notification()
	if n != nil && !lifecycle.Closed(n) {
		// The total time bounds the repair. A request that exceeds it is announced all the same, within the notification's own time.
		untimed := s.rr.DeepCopy()
		untimed.Spec.Timeouts.Total = nil
		reason, next := overdue(untimed, s.now)
		if reason == "" {
			return s.lookAgain(s.notificationSlot, next), nil
		}
		_, err := r.cancelChildren(ctx, s)
		return s.lookAgain(s.notificationSlot, next), err
	}
	end := endPhase(s.rr.Status.Outcome)
	return ctrl.Result{}, r.enter(ctx, s, end, string(end))
}

// cancel stops the children and ends the request when all of them are closed.
func (r *Reconciler) cancel(ctx context.Context, s *scope, reason string) error {
	open, err := r.cancelChildren(ctx, s)
	if err != nil || open > 0 {
		return err // a child's last write starts us again
	}
	st := &s.rr.Status
	if st.Phase == "" {
		if err := r.identify(ctx, s); err != nil {
			return err
		}
	}
	if err := r.noteCanceller(ctx, s.rr); err != nil {
		return err
	}
	if st.Phase != v1alpha1.RemediationNotifying { // in Notifying the repair has ended already, and keeps its outcome
		st.Outcome, st.FailureReason = v1alpha1.OutcomeCancelled, outbox.Bound(reason, 4096)
	}
	return r.enter(ctx, s, v1alpha1.RemediationCancelled, string(v1alpha1.RemediationCancelled))
}

// clean looks after a request that has ended. It cancels children that are still open, since another manager that did not know of the end may have made one. When
// spec.ttlAfterFinished and the request's cool-down are over it deletes the request, and the garbage collector its children.
func (r *Reconciler) clean(ctx context.Context, s *scope) (ctrl.Result, error) {
	_, cancelling := r.cancelChildren(ctx, s) // a child that can't be cancelled does not block the deletion
	if s.rr.DeletionTimestamp != nil || s.rr.Status.CompletedTime == nil {
		return ctrl.Result{}, cancelling
	}
	left, limited := lifecycle.Remaining(s.rr.Status.CompletedTime.Time, s.rr.Spec.TTLAfterFinished, s.now)
	if !limited || left > 0 {
		return ctrl.Result{RequeueAfter: left}, cancelling
	}
	if left = r.coolDown.remaining(s.rr, s.now); left > 0 {
		return ctrl.Result{RequeueAfter: left}, errors.Join(cancelling, r.keep(ctx, s, left))
	}
	err := r.client.Delete(ctx, s.rr, client.Preconditions{UID: &s.rr.UID}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return ctrl.Result{}, fmt.Errorf("delete the finished request: %w", err)
	}
	return ctrl.Result{}, cancelling
}
