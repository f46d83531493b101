package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

var begin = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)

type notificationOption func(obj *v1alpha1.NotificationRequest, closed *bool)

// What makes a notification differ from an open one with its finalizer.
var (
	isClosed      notificationOption = func(_ *v1alpha1.NotificationRequest, closed *bool) { *closed = true }
	isStripped    notificationOption = func(obj *v1alpha1.NotificationRequest, _ *bool) { obj.Finalizers = nil }
	isTerminating notificationOption = func(obj *v1alpha1.NotificationRequest, _ *bool) { obj.DeletionTimestamp = &metav1.Time{Time: begin} }
)

// withEntries makes a notification with n pending entries, open and with its finalizer unless options say otherwise.
func withEntries(t *testing.T, n int, options ...notificationOption) *v1alpha1.NotificationRequest {
	t.Helper()
	obj := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "n", UID: "u", CreationTimestamp: metav1.NewTime(begin), Finalizers: []string{outbox.Finalizer},
	}}
	closed := false
	for _, set := range options {
		set(obj, &closed)
	}
	for i := range n {
		next, _, err := entry.Append(obj.Status.Outbox, entry.SourceOf(obj), entry.Change{
			Kind: entry.KindNotification, Event: "E", Record: map[string]int{"i": i}, Final: closed && i == n-1}, begin, entry.Salt{}, entry.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		obj.Status.Outbox = next
	}
	return obj
}

// ahead is a resource whose newest entry was recorded by a clock that is a day ahead.
func ahead(obj *v1alpha1.NotificationRequest) *v1alpha1.NotificationRequest {
	o := obj.Status.Outbox
	newest := entriesOf(o)[len(o.Entries)-1].Entry
	newest.RecordedTime = outboxapi.NewTime(begin.Add(24 * time.Hour))
	text, _ := newest.Encode() // only texts that are not UTF-8 have no form
	o.Entries[len(o.Entries)-1], o.HeadHash = outboxapi.Entry(text), entry.Hash(text)
	return obj
}

// hashed is a decoded entry with the hash of its text.
type hashed struct {
	entry.Entry
	hash string
}

// entriesOf are the entries of an outbox, which are good.
func entriesOf(o *outboxapi.Outbox) []hashed {
	all := make([]hashed, len(o.Entries))
	for i, text := range o.Entries {
		e, err := entry.Decode([]byte(text))
		if err != nil {
			panic(err)
		}
		all[i] = hashed{Entry: e, hash: entry.Hash([]byte(text))}
	}
	return all
}

