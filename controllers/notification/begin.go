package notification

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

const (
	// parallel is how many attempts of one resource may be under way. Room for one entry of each is reserved, and outbox.Limits.Validate promises room for
	// three beside the closing one in an outbox that is empty.
	parallel = 3
	// busyRetry is how soon to look again for a free place in the courier.
	busyRetry = time.Second
)

// begin writes down the attempts that are due, and hands them to the courier.
func (r *Reconciler) begin(ctx context.Context, s *scope) (ctrl.Result, error) {
	p := planOf(s.nr, s.policy, r.clock.Now())
	wanted := min(len(p.due), parallel-len(p.sending))
	if wanted <= 0 {
		return r.wait(s, p), nil
	}
	granted := r.courier.acquire(s.nr.Namespace, wanted)
	if granted == 0 {
		return ctrl.Result{RequeueAfter: busyRetry}, nil
	}
	began, res, err := r.intend(ctx, s, p, granted)
	r.courier.release(s.nr.Namespace, granted-len(began))
	if err != nil || len(began) == 0 {
		return res, err
	}
	for _, a := range began {
		r.dispatch(ctx, s, a)
	}
	return r.wait(s, planOf(s.nr, s.policy, r.clock.Now())), nil
}

// intend saves the attempts in state Sending: with an entry at first, without one later, since a retry changes nothing that the trail names before it has ended.
// It returns none when the outbox has no room.
func (r *Reconciler) intend(ctx context.Context, s *scope, p plan, n int) ([]v1alpha1.DeliveryAttempt, ctrl.Result, error) {
	if ok, err := s.draft.Reserve(ctx, len(p.sending)+n); err != nil || !ok {
		return nil, ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, err
	}
	first := s.nr.GetOutbox() == nil
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
			return nil, ctrl.Result{}, err
		}
	} else if err := s.draft.Save(ctx, nil); err != nil {
		return nil, ctrl.Result{}, fmt.Errorf("save the next attempts: %w", err)
	}
	return began, ctrl.Result{}, nil
}

// dispatch starts an attempt whose intent was saved.
func (r *Reconciler) dispatch(ctx context.Context, s *scope, a v1alpha1.DeliveryAttempt) {
	m := message{nr: s.nr.DeepCopy(), channel: a.Channel, attempt: a.Attempt}
	log := logf.FromContext(ctx).WithValues("channel", labelsOf(s.nr.Spec.Channels)[a.Channel], "attempt", a.Attempt)
	way, known := r.channels[a.Type]
	//nolint:contextcheck // the attempt outlives this reconcile: it lives as long as the controller, or until its timeout
	r.courier.start(jobOf(s.nr, &a), s.policy.timeout, func(ctx context.Context) outcome {
		if !known {
			return failed(fmt.Sprintf("type is %q, expected console, slack or webhook", a.Type)).forGood()
		}
		return way.deliver(logf.IntoContext(ctx, log), m, s.policy.timeout)
	})
}

// wait ends a reconcile: the courier reports its own attempts, all else is due at a known time.
func (r *Reconciler) wait(s *scope, p plan) ctrl.Result {
	for _, at := range p.sending {
		a := &s.nr.Status.Attempts[at]
		if _, state := r.courier.look(jobOf(s.nr, a)); state == notOurs {
			p.wakeAt(handover(a, s.policy))
		}
	}
	if p.wake.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(time.Millisecond, p.wake.Sub(r.clock.Now()))}
}
