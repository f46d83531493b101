package remediation

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/redact"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// People are asked for a decision by notifications of their own. Nothing waits for these: neither the decision, which is on the analysis, nor the repair, nor the end of the request.

// reasonRefused is the reason of the condition for a message that the API server does not take as it is.
const reasonRefused = "Refused"

// requestApproval enters the phase in which a decision is awaited. The message that asks for the decision is made first. If it cannot be made, the next reconcile tries again.
func (r *Reconciler) requestApproval(ctx context.Context, s *scope) (ctrl.Result, error) {
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	if l, at := s.nextMessage(); l == s.askingSlot && !at.After(s.now) {
		if _, err := r.adopt(ctx, s, l, r.message(s, l)); err != nil && isBlocked(err) == nil && !errors.Is(err, errRefused) {
			return ctrl.Result{}, err
		}
	}
	if err := r.enter(ctx, s, v1alpha1.RemediationAwaitingApproval, "ApprovalRequested"); err != nil {
		return ctrl.Result{}, err
	}
	_, next := overdue(s.rr, s.now)
	return ctrl.Result{RequeueAfter: next}, nil
}

// awaitDecision waits for a decision, for next at most, and makes the message that is due meanwhile.
func (r *Reconciler) awaitDecision(ctx context.Context, s *scope, next time.Duration) (ctrl.Result, error) {
	waits := s.lookAgain(s.analysisSlot, next)
	l, at := s.nextMessage()
	switch left := at.Sub(s.now); {
	case l == nil:
		return waits, nil
	case left > 0:
		waits.RequeueAfter = sooner(waits.RequeueAfter, left)
		return waits, nil
	}
	// A reminder of a decision that was made is worse than none, and the cache may be behind.
	if decided, err := r.decided(ctx, s.analysis()); decided || err != nil {
		return waits, err
	}
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	ready, err := r.adopt(ctx, s, l, r.message(s, l))
	if errors.Is(err, errRefused) {
		err = &blockedError{reasonRefused, err}
	}
	switch {
	case isBlocked(err) != nil:
		return r.wait(ctx, s, l, isBlocked(err))
	case err != nil:
		return ctrl.Result{}, err
	case !ready:
		return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, nil
	}
	return waits, r.recordMessage(ctx, s, l)
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// recordMessage saves that a message was made, with an entry of its own: the phase does not change.
func (r *Reconciler) recordMessage(ctx context.Context, s *scope, l *slot) error {
	event := "ApprovalNotificationStarted"
	if l == s.remindingSlot {
		event = "ApprovalReminderStarted"
	}
	s.unblock()
	phase := s.rr.Status.Phase
	if err := s.draft.Save(ctx, &outbox.Change{Kind: entry.KindOrchestration, Event: event, Phase: string(phase), Record: Record(s.rr)}); err != nil {
		return fmt.Errorf("save that the %s was made: %w", l.part, err)
	}
	lifecycle.Announce(r.recorder, s.rr, lifecycle.Normal, event, "NotificationRequest "+*l.name+" asks for a decision.")
	return nil
}

// nextMessage is the message that is made next, and when: the one that asks for a decision at once, the one that reminds at half of the time. It is nil if there is none. A message that was made late
// is not followed by a reminder.
func (s *scope) nextMessage() (*slot, time.Time) {
	a := s.analysis()
	if len(s.rr.Spec.Notification.Channels) == 0 || s.decisionOver() || a.Status.Phase != v1alpha1.AnalysisAwaitingApproval || !asks(a) {
		return nil, time.Time{}
	}
	requested, deadline := a.Status.Approval.RequestedTime.Time, s.decisionDeadline()
	half := requested.Add(deadline.Sub(requested) / 2)
	late := s.askingSlot.adopted() && !s.askingSlot.found.GetCreationTimestamp().Time.Before(half)
	switch {
	case !s.now.Before(deadline):
		return nil, time.Time{}
	case *s.askingSlot.uid == "":
		return s.askingSlot, requested
	case *s.remindingSlot.uid == "" && !late:
		return s.remindingSlot, half
	}
	return nil, time.Time{}
}

// asks reports whether an analysis says what there is to decide, and since when. Another hand may have written its status.
func asks(a *v1alpha1.AIAnalysis) bool {
	return a.Status.Recommendation != nil && a.Status.Approval != nil && a.Status.Approval.RequestedTime != nil
}

// decisionOver reports whether nobody needs to be asked any more. It is never true of an analysis that a cache shows as it was before the decision was requested.
func (s *scope) decisionOver() bool {
	phase := s.rr.Status.Phase
	a := s.analysis()
	return phase != v1alpha1.RemediationAnalyzing && phase != v1alpha1.RemediationAwaitingApproval || a == nil || over(a)
}

// over reports whether an analysis takes no decision any more.
func over(a *v1alpha1.AIAnalysis) bool {
	return lifecycle.Closed(a) || a.Spec.Decision != nil || a.Spec.Cancel || a.DeletionTimestamp != nil
}

// decided asks the API server whether an analysis that a cache shows without a decision is over.
func (r *Reconciler) decided(ctx context.Context, a *v1alpha1.AIAnalysis) (bool, error) {
	live := &v1alpha1.AIAnalysis{}
	err := r.live.Get(ctx, client.ObjectKeyFromObject(a), live)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("read AIAnalysis %s before a message about it: %w", a.Name, err)
	}
	return over(live) || live.UID != a.UID, nil
}

// adoptMessages adopts, after the decision, what an earlier process made and did not name any more: the trail names each child. What is not ours is cancelled by dropMessages. An error must not hold up what was decided.
func (r *Reconciler) adoptMessages(ctx context.Context, s *scope) {
	for _, l := range s.messages() {
		if !s.claimed(l) || !asks(s.analysis()) {
			continue
		}
		why, err := r.whyForeign(ctx, s, l, r.message(s, l))
		if err != nil {
			logf.FromContext(ctx).Error(err, "A notification that asks for a decision is not adopted", "name", l.found.GetName())
			continue
		}
		if why == "" {
			*l.name, *l.uid = l.found.GetName(), l.found.GetUID()
		}
	}
}

// dropMessages cancels the messages that were not sent when the decision is no longer awaited.
func (r *Reconciler) dropMessages(ctx context.Context, s *scope) error {
	if !s.decisionOver() {
		return nil
	}
	var errs []error
	for _, l := range s.messages() {
		if s.open(l) {
			errs = append(errs, r.cancelChild(ctx, s, l.found))
		}
	}
	return errors.Join(errs...)
}

// message is the notification of a slot. It depends on nothing that changes while the decision is awaited: a process that finds the child of an earlier one compares it with this.
func (r *Reconciler) message(s *scope, l *slot) *v1alpha1.NotificationRequest {
	purpose, title := v1alpha1.PurposeApprovalNeeded, "Approval needed"
	if l == s.remindingSlot {
		purpose, title = v1alpha1.PurposeApprovalReminder, "Approval still needed"
	}
	return &v1alpha1.NotificationRequest{Spec: v1alpha1.NotificationRequestSpec{
		RemediationRef: refTo(s.rr),
		Purpose:        purpose,
		Subject:        outbox.Bound(redact.Text(s.about(title)), subjectBytes),
		Body:           r.question(s),
		Channels:       s.rr.Spec.Notification.Channels,
	}}
}