func upTo(obj outbox.Object, sequence int64) entry.Watermark {
	if sequence == 0 {
		return entry.Watermark{}
	}
	return entry.Watermark{Sequence: sequence, Hash: entry.PendingOf(obj.GetUID(), outboxapi.Get(obj)).Hash(int(sequence - 1)), Time: begin}
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
		"nothing durable":                        {withEntries(t, 2), 0, config, time.Hour, plan{}},
		"part of it durable":                     {withEntries(t, 2), 1, config, time.Hour, plan{}},
		"part of it durable, above soft":         {withEntries(t, 2), 1, soft, 0, plan{trim: true}},
		"drained, not yet quiet":                 {withEntries(t, 2), 2, config, 4 * time.Second, plan{after: 6 * time.Second}},
		"drained, our clock set back since":      {withEntries(t, 2), 2, config, -time.Hour, plan{after: 10 * time.Second}},
		"drained, its clock ahead of ours":       {ahead(withEntries(t, 2)), 2, config, 10 * time.Second, plan{trim: true}},
		"drained and quiet":                      {withEntries(t, 2), 2, config, 10 * time.Second, plan{trim: true}},
		"drained, being deleted, but still open": {withEntries(t, 2, isTerminating), 2, config, 0, plan{after: 10 * time.Second}},
		"closed, not durable":                    {withEntries(t, 2, isClosed, isTerminating), 1, config, time.Hour, plan{}},
		"closed and drained":                     {withEntries(t, 2, isClosed), 2, config, 0, plan{release: true, after: time.Second}},
		"closed and drained, a while ago":        {withEntries(t, 2, isClosed), 2, config, time.Second, plan{trim: true, release: true}},
		"closed, drained, being deleted":         {withEntries(t, 2, isClosed, isTerminating), 2, config, 0, plan{release: true}},
		"closed, drained, released":              {withEntries(t, 2, isClosed, isStripped), 2, config, 400 * time.Millisecond, plan{after: 600 * time.Millisecond}},
		"closed, drained, released a while ago":  {withEntries(t, 2, isClosed, isStripped), 2, config, time.Second, plan{trim: true}},
		"open, without the finalizer":            {withEntries(t, 2, isStripped), 2, config, time.Hour, plan{restore: true}},
		"closed, not durable, without it":        {withEntries(t, 2, isClosed, isStripped), 1, config, 0, plan{restore: true}},
		"open, without it, being deleted":        {withEntries(t, 2, isStripped, isTerminating), 0, config, 0, plan{}},
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
		w := entry.Watermark{Sequence: 2, Hash: "other"}
		g.Expect(decide(withEntries(t, 2, isClosed, isTerminating), w, config, begin)).To(Equal(plan{watermark: w}))
	})
	t.Run("closed before its first entry", func(t *testing.T) {
		g := NewWithT(t)
		obj := withEntries(t, 0)
		obj.Status.Outbox = &outboxapi.Outbox{Closed: true}
		g.Expect(obj.Status.Outbox.IsZero()).To(BeFalse(), "or nobody would look at it, and its finalizer stayed")
		g.Expect(decide(obj, entry.Watermark{}, config, begin)).To(Equal(plan{release: true}))
	})
	t.Run("closed, trimmed before a crash", func(t *testing.T) {
		g := NewWithT(t)
		obj := withEntries(t, 2, isClosed)
		obj.Status.Outbox.Entries = []outboxapi.Entry{}
		g.Expect(decide(obj, entry.Watermark{}, config, begin)).To(Equal(plan{release: true}))
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
	before, after := withEntries(t, 2), withEntries(t, 1)
	after.UID = "v"
	q := &discard{}
	(&watcher{kind: k}).Update(t.Context(), event.TypedUpdateEvent[outbox.Object]{ObjectOld: before, ObjectNew: after}, q)
	g.Expect(q.added).To(Equal(1))
	f := tr.dequeue()
	g.Expect(f.items).To(HaveLen(2))
	for _, i := range f.items {
		g.Expect(i.Source.UID).To(BeEquivalentTo("u"))
	}
	tr.commit(f, stored(2))
	g.Expect(tr.resources).To(BeEmpty(), "an orphan is dropped once it is drained")
	g.Expect(tr.orphans.all).To(BeZero())
}

type discard struct {
	queue
	added int
}

func (d *discard) Add(reconcile.Request) { d.added++ }

// Texts before the first entry are nobody's: they wait for nothing.
func TestAResourceThatVanishesWithTextsOfNoPlaceIsDropped(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{MaxOrphaned: 4})
	obj := withEntries(t, 0)
	obj.Status.Outbox = &outboxapi.Outbox{Entries: []outboxapi.Entry{"junk"}}
	tr.observe(k, obj, tr.generation())
	g.Expect(tr.dequeue().items).To(BeEmpty())
	tr.orphan(t.Context(), k, obj)
	g.Expect(tr.resources).To(BeEmpty())
	g.Expect(tr.orphans.all).To(BeZero())
}

func TestAnOrphanOfWhichNothingCanBeSentIsDropped(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{MaxOrphaned: 8})
	obj := withEntries(t, 2)
	tr.observe(k, obj, tr.generation())
	f := tr.dequeue()
	outcomes := stored(2)
	for i := range outcomes {
		outcomes[i].Result = Unsupported
	}
	tr.commit(f, outcomes)
	tr.orphan(t.Context(), k, obj)
	g.Expect(tr.resources).To(BeEmpty())
	g.Expect(tr.orphans.all).To(BeZero(), "or the room for orphaned entries would shrink for good")
}

type away struct{}

func (away) Persist(context.Context, []Item) ([]Outcome, error) {
	return nil, errors.New("connection refused")
}

func TestStoppingCountsWhatHasNoResourceAnyMoreToStayIn(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	tr.orphan(t.Context(), k, withEntries(t, 2))
	before := testutil.ToFloat64(orphanedEntries.WithLabelValues("dropped"))
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(newFlusher(away{}, tr, tr.config).Start(stopped)).To(Succeed())
	g.Expect(testutil.ToFloat64(orphanedEntries.WithLabelValues("dropped"))).To(Equal(before + 2))
}

