package relay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// narrow is a store that takes up to so many rows at once, in five seconds, and more in no time.
type narrow struct {
	rows  int
	clock *testclock.FakeClock
	// ends is how it ends what is too much, and when.
	ends  error
	after time.Duration
	late  int
	has   map[string]bool
}

func (s *narrow) Persist(_ context.Context, batch []Item) ([]Outcome, error) {
	if len(batch) > s.rows {
		s.clock.Step(s.after)
		s.late++
		return nil, s.ends
	}
	s.clock.Step(5 * time.Second)
	for _, i := range batch {
		s.has[i.ID] = true
	}
	return stored(len(batch)), nil
}

// Each late batch is an outage, after which nothing is believed: a batch that grew again at once would forget what the one before had brought home, for ever.
func TestBehindASlowStoreEverythingArrives(t *testing.T) {
	for name, s := range map[string]narrow{
		"that answers too late":                   {rows: 3, ends: context.DeadlineExceeded, after: 15 * time.Second},
		"that ends what takes too long by itself": {rows: 3, ends: errors.New("canceling statement due to statement timeout"), after: 10 * time.Second},
		"for which all that is left is too much":  {rows: 5, ends: context.DeadlineExceeded, after: 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s.clock, s.has = testclock.NewFakeClock(begin), map[string]bool{}
			tr, k := tracking(Config{BatchRows: 16, Clock: s.clock})
			obj := withEntries(t, 12)
			f := newFlusher(&s, tr, tr.config)
			for range 20 {
				tr.observe(k, obj, tr.generation())
				if _, err := f.runOnce(t.Context()); err != nil {
					f.report(t.Context(), err)
				}
			}
			g.Expect(s.has).To(HaveLen(12))
			g.Expect(s.late).To(BeNumerically("<=", 4), "16, 8, 4, and 4 once more")
		})
	}
}

// More resources than a batch holds: their trims and releases wait, and must come before the next outage.
func TestABacklogBehindASlowStoreIsReleased(t *testing.T) {
	g := NewWithT(t)
	s := &narrow{rows: 12, clock: testclock.NewFakeClock(begin), ends: context.DeadlineExceeded, after: 15 * time.Second, has: map[string]bool{}}
	tr, k := tracking(Config{BatchRows: 16, Clock: s.clock})
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer q.ShutDown()
	g.Expect(k.setQueue(t.Context(), q)).To(Succeed())
	live := map[string]*v1alpha1.NotificationRequest{}
	for i := range 400 {
		obj := withEntries(t, 0, isClosed, isTerminating)
		obj.Name, obj.UID = fmt.Sprintf("n%d", i), types.UID(fmt.Sprintf("u%d", i))
		next, _, err := entry.Append(nil, entry.SourceOf(obj), entry.Change{Kind: entry.KindNotification, Event: "E", Record: map[string]int{"i": i}, Final: true}, begin, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		obj.Status.Outbox = next
		live[obj.Name] = obj
		tr.observe(k, obj, tr.generation())
	}
	f := newFlusher(s, tr, tr.config)
	for flushes := 0; len(live) > 0; flushes++ {
		g.Expect(flushes).To(BeNumerically("<", 200), "%d are still held", len(live))
		if _, err := f.runOnce(t.Context()); err != nil {
			s.clock.Step(f.report(t.Context(), err))
		}
		for q.Len() > 0 { // what is due at once
			request, _ := q.Get()
			q.Done(request)
			obj := live[request.Name]
			if obj == nil {
				continue
			}
			tr.observe(k, obj, tr.generation())
			if decide(obj, tr.watermark(obj.UID), tr.config, s.clock.Now()).release {
				delete(live, request.Name)
				tr.orphan(t.Context(), k, obj)
			}
		}
	}
}

// hangs is a store that takes everything at once but now and then, when it does not answer to anything.
type hangs struct {
	clock *testclock.FakeClock
	at    func(since time.Duration) bool
}

func (s hangs) Persist(_ context.Context, batch []Item) ([]Outcome, error) {
	if s.at(s.clock.Since(begin)) {
		s.clock.Step(15 * time.Second)
		return nil, context.DeadlineExceeded
	}
	s.clock.Step(5 * time.Millisecond)
	return stored(len(batch)), nil
}

// Small batches do not help there, and must not remain.
func TestAStoreThatHangsGetsLargeBatchesAgain(t *testing.T) {
	now := func(since time.Duration) bool { return since%time.Minute < time.Second }
	for name, c := range map[string]struct {
		rows int
		at   func(time.Duration) bool
	}{
		"for a moment in each minute":                       {1000, now},
		"for a moment in each minute, and batches are full": {20, now},
		"for a minute and a half":                           {1000, func(since time.Duration) bool { return since < 90*time.Second }},
		"for ten minutes":                                   {1000, func(since time.Duration) bool { return since < 10*time.Minute }},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := hangs{clock: testclock.NewFakeClock(begin), at: c.at}
			tr, k := tracking(Config{Clock: s.clock, BatchRows: c.rows})
			tr.sizer.committed = 3 // before it hung
			f := newFlusher(s, tr, tr.config)
			some := func(n int) {
				for i := range n {
					obj := withEntries(t, 1)
					obj.UID = types.UID(fmt.Sprintf("u%d-%s", i, s.clock.Now()))
					tr.observe(k, obj, tr.generation())
				}
			}
			for n := 0; s.clock.Since(begin) < 11*time.Minute; n++ {
				some(20 + n%10) // often more than arrived before
				if _, err := f.runOnce(t.Context()); err != nil {
					s.clock.Step(f.report(t.Context(), err))
				}
				s.clock.Step(500 * time.Millisecond)
			}
			some(c.rows)
			arrived := 0
			for batches := 0; arrived < c.rows; batches++ {
				g.Expect(batches).To(BeNumerically("<", 15), "%d of %d have arrived, halved %d times", arrived, c.rows, tr.sizer.halved)
				n, err := f.runOnce(t.Context())
				if err != nil {
					s.clock.Step(f.report(t.Context(), err))
					continue
				}
				arrived += n
			}
		})
	}
}
