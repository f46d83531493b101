package notification

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
)

// refuse ends the record of a notification that may not write into the trail of the remediation that it names. Nothing is sent.
func (r *Reconciler) refuse(ctx context.Context, s *scope, why string) error {
	lifecycle.RefuseRemediation(s.nr, why)
	r.end(s, v1alpha1.NotificationFailed, v1alpha1.DeliveryFailed, why)
	return r.save(ctx, s, lifecycle.EventRefused)
}

// stop ends the record of a notification that was cancelled or deleted, and cancels its attempts. Their outcome is Unknown, because the receiver may have the message already.
// Attempts that ended before have their own entries by now (see finish).
func (r *Reconciler) stop(ctx context.Context, s *scope) error {
	p := planOf(s.nr, s.policy, r.clock.Now())
	for _, at := range p.sending {
		a := &s.nr.Status.Attempts[at]
		a.State, a.Error = v1alpha1.AttemptUnknown, s.stopping+" during the attempt; the message may have been delivered"
	}
	delivery := v1alpha1.DeliveryFailed
	if len(p.reached) > 0 {
		delivery = v1alpha1.DeliveryPartial
	}
	reason := fmt.Sprintf("%s after %d of %d channels were reached", s.stopping, len(p.reached), len(s.nr.Spec.Channels))
	if purposeOf(s.nr) != v1alpha1.PurposeOutcome && s.nr.Spec.Cancel {
		reason += ": the decision was made, or is no longer awaited" // unless a person cancelled it, which nothing tells apart
	}
	r.end(s, v1alpha1.NotificationCancelled, delivery, reason)
	if err := r.save(ctx, s, "Cancelled"); err != nil {
		return err
	}
	r.attempts.DropAll(client.ObjectKeyFromObject(s.nr))
	return nil
}
