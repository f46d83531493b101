package relay

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// tracker is the relay's memory, by uid. All of it can be lost.
type tracker struct {
	config Config

	mu       sync.Mutex
	byUID    map[types.UID]*tracked
	dirty    []types.UID // first come, first served; a uid stands here at most once (tracked.dirty)
	departed int         // undrained entries of departed resources
	// departures counts the resources that vanished, see offer.
	departures int
	kinds      []string
	wake       chan struct{} // capacity 1: there is something dirty
	// halvings of the batches' bounds, see back.
	halvings int
	// arrived is the number of rows of the last flight, if it arrived; outgrown is the time at which a larger one was late next.
	arrived  int
	outgrown time.Time
	// onHold are resources whose reconciles wait for the backlog, since holdingSince.
	onHold       []*tracked
	holdingSince time.Time
	// database is the one that acknowledged the watermarks, and asked when it was last asked for; "" where the store does not tell. See believe.
	database string
	asked    time.Time
}

// tracked is what the relay knows of one resource.
type tracked struct {
	kind      *kindReconciler
	source    outbox.Source
	watermark outbox.Watermark
	// pending are the entries above the watermark in the newest version that was seen.
	pending []outboxapi.Entry
	// covered counts the entries in that version that the watermark covers.
	covered int
	// whole is true while pending is all that stood in that version: no watermark was subtracted.
	whole bool
	dirty bool
	// flying is the newest sequence that the flush under way carries, 0: none.
	flying int64
	// asked is true once the store was asked for the entry before the first that it was sent.
	asked bool
	// held is the hash of an entry whose schema version the store does not know. Nothing from there on is sent before heldUntil: by then the store may be a newer release.
	held      string
	heldUntil time.Time
	departed  bool
	// prompt is true when something is due as soon as the entries are durable. An open record below the soft limit waits for its controller's next write, or
	// for quiet.
	prompt bool
	// deleting is true while a deletion waits for the finalizer.
	deleting bool
	// written is the resource version of our newest patch.
	written   string
	writtenAt time.Time
	// strippedAt is when the finalizer of a closed record was first found missing, restoredAt when one was last put back.
	strippedAt, restoredAt time.Time
	// vanished is true when that patch took the last finalizer from what is being deleted: nothing comes after it.
	vanished bool
}

func newTracker(c Config) *tracker {
	return &tracker{config: c, byUID: map[types.UID]*tracked{}, wake: make(chan struct{}, 1)}
}

func (t *tracker) addKind(kind string) {
	t.kinds = append(t.kinds, kind)
	conflicts.WithLabelValues(kind) // so that increase() sees the first
	gaps.WithLabelValues(kind)
}

func (t *tracker) watermark(uid types.UID) outbox.Watermark {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byUID[uid]; r != nil {
		return r.watermark
	}
	return outbox.Watermark{}
}

// seen is how many resources have vanished so far, for offer.
func (t *tracker) seen() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.departures
}

// offer takes over what is pending in a resource that was read after seen. It refuses when some resource vanished since: if it was this one, nobody
// would tell a second time, and it would be kept for ever. Read again then.
func (t *tracker) offer(k *kindReconciler, obj outbox.Object, seen int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seen != t.departures {
		return false
	}
	t.see(k, obj, t.config.Clock.Now())
	return true
}

// restoreEvery keeps the relay from a race with somebody who removes the finalizer again and again.
const restoreEvery = 10 * time.Second

// mayRestore is how long to wait before the finalizer of a resource is put back; at zero it is put back now. An open record's was taken away. A closed one's may have been released by
// a process that did not live to trim its entries: they are durable then, and the store says so within a moment, unless it is away.
func (t *tracker) mayRestore(obj outbox.Object, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.byUID[obj.GetUID()]
	if r == nil { // gone by now
		return lingering
	}
	if r.strippedAt.IsZero() {
		r.strippedAt = now
	}
	if obj.GetOutbox().Closed {
		wait = lingering - now.Sub(r.strippedAt)
	}
	if !r.restoredAt.IsZero() {
		wait = max(wait, restoreEvery-now.Sub(r.restoredAt))
	}
	if wait <= 0 {
		r.strippedAt, r.restoredAt = time.Time{}, now
	}
	return max(0, wait)
}

