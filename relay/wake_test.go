package relay

import (
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// A reconcile costs something, whether or not it finds anything to do. A record that is trimmed once it is quiet is looked at then; while more than a batch waits,
// trims wait, too.
func TestACommitStartsOnlyReconcilesThatHaveSomethingToDo(t *testing.T) {
	for name, c := range map[string]struct {
		obj     *v1alpha1.NotificationRequest
		soft    int
		waiting int
		wake    int
	}{
		"an open record":              {obj: withEntries(t, 3), wake: 0},
		"a closed one":                {obj: withEntries(t, 3, isClosed), wake: 1},
		"one above the soft limit":    {obj: withEntries(t, 3), soft: 1, wake: 1},
		"a closed one before a batch": {obj: withEntries(t, 3, isClosed), waiting: 3, wake: 1},
		"a closed one before a crowd": {obj: withEntries(t, 3, isClosed), waiting: 4, wake: 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			config := Config{IdleTrimDelay: time.Hour, BatchRows: 3}
			config.setDefaults()
			if c.soft > 0 {
				config.Limits.SoftBytes = c.soft
			}
			tr, k := tracking(config)
			q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer q.ShutDown()
			k.queue.Store(&q)
			g.Expect(tr.observe(k, c.obj, tr.generation())).To(BeTrue())
			for range c.waiting {
				other := withEntries(t, 1)
				other.UID = types.UID(uuid.NewString())
				g.Expect(tr.observe(k, other, tr.generation())).To(BeTrue())
			}
			f := tr.dequeue()
			tr.commit(f, stored(len(f.items)))
			g.Expect(tr.watermark(c.obj.UID).Sequence).To(BeEquivalentTo(3))
			g.Expect(q.Len()).To(Equal(c.wake))
		})
	}
}

func TestTrimsWaitForTheBacklogButNotForEver(t *testing.T) {
	for name, pass := range map[string]func(*tracker, *clocktesting.FakeClock){
		"until a batch is left": func(tr *tracker, _ *clocktesting.FakeClock) { tr.dequeue() },
		"for half a minute": func(tr *tracker, clock *clocktesting.FakeClock) {
			clock.Step(maxDeferral)
			tr.config.BatchRows = 1 // more than a batch waits after this one, too
			tr.dequeue()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			clock := clocktesting.NewFakeClock(begin)
			config := Config{BatchRows: 3, Clock: clock}
			config.setDefaults()
			tr, k := tracking(config)
			q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer q.ShutDown()
			k.queue.Store(&q)
			offer := func(obj *v1alpha1.NotificationRequest) {
				obj.UID = types.UID(uuid.NewString())
				g.Expect(tr.observe(k, obj, tr.generation())).To(BeTrue())
			}
			offer(withEntries(t, 3, isClosed))
			for range 4 {
				offer(withEntries(t, 1))
			}
			f := tr.dequeue()
			tr.commit(f, stored(len(f.items)))
			g.Expect(q.Len()).To(BeZero())
			pass(tr, clock)
			g.Expect(q.Len()).To(Equal(1))
		})
	}
}

func TestAResourceThatVanishedWithItsFinalizerIsNotPatchedAgain(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := withEntries(t, 1, isClosed, isTerminating)
	obj.ResourceVersion = "7"
	g.Expect(tr.observe(k, obj, tr.generation())).To(BeTrue())
	f := tr.dequeue()
	tr.commit(f, stored(len(f.items)))
	answer := obj.DeepCopy()
	answer.Finalizers = nil
	g.Expect(tr.stale(obj)).To(BeFalse())
	tr.wrote(answer)
	g.Expect(tr.stale(obj)).To(BeTrue(), "the cache has it until the event of its deletion comes")
}
