package relay

import "time"

// batchSizer shrinks batches while the store is too slow for large ones, and grows them again. Behind a slow link all of a large batch would never arrive in time.
type batchSizer struct {
	rows, bytes int
	// halved is how often both are halved.
	halved int
	// committed is the number of rows in the last batch, if it was committed.
	committed int
	// tooLarge is when a batch was late that was larger than one before it, which was committed: the store is slow, not away.
	tooLarge time.Time
	// growAfter is how long batches stay small then.
	growAfter time.Duration
}

// maxHalved is how often a batch may be halved: down to a thousandth.
const maxHalved = 10

func newBatchSizer(c Config) batchSizer {
	// Each try at a larger batch may end as an outage, which invalidates all watermarks. So what waits for a trim or a release comes before it, and so do several batches.
	return batchSizer{rows: c.BatchRows, bytes: c.BatchBytes, growAfter: 4 * max(maxDeferral, c.FlushTimeout, c.IdleTrimDelay)}
}

// bounds of the next batch.
func (s *batchSizer) bounds() (rows, bytes int) {
	return max(1, s.rows>>s.halved), max(1, s.bytes>>s.halved)
}

// commit takes note of a batch that was committed.
func (s *batchSizer) commit(rows int, now time.Time) {
	s.committed = rows
	if s.halved > 0 && now.Sub(s.tooLarge) > s.growAfter {
		s.halved--
	}
}

// fail takes note of a batch that was not. large is true when half the bounds would not have let all of it in.
func (s *batchSizer) fail(rows int, late, large bool, now time.Time) {
	if late {
		s.halved = min(s.halved+1, maxHalved)
		if large && s.committed > 0 && rows > s.committed {
			s.tooLarge = now
		}
	}
	s.committed = 0
}
