package relay

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

var (
	persisted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_relay_persisted_total", Help: "Entries that became rows, by the resource's kind.",
	}, []string{"kind"})
	latency = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "holdfast_relay_latency_seconds", Help: "Time from an entry's recordedTime to its commit in the store.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200},
	})
	batchRows = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "holdfast_relay_batch_rows", Help: "Entries in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
	})
	flushSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "holdfast_relay_flush_seconds", Help: "Time of one transaction, by outcome (ok, error).", Buckets: prometheus.ExponentialBuckets(.0005, 2, 16),
	}, []string{"outcome"})
	apiWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_relay_api_writes_total", Help: "Writes of the relay to the API server, by op (trim, release, restore).",
	}, []string{"op"})
	deadLetters = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_relay_dead_letters_total", Help: "Entries that went to the dead letters, by the resource's kind and the database's SQLSTATE (empty when no database refused it).",
	}, []string{"kind", "sqlstate"})
	conflicts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_relay_conflicts_total", Help: "Entries whose id or sequence another entry has in the store, as after a restore of etcd, by the resource's kind. They are dead letters too.",
	}, []string{"kind"})
	gaps = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_relay_gaps_total", Help: "Resources whose earlier entries the store has lost, as after a restore of the database, by kind. Counted when the relay sends the first entry after its start or an outage.",
	}, []string{"kind"})
	breakerOpen = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_relay_breaker_open", Help: "1 while the store accepts no entries.",
	})
	orphanedEntries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_relay_departed_entries_total", Help: "Undrained entries of resources that vanished, by outcome (persisted, unsupported, dropped).",
	}, []string{"outcome"})

	pendingDesc     = prometheus.NewDesc("holdfast_outbox_pending_entries", "Entries that are not durable yet, by the resource's kind.", []string{"kind"}, nil)
	oldestDesc      = prometheus.NewDesc("holdfast_outbox_oldest_pending_seconds", "Age of the oldest entry that is not durable yet, by the resource's kind; 0 when there is none.", []string{"kind"}, nil)
	terminatingDesc = prometheus.NewDesc("holdfast_finalizer_held", "Resources whose deletion waits for the outbox finalizer, by kind.", []string{"kind"}, nil)
)

func init() {
	metrics.Registry.MustRegister(persisted, latency, batchRows, flushSeconds, apiWrites, deadLetters, conflicts, gaps, breakerOpen, orphanedEntries, gauges)
	for _, op := range []string{"trim", "release", "restore"} {
		apiWrites.WithLabelValues(op)
	}
	for _, outcome := range []string{"persisted", "unsupported", "dropped"} {
		orphanedEntries.WithLabelValues(outcome)
	}
}

// beginSeries lets the counters of a kind begin with 0, so that increase() has a first value.
func beginSeries(kind string) {
	for _, counter := range []*prometheus.CounterVec{persisted, conflicts, gaps} {
		counter.WithLabelValues(kind)
	}
}

// gauges are counted from the trackers of the running relays when they are scraped.
var gauges = &collector{trackers: map[*tracker]struct{}{}}

type collector struct {
	mu       sync.Mutex
	trackers map[*tracker]struct{}
}

func collect(t *tracker) (unregister func()) {
	gauges.mu.Lock()
	defer gauges.mu.Unlock()
	gauges.trackers[t] = struct{}{}
	return func() {
		gauges.mu.Lock()
		defer gauges.mu.Unlock()
		delete(gauges.trackers, t)
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- pendingDesc
	ch <- oldestDesc
	ch <- terminatingDesc
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sums, now := map[string]*sum{}, time.Now()
	for t := range c.trackers {
		t.sum(sums)
		now = t.config.Clock.Now()
	}
	for kind, s := range sums {
		ch <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(s.pending), kind)
		ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, s.oldest(now).Seconds(), kind)
		ch <- prometheus.MustNewConstMetric(terminatingDesc, prometheus.GaugeValue, float64(s.terminating), kind)
	}
}

type sum struct {
	pending, terminating int
	// first are the texts of the resources' oldest entries. They are read outside of the tracker's lock, which controllers wait for.
	first []outboxapi.Entry
}

// oldest is the age of the oldest entry; one that cannot be read has none.
func (s *sum) oldest(now time.Time) (age time.Duration) {
	for _, text := range s.first {
		if recorded, ok := entry.RecordedTime(text); ok {
			age = max(age, now.Sub(recorded.Time))
		}
	}
	return age
}

func (t *tracker) sum(into map[string]*sum) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kind := range t.kinds {
		if into[kind] == nil {
			into[kind] = &sum{}
		}
	}
	for _, r := range t.resources {
		s := into[r.kind.kind]
		s.pending += r.pending.Len()
		if r.pending.Len() > 0 {
			s.first = append(s.first, r.pending.Text(0))
		}
		if r.terminating {
			s.terminating++
		}
	}
}