func TestWhatWasReadBeforeItVanishedIsNotTakenUp(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 1, isClosed, isTerminating)
	generation := tr.generation()
	(&watcher{kind: k}).Delete(t.Context(), event.TypedDeleteEvent[outbox.Object]{Object: obj}, nil)
	tr.commit(tr.dequeue(), stored(1))
	g.Expect(tr.observe(k, obj, generation)).To(BeFalse())
	g.Expect(tr.resources).To(BeEmpty(), "no event would ever take it out again")
	g.Expect(tr.observe(k, obj, tr.generation())).To(BeTrue())
}

// While a namespace is emptied, something vanishes between every read and what follows from it.
func TestOthersThatVanishDoNotHoldAResourceUp(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 1)
	again := 0
	for i := range 1000 {
		generation := tr.generation()
		other := withEntries(t, 0)
		other.Name, other.UID = fmt.Sprintf("other-%d", i), types.UID(fmt.Sprintf("u-%d", i))
		tr.orphan(t.Context(), k, other)
		if !tr.observe(k, obj, generation) {
			again++
		}
	}
	g.Expect(again).To(BeNumerically("<", 100))
}

// After a restored etcd versions count anew, and no event says that a version has caught up with our own write.
func TestAStaleVersionIsLookedAtAgain(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	k.newObject = func() outbox.Object { return &v1alpha1.NotificationRequest{} }
	old := withEntries(t, 1)
	old.ResourceVersion = "5"
	k.client = interceptor.NewClient(nil, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
		old.DeepCopyInto(into.(*v1alpha1.NotificationRequest))
		return nil
	}})
	tr.observe(k, old, tr.generation())
	ours := old.DeepCopy()
	ours.ResourceVersion = "9"
	tr.wrote(ours)
	result, err := k.Reconcile(t.Context(), reconcile.Request{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.RequeueAfter).To(Equal(staleFor))
}

func TestAParkedEntryBlocksNothingOnceAnotherRelaySentIt(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 2)
	tr.observe(k, obj, tr.generation())
	f := tr.dequeue()
	outcomes := stored(2)
	outcomes[slices.IndexFunc(f.items, func(i Item) bool { return i.Sequence == 2 })].Result = Unsupported
	tr.commit(f, outcomes)

	obj = withEntries(t, 3)
	obj.Status.Outbox.Entries = obj.Status.Outbox.Entries[2:]
	tr.observe(k, obj, tr.generation())
	g.Expect(tr.dequeue().items).To(HaveLen(1))
}

func TestAFailedBatchIsSentAgainAndNewEntriesJoinIt(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 1)
	tr.observe(k, obj, tr.generation())
	f := tr.dequeue()
	g.Expect(f.items).To(HaveLen(1))
	tr.observe(k, obj, tr.generation())
	g.Expect(tr.dequeue().items).To(BeEmpty(), "what is under way is not sent twice")
	longer := withEntries(t, 2)
	tr.observe(k, longer, tr.generation())
	tr.requeue(f, false)
	again := tr.dequeue()
	g.Expect(again.items).To(HaveLen(2))
	tr.commit(again, stored(2))
	g.Expect(tr.watermark("u")).To(HaveField("Sequence", int64(2)))
	g.Expect(tr.dequeue().items).To(BeEmpty())
}

func TestABatchIsBoundedAndTheRestFollows(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 3})
	tr.observe(k, withEntries(t, 5), tr.generation())
	f := tr.dequeue()
	g.Expect(f.items).To(HaveLen(3))
	tr.commit(f, stored(3))
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(3))
	g.Expect(tr.dequeue().items).To(HaveLen(2))
}

func TestAWatermarkStopsBeforeAParkedEntry(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	tr.observe(k, withEntries(t, 3), tr.generation())
	f := tr.dequeue()
	outcomes := stored(3)
	for i, item := range f.items {
		if item.Sequence == 2 {
			outcomes[i].Result = Unsupported
		}
	}
	g.Expect(tr.commit(f, outcomes)).To(HaveLen(1))
	g.Expect(tr.watermark("u").Sequence).To(BeEquivalentTo(1))
	g.Expect(tr.dequeue().items).To(BeEmpty(), "nothing is sent over and over")
}