func (t *tracker) see(k *kindReconciler, obj outbox.Object, now time.Time) *tracked {
	o := obj.GetOutbox()
	r := t.byUID[obj.GetUID()]
	if r == nil {
		r = &tracked{kind: k, source: outbox.SourceOf(obj)}
		t.byUID[obj.GetUID()] = r
	}
	if r.departed { // an API server that lags behind showed it once more
		r.departed = false
		t.departed -= len(r.pending)
	}
	r.pending, r.whole = outbox.Above(o, r.watermark), r.watermark.Sequence == 0
	r.covered = 0
	if o != nil {
		r.covered = len(o.Entries) - len(r.pending)
	}
	r.prompt = o != nil && (o.Closed || t.config.Limits.AboveSoft(o.Entries))
	r.deleting = obj.GetDeletionTimestamp() != nil && controllerutil.ContainsFinalizer(obj, outbox.Finalizer)
	if n := len(r.sendable(now)); n > 0 && r.pending[n-1].Sequence > r.flying {
		t.queue(obj.GetUID(), r)
	}
	return r
}

// askAgainAfter is how long an entry of an unknown schema version waits until it is sent again.
const askAgainAfter = 5 * time.Minute

// sendable are the pending entries before the first that is held.
func (r *tracked) sendable(now time.Time) []outboxapi.Entry {
	if r.held == "" || !now.Before(r.heldUntil) {
		return r.pending
	}
	n := slices.IndexFunc(r.pending, func(e outboxapi.Entry) bool { return e.Hash == r.held })
	if n < 0 {
		return r.pending
	}
	return r.pending[:n]
}

func (t *tracker) queue(uid types.UID, r *tracked) {
	if !r.dirty {
		r.dirty = true
		t.dirty = append(t.dirty, uid)
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// depart keeps the undrained entries of a resource that is gone, up to a bound, and forgets everything else of it.
func (t *tracker) depart(ctx context.Context, k *kindReconciler, obj outbox.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.departures++
	if obj.GetOutbox() == nil {
		delete(t.byUID, obj.GetUID())
		return
	}
	now := t.config.Clock.Now()
	if r := t.byUID[obj.GetUID()]; r != nil && t.outdated() { // nobody will ask for it again, and what was acknowledged may be lost
		r.watermark, r.asked = outbox.Watermark{}, false
	}
	r := t.see(k, obj, now)
	r.deleting = false
	n := len(r.pending)
	log := logf.FromContext(ctx).WithValues("kind", k.kind, "resource", r.source.String(), "entries", n)
	switch {
	case n == 0:
		delete(t.byUID, obj.GetUID())
	case t.departed+n > t.config.MaxDeparted:
		departedEntries.WithLabelValues("dropped").Add(float64(n))
		log.Error(nil, "A resource vanished with undrained entries, and too many such entries are kept already: these are lost. `holdfast verify` will report the record", "limit", t.config.MaxDeparted)
		delete(t.byUID, obj.GetUID())
	default:
		r.departed = true
		t.departed += n
		log.Info("A resource vanished with undrained entries; draining them from memory")
		t.bury(obj.GetUID(), r, now)
	}
}

// bury forgets a departed resource once nothing more of it can be sent.
func (t *tracker) bury(uid types.UID, r *tracked, now time.Time) {
	if r.flying > 0 || len(r.sendable(now)) > 0 {
		return
	}
	t.departed -= len(r.pending)
	departedEntries.WithLabelValues("held").Add(float64(len(r.pending)))
	delete(t.byUID, uid)
}

// askAgain is how long until a held entry of the resource is to be offered again, zero if all that is pending is in line or under way.
func (t *tracker) askAgain(uid types.UID) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.byUID[uid]
	if r == nil || r.held == "" || len(r.pending) == 0 || r.dirty || r.flying > 0 {
		return 0
	}
	return max(time.Millisecond, r.heldUntil.Sub(t.config.Clock.Now()))
}

func (t *tracker) wrote(obj outbox.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byUID[obj.GetUID()]; r != nil {
		r.written, r.writtenAt = obj.GetResourceVersion(), t.config.Clock.Now()
		r.vanished = obj.GetDeletionTimestamp() != nil && len(obj.GetFinalizers()) == 0
		r.deleting = r.deleting && controllerutil.ContainsFinalizer(obj, outbox.Finalizer)
	}
}

// stale tells whether obj is older than our own newest patch of it: deciding on it would repeat that patch.
func (t *tracker) stale(obj outbox.Object) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.byUID[obj.GetUID()]
	if r == nil || r.written == "" || t.config.Clock.Since(r.writtenAt) > outbox.StaleFor {
		return false
	}
	if r.vanished { // the API server answers with the version before the deletion, which the cache has until it hears of that
		return true
	}
	order, err := resourceversion.CompareResourceVersion(obj.GetResourceVersion(), r.written)
	return err == nil && order < 0
}

