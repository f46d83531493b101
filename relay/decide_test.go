package relay

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/outbox"
)

var begin = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)

func resource(t *testing.T, n int, closed, finalizer, deleting bool) *v1alpha1.NotificationRequest {
	obj := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "n", UID: "u", CreationTimestamp: metav1.NewTime(begin)}}
	if finalizer {
		obj.Finalizers = []string{outbox.Finalizer}
	}
	if deleting {
		obj.DeletionTimestamp = &metav1.Time{Time: begin}
	}
	for i := range n {
		next, _, err := outbox.Append(obj.Status.Outbox, outbox.SourceOf(obj), outbox.Change{
			Kind: outbox.KindNotification, Event: "E", Record: map[string]int{"i": i}, Final: closed && i == n-1}, begin, outbox.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		obj.Status.Outbox = next
	}
	return obj
}

// ahead is a resource whose newest entry was recorded by a clock that is a day ahead.
func ahead(obj *v1alpha1.NotificationRequest) *v1alpha1.NotificationRequest {
	entries := obj.Status.Outbox.Entries
	entries[len(entries)-1].RecordedTime = outboxapi.NewTime(begin.Add(24 * time.Hour))
	return obj
}

func upTo(obj outbox.Object, sequence int64) outbox.Watermark {
	if sequence == 0 {
		return outbox.Watermark{}
	}
	return outbox.Watermark{Sequence: sequence, Hash: obj.GetOutbox().Entries[sequence-1].Hash, Time: begin}
}

func TestDecide(t *testing.T) {
	config := Config{}
	config.setDefaults()
	soft := config
	soft.Limits.SoftBytes = 1
	for name, c := range map[string]struct {
		obj     *v1alpha1.NotificationRequest
		durable int64
		config  Config
		after   time.Duration // of now since the entries
		want    plan
	}{
		"nothing durable":                        {resource(t, 2, false, true, false), 0, config, time.Hour, plan{}},
		"part of it durable":                     {resource(t, 2, false, true, false), 1, config, time.Hour, plan{}},
		"part of it durable, above soft":         {resource(t, 2, false, true, false), 1, soft, 0, plan{trim: true}},
		"drained, not yet quiet":                 {resource(t, 2, false, true, false), 2, config, 4 * time.Second, plan{after: 6 * time.Second}},
		"drained, our clock set back since":      {resource(t, 2, false, true, false), 2, config, -time.Hour, plan{after: 10 * time.Second}},
		"drained, its clock ahead of ours":       {ahead(resource(t, 2, false, true, false)), 2, config, 10 * time.Second, plan{trim: true}},
		"drained and quiet":                      {resource(t, 2, false, true, false), 2, config, 10 * time.Second, plan{trim: true}},
		"drained, being deleted, but still open": {resource(t, 2, false, true, true), 2, config, 0, plan{after: 10 * time.Second}},
		"closed, not durable":                    {resource(t, 2, true, true, true), 1, config, time.Hour, plan{}},
		"closed and drained":                     {resource(t, 2, true, true, false), 2, config, 0, plan{release: true, after: time.Second}},
		"closed and drained, a while ago":        {resource(t, 2, true, true, false), 2, config, time.Second, plan{trim: true, release: true}},
		"closed, drained, being deleted":         {resource(t, 2, true, true, true), 2, config, 0, plan{release: true}},
		"closed, drained, released":              {resource(t, 2, true, false, false), 2, config, 400 * time.Millisecond, plan{after: 600 * time.Millisecond}},
		"closed, drained, released a while ago":  {resource(t, 2, true, false, false), 2, config, time.Second, plan{trim: true}},
		"open, without the finalizer":            {resource(t, 2, false, false, false), 2, config, time.Hour, plan{restore: true}},
		"closed, not durable, without it":        {resource(t, 2, true, false, false), 1, config, 0, plan{restore: true}},
		"open, without it, being deleted":        {resource(t, 2, false, false, true), 0, config, 0, plan{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := upTo(c.obj, c.durable)
			c.want.watermark = w
			g.Expect(decide(c.obj, w, c.config, begin.Add(c.after))).To(Equal(c.want))
		})
	}
	t.Run("another history's watermark releases nothing", func(t *testing.T) {
		g := NewWithT(t)
		w := outbox.Watermark{Sequence: 2, Hash: "other"}
		g.Expect(decide(resource(t, 2, true, true, true), w, config, begin)).To(Equal(plan{watermark: w}))
	})
	t.Run("closed, trimmed before a crash", func(t *testing.T) {
		g := NewWithT(t)
		obj := resource(t, 2, true, true, false)
		obj.Status.Outbox.Entries = []outboxapi.Entry{}
		g.Expect(decide(obj, outbox.Watermark{}, config, begin)).To(Equal(plan{release: true}))
	})
}

