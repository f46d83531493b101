package relay

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/outbox"
)

const (
	// askEvery is how often an idle relay asks which database the store has, while resources hold entries that it acknowledged: they are there to be sent again.
	askEvery = time.Second
	// believeFor is how long an answer counts for controllers, which drop entries without asking. A relay that was paused, or whose store hangs, acknowledges nothing to them.
	believeFor = 3 * askEvery
)

// errMoved says that another database has taken the place of the one that acknowledged the watermarks.
var errMoved = errors.New("the store's database is another one than before, or was restarted: what it acknowledged may be lost")

// believe takes over which database answered what was asked at a moment. If it is another one than before, nothing counts that the one before acknowledged.
func (t *tracker) believe(database string, asked time.Time) (moved bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved = database != "" && t.database != "" && database != t.database
	if moved {
		for _, r := range t.byUID {
			t.forget(r)
		}
	}
	t.database = database
	if asked.After(t.asked) {
		t.asked = asked
	}
	return moved
}

// askedSince reports whether the store said which database it has, in an answer to something that was asked at that moment or later.
func (t *tracker) askedSince(moment time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.asked.IsZero() && !t.asked.Before(moment)
}

// outdated reports whether the database may have been replaced since it was last asked.
func (t *tracker) outdated() bool {
	return t.database != "" && t.config.Clock.Since(t.asked) > believeFor
}

// acknowledged is the watermark for those who drop entries without asking.
func (t *tracker) acknowledged(uid types.UID) outbox.Watermark {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.byUID[uid]; r != nil && !t.outdated() {
		return r.watermark
	}
	return outbox.Watermark{}
}

// lingers reports whether some resource holds entries that the store has acknowledged.
func (t *tracker) lingers() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.byUID {
		if r.covered > 0 {
			return true
		}
	}
	return false
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
	return outcomes, f.tracker.believe(database, begin), nil
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
		f.breaker.trip(errMoved) // what is under way now, or in line, was cut at watermarks that no longer count
		f.tellMoved(ctx)
		err = errMoved
	}
	f.refused = err
	return err
}

// confirm is ask for a reconciler, before it trims or releases.
func (f *flusher) confirm(ctx context.Context) error {
	err := f.ask(ctx)
	if outage(ctx, err) {
		f.report(ctx, err)
	}
	return err
}

// outage reports whether an error of ask is an outage. One that was late is not: the store may be slow, and there is nothing to undo.
func outage(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !errors.Is(err, errMoved) && !errors.Is(err, context.DeadlineExceeded)
}

// lookAfter is what an idle relay does: it asks while somebody could act on what it knows, and while the store is away, so that its health is true.
func (f *flusher) lookAfter(ctx context.Context) {
	if _, ok := f.store.(Identified); !ok || f.breaker.reason() == nil && !f.tracker.lingers() {
		return
	}
	err := f.ask(ctx)
	if outage(ctx, err) {
		f.wait(ctx, f.report(ctx, err))
		return
	}
	if resources, _ := f.tracker.left(); err == nil && resources == 0 && f.breaker.reset() {
		f.announce(ctx, corev1.EventTypeNormal, "StoreReachable", "The audit store takes entries again.")
	}
}

// tellMoved is for people: a restart looks the same, and costs nothing but sending again.
func (f *flusher) tellMoved(ctx context.Context) {
	const note = "The audit store's database is another one than before, or was restarted. What still is in resources is sent again; what they no longer hold may be lost. If it failed over, run `holdfast verify`."
	logf.FromContext(ctx).Info(note)
	if f.config.EventTarget != nil {
		f.recorder.Eventf(f.config.EventTarget, nil, corev1.EventTypeWarning, "StoreReplaced", "Relay", "%s", note)
	}
}
