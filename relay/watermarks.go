package relay

import (
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// progress is how far one resource is drained.
type progress struct {
	watermark entry.Watermark
	// pending are the entries above the watermark in the newest version that was observed.
	pending entry.Pending
	// covered counts the entries in that version that the watermark covers.
	covered int
	// whole is true while pending is everything in that version: no watermark was subtracted.
	whole bool
	// checkedPrevious is true once the store was asked for the entry before the first that it was sent.
	checkedPrevious bool
}

// observe takes over a newer version of the outbox.
func (p *progress) observe(uid types.UID, o *outboxapi.Outbox) {
	all := entry.PendingOf(uid, o)
	p.pending, p.whole = all.Above(p.watermark), p.watermark.Sequence == 0
	p.covered = all.Len() - p.pending.Len()
}

// advance moves the watermark, and returns how many entries it covers more than before.
func (p *progress) advance(w entry.Watermark) (done int) {
	if w.Sequence == 0 {
		return 0
	}
	before := p.pending.Len()
	p.watermark, p.whole = w, false
	p.pending = p.pending.Above(w)
	done = before - p.pending.Len()
	p.covered += done
	return done
}

// invalidate drops what the store acknowledged. The pending entries stay cut at the old watermark until the resource is observed again.
func (p *progress) invalidate() {
	p.watermark, p.checkedPrevious, p.covered = entry.Watermark{}, false, 0
}

// watermark is how far the store has a resource's entries.
func (t *tracker) watermark(uid types.UID) entry.Watermark {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.resources[uid]; r != nil {
		return r.watermark
	}
	return entry.Watermark{}
}

// confirmedWatermark is the watermark for those who drop entries without asking the store.
func (t *tracker) confirmedWatermark(uid types.UID) entry.Watermark {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.resources[uid]; r != nil && !t.database.outdated(t.config.Clock.Now()) {
		return r.watermark
	}
	return entry.Watermark{}
}

// anyCovered reports whether some resource has entries that the store has acknowledged.
func (t *tracker) anyCovered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.resources {
		if r.covered > 0 {
			return true
		}
	}
	return false
}
