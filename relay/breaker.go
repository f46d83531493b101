package relay

import (
	"math"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// breaker stops flushing while the store is away. There is one for the whole relay, since one store is behind all of it.
type breaker struct {
	mu         sync.Mutex
	err        error // why it is open; nil: closed
	backoff    wait.Backoff
	maxBackoff time.Duration
}

func newBreaker(maxBackoff time.Duration) *breaker { return &breaker{maxBackoff: maxBackoff} }

// trip opens the breaker, or keeps it open, and returns how long to wait before the next probe; first is true on opening.
func (b *breaker) trip(err error) (delay time.Duration, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = b.err == nil
	if first {
		// Jitter adds up to a half, so that the cap stays below maxBackoff.
		b.backoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: math.MaxInt32, Cap: b.maxBackoff * 2 / 3}
	}
	b.err = err
	breakerOpen.Set(1)
	return b.backoff.Step(), first
}

// reset closes the breaker; was is true when it was open.
func (b *breaker) reset() (was bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was = b.err != nil
	b.err = nil
	breakerOpen.Set(0)
	return was
}

func (b *breaker) reason() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
