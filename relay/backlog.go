package relay

import "time"

// backlog has the resources whose trims and releases wait while more than a batch is queued, as after an outage. A write to the API server costs as much as dozens
// of rows, and entries that are not durable yet come first.
type backlog struct {
	deferred []*resource
	since    time.Time
}

// maxDeferral bounds how long trims and releases wait: a store may never catch up, and controllers with a full outbox wait for the trim.
const maxDeferral = 30 * time.Second

// add defers the reconcile of a resource.
func (b *backlog) add(r *resource, now time.Time) {
	if len(b.deferred) == 0 {
		b.since = now
	}
	b.deferred = append(b.deferred, r)
}

// resume starts the deferred reconciles once the backlog is gone, or has lasted too long.
func (b *backlog) resume(backlogged bool, now time.Time) {
	if len(b.deferred) == 0 || backlogged && now.Sub(b.since) < maxDeferral {
		return
	}
	for _, r := range b.deferred {
		r.trigger(0)
	}
	b.deferred = nil
}
