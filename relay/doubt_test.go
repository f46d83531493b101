package relay

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// sequences of a flight's items.
func (f flight) sequences() []int64 {
	var all []int64
	for _, i := range f.items {
		all = append(all, i.Entry.Sequence)
	}
	return all
}

// The store that comes back has lost entry 1, which still stands in the resource. A flight that goes before the resource was offered again, whole, would carry 3 alone,
// and its watermark would cover 1.
func TestAfterAnOutageAWholeOutboxIsOfferedBeforeAnythingIsSent(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 1})
	obj := resource(t, 3, false, true, false)
	tr.offer(k, obj, tr.seen())
	tr.settle(tr.take(), stored(1))
	second := tr.take()
	g.Expect(second.sequences()).To(Equal([]int64{2}))
	tr.settleInDoubt(second, stored(1))
	g.Expect(tr.watermark("u")).To(Equal(outbox.Watermark{}))
	g.Expect(tr.take().items).To(BeEmpty(), "nothing of it is sent before it was looked at")
	tr.offer(k, obj, tr.seen())
	for _, want := range []int64{1, 2, 3} {
		f := tr.take()
		g.Expect(f.sequences()).To(Equal([]int64{want}))
		tr.settle(f, stored(1))
	}
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(3))
}

// A flight that carried all that stood in a resource proves itself: after a long outage that is every resource, and sending them twice would double the work.
func TestAfterAnOutageWhatFlewWholeIsNotSentAgain(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 2})
	obj := resource(t, 3, false, true, false)
	tr.offer(k, obj, tr.seen())
	tr.settle(tr.take(), stored(2))
	tr.doubt()
	tr.offer(k, obj, tr.seen()) // the outage is over once a flight arrives, and this comes before
	first := tr.take()
	g.Expect(first.sequences()).To(Equal([]int64{1, 2}))
	tr.settleInDoubt(first, stored(2))
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(2))
	second := tr.take()
	g.Expect(second.sequences()).To(Equal([]int64{3}))
	tr.settleInDoubt(second, stored(1)) // the next outage: entries 1 and 2 may be lost by now
	g.Expect(tr.watermark("u")).To(Equal(outbox.Watermark{}))
}

// What was known to be durable is no reason to trim or release while the store is away.
func TestAnOutageBeginsWithDoubt(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := resource(t, 2, true, true, true)
	tr.offer(k, obj, tr.seen())
	tr.settle(tr.take(), stored(2))
	later := begin.Add(time.Hour)
	g.Expect(decide(obj, tr.watermark("u"), tr.config, later).release).To(BeTrue())
	f := newFlusher(away{}, tr, tr.config, nil)
	f.report(t.Context(), errors.New("connection refused"))
	plan := decide(obj, tr.watermark("u"), tr.config, later)
	g.Expect([]bool{plan.trim, plan.release}).To(HaveEach(false))
	tr.offer(k, obj, tr.seen())
	g.Expect(tr.take().items).To(HaveLen(2), "they are sent once more")
}

func TestInDoubtNobodyStandsTwiceInLine(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 1})
	obj := resource(t, 3, false, true, false)
	tr.offer(k, obj, tr.seen())
	tr.settle(tr.take(), stored(1))
	tr.settleInDoubt(tr.take(), stored(1))
	tr.offer(k, obj, tr.seen())
	g.Expect(tr.dirty).To(HaveLen(1))
}

// Entries 1 and 2 are durable and still stand in the resource; the outage begins while 3 is under way. The probe carries 3 alone, and 2 is sent a moment later.
func TestWhatWasCutAtADoubtedWatermarkAsksForNothing(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	tr.offer(k, resource(t, 2, false, true, false), tr.seen())
	tr.settle(tr.take(), stored(2))
	tr.offer(k, resource(t, 3, false, true, false), tr.seen())
	f := newFlusher(away{}, tr, tr.config, nil)
	_, err := f.runOnce(t.Context())
	f.report(t.Context(), err)
	probe := tr.take()
	g.Expect(probe.sequences()).To(Equal([]int64{3}))
	g.Expect(probe.items[0].AskPrevious).To(BeFalse())
}

// What has departed is offered by nobody again: if the store that comes back has lost 2, this is the last that can tell.
func TestWhatDepartedAsksAfterAnOutage(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	tr.offer(k, resource(t, 2, false, true, false), tr.seen())
	tr.settle(tr.take(), stored(2))
	tr.depart(t.Context(), k, resource(t, 3, false, true, false))
	f := newFlusher(away{}, tr, tr.config, nil)
	_, err := f.runOnce(t.Context())
	f.report(t.Context(), err)
	probe := tr.take()
	g.Expect(probe.sequences()).To(Equal([]int64{3}))
	g.Expect(probe.items[0].AskPrevious).To(BeTrue())
}

func TestABreakerDoesNotStayOpenWithNothingToProbeWith(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := resource(t, 1, false, true, false)
	tr.offer(k, obj, tr.seen())
	f := newFlusher(away{}, tr, tr.config, nil)
	_, err := f.runOnce(t.Context())
	g.Expect(err).To(HaveOccurred())
	f.report(t.Context(), err)
	g.Expect(f.breaker.reason()).To(HaveOccurred())
	trimmed := obj.DeepCopy() // another relay has drained it
	trimmed.Status.Outbox.Entries = []outboxapi.Entry{}
	tr.offer(k, trimmed, tr.seen())
	g.Expect(f.runOnce(t.Context())).To(BeZero())
	g.Expect(f.breaker.reason()).To(Succeed())
}

func TestABatchThatComesTooLateIsHalvedUntilItArrives(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 8})
	tr.offer(k, resource(t, 16, false, true, false), tr.seen())
	for _, c := range []struct {
		rows int
		late bool
	}{{8, true}, {4, true}, {2, false}} {
		f := tr.take()
		g.Expect(f.items).To(HaveLen(c.rows))
		if c.late {
			tr.back(f, true)
		} else {
			tr.settle(f, stored(c.rows))
		}
	}
	f := tr.take()
	g.Expect(f.items).To(HaveLen(4), "it grows again")
	tr.back(f, errors.Is(errors.New("connection refused"), context.DeadlineExceeded))
	g.Expect(tr.take().items).To(HaveLen(4), "what fails at once is not too large")
}