func tracking(c Config) (*tracker, *kindReconciler) {
	c.setDefaults()
	t := newTracker(c)
	t.addKind("NotificationRequest")
	return t, &kindReconciler{tracker: t, config: t.config, kind: "NotificationRequest"}
}

func stored(n int) []Outcome { return slices.Repeat([]Outcome{{Result: Stored}}, n) }

func TestAResourceMadeAgainComesAsOneUpdateAndTheOldOneIsDrained(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	before, after := resource(t, 2, false, true, false), resource(t, 1, false, true, false)
	after.UID = "v"
	q := &discard{}
	(&watcher{kind: k}).Update(t.Context(), event.TypedUpdateEvent[outbox.Object]{ObjectOld: before, ObjectNew: after}, q)
	g.Expect(q.added).To(Equal(1))
	f := tr.take()
	g.Expect(f.items).To(HaveLen(2))
	for _, i := range f.items {
		g.Expect(i.Source.UID).To(BeEquivalentTo("u"))
	}
	tr.settle(f, stored(2))
	g.Expect(tr.byUID).To(BeEmpty(), "the departed one is forgotten once it is drained")
	g.Expect(tr.departed).To(BeZero())
}

type discard struct {
	queue
	added int
}

func (d *discard) Add(reconcile.Request) { d.added++ }

func TestDepartedEntriesAreBounded(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{MaxDeparted: 3})
	for i := range 3 {
		obj := resource(t, 2, false, true, false)
		obj.UID += "x"
		obj.Name += string(rune('a' + i))
		obj.UID += obj.UID[:i]
		tr.depart(t.Context(), k, obj)
	}
	g.Expect(tr.departed).To(Equal(2))
	g.Expect(tr.byUID).To(HaveLen(1))
}

func TestADepartedResourceOfWhichNothingCanBeSentIsForgotten(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{MaxDeparted: 2})
	obj := resource(t, 2, false, true, false)
	tr.offer(k, obj, tr.seen())
	f := tr.take()
	outcomes := stored(2)
	for i := range outcomes {
		outcomes[i].Result = Held
	}
	tr.settle(f, outcomes)
	tr.depart(t.Context(), k, obj)
	g.Expect(tr.byUID).To(BeEmpty())
	g.Expect(tr.departed).To(BeZero(), "or the room for departed entries would shrink for good")
}

type away struct{}

func (away) Persist(context.Context, []Item) ([]Outcome, error) {
	return nil, errors.New("connection refused")
}

func TestStoppingCountsWhatHasNoResourceAnyMoreToStayIn(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	tr.depart(t.Context(), k, resource(t, 2, false, true, false))
	before := testutil.ToFloat64(departedEntries.WithLabelValues("dropped"))
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(newFlusher(away{}, tr, tr.config, nil).Start(stopped)).To(Succeed())
	g.Expect(testutil.ToFloat64(departedEntries.WithLabelValues("dropped"))).To(Equal(before + 2))
}

func TestWhatWasReadBeforeItVanishedIsNotTakenUp(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := resource(t, 1, true, true, true)
	seen := tr.seen()
	(&watcher{kind: k}).Delete(t.Context(), event.TypedDeleteEvent[outbox.Object]{Object: obj}, nil)
	tr.settle(tr.take(), stored(1))
	g.Expect(tr.offer(k, obj, seen)).To(BeFalse())
	g.Expect(tr.byUID).To(BeEmpty(), "no event would ever take it out again")
	g.Expect(tr.offer(k, obj, tr.seen())).To(BeTrue())
}