// flight is one batch under way.
type flight struct {
	items []Item
	// large is true when half the bounds would not have let all of it in.
	large bool
	// whole has each resource in it: true if it begins with the first entry that stood in the resource.
	whole map[types.UID]bool
}

// take removes a batch from the dirty resources, oldest first, within the bounds; a resource whose entries do not all fit stays dirty.
func (t *tracker) take() flight {
	f := t.next()
	// Outside the lock, since controllers ask for watermarks meanwhile; on all processors, since the database has nothing to do meanwhile.
	// A few rows, as most flushes are, stay in one goroutine.
	workqueue.ParallelizeUntil(context.Background(), runtime.GOMAXPROCS(0), len(f.items), func(i int) { f.items[i].check() }, workqueue.WithChunkSize(50))
	slices.SortFunc(f.items, ByID)
	return f
}

func (t *tracker) next() flight {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, now := flight{whole: map[types.UID]bool{}}, t.config.Clock.Now()
	bytes, left := 0, []types.UID(nil)
	mostRows, mostBytes := max(1, t.config.BatchRows>>t.halvings), max(1, t.config.BatchBytes>>t.halvings)
	for i, uid := range t.dirty {
		r := t.byUID[uid]
		if r == nil || !r.dirty {
			continue
		}
		entries := r.sendable(now)
		n := 0
		for n < len(entries) && len(f.items) < mostRows && (bytes < mostBytes || len(f.items) == 0) {
			// Of what was cut at a watermark that nobody believes any more, the one before is sent a moment later, if there is a resource to send it from.
			ask := n == 0 && !r.asked && (r.whole || r.departed) && entries[n].Sequence > 1
			f.items = append(f.items, Item{Source: r.source, ResourceKind: r.kind.kind, Entry: entries[n], AskPrevious: ask})
			bytes += outbox.Size(entries[n : n+1])
			r.flying, f.whole[uid] = entries[n].Sequence, r.whole
			n++
		}
		if n < len(entries) {
			left = t.dirty[i:]
			break
		}
		r.dirty = false
	}
	f.large = len(f.items) > mostRows/2 || bytes > mostBytes/2
	t.dirty = slices.Clone(left)
	t.letGo()
	return f
}

// settle moves the watermarks of a flight that was committed and starts the reconcilers of its resources.
func (t *tracker) settle(f flight, outcomes []Outcome) (held []outbox.Source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled(f, outcomes)
}

// settleInDoubt is settle for the first flight after an outage. The store may have been restored to an older state meanwhile, so what it is said to hold counts only
// if this flight proves it: if it carried all that stood in the resource. What still stands in the others is sent again, which costs inserts of what is there. It is one
// step: in between, a controller's write could drop entries that the flight's watermark covers and the store has lost.
func (t *tracker) settleInDoubt(f flight, outcomes []Outcome) (held []outbox.Source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held = t.settled(f, outcomes)
	for uid, r := range t.byUID {
		whole, flew := f.whole[uid]
		if !flew {
			whole = r.whole
		}
		if !whole {
			t.forget(r)
			if !r.departed {
				// They were cut at the old watermark. The next flight would carry them alone, and its watermark would cover what stands before them.
				r.pending = nil
			}
		}
	}
	return held
}

// doubt is for the beginning of an outage: whatever comes back may be older, so nothing is trimmed or let go meanwhile on what was known before.
func (t *tracker) doubt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.byUID {
		t.forget(r)
	}
}

// forget forgets what the store is said to hold of a resource, and has it offered anew, whole.
func (t *tracker) forget(r *tracked) {
	r.asked, r.held, r.covered = false, "", 0
	if !r.departed {
		r.watermark = outbox.Watermark{}
		r.trigger(0)
	}
}

