package relay

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// phase says whether what the store acknowledged still counts. doc.go has the picture.
type phase int

const (
	// steady: watermarks count.
	steady phase = iota
	// outage: the store failed, or another database took its place. Whatever comes back may be older than what was acknowledged, so no watermark from before counts, and
	// the next batch proves only what it carries whole.
	outage
)

// beginOutage invalidates all watermarks: nothing is trimmed or released on what was known before.
func (t *tracker) beginOutage() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.beginOutageLocked()
}

func (t *tracker) beginOutageLocked() {
	t.phase = outage
	t.outages++
	for _, r := range t.resources {
		r.invalidate()
	}
}

// endOutage is for an outage that ended with nothing to send: there is no batch that could prove anything. What is queued by now may have been cut at a watermark from
// before, so its batch has to end the outage.
func (t *tracker) endOutage() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queue.size == 0 {
		t.phase = steady
	}
}

// discardLocked is for a batch that was dequeued before the outage began. It may be in the store that was, and not in the one that comes back: it counts for nothing, and is
// sent again.
func (t *tracker) discardLocked(b batch) {
	for uid := range b.whole {
		r := t.resources[uid]
		if r == nil {
			continue
		}
		r.inFlight = 0
		if !r.whole && !r.orphaned {
			r.pending = entry.Pending{} // cut at the old watermark; the resource is observed again
		}
		if r.sendable(t.config.Clock.Now()).Len() > 0 {
			t.enqueueLocked(r)
		}
	}
}

// proveLocked ends an outage with the batch that was committed. The store may be older than before, so what it is said to hold counts only if this batch carried all
// entries of the resource. The entries of others are sent again, which costs inserts of rows that are there. This is one step with the commit: in between, a
// controller's write could drop entries that the batch's watermark covers and that the store has lost.
func (t *tracker) proveLocked(whole map[types.UID]bool) {
	t.phase = steady
	for uid, r := range t.resources {
		proved, carried := whole[uid]
		if !carried {
			proved = r.whole
		}
		if proved {
			continue
		}
		r.invalidate()
		if !r.orphaned {
			// They were cut at the old watermark. The next batch would carry them alone, and its watermark would cover the entries before them.
			r.pending = entry.Pending{}
		}
	}
}
