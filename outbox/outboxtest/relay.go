package outboxtest

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Relay is a relay's memory without the relay, for tests of a controller alone. Its zero value has the default limits, and nothing is durable until Acknowledge.
type Relay struct {
	mu     sync.Mutex
	marks  map[types.UID]entry.Watermark
	limits outbox.Limits
}

var _ outbox.Relay = (*Relay)(nil)

// NewRelay makes a relay with limits of its own.
func NewRelay(l outbox.Limits) *Relay { return &Relay{limits: l} }

// Watermark implements outbox.Relay.
func (r *Relay) Watermark(uid types.UID) entry.Watermark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.marks[uid]
}

// Limits implements outbox.Relay.
func (r *Relay) Limits() outbox.Limits {
	if r.limits == (outbox.Limits{}) {
		return outbox.DefaultLimits()
	}
	return r.limits
}

// Acknowledge makes all entries of a resource durable: the controller's next status write drops them.
func (r *Relay) Acknowledge(obj outbox.Object) {
	o := outboxapi.Get(obj)
	if o == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.marks == nil {
		r.marks = map[types.UID]entry.Watermark{}
	}
	r.marks[obj.GetUID()] = entry.Watermark{Sequence: o.LastSequence, Hash: o.HeadHash, Time: time.Now()}
}
