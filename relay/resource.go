package relay

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/holdfast-dev/holdfast/internal/apiserver"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// resource is what the relay knows of one resource.
type resource struct {
	kind   *kindReconciler
	source entry.Source
	progress
	parked parked
	// queued is true while it is in the tracker's queue.
	queued bool
	// inFlight is the newest sequence in the batch under way; 0 for none.
	inFlight int64
	// orphaned is true once the resource has vanished with entries that are not durable.
	orphaned bool
	// orphanBytes are the texts that it keeps in memory then.
	orphanBytes int
	// trimNow is true when something is due as soon as the entries are durable: the record is closed, or above the soft limit. Any other outbox waits for
	// its controller's next write, or for the idle trim delay.
	trimNow bool
	// terminating is true while a deletion waits for the finalizer.
	terminating bool
	patched     ownPatch
	finalizer   finalizerLoss
	letter      lastLetter
}

// parked marks an entry whose schema version the store does not support. Nothing from that entry on is sent before until: by then the store may be a newer release.
type parked struct {
	hash  string
	until time.Time
}

// retryParkedAfter is how long an entry of an unsupported schema version waits until it is sent again.
const retryParkedAfter = 5 * time.Minute

// sendable are the pending entries before the first that is parked.
func (r *resource) sendable(now time.Time) entry.Pending {
	if r.parked.hash == "" || !now.Before(r.parked.until) {
		return r.pending
	}
	for i := range r.pending.Len() {
		if r.pending.Hash(i) == r.parked.hash {
			return r.pending.First(i)
		}
	}
	return r.pending
}

// trigger starts the reconciler of the resource.
func (r *resource) trigger(after time.Duration) {
	r.kind.triggerAfter(client.ObjectKey{Namespace: r.source.Namespace, Name: r.source.Name}, after)
}

// invalidate drops what the store acknowledged, and has the resource observed again. Nobody observes an orphan again: it keeps its watermark, since nothing is
// trimmed from it.
func (r *resource) invalidate() {
	r.parked = parked{}
	if r.orphaned {
		r.checkedPrevious, r.covered = false, 0
		return
	}
	r.progress.invalidate()
	r.trigger(0)
}

// ownPatch is the newest patch of ours.
type ownPatch struct {
	version string
	at      time.Time
	// vanished is true when it removed the last finalizer of a resource that is being deleted: nothing comes after it.
	vanished bool
}

// staleFor bounds how long a cache may be behind our own patch. After a restored etcd it never gets there, and no event says so.
const staleFor = 30 * time.Second

// newerThan reports whether the patch came after the version of obj: deciding on obj would repeat that patch.
func (p ownPatch) newerThan(obj outbox.Object, now time.Time) bool {
	if p.version == "" || now.Sub(p.at) > staleFor {
		return false
	}
	if p.vanished { // the API server answers with the version before the deletion, which the cache has until it hears of the deletion
		return true
	}
	return apiserver.Older(obj.GetResourceVersion(), p.version)
}

// finalizerLoss is when the finalizer was first found missing, and when one was last put back.
type finalizerLoss struct{ since, restored time.Time }

// restoreEvery limits the writes where somebody removes the finalizer again and again.
const restoreEvery = 10 * time.Second

// wait is how long to wait before the finalizer is put back; zero: now. An open record's was taken away. A closed one's may have been released by a process that
// did not live to trim the entries: they are durable then, and the store says so within a moment, unless it is away.
func (f *finalizerLoss) wait(closed bool, now time.Time) (left time.Duration) {
	if f.since.IsZero() {
		f.since = now
	}
	if closed {
		left = closedTrimDelay - now.Sub(f.since)
	}
	if !f.restored.IsZero() {
		left = max(left, restoreEvery-now.Sub(f.restored))
	}
	if left <= 0 {
		*f = finalizerLoss{restored: now}
	}
	return max(0, left)
}

// wrote takes note of a patch of ours.
func (t *tracker) wrote(obj outbox.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.resources[obj.GetUID()]; r != nil {
		r.patched = ownPatch{
			version: obj.GetResourceVersion(), at: t.config.Clock.Now(),
			vanished: obj.GetDeletionTimestamp() != nil && len(obj.GetFinalizers()) == 0,
		}
		r.terminating = r.terminating && controllerutil.ContainsFinalizer(obj, outbox.Finalizer)
	}
}

// stale reports whether obj is older than our own newest patch of it.
func (t *tracker) stale(obj outbox.Object) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.resources[obj.GetUID()]
	return r != nil && r.patched.newerThan(obj, t.config.Clock.Now())
}

// mayRestore is how long to wait before the finalizer of a resource is put back; zero: now.
func (t *tracker) mayRestore(obj outbox.Object, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.resources[obj.GetUID()]; r != nil {
		return r.finalizer.wait(outboxapi.Get(obj).Closed, now)
	}
	return closedTrimDelay // gone by now
}

// retryParked is how long until a parked entry of the resource is due again; zero if everything pending is queued or in flight.
func (t *tracker) retryParked(obj outbox.Object) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.resources[obj.GetUID()]
	if r == nil || r.parked.hash == "" || r.pending.Len() == 0 || r.queued || r.inFlight > 0 {
		return 0
	}
	return max(time.Millisecond, r.parked.until.Sub(t.config.Clock.Now()))
}
