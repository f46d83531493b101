package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// flusher commits in groups. It is one loop: while a transaction runs, what arrives gathers for the next.
type flusher struct {
	store    Store
	tracker  *tracker
	config   Config
	breaker  *breaker
	recorder events.EventRecorder
	// asking is locked by whoever asks the store which database it has.
	asking sync.Mutex
	// refused is how the last question failed, which was asked at refusedAt.
	refused   error
	refusedAt time.Time
	// letters bounds the Events about dead letters.
	letters *rate.Limiter
}

func newFlusher(s Store, t *tracker, c Config) *flusher {
	return &flusher{store: s, tracker: t, config: c, breaker: newBreaker(c.MaxBackoff), recorder: c.Recorder, letters: rate.NewLimiter(1, letterBurst)}
}

// Start runs until ctx ends, and then goes on until everything pending is flushed, the store fails, or DrainTimeout is over.
func (f *flusher) Start(ctx context.Context) error {
	ctx = logf.IntoContext(ctx, logf.FromContext(ctx).WithName("relay"))
	unregister := collect(f.tracker)
	defer unregister()
	for ctx.Err() == nil {
		idle := f.config.Clock.NewTimer(askEvery)
		select {
		case <-ctx.Done():
		case <-f.tracker.wake:
			f.flushAll(ctx)
		case <-idle.C():
			f.checkIdle(ctx)
		}
		idle.Stop()
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.config.DrainTimeout)
	defer cancel()
	for f.breaker.reason() == nil && drain.Err() == nil {
		if n, err := f.runOnce(drain); n == 0 || err != nil {
			break
		}
	}
	resources, orphaned := f.tracker.left()
	if resources > 0 {
		logf.FromContext(ctx).Info("Stopping with entries that are not durable yet; they stay in their resources", "resources", resources)
	}
	if orphaned > 0 {
		orphanedEntries.WithLabelValues("dropped").Add(float64(orphaned))
		logf.FromContext(ctx).Error(nil, "Stopping with entries of resources that vanished: these are lost, unless they were durable before the store went away. `holdfast verify` will report the records", "entries", orphaned)
	}
	return nil
}

// maxRetryAfter bounds how long a store may ask the relay to wait.
const maxRetryAfter = time.Minute

// flushAll goes on until nothing is queued. While the store fails it waits between probes.
func (f *flusher) flushAll(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := f.runOnce(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			f.wait(ctx, f.report(ctx, err))
		case n == 0:
			return
		}
	}
}

func (f *flusher) wait(ctx context.Context, delay time.Duration) {
	timer := f.config.Clock.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}

// runOnce flushes one batch. After an error all of it is sent again later: the commit may have happened, and Persist is idempotent.
func (f *flusher) runOnce(ctx context.Context) (rows int, _ error) {
	batch := f.tracker.dequeue() //nolint:contextcheck // no I/O: half a batch is none
	if len(batch.items) == 0 {
		if _, ok := f.store.(Identified); !ok && f.breaker.reset() { // another relay sent what we could not, or it is gone: there is nothing to probe with
			f.tracker.endOutage()
			logf.FromContext(ctx).Info("No entries pending; store health is unknown until the next write")
		}
		return 0, nil
	}
	start := f.config.Clock.Now()
	persist, cancel := context.WithTimeout(ctx, f.config.FlushTimeout)
	defer cancel()
	outcomes, moved, err := f.persist(persist, batch.items)
	if err == nil {
		err = Complete(outcomes, len(batch.items))
	}
	took := f.config.Clock.Since(start)
	if err != nil {
		flushSeconds.WithLabelValues("error").Observe(took.Seconds())
		// A store has limits of its own, which end before ours: a statement_timeout, the time that a service gives its transaction.
		f.tracker.requeue(batch, errors.Is(err, context.DeadlineExceeded) || took > f.config.FlushTimeout/2)
		return len(batch.items), err
	}
	flushSeconds.WithLabelValues("ok").Observe(took.Seconds())
	batchRows.Observe(float64(len(batch.items)))
	if moved {
		f.announceMoved(ctx)
	}
	if f.breaker.reset() {
		f.announce(ctx, corev1.EventTypeNormal, "StoreReachable", "The audit store takes entries again; draining everything that is pending.")
	}
	unsupported := f.tracker.commit(batch, outcomes)
	f.observe(ctx, batch.items, outcomes, unsupported)
	return len(batch.items), nil
}

