package notification

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/pool"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

const (
	// parallel is how many attempts of one resource run at once. Room for one entry of each is reserved. outbox.Limits.Validate guarantees room for three entries, beside
	// the closing one, in an empty outbox.
	parallel = 3
	// slots is how many attempts run at once, and slotsPerNamespace how many of them may be of one namespace: receivers that never answer block their own namespace only.
	slots             = 64
	slotsPerNamespace = 16
	// slotRetry is how soon a resource asks again for a slot, beside being woken when one is free.
	slotRetry = time.Second
)

// begin saves the attempts that are due, and dispatches them.
func (r *Reconciler) begin(ctx context.Context, s *scope) (ctrl.Result, error) {
	p := planOf(s.nr, s.policy, r.clock.Now())
	wanted := min(len(p.due), parallel-len(p.sending))
	if wanted <= 0 {
		return r.wait(s, p), nil
	}
	granted := r.attempts.Acquire(client.ObjectKeyFromObject(s.nr), wanted)
	if granted == 0 {
		return ctrl.Result{RequeueAfter: slotRetry}, nil
	}
	began, err := r.intend(ctx, s, p, granted)
	r.attempts.Release(s.nr.Namespace, granted-len(began))
	if err != nil {
		return ctrl.Result{}, err
	}
	for _, a := range began {
		r.dispatch(ctx, s, a)
	}
	return r.wait(s, planOf(s.nr, s.policy, r.clock.Now())), nil
}

// intend saves attempts in state Sending. The first save has an entry. Later ones have none: a retry changes nothing that the trail names until it has ended.
func (r *Reconciler) intend(ctx context.Context, s *scope, p plan, n int) ([]v1alpha1.DeliveryAttempt, error) {
	if err := s.draft.Reserve(ctx, len(p.sending)+n); err != nil {
		return nil, err
	}
	first := outboxapi.Get(s.nr).IsZero()
	last := lastAttempts(s.nr)
	began := make([]v1alpha1.DeliveryAttempt, 0, n)
	for _, c := range p.due[:n] {
		number := int32(1)
		if last[c] >= 0 {
			number = s.nr.Status.Attempts[last[c]].Attempt + 1
		}
		began = append(began, v1alpha1.DeliveryAttempt{
			Channel: c, Type: s.nr.Spec.Channels[c].Type, Attempt: number,
			State: v1alpha1.AttemptSending, StartedTime: outboxapi.NewTime(r.clock.Now()),
		})
	}
	s.nr.Status.Attempts = append(s.nr.Status.Attempts, began...)
	s.nr.Status.Phase = workingPhase(s.nr, s.policy)
	if first {
		if err := r.save(ctx, s, "SendingStarted"); err != nil {
			return nil, err
		}
	} else if err := s.draft.Save(ctx, nil); err != nil {
		return nil, fmt.Errorf("save the next attempts: %w", err)
	}
	return began, nil
}

// dispatch starts an attempt whose intent was saved.
func (r *Reconciler) dispatch(ctx context.Context, s *scope, a v1alpha1.DeliveryAttempt) {
	m := message{nr: s.nr.DeepCopy(), channel: a.Channel, attempt: a.Attempt}
	log := logf.FromContext(ctx).WithValues("channel", labelsOf(s.nr.Spec.Channels)[a.Channel], "attempt", a.Attempt)
	way, known := r.channels[a.Type]
	r.attempts.Start(logf.IntoContext(ctx, log), keyOf(s.nr, &a), s.policy.timeout, func(ctx context.Context) outcome {
		o := failed(fmt.Sprintf("type is %q, expected console, slack or webhook", a.Type)).forGood()
		if known {
			o = way.deliver(ctx, m, s.policy.timeout)
		}
		o.finished = r.clock.Now()
		return o
	})
}

// panicked is the outcome of an attempt that panicked. It may have delivered; the next one has the same key.
func (r *Reconciler) panicked(err error) outcome {
	o := failed(err.Error())
	o.finished = r.clock.Now()
	return o
}

// wait ends a reconcile. The pool wakes the resource when an attempt of this process ends; all else is due at a known time.
func (r *Reconciler) wait(s *scope, p plan) ctrl.Result {
	for _, at := range p.sending {
		a := &s.nr.Status.Attempts[at]
		if _, state := r.attempts.Look(keyOf(s.nr, a)); state == pool.Unknown {
			p.wakeAt(handover(a, s.policy))
		}
	}
	if p.wake.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(time.Millisecond, p.wake.Sub(r.clock.Now()))}
}
