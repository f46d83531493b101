package relay

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// replaceable is a store that stores everything, in a database that can be replaced.
type replaceable struct {
	database string
	err      error
	asked    int
}

func (r *replaceable) Persist(context.Context, []Item) ([]Outcome, error) {
	panic("PersistIn says more")
}

func (r *replaceable) PersistIn(_ context.Context, batch []Item) ([]Outcome, string, error) {
	if len(batch) == 0 {
		r.asked++
	}
	return stored(len(batch)), r.database, r.err
}

// drained has a resource whose entries are durable, and still in it.
func drained(t *testing.T, s *replaceable, options ...notificationOption) (*tracker, *kindReconciler, *flusher, *notification, *clocktesting.FakeClock) {
	t.Helper()
	c := clocktesting.NewFakeClock(begin)
	tr, k := tracking(Config{Clock: c})
	f := newFlusher(s, tr, tr.config)
	obj := withEntries(t, 2, options...)
	tr.observe(k, obj, tr.generation())
	_, err := f.runOnce(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(2))
	return tr, k, f, obj, c
}

func TestAnotherDatabaseTakesAllWatermarksAway(t *testing.T) {
	g := NewWithT(t)
	s := &replaceable{database: "one"}
	tr, k, f, obj, c := drained(t, s, isClosed, isTerminating)
	c.Step(time.Millisecond)
	g.Expect(f.confirm(t.Context())).To(Succeed())
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(2))
	s.database = "two"
	c.Step(time.Millisecond)
	g.Expect(f.confirm(t.Context())).To(MatchError(errMoved))
	g.Expect(tr.watermark("u")).To(Equal(entry.Watermark{}))
	g.Expect(f.breaker.reason()).To(MatchError(errMoved))
	tr.observe(k, obj, tr.generation())
	g.Expect(f.runOnce(t.Context())).To(Equal(2), "they are sent again")
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(2))
	g.Expect(f.breaker.reason()).To(Succeed())
}

// A batch in which nothing failed may be the first in another database. What it did not carry whole is not known to be there.
func TestABatchInAnotherDatabaseProvesOnlyWhatItCarriedWhole(t *testing.T) {
	g := NewWithT(t)
	s := &replaceable{database: "one"}
	tr, k, f, _, _ := drained(t, s)
	s.database = "two"
	tr.observe(k, withEntries(t, 3), tr.generation()) // 1 and 2 are covered
	g.Expect(f.runOnce(t.Context())).To(Equal(1))
	g.Expect(tr.watermark("u")).To(Equal(entry.Watermark{}))
	tr.observe(k, withEntries(t, 3), tr.generation())
	g.Expect(tr.dequeue().sequences()).To(ConsistOf(int64(1), int64(2), int64(3)))
}

// Controllers drop entries without asking. What was confirmed too long ago, by a relay that was paused, say, is nothing to them.
func TestAWatermarkCountsForControllersOnlyWhileItIsConfirmed(t *testing.T) {
	g := NewWithT(t)
	s := &replaceable{database: "one"}
	tr, k, f, obj, c := drained(t, s, isClosed, isTerminating)
	g.Expect(tr.confirmedWatermark("u").Sequence).To(BeEquivalentTo(2))
	c.Step(trustAnswerFor + time.Millisecond)
	g.Expect(tr.confirmedWatermark("u")).To(Equal(entry.Watermark{}))
	f.checkIdle(t.Context())
	g.Expect(tr.confirmedWatermark("u").Sequence).To(BeEquivalentTo(2))
	g.Expect(s.asked).To(Equal(1))

	trimmed := obj.DeepCopy()
	trimmed.Status.Outbox.Entries = []outboxapi.Entry{}
	tr.observe(k, trimmed, tr.generation())
	f.checkIdle(t.Context())
	g.Expect(s.asked).To(Equal(1), "nothing is left that somebody could drop")
}

// Whoever vanishes is not offered again: this is the last that can be sent of it.
func TestWhatVanishesUnconfirmedIsSentOnceMore(t *testing.T) {
	g := NewWithT(t)
	tr, k, _, obj, c := drained(t, &replaceable{database: "one"}, isClosed, isTerminating)
	c.Step(trustAnswerFor + time.Millisecond)
	tr.orphan(t.Context(), k, obj)
	g.Expect(tr.dequeue().sequences()).To(ConsistOf(int64(1), int64(2)))
}

func TestNothingIsTrimmedWhileTheStoreDoesNotConfirmIt(t *testing.T) {
	g := NewWithT(t)
	s := &replaceable{database: "one"}
	tr, k, f, _, c := drained(t, s, isClosed, isTerminating)
	k.confirm = f.confirm
	w := tr.watermark("u")
	c.Step(time.Millisecond)
	g.Expect(k.stillDurable(t.Context(), "u", w)).To(BeTrue())
	s.err = context.DeadlineExceeded
	c.Step(time.Millisecond)
	g.Expect(k.stillDurable(t.Context(), "u", w)).To(BeFalse())
	g.Expect(f.breaker.reason()).To(Succeed(), "a store that is late may be slow")
	s.err = errors.New("connection refused")
	c.Step(time.Millisecond)
	g.Expect(k.stillDurable(t.Context(), "u", w)).To(BeFalse())
	g.Expect(f.breaker.reason()).To(HaveOccurred())
	s.err = nil
	c.Step(time.Millisecond)
	f.checkIdle(t.Context())
	g.Expect(f.breaker.reason()).To(Succeed(), "health is true without anything to write")
}

// A service of an older release does not say which database it has. Between two answers that name different ones, that hides nothing.
func TestAnAnswerWithoutANameHidesNoFailover(t *testing.T) {
	g := NewWithT(t)
	var i identity
	g.Expect(i.observe("a", begin)).To(BeFalse())
	g.Expect(i.observe("", begin.Add(time.Second))).To(BeFalse())
	g.Expect(i.observe("b", begin.Add(2*time.Second))).To(BeTrue())
}