// report opens the breaker, and says so once for each kind of failure, not at every probe.
func (f *flusher) report(ctx context.Context, err error) time.Duration {
	last := f.breaker.reason()
	delay, first := f.breaker.trip(err)
	if asked := Retry(nil); errors.As(err, &asked) {
		delay = max(delay, min(asked.RetryAfter(), maxRetryAfter))
	}
	schema := errors.Is(err, ErrSchema)
	if first {
		f.tracker.beginOutage()
	}
	if !first && schema == errors.Is(last, ErrSchema) {
		return delay
	}
	log := logf.FromContext(ctx)
	if schema {
		log.Error(err, "The audit store refuses everything; entries stay in their resources until it is fixed")
	} else {
		log.Error(err, "The audit store takes no entries; they stay in their resources until it does", "retryIn", delay.String())
	}
	if first {
		f.announce(ctx, corev1.EventTypeWarning, "StoreUnavailable", "The audit store takes no entries; they stay in their resources: "+err.Error())
	}
	return delay
}

func (f *flusher) announce(ctx context.Context, eventType, reason, note string) {
	if eventType == corev1.EventTypeNormal {
		logf.FromContext(ctx).Info(note)
	}
	if f.config.EventTarget != nil {
		f.recorder.Eventf(f.config.EventTarget, nil, eventType, reason, "Relay", "%s", outbox.Bound(note, 1000))
	}
}

func (f *flusher) observe(ctx context.Context, items []Item, outcomes []Outcome, unsupported []entry.Source) {
	log, now := logf.FromContext(ctx), f.config.Clock.Now()
	var conflict, gap *Item
	for i, o := range outcomes {
		item := &items[i]
		if o.PreviousMissing {
			gap = item
			gaps.WithLabelValues(item.ResourceKind).Inc()
			log.Error(nil, "The store has lost entries before this one, as after a restore of the database to an older state. Run `holdfast verify`", "kind", item.ResourceKind,
				"resource", item.Source.String(), "sequence", item.Sequence)
		}
		if o.Result == Conflicting {
			conflict = item
			conflicts.WithLabelValues(item.ResourceKind).Inc()
		}
		switch o.Result {
		case Stored:
			persisted.WithLabelValues(item.ResourceKind).Inc()
			latency.Observe(max(0, now.Sub(item.Entry.RecordedTime.Time).Seconds()))
		case DeadLettered, Conflicting:
			deadLetters.WithLabelValues(item.ResourceKind, o.SQLState).Inc()
			f.alarm(log, item, o)
			f.announceLetter(item, o)
		case Present, Unsupported:
		}
	}
	if conflict != nil {
		f.announce(ctx, corev1.EventTypeWarning, "HistoryForked", fmt.Sprintf("The audit store has other entries than %s %s appends: was etcd restored? Nothing was overwritten; see `holdfast verify`.", conflict.ResourceKind, conflict.Source))
	}
	if gap != nil {
		f.announce(ctx, corev1.EventTypeWarning, "EntriesMissing", fmt.Sprintf("The audit store has lost entries of %s %s: was the database restored? See `holdfast verify`.", gap.ResourceKind, gap.Source))
	}
	for _, s := range unsupported {
		log.Info("An entry's schema version is unknown to this release; it stays pending, and those behind it. Run a newer release", "resource", s.String())
	}
}

func (f *flusher) alarm(log logr.Logger, item *Item, o Outcome) {
	message := "An entry could not become a row; see `holdfast dead-letter list`"
	if o.Result == Conflicting {
		message = "Another entry has this id or sequence in the store, as after a restored etcd; nothing was overwritten. See `holdfast dead-letter list`"
	}
	log.Error(errors.New(strings.ToValidUTF8(o.Error, "\uFFFD")), message, "kind", item.ResourceKind, "resource", item.Source.String(),
		"sequence", item.Sequence, "event", item.Entry.Event, "sqlstate", o.SQLState)
}