func (t *tracker) settled(f flight, outcomes []Outcome) (held []outbox.Source) {
	now := t.config.Clock.Now()
	t.arrived = len(f.items)
	if t.halvings > 0 && now.Sub(t.outgrown) > t.regrow() {
		t.halvings--
	}
	type end struct {
		watermark outbox.Watermark
		held      string
	}
	ends := map[types.UID]end{}
	order := make([]int, len(f.items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(f.items[a].Entry.Sequence - f.items[b].Entry.Sequence) })
	for _, i := range order {
		item, uid := f.items[i], f.items[i].Source.UID
		e := ends[uid]
		switch {
		case e.held != "":
		case !outcomes[i].Durable():
			e.held = item.Entry.Hash
		default:
			e.watermark = outbox.Watermark{Sequence: item.Entry.Sequence, Hash: item.Entry.Hash, Time: now}
		}
		ends[uid] = e
	}
	for uid, e := range ends {
		r := t.byUID[uid]
		if r == nil {
			continue
		}
		r.flying = 0
		r.asked = true
		if e.held != "" {
			if e.held != r.held { // or it is no news
				held = append(held, r.source)
			}
			r.held, r.heldUntil = e.held, now.Add(askAgainAfter)
		}
		t.advance(uid, r, e.watermark, now)
	}
	return held
}

// mostHeld bounds how long trims and releases wait for the backlog: a store may never catch up, and controllers with a full outbox wait for the trim.
const mostHeld = 30 * time.Second

// hold keeps a reconcile back while more than a batch waits for the store, as after an outage. A write to the API server costs as much as dozens of rows, and
// entries that are not durable yet are worth more.
func (t *tracker) hold(r *tracked) {
	if len(t.onHold) == 0 {
		t.holdingSince = t.config.Clock.Now()
	}
	t.onHold = append(t.onHold, r)
}

// letGo starts the reconciles that were held, once the backlog has become a batch, or has lasted too long.
func (t *tracker) letGo() {
	if len(t.onHold) == 0 || t.backlogged() && t.config.Clock.Since(t.holdingSince) < mostHeld {
		return
	}
	for _, r := range t.onHold {
		r.trigger(0)
	}
	t.onHold = nil
}

func (t *tracker) backlogged() bool { return len(t.dirty) > t.config.BatchRows }

func (r *tracked) trigger(after time.Duration) {
	r.kind.triggerAfter(client.ObjectKey{Namespace: r.source.Namespace, Name: r.source.Name}, after)
}

func (t *tracker) advance(uid types.UID, r *tracked, w outbox.Watermark, now time.Time) {
	before := len(r.pending)
	if w.Sequence > 0 {
		r.watermark, r.whole = w, false
		r.pending = outbox.Above(&outboxapi.Outbox{Entries: r.pending}, w)
		r.covered += before - len(r.pending)
	}
	if len(r.sendable(now)) > 0 {
		t.queue(uid, r)
	}
	if !r.departed {
		switch {
		case !r.prompt:
			r.trigger(t.config.QuietPeriod)
		case t.backlogged():
			t.hold(r)
		default:
			r.trigger(0)
		}
		return
	}
	done := before - len(r.pending)
	t.departed -= done
	departedEntries.WithLabelValues("persisted").Add(float64(done))
	t.bury(uid, r, now)
}

// mostHalvings bounds how far batches shrink: to a thousandth.
const mostHalvings = 10

// regrow is how long batches stay small after one was late that was larger than one before it, which had arrived: the store is slow, not away. Each try at a larger one
// may end as an outage, after which nothing is believed, so what waits for a trim or a release must come before it, and so must several flights.
func (t *tracker) regrow() time.Duration {
	return 4 * max(mostHeld, t.config.FlushTimeout, t.config.QuietPeriod)
}

// back returns a flight that failed to the front of the line. One that took too long is halved: behind a slow link, all of it would never arrive in time.
func (t *tracker) back(f flight, late bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if late {
		t.halvings = min(t.halvings+1, mostHalvings)
		if f.large && t.arrived > 0 && len(f.items) > t.arrived {
			t.outgrown = t.config.Clock.Now()
		}
	}
	t.arrived = 0
	var again []types.UID
	for uid := range f.whole {
		r := t.byUID[uid]
		if r == nil {
			continue
		}
		r.flying = 0
		if !r.dirty {
			r.dirty = true
			again = append(again, uid)
		}
	}
	t.dirty = append(again, t.dirty...)
}

// left tells how many resources wait to be flushed, and how many entries have no resource any more to stay in.
func (t *tracker) left() (resources, departed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.dirty), t.departed
}