// After a restored etcd versions count anew, and no event says that a version has caught up with our own write.
func TestAStaleVersionIsLookedAtAgain(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	k.newObject = func() outbox.Object { return &v1alpha1.NotificationRequest{} }
	old := resource(t, 1, false, true, false)
	old.ResourceVersion = "5"
	k.client = interceptor.NewClient(nil, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
		old.DeepCopyInto(into.(*v1alpha1.NotificationRequest))
		return nil
	}})
	tr.offer(k, old, tr.seen())
	ours := old.DeepCopy()
	ours.ResourceVersion = "9"
	tr.wrote(ours)
	result, err := k.Reconcile(t.Context(), reconcile.Request{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.RequeueAfter).To(Equal(outbox.StaleFor))
}

func TestWhatIsHeldHoldsNothingBackOnceAnotherRelayTookIt(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := resource(t, 2, false, true, false)
	tr.offer(k, obj, tr.seen())
	f := tr.take()
	outcomes := stored(2)
	outcomes[slices.IndexFunc(f.items, func(i Item) bool { return i.Entry.Sequence == 2 })].Result = Held
	tr.settle(f, outcomes)

	obj = resource(t, 3, false, true, false)
	obj.Status.Outbox.Entries = obj.Status.Outbox.Entries[2:]
	tr.offer(k, obj, tr.seen())
	g.Expect(tr.take().items).To(HaveLen(1))
}

func TestAFailedFlightGoesAgainAndNewEntriesJoinIt(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := resource(t, 1, false, true, false)
	tr.offer(k, obj, tr.seen())
	f := tr.take()
	g.Expect(f.items).To(HaveLen(1))
	tr.offer(k, obj, tr.seen())
	g.Expect(tr.take().items).To(BeEmpty(), "what is under way is not sent twice")
	longer := resource(t, 2, false, true, false)
	tr.offer(k, longer, tr.seen())
	tr.back(f, false)
	again := tr.take()
	g.Expect(again.items).To(HaveLen(2))
	tr.settle(again, stored(2))
	g.Expect(tr.watermark("u")).To(HaveField("Sequence", int64(2)))
	g.Expect(tr.take().items).To(BeEmpty())
}

func TestABatchIsBoundedAndTheRestFollows(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 3})
	tr.offer(k, resource(t, 5, false, true, false), tr.seen())
	f := tr.take()
	g.Expect(f.items).To(HaveLen(3))
	tr.settle(f, stored(3))
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(3))
	g.Expect(tr.take().items).To(HaveLen(2))
}

func TestAWatermarkStopsBeforeAnEntryThatIsHeld(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	tr.offer(k, resource(t, 3, false, true, false), tr.seen())
	f := tr.take()
	outcomes := stored(3)
	for i, item := range f.items {
		if item.Entry.Sequence == 2 {
			outcomes[i].Result = Held
		}
	}
	g.Expect(tr.settle(f, outcomes)).To(HaveLen(1))
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(1))
	g.Expect(tr.take().items).To(BeEmpty(), "nothing is sent over and over")
}

// A service that a relay drains into may be upgraded after the relay was, with an outage or without.
func TestWhatIsHeldIsSentAgainLater(t *testing.T) {
	g := NewWithT(t)
	clock := testclock.NewFakeClock(begin)
	tr, k := tracking(Config{Clock: clock})
	k.newObject = func() outbox.Object { return &v1alpha1.NotificationRequest{} }
	obj := resource(t, 2, true, true, true)
	k.client = interceptor.NewClient(nil, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
		obj.DeepCopyInto(into.(*v1alpha1.NotificationRequest))
		return nil
	}})
	held := []Outcome{{Result: Held}, {Result: Held}}
	tr.offer(k, obj, tr.seen())
	g.Expect(tr.settle(tr.take(), held)).To(HaveLen(1))
	result, err := k.Reconcile(t.Context(), reconcile.Request{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.RequeueAfter).To(Equal(askAgainAfter))
	g.Expect(tr.take().items).To(BeEmpty())

	clock.Step(result.RequeueAfter)
	_, err = k.Reconcile(t.Context(), reconcile.Request{})
	g.Expect(err).NotTo(HaveOccurred())
	again := tr.take()
	g.Expect(again.items).To(HaveLen(2))
	g.Expect(tr.settle(again, held)).To(BeEmpty(), "it is no news")

	newFlusher(away{}, tr, tr.config, nil).report(t.Context(), errors.New("connection refused"))
	tr.offer(k, obj, tr.seen())
	g.Expect(tr.take().items).To(HaveLen(2), "whatever comes back may be a newer release")
}

