package relay

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// sequences of a batch's items.
func (b batch) sequences() []int64 {
	var all []int64
	for _, i := range b.items {
		all = append(all, i.Sequence)
	}
	return all
}

// The store that comes back has lost entry 1, which is still in the resource. A batch before the resource is observed again, whole, would carry 3 alone,
// and its watermark would cover 1.
func TestAfterAnOutageAWholeOutboxIsObservedBeforeAnythingIsSent(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 1})
	obj := withEntries(t, 3)
	tr.observe(k, obj, tr.generation())
	tr.commit(tr.dequeue(), stored(1))
	second := tr.dequeue()
	g.Expect(second.sequences()).To(Equal([]int64{2}))
	tr.beginOutage()
	tr.commit(second, stored(1))
	g.Expect(tr.watermark("u")).To(Equal(entry.Watermark{}))
	g.Expect(tr.dequeue().items).To(BeEmpty(), "nothing of it is sent before it was looked at")
	tr.observe(k, obj, tr.generation())
	for _, want := range []int64{1, 2, 3} {
		b := tr.dequeue()
		g.Expect(b.sequences()).To(Equal([]int64{want}))
		tr.commit(b, stored(1))
	}
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(3))
}

// A batch that carried all entries of a resource proves itself: after a long outage that is every resource, and sending them twice would double the work.
func TestAfterAnOutageWhatABatchCarriedWholeIsNotSentAgain(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 2})
	obj := withEntries(t, 3)
	tr.observe(k, obj, tr.generation())
	tr.commit(tr.dequeue(), stored(2))
	tr.beginOutage()
	tr.observe(k, obj, tr.generation()) // the outage ends with the next batch, and this comes before
	first := tr.dequeue()
	g.Expect(first.sequences()).To(Equal([]int64{1, 2}))
	tr.commit(first, stored(2))
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(2))
	second := tr.dequeue()
	g.Expect(second.sequences()).To(Equal([]int64{3}))
	tr.beginOutage() // entries 1 and 2 may be lost by now
	tr.commit(second, stored(1))
	g.Expect(tr.watermark("u")).To(Equal(entry.Watermark{}))
}

// What was known to be durable is no reason to trim or release while the store is away.
func TestAnOutageInvalidatesWatermarks(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 2, isClosed, isTerminating)
	tr.observe(k, obj, tr.generation())
	tr.commit(tr.dequeue(), stored(2))
	later := begin.Add(time.Hour)
	g.Expect(decide(obj, tr.watermark("u"), tr.config, later).release).To(BeTrue())
	f := newFlusher(away{}, tr, tr.config)
	f.report(t.Context(), errors.New("connection refused"))
	plan := decide(obj, tr.watermark("u"), tr.config, later)
	g.Expect([]bool{plan.trim, plan.release}).To(HaveEach(false))
	tr.observe(k, obj, tr.generation())
	g.Expect(tr.dequeue().items).To(HaveLen(2), "they are sent once more")
}

func TestAfterAnOutageNobodyIsQueuedTwice(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 1})
	obj := withEntries(t, 3)
	tr.observe(k, obj, tr.generation())
	tr.commit(tr.dequeue(), stored(1))
	second := tr.dequeue()
	tr.beginOutage()
	tr.commit(second, stored(1))
	tr.observe(k, obj, tr.generation())
	g.Expect(tr.queue.size).To(Equal(1))
}

// probeAfterOutage is the first batch after an outage that began while entry 3 was in flight, with 1 and 2 durable.
func probeAfterOutage(t *testing.T, third func(*tracker, *kindReconciler)) batch {
	t.Helper()
	tr, k := tracking(Config{})
	tr.observe(k, withEntries(t, 2), tr.generation())
	tr.commit(tr.dequeue(), stored(2))
	third(tr, k)
	f := newFlusher(away{}, tr, tr.config)
	_, err := f.runOnce(t.Context())
	f.report(t.Context(), err)
	probe := tr.dequeue()
	NewWithT(t).Expect(probe.sequences()).To(Equal([]int64{3}))
	return probe
}

