package testenv

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Watermarks say how far the store is, as the test wants it. The zero value is what a writer knows whose relay runs elsewhere, or nowhere: nothing is durable.
type Watermarks struct {
	mu sync.Mutex
	at entry.Watermark
}

// Watermark implements outbox.Relay.
func (w *Watermarks) Watermark(types.UID) entry.Watermark {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

// Limits implements outbox.Relay: the defaults.
func (w *Watermarks) Limits() entry.Limits { return entry.DefaultLimits() }

// WithLimits is the same with limits of its own.
func (w *Watermarks) WithLimits(l entry.Limits) outbox.Relay { return limited{w, l} }

type limited struct {
	*Watermarks
	limits entry.Limits
}

func (l limited) Limits() entry.Limits { return l.limits }

// Set says that all of an outbox is durable.
func (w *Watermarks) Set(o *outboxapi.Outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = entry.Watermark{Sequence: o.LastSequence, Hash: o.HeadHash, Time: time.Now()}
}

// Counter is the sum of a counter of this process over all labels; -1 if the metrics can't be read.
func Counter(name string) float64 {
	all, err := metrics.Registry.Gather()
	if err != nil {
		return -1
	}
	sum := 0.0
	for _, family := range all {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
