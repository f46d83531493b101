package relay

import (
	"context"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// orphan keeps the undrained entries of a resource that is gone, up to a bound, and drops everything else of it.
func (t *tracker) orphan(ctx context.Context, k *kindReconciler, obj outbox.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.deletions.of(obj)++
	r := t.resources[obj.GetUID()]
	if outboxapi.Get(obj).IsZero() {
		if r != nil {
			t.removeLocked(r)
		}
		return
	}
	now := t.config.Clock.Now()
	if r != nil && t.database.outdated(now) { // nobody will ask for it again, and what was acknowledged may be lost
		r.progress.invalidate()
	}
	r = t.observeLocked(k, obj, now)
	r.terminating = false
	n := r.pending.Len()
	log := logf.FromContext(ctx).WithValues("kind", k.kind, "resource", r.source.String(), "entries", n)
	switch {
	case n == 0:
		t.removeLocked(r)
	case t.orphaned+n > t.config.MaxOrphaned:
		orphanedEntries.WithLabelValues("dropped").Add(float64(n))
		log.Error(nil, "Dropped the undrained entries of a resource that vanished: too many such entries in memory. `holdfast verify` will report the record", "limit", t.config.MaxOrphaned)
		t.removeLocked(r)
	default:
		r.orphaned = true
		t.orphaned += n
		log.Info("A resource vanished with undrained entries; draining them from memory")
		t.dropLocked(r)
	}
}

// dropLocked removes an orphan once nothing more of it can be sent.
func (t *tracker) dropLocked(r *resource) {
	if r.inFlight > 0 || r.sendable(t.config.Clock.Now()).Len() > 0 {
		return
	}
	t.orphaned -= r.pending.Len()
	orphanedEntries.WithLabelValues("unsupported").Add(float64(r.pending.Len()))
	t.removeLocked(r)
}
