package notification

import (
	"time"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// handoverGrace is how long after its timeout an attempt of another process is still given to write its outcome.
const handoverGrace = time.Second

// plan is what the attempts so far leave to do. Channels are indexes in spec.channels, sending are indexes in status.attempts.
type plan struct {
	// due may begin now.
	due []int32
	// sending were begun and have no outcome yet.
	sending []int
	// reached and failed have ended.
	reached, failed []int32
	// wake is when the next attempt becomes due; zero when none waits.
	wake time.Time
}

// ended reports whether nothing is left to do.
func (p *plan) ended() bool { return len(p.due) == 0 && len(p.sending) == 0 && p.wake.IsZero() }

func (p *plan) wakeAt(t time.Time) {
	if p.wake.IsZero() || t.Before(p.wake) {
		p.wake = t
	}
}

// planOf looks at the last attempt of every channel.
func planOf(nr *v1alpha1.NotificationRequest, policy policy, now time.Time) plan {
	var p plan
	last := lastAttempts(nr)
	for i := range nr.Spec.Channels {
		channel := int32(i)
		at := last[i]
		if at < 0 {
			p.due = append(p.due, channel)
			continue
		}
		switch a := &nr.Status.Attempts[at]; {
		case a.State == v1alpha1.AttemptSending:
			p.sending = append(p.sending, at)
		case a.State == v1alpha1.AttemptSucceeded:
			p.reached = append(p.reached, channel)
		case a.Permanent || a.Attempt >= policy.maxAttempts:
			p.failed = append(p.failed, channel)
		case a.RetryTime != nil && a.RetryTime.After(now):
			p.wakeAt(a.RetryTime.Time)
		default:
			p.due = append(p.due, channel)
		}
	}
	return p
}

// lastAttempts gives for each channel the index of its newest attempt in status.attempts, -1 for none.
func lastAttempts(nr *v1alpha1.NotificationRequest) []int {
	last := make([]int, len(nr.Spec.Channels))
	for i := range last {
		last[i] = -1
	}
	for i := range nr.Status.Attempts {
		if c := int(nr.Status.Attempts[i].Channel); c >= 0 && c < len(last) {
			last[c] = i
		}
	}
	return last
}

// workingPhase is the phase while the record is open: Retrying from the moment that a channel needs, or had, more than one attempt.
func workingPhase(nr *v1alpha1.NotificationRequest, policy policy) v1alpha1.NotificationPhase {
	if len(nr.Status.Attempts) == 0 {
		return v1alpha1.NotificationPending
	}
	for i := range nr.Status.Attempts {
		a := &nr.Status.Attempts[i]
		missed := a.State == v1alpha1.AttemptFailed || a.State == v1alpha1.AttemptUnknown
		if a.Attempt > 1 || missed && !a.Permanent && a.Attempt < policy.maxAttempts {
			return v1alpha1.NotificationRetrying
		}
	}
	return v1alpha1.NotificationSending
}

// finalPhase is the phase in which a notification ends that was not stopped, and its delivery status.
func finalPhase(p plan) (v1alpha1.NotificationPhase, string) {
	switch {
	case len(p.failed) == 0:
		return v1alpha1.NotificationSent, v1alpha1.DeliverySuccess
	case len(p.reached) == 0:
		return v1alpha1.NotificationFailed, v1alpha1.DeliveryFailed
	}
	return v1alpha1.NotificationPartiallySent, v1alpha1.DeliveryPartial
}

// handover is when an attempt that this process is not making may be called Unknown.
func handover(a *v1alpha1.DeliveryAttempt, policy policy) time.Time {
	return a.StartedTime.Add(policy.timeout + handoverGrace)
}