// A service that a relay drains into may be upgraded after the relay was, with an outage or without.
func TestAParkedEntryIsSentAgainLater(t *testing.T) {
	g := NewWithT(t)
	clock := testclock.NewFakeClock(begin)
	tr, k := tracking(Config{Clock: clock})
	k.newObject = func() outbox.Object { return &v1alpha1.NotificationRequest{} }
	obj := withEntries(t, 2, isClosed, isTerminating)
	k.client = interceptor.NewClient(nil, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
		obj.DeepCopyInto(into.(*v1alpha1.NotificationRequest))
		return nil
	}})
	held := []Outcome{{Result: Unsupported}, {Result: Unsupported}}
	tr.observe(k, obj, tr.generation())
	g.Expect(tr.commit(tr.dequeue(), held)).To(HaveLen(1))
	result, err := k.Reconcile(t.Context(), reconcile.Request{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.RequeueAfter).To(Equal(retryParkedAfter))
	g.Expect(tr.dequeue().items).To(BeEmpty())

	clock.Step(result.RequeueAfter)
	_, err = k.Reconcile(t.Context(), reconcile.Request{})
	g.Expect(err).NotTo(HaveOccurred())
	again := tr.dequeue()
	g.Expect(again.items).To(HaveLen(2))
	g.Expect(tr.commit(again, held)).To(BeEmpty(), "it is no news")

	newFlusher(away{}, tr, tr.config).report(t.Context(), errors.New("connection refused"))
	tr.observe(k, obj, tr.generation())
	g.Expect(tr.dequeue().items).To(HaveLen(2), "whatever comes back may be a newer release")
}

// holding is a store of an older release, which has lost the entry before.
type holding struct{}

func (holding) Persist(_ context.Context, batch []Item) ([]Outcome, error) {
	outcomes := make([]Outcome, len(batch))
	for i := range batch {
		outcomes[i] = Outcome{Result: Unsupported, PreviousMissing: batch[i].AskPrevious}
	}
	return outcomes, nil
}

func TestAParkedEntryReportsAGapOnce(t *testing.T) {
	g := NewWithT(t)
	clock := testclock.NewFakeClock(begin)
	tr, k := tracking(Config{Clock: clock})
	obj := withEntries(t, 3)
	obj.Status.Outbox.Entries = obj.Status.Outbox.Entries[2:]
	f, before := newFlusher(holding{}, tr, tr.config), testutil.ToFloat64(gaps.WithLabelValues("NotificationRequest"))
	for range 3 {
		tr.observe(k, obj, tr.generation())
		g.Expect(f.runOnce(t.Context())).To(Equal(1))
		clock.Step(retryParkedAfter)
	}
	g.Expect(testutil.ToFloat64(gaps.WithLabelValues("NotificationRequest")) - before).To(Equal(1.0))
}

// ticking is a clock on which each look takes a moment.
type ticking struct{ *testclock.FakeClock }

func (c ticking) Now() time.Time {
	c.Step(time.Microsecond)
	return c.FakeClock.Now()
}

func TestAParkedEntryIsNotDroppedWhenItsTimeEndsBetweenTwoLooks(t *testing.T) {
	g := NewWithT(t)
	for before := time.Duration(0); before < 5*time.Microsecond; before += time.Microsecond / 2 {
		clock := ticking{testclock.NewFakeClock(begin)}
		tr, k := tracking(Config{Clock: clock})
		k.newObject = func() outbox.Object { return &v1alpha1.NotificationRequest{} }
		obj := withEntries(t, 1)
		k.client = interceptor.NewClient(nil, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
			obj.DeepCopyInto(into.(*v1alpha1.NotificationRequest))
			return nil
		}})
		tr.observe(k, obj, tr.generation())
		tr.commit(tr.dequeue(), []Outcome{{Result: Unsupported}})
		clock.SetTime(tr.resources["u"].parked.until.Add(-before))
		result, err := k.Reconcile(t.Context(), reconcile.Request{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(result.RequeueAfter > 0 || tr.resources["u"].queued).To(BeTrue(), "%s before the end: neither in line nor looked at again", before)

		clock.SetTime(tr.resources["u"].parked.until.Add(-before))
		tr.orphan(t.Context(), k, obj)
		if r := tr.resources["u"]; r != nil {
			g.Expect(r.queued).To(BeTrue(), "%s before the end: kept, and in no line", before)
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