// Entries 1 and 2 are still in the resource. The probe carries 3 alone, and 2 is sent a moment later.
func TestEntriesCutAtAnInvalidWatermarkAskForNothing(t *testing.T) {
	probe := probeAfterOutage(t, func(tr *tracker, k *kindReconciler) { tr.observe(k, withEntries(t, 3), tr.generation()) })
	NewWithT(t).Expect(probe.items[0].AskPrevious).To(BeFalse())
}

// Nobody observes an orphan again: if the store that comes back has lost 2, this is the last that can report it.
func TestAnOrphanAsksAfterAnOutage(t *testing.T) {
	probe := probeAfterOutage(t, func(tr *tracker, k *kindReconciler) { tr.orphan(t.Context(), k, withEntries(t, 3)) })
	NewWithT(t).Expect(probe.items[0].AskPrevious).To(BeTrue())
}

func TestABreakerDoesNotStayOpenWithNothingToProbeWith(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 1)
	tr.observe(k, obj, tr.generation())
	f := newFlusher(away{}, tr, tr.config)
	_, err := f.runOnce(t.Context())
	g.Expect(err).To(HaveOccurred())
	f.report(t.Context(), err)
	g.Expect(f.breaker.reason()).To(HaveOccurred())
	trimmed := obj.DeepCopy() // another relay has drained it
	trimmed.Status.Outbox.Entries = []outboxapi.Entry{}
	tr.observe(k, trimmed, tr.generation())
	g.Expect(f.runOnce(t.Context())).To(BeZero())
	g.Expect(f.breaker.reason()).To(Succeed())
}

func TestABatchThatComesTooLateIsHalvedUntilItArrives(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 8})
	tr.observe(k, withEntries(t, 16), tr.generation())
	for _, c := range []struct {
		rows int
		late bool
	}{{8, true}, {4, true}, {2, false}} {
		b := tr.dequeue()
		g.Expect(b.items).To(HaveLen(c.rows))
		if c.late {
			tr.requeue(b, true)
		} else {
			tr.commit(b, stored(c.rows))
		}
	}
	b := tr.dequeue()
	g.Expect(b.items).To(HaveLen(4), "it grows again")
	tr.requeue(b, errors.Is(errors.New("connection refused"), context.DeadlineExceeded))
	g.Expect(tr.dequeue().items).To(HaveLen(4), "what fails at once is not too large")
}

// A batch is acknowledged, and before that is taken note of, the store fails. What comes back may be older than the batch, so it neither counts nor ends the outage.
func TestABatchFromBeforeAnOutageDoesNotEndIt(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 2)
	tr.observe(k, obj, tr.generation())
	before := tr.dequeue()
	tr.beginOutage()
	tr.commit(before, stored(2))
	g.Expect(tr.watermark("u")).To(Equal(entry.Watermark{}))
	g.Expect(tr.phase).To(Equal(outage))
	again := tr.dequeue()
	g.Expect(again.sequences()).To(Equal([]int64{1, 2}), "it is sent once more")
	tr.commit(again, stored(2))
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(2))
	g.Expect(tr.phase).To(Equal(steady))
}

// The relay was idle and asked, and a moment before the answer somebody queued an entry that was cut at a watermark from before the outage. Its batch must prove what it carries.
func TestAnOutageDoesNotEndWhileSomethingIsQueued(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	tr.observe(k, withEntries(t, 2), tr.generation())
	tr.commit(tr.dequeue(), stored(2))
	tr.observe(k, withEntries(t, 3), tr.generation())
	tr.beginOutage()
	tr.endOutage()
	probe := tr.dequeue()
	g.Expect(probe.sequences()).To(Equal([]int64{3}))
	tr.commit(probe, stored(1))
	g.Expect(tr.watermark("u")).To(Equal(entry.Watermark{}), "1 and 2 may be lost, and a watermark at 3 would have them trimmed")
}