// holding is a store of an older release, which has lost the entry before.
type holding struct{}

func (holding) Persist(_ context.Context, batch []Item) ([]Outcome, error) {
	outcomes := make([]Outcome, len(batch))
	for i := range batch {
		outcomes[i] = Outcome{Result: Held, PreviousMissing: batch[i].AskPrevious}
	}
	return outcomes, nil
}

func TestWhatIsHeldTellsOfAGapOnce(t *testing.T) {
	g := NewWithT(t)
	clock := testclock.NewFakeClock(begin)
	tr, k := tracking(Config{Clock: clock})
	obj := resource(t, 3, false, true, false)
	obj.Status.Outbox.Entries = obj.Status.Outbox.Entries[2:]
	f, before := newFlusher(holding{}, tr, tr.config, nil), testutil.ToFloat64(gaps.WithLabelValues("NotificationRequest"))
	for range 3 {
		tr.offer(k, obj, tr.seen())
		g.Expect(f.runOnce(t.Context())).To(Equal(1))
		clock.Step(askAgainAfter)
	}
	g.Expect(testutil.ToFloat64(gaps.WithLabelValues("NotificationRequest")) - before).To(Equal(1.0))
}

// ticking is a clock on which each look takes a moment.
type ticking struct{ *testclock.FakeClock }

func (c ticking) Now() time.Time {
	c.Step(time.Microsecond)
	return c.FakeClock.Now()
}

func TestWhatIsHeldIsNotForgottenWhenItsTimeEndsBetweenTwoLooks(t *testing.T) {
	g := NewWithT(t)
	for before := time.Duration(0); before < 5*time.Microsecond; before += time.Microsecond / 2 {
		clock := ticking{testclock.NewFakeClock(begin)}
		tr, k := tracking(Config{Clock: clock})
		k.newObject = func() outbox.Object { return &v1alpha1.NotificationRequest{} }
		obj := resource(t, 1, false, true, false)
		k.client = interceptor.NewClient(nil, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
			obj.DeepCopyInto(into.(*v1alpha1.NotificationRequest))
			return nil
		}})
		tr.offer(k, obj, tr.seen())
		tr.settle(tr.take(), []Outcome{{Result: Held}})
		clock.SetTime(tr.byUID["u"].heldUntil.Add(-before))
		result, err := k.Reconcile(t.Context(), reconcile.Request{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(result.RequeueAfter > 0 || tr.byUID["u"].dirty).To(BeTrue(), "%s before the end: neither in line nor looked at again", before)

		clock.SetTime(tr.byUID["u"].heldUntil.Add(-before))
		tr.depart(t.Context(), k, obj)
		if r := tr.byUID["u"]; r != nil {
			g.Expect(r.dirty).To(BeTrue(), "%s before the end: kept, and in no line", before)
		}
	}
}

func TestBreakerBacksOffUpToItsCap(t *testing.T) {
	g := NewWithT(t)
	b := newBreaker(15 * time.Second)
	last := time.Duration(0)
	for i := range 30 {
		delay, first := b.trip(ErrSchema)
		g.Expect(first).To(Equal(i == 0))
		g.Expect(delay).To(BeNumerically("<=", 15*time.Second))
		last = delay
	}
	g.Expect(last).To(BeNumerically(">=", 10*time.Second))
	g.Expect(b.reset()).To(BeTrue())
	g.Expect(b.reason()).To(Succeed())
}
