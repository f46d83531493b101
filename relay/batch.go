package relay

import (
	"cmp"
	"context"
	"runtime"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// batch is what one transaction carries. One is in flight at most.
type batch struct {
	items []Item
	// large is true when half the bounds would not have let all of it in.
	large bool
	// whole has each resource in it: true if it begins with the first entry in the resource.
	whole map[types.UID]bool
	// outages is how many had begun when it was dequeued.
	outages int
}

// dequeue removes a batch from the queue, within the bounds. A resource whose entries do not all fit stays queued.
func (t *tracker) dequeue() batch {
	b := t.next()
	// Outside the lock, since controllers ask for watermarks meanwhile; on all processors, since the database has nothing to do meanwhile.
	// A few rows, as in most batches, stay in one goroutine.
	workqueue.ParallelizeUntil(context.Background(), runtime.GOMAXPROCS(0), len(b.items), func(i int) { b.items[i].Check() }, workqueue.WithChunkSize(50))
	slices.SortFunc(b.items, ByID)
	return b
}

func (t *tracker) next() batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, now := batch{whole: map[types.UID]bool{}, outages: t.outages}, t.config.Clock.Now()
	size := 0
	maxRows, maxBytes := t.sizer.bounds()
	for len(b.items) < maxRows && (size < maxBytes || len(b.items) == 0) {
		r, entries, i := t.queue.next(now)
		if r == nil {
			break
		}
		// For entries that were cut at an invalid watermark, the one before is sent a moment later, if there is a resource to send it from.
		ask := i == 0 && !r.checkedPrevious && (r.whole || r.orphaned) && entries.Sequence(i) > 1
		b.items = append(b.items, Item{Source: r.source, ResourceKind: r.kind.kind, Sequence: entries.Sequence(i), Hash: entries.Hash(i), Text: []byte(entries.Text(i)), AskPrevious: ask})
		size += len(entries.Text(i))
		r.inFlight, b.whole[r.source.UID] = entries.Sequence(i), r.whole
	}
	t.queue.endBatch()
	b.large = len(b.items) > maxRows/2 || size > maxBytes/2
	t.backlog.resume(t.backloggedLocked(), now)
	return b
}

// commit moves the watermarks of a batch that was committed, and starts the reconcilers of its resources. It returns the resources with an entry that the store does
// not support, if that is news.
func (t *tracker) commit(b batch, outcomes []Outcome) (unsupported []entry.Source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.config.Clock.Now()
	t.sizer.commit(len(b.items), now)
	if b.outages != t.outages {
		t.discardLocked(b)
		return nil
	}
	for uid, end := range endings(b.items, outcomes) {
		r := t.resources[uid]
		if r == nil {
			continue
		}
		r.inFlight = 0
		r.checkedPrevious = true
		if end.unsupported != "" {
			if end.unsupported != r.parked.hash {
				unsupported = append(unsupported, r.source)
			}
			r.parked = parked{hash: end.unsupported, until: now.Add(retryParkedAfter)}
		}
		end.watermark.Time = now
		t.advanceLocked(r, end.watermark)
	}
	if t.phase == outage {
		t.proveLocked(b.whole)
	}
	return unsupported
}

// ending is how far a batch brought one resource: the newest entry that is durable with all before it, and the first that is not.
type ending struct {
	watermark   entry.Watermark
	unsupported string // hash
}

func endings(items []Item, outcomes []Outcome) map[types.UID]ending {
	order := make([]int, len(items)) // items are sorted by id; entries of one resource count by sequence
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(items[a].Sequence, items[b].Sequence) })
	ends := map[types.UID]ending{}
	for _, i := range order {
		item, uid := &items[i], items[i].Source.UID
		end := ends[uid]
		switch {
		case end.unsupported != "":
		case !outcomes[i].Durable():
			end.unsupported = item.Hash
		default:
			end.watermark = entry.Watermark{Sequence: item.Sequence, Hash: item.Hash}
		}
		ends[uid] = end
	}
	return ends
}

func (t *tracker) advanceLocked(r *resource, w entry.Watermark) {
	now := t.config.Clock.Now()
	done := r.advance(w)
	if r.sendable(now).Len() > 0 {
		t.enqueueLocked(r)
	}
	switch {
	case r.orphaned:
		t.orphans.add(r, usage{entries: -done})
		orphanedEntries.WithLabelValues("persisted").Add(float64(done))
		t.dropLocked(r)
	case !r.trimNow:
		r.trigger(t.config.IdleTrimDelay)
	case t.backloggedLocked():
		t.backlog.add(r, now)
	default:
		r.trigger(0)
	}
}

// requeue returns a batch that failed to the front of the lines. late is true when it took too long.
func (t *tracker) requeue(b batch, late bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sizer.fail(len(b.items), late, b.large, t.config.Clock.Now())
	var again []*resource
	for uid := range b.whole {
		if r := t.resources[uid]; r != nil {
			r.inFlight = 0
			again = append(again, r)
		}
	}
	t.queue.addFirst(again)
}
