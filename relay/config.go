package relay

import (
	"cmp"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/holdfast-dev/holdfast/outbox"
)

// Config of a relay. The zero value of each field is its default.
type Config struct {
	// Limits of the outboxes, the Writer's too. Default outbox.DefaultLimits.
	Limits outbox.Limits
	// IdleTrimDelay is the time from the newest entry's commit to the trim of an outbox that is drained and open. Default 10 s.
	IdleTrimDelay time.Duration
	// BatchRows and BatchBytes bound one transaction. Defaults 1,000 and 8 MiB.
	BatchRows  int
	BatchBytes int
	// FlushTimeout bounds one transaction, its retries within the store included. Default 15 s.
	FlushTimeout time.Duration
	// DrainTimeout bounds how long a stopping relay continues to flush. Default 8 s.
	DrainTimeout time.Duration
	// MaxBackoff is the longest wait between two probes while the store is away, unless the store asks for a longer one (Retry). Default 15 s.
	MaxBackoff time.Duration
	// MaxOrphaned and MaxOrphanedBytes bound the undrained entries of vanished resources in memory. One namespace may have a quarter of each. Defaults 100,000 and 64 MiB.
	MaxOrphaned      int
	MaxOrphanedBytes int
	// Workers is the number of concurrent reconciles of a kind. Default 4.
	Workers int
	// Namespaces are watched by a relay from New; none means all, for which the operator needs a ClusterRole. A relay from Add watches the namespaces of its manager.
	Namespaces []string
	// Recorder emits the Events of this relay, for example a manager's GetEventRecorder("holdfast-relay"); nil means no Events.
	Recorder events.EventRecorder
	// EventTarget is the object of Events about the store, for example the manager's own Pod; nil means no such Events.
	EventTarget runtime.Object
	// Clock is the system's by default.
	Clock clock.Clock
}

func (c *Config) setDefaults() {
	if c.Limits == (outbox.Limits{}) {
		c.Limits = outbox.DefaultLimits()
	}
	c.IdleTrimDelay = cmp.Or(c.IdleTrimDelay, 10*time.Second)
	c.FlushTimeout = cmp.Or(c.FlushTimeout, 15*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 8*time.Second)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 15*time.Second)
	c.BatchRows = cmp.Or(c.BatchRows, 1000)
	c.BatchBytes = cmp.Or(c.BatchBytes, 8<<20)
	c.MaxOrphaned = cmp.Or(c.MaxOrphaned, 100_000)
	c.MaxOrphanedBytes = cmp.Or(c.MaxOrphanedBytes, 64<<20)
	c.Workers = cmp.Or(c.Workers, 4)
	if c.Recorder == nil {
		c.Recorder = noEvents{}
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
}

func (c *Config) validate() error {
	if err := c.Limits.Validate(); err != nil {
		return fmt.Errorf("relay limits: %w", err)
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"IdleTrimDelay", c.IdleTrimDelay}, {"FlushTimeout", c.FlushTimeout}, {"DrainTimeout", c.DrainTimeout}, {"MaxBackoff", c.MaxBackoff}} {
		if d.is < 0 {
			return fmt.Errorf("relay %s is %s, expected a positive duration", d.name, d.is)
		}
	}
	for _, n := range []struct {
		name string
		is   int
	}{{"BatchRows", c.BatchRows}, {"BatchBytes", c.BatchBytes}, {"MaxOrphaned", c.MaxOrphaned}, {"MaxOrphanedBytes", c.MaxOrphanedBytes}, {"Workers", c.Workers}} {
		if n.is < 1 {
			return fmt.Errorf("relay %s is %d, expected at least 1", n.name, n.is)
		}
	}
	return nil
}

// noEvents is the recorder of a relay that has none.
type noEvents struct{}

func (noEvents) Eventf(_, _ runtime.Object, _, _, _, _ string, _ ...any) {}
