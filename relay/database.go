package relay

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// askEvery is how often an idle relay asks which database the store has, while resources have entries that it acknowledged: they are there to be sent again.
	askEvery = time.Second
	// trustAnswerFor is how long an answer counts for controllers, which drop entries without asking. A relay that was paused, or whose store hangs, acknowledges nothing to them.
	trustAnswerFor = 3 * askEvery
)

// errMoved says that another database has taken the place of the one that acknowledged the watermarks.
var errMoved = errors.New("the database was replaced or restarted: acknowledged entries may be lost")

// identity is which database acknowledged the watermarks.
type identity struct {
	database string    // the last that the store named; "" if it never did
	asked    time.Time // when the store was last asked for it, of the questions that were answered
}

// observe takes over which database answered a question of that moment. moved is true if it is another one than before. A store that does not say, such as an older release of the service,
// leaves the name as it is.
func (i *identity) observe(database string, asked time.Time) (moved bool) {
	if database != "" {
		moved = i.database != "" && database != i.database
		i.database = database
	}
	if asked.After(i.asked) {
		i.asked = asked
	}
	return moved
}

// outdated reports whether the database may have been replaced since it was last asked.
func (i *identity) outdated(now time.Time) bool {
	return i.database != "" && now.Sub(i.asked) > trustAnswerFor
}

// identify takes over which database answered. If it is another one than before, that is an outage: nothing counts that the one before acknowledged.
func (t *tracker) identify(database string, asked time.Time) (moved bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved = t.database.observe(database, asked)
	if moved {
		t.beginOutageLocked()
	}
	return moved
}

// askedSince reports whether the store said which database it has, in an answer to a question of that moment or later.
func (t *tracker) askedSince(moment time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.database.asked.IsZero() && !t.database.asked.Before(moment)
}

// persist sends a batch. moved is true when it is in another database than what was sent before.
func (f *flusher) persist(ctx context.Context, batch []Item) (outcomes []Outcome, moved bool, err error) {
	store, ok := f.store.(Identified)
	if !ok {
		outcomes, err = f.store.Persist(ctx, batch)
		return outcomes, false, err
	}
	begin := f.config.Clock.Now()
	outcomes, database, err := store.PersistIn(ctx, batch)
	if err != nil {
		return nil, false, err
	}
	return outcomes, f.tracker.identify(database, begin), nil
}

// ask returns nil if the database that acknowledged the watermarks is still the store's, in an answer that was asked for after the call. Those who wait for one another's
// answers share the next one. An error leaves nothing that rests on a watermark to be done.
func (f *flusher) ask(ctx context.Context) error {
	if _, ok := f.store.(Identified); !ok {
		return nil
	}
	called := f.config.Clock.Now()
	f.asking.Lock()
	defer f.asking.Unlock()
	switch {
	case f.tracker.askedSince(called):
		return nil
	case f.refused != nil && !f.refusedAt.Before(called):
		return f.refused
	}
	f.refusedAt = f.config.Clock.Now()
	bounded, cancel := context.WithTimeout(ctx, f.config.FlushTimeout)
	defer cancel()
	_, moved, err := f.persist(bounded, nil)
	if moved {
		f.breaker.trip(errMoved) // what is in flight or queued was cut at watermarks that no longer count
		f.announceMoved(ctx)
		err = errMoved
	}
	f.refused = err
	return err
}

// confirm is ask for a reconciler, before it trims or releases.
func (f *flusher) confirm(ctx context.Context) error {
	err := f.ask(ctx)
	if isOutage(ctx, err) {
		f.report(ctx, err)
	}
	return err
}

// isOutage reports whether an error of ask is an outage. One that was late is not: the store may be slow, and there is nothing to undo.
func isOutage(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, errMoved) && !errors.Is(err, context.DeadlineExceeded)
}

// checkIdle asks the store when the relay is idle: while somebody could act on what it knows, and while the store is away, so that its health is true.
func (f *flusher) checkIdle(ctx context.Context) {
	if _, ok := f.store.(Identified); !ok || f.breaker.reason() == nil && !f.tracker.anyCovered() {
		return
	}
	err := f.ask(ctx)
	if isOutage(ctx, err) {
		f.wait(ctx, f.report(ctx, err))
		return
	}
	if resources, _ := f.tracker.left(); err == nil && resources == 0 && f.breaker.reset() {
		f.tracker.endOutage()
		f.announce(ctx, corev1.EventTypeNormal, "StoreReachable", "The audit store accepts entries again.")
	}
}

// announceMoved tells people. A restart looks the same, and costs nothing but sending again.
func (f *flusher) announceMoved(ctx context.Context) {
	const note = "The audit database was replaced or restarted. Entries that are still in resources are sent again; trimmed entries may be lost. After a failover, run `holdfast verify`."
	logf.FromContext(ctx).Info(note)
	if f.config.EventTarget != nil {
		f.recorder.Eventf(f.config.EventTarget, nil, corev1.EventTypeWarning, "StoreReplaced", "Relay", "%s", note)
	}
}
