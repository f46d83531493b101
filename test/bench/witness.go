package main

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/relay"
)

// witness is a store that counts what became durable, and when Persist returned: the time of the commit, and of its way back to this process.
type witness struct {
	relay.Store
	mu      sync.Mutex
	rows    int
	want    int
	reached chan struct{} // closed when rows reach want
	seen    func(relay.Item, time.Time)
}

// newWitness waits for want rows; seen, if it is not nil, hears of each.
func newWitness(s relay.Store, want int, seen func(relay.Item, time.Time)) *witness {
	return &witness{Store: s, want: want, reached: make(chan struct{}), seen: seen}
}

// Persist implements relay.Store.
func (w *witness) Persist(ctx context.Context, batch []relay.Item) ([]relay.Outcome, error) {
	outcomes, err := w.Store.Persist(ctx, batch)
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, o := range outcomes {
		if o.Result != relay.Stored {
			continue
		}
		if w.seen != nil {
			w.seen(batch[i], now)
		}
		if w.rows++; w.rows == w.want {
			close(w.reached)
		}
	}
	return outcomes, err
}
