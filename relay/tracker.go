package relay

import (
	"hash/crc32"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// tracker is the relay's memory, by uid. All of it can be lost. Its methods take the lock, but for those whose names end in Locked: their callers have it.
type tracker struct {
	config Config
	wake   chan struct{} // capacity 1: something is queued
	kinds  []string

	mu        sync.Mutex
	resources map[types.UID]*resource
	queue     sendQueue
	deletions deletions
	orphans   orphans
	phase     phase
	outages   int // that began so far
	sizer     batchSizer
	backlog   backlog
	database  identity
}

func newTracker(c Config) *tracker {
	return &tracker{config: c, resources: map[types.UID]*resource{}, wake: make(chan struct{}, 1), sizer: newBatchSizer(c)}
}

func (t *tracker) addKind(kind string) {
	t.kinds = append(t.kinds, kind)
	beginSeries(kind)
}

// deletions count the resources that vanished so far, by a hash of their names. One number for all would have each reconcile start over again and again while many resources are deleted.
type deletions [64]uint32

// of is the number for a resource's name.
func (d *deletions) of(obj outbox.Object) *uint32 {
	return &d[crc32.ChecksumIEEE([]byte(obj.GetNamespace()+"/"+obj.GetName()))%uint32(len(d))]
}

// generation is what has vanished so far. A reconciler asks for it before it reads a resource.
func (t *tracker) generation() deletions {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deletions
}

// observe takes over what is pending in a resource that was read at that generation. It refuses when a resource vanished since whose name has the same hash: if it
// was this one, no second event would say so, and the resource would be kept for ever. Read it again then.
func (t *tracker) observe(k *kindReconciler, obj outbox.Object, generation deletions) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *generation.of(obj) != *t.deletions.of(obj) {
		return false
	}
	t.observeLocked(k, obj, t.config.Clock.Now())
	return true
}

func (t *tracker) observeLocked(k *kindReconciler, obj outbox.Object, now time.Time) *resource {
	o := outboxapi.Get(obj)
	r := t.resources[obj.GetUID()]
	if r == nil {
		r = &resource{kind: k, source: entry.SourceOf(obj)}
		t.resources[obj.GetUID()] = r
	}
	if r.orphaned { // an API server that lags behind showed it once more
		t.orphans.release(r)
	}
	r.progress.observe(obj.GetUID(), o)
	r.trimNow = o != nil && (o.Closed || t.config.Limits.AboveSoft(o.Entries))
	r.terminating = obj.GetDeletionTimestamp() != nil && controllerutil.ContainsFinalizer(obj, outbox.Finalizer)
	if n := r.sendable(now).Len(); n > 0 && r.pending.Sequence(n-1) > r.inFlight {
		t.enqueueLocked(r)
	}
	return r
}

func (t *tracker) enqueueLocked(r *resource) {
	t.queue.add(r)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// removeLocked ends the tracking of a resource.
func (t *tracker) removeLocked(r *resource) {
	t.queue.remove(r)
	delete(t.resources, r.source.UID)
}

// backloggedLocked reports whether more than a batch is queued.
func (t *tracker) backloggedLocked() bool { return t.queue.size > t.config.BatchRows }

// left is how many resources are queued, and how many entries have no resource to stay in any more.
func (t *tracker) left() (resources, orphaned int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queue.size, t.orphans.all.entries
}
