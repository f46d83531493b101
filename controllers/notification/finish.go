package notification

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/internal/pool"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

// outcome is how an attempt ended.
type outcome struct {
	state    string // Succeeded, Failed or Unknown
	code     int32  // of the HTTP answer, 0 when there was none
	reason   string // of a failure, at most errorBytes, without the URL
	finished time.Time
	// permanent: another attempt cannot help.
	permanent bool
	// retryAfter is what the receiver asked for.
	retryAfter time.Duration
}

// finish records, with one entry each, the outcomes of the attempts that have ended. The outcome that leaves nothing to do ends the record. The pool keeps an outcome until it
// is saved.
func (r *Reconciler) finish(ctx context.Context, s *scope) error {
	for _, at := range planOf(s.nr, s.policy, r.clock.Now()).sending {
		a := &s.nr.Status.Attempts[at]
		o, ok := r.outcomeOf(s, a)
		if !ok {
			continue
		}
		if err := r.record(ctx, s, a, o); err != nil {
			return err
		}
	}
	return nil
}

// outcomeOf returns an attempt's outcome if it has ended. An attempt of another process, which died or is another manager, becomes Unknown when its timeout has passed, or at
// once when the notification is to stop.
func (r *Reconciler) outcomeOf(s *scope, a *v1alpha1.DeliveryAttempt) (outcome, bool) {
	now := r.clock.Now()
	o, state := r.attempts.Look(keyOf(s.nr, a))
	switch {
	case state == pool.Ended:
		return o, true
	case state == pool.Running:
		return outcome{}, false
	case s.stopping == "" && now.Before(handover(a, s.policy)):
		return outcome{}, false
	}
	return outcome{state: v1alpha1.AttemptUnknown, reason: "the manager restarted before the outcome was written down; it may have been delivered"}, true
}

// record saves an outcome with its entry, and with it the end of the record if nothing is left to do.
func (r *Reconciler) record(ctx context.Context, s *scope, a *v1alpha1.DeliveryAttempt, o outcome) error {
	key := keyOf(s.nr, a)
	r.apply(s, a, o)
	p := planOf(s.nr, s.policy, r.clock.Now())
	if len(p.reached) > 0 && s.nr.Status.SentTime == nil {
		s.nr.Status.SentTime = outboxapi.NewTimePointer(o.finished)
	}
	if p.ended() {
		phase, delivery := finalPhase(p)
		if delivery == v1alpha1.DeliverySuccess {
			s.nr.Status.ConfirmedTime = outboxapi.NewTimePointer(o.finished)
		}
		r.end(s, phase, delivery, failureReason(s.nr, p))
	} else {
		s.nr.Status.Phase = workingPhase(s.nr, s.policy)
	}
	if err := r.save(ctx, s, "Delivery"+o.state); err != nil {
		return err
	}
	r.attempts.Drop(key)
	logf.FromContext(ctx).Info("Delivery attempt ended", "channel", key.Part, "attempt", key.Attempt, "state", o.state, "statusCode", o.code, "reason", o.reason)
	return nil
}

func (r *Reconciler) apply(s *scope, a *v1alpha1.DeliveryAttempt, o outcome) {
	a.State, a.Error, a.Permanent = o.state, o.reason, o.permanent
	if !o.finished.IsZero() {
		a.DurationMilliseconds = ptr.To(max(0, o.finished.Sub(a.StartedTime.Time).Milliseconds()))
	}
	if o.code != 0 {
		a.StatusCode = ptr.To(o.code)
	}
	if o.state == v1alpha1.AttemptFailed && !o.permanent && a.Attempt < s.policy.maxAttempts {
		a.RetryTime = outboxapi.NewTimePointer(o.finished.Add(s.policy.backoff(a.Attempt, o.retryAfter, r.random)))
	}
}

// end sets what the last entry says.
func (r *Reconciler) end(s *scope, phase v1alpha1.NotificationPhase, delivery, reason string) {
	s.nr.Status.Phase = phase
	s.nr.Status.DeliveryStatus = delivery
	s.nr.Status.FailureReason = reason
	s.nr.Status.CompletedTime = outboxapi.NewTimePointer(r.clock.Now())
}

// save writes status and entry, and makes an Event when the phase has changed.
func (r *Reconciler) save(ctx context.Context, s *scope, event string) error {
	phase := s.nr.Status.Phase
	before := readyReason(s.nr)
	note := noteOf(s.nr)
	lifecycle.SetReady(s.nr, phase, v1alpha1.NotificationSent, note)
	change := &outbox.Change{Kind: entry.KindNotification, Event: event, Phase: string(phase), Record: recordOf(s.nr), Final: phase.Final()}
	if err := s.draft.Save(ctx, change); err != nil {
		return fmt.Errorf("save %s: %w", event, err)
	}
	if string(phase) != before {
		r.announce(s.nr, note)
	}
	return nil
}

func (r *Reconciler) announce(nr *v1alpha1.NotificationRequest, note string) {
	kind := lifecycle.Normal
	troubled := []v1alpha1.NotificationPhase{v1alpha1.NotificationRetrying, v1alpha1.NotificationPartiallySent, v1alpha1.NotificationFailed}
	if slices.Contains(troubled, nr.Status.Phase) {
		kind = lifecycle.Warning
	}
	lifecycle.Announce(r.recorder, nr, kind, string(nr.Status.Phase), note)
}

// noteOf says what goes on, or how the notification ended: while it is retried, the newest attempt that failed.
func noteOf(nr *v1alpha1.NotificationRequest) string {
	labels := labelsOf(nr.Spec.Channels)
	switch nr.Status.Phase {
	case v1alpha1.NotificationRetrying:
		for i := range slices.Backward(nr.Status.Attempts) {
			if a := &nr.Status.Attempts[i]; a.Error != "" {
				return missed(labels, a, errorBytes)
			}
		}
	case v1alpha1.NotificationSent:
		return fmt.Sprintf("%s: %q was delivered.", strings.Join(labels, ", "), nr.Spec.Subject)
	}
	if nr.Status.FailureReason != "" {
		return nr.Status.FailureReason
	}
	return fmt.Sprintf("%s: delivers %q.", strings.Join(labels, ", "), nr.Spec.Subject)
}

func readyReason(nr *v1alpha1.NotificationRequest) string {
	for i := range nr.Status.Conditions {
		if nr.Status.Conditions[i].Type == v1alpha1.ConditionReady {
			return nr.Status.Conditions[i].Reason
		}
	}
	return ""
}

// keyOf names an attempt in the pool.
func keyOf(nr *v1alpha1.NotificationRequest, a *v1alpha1.DeliveryAttempt) pool.Key {
	return pool.Key{Resource: client.ObjectKeyFromObject(nr), UID: nr.UID, Part: a.Channel, Attempt: a.Attempt}
}
