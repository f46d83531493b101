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
		"an open record":              {obj: resource(t, 3, false, true, false), wake: 0},
		"a closed one":                {obj: resource(t, 3, true, true, false), wake: 1},
		"one above the soft limit":    {obj: resource(t, 3, false, true, false), soft: 1, wake: 1},
		"a closed one before a batch": {obj: resource(t, 3, true, true, false), waiting: 3, wake: 1},
		"a closed one before a crowd": {obj: resource(t, 3, true, true, false), waiting: 4, wake: 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			config := Config{QuietPeriod: time.Hour, BatchRows: 3}
			config.setDefaults()
			if c.soft > 0 {
				config.Limits.SoftBytes = c.soft
			}
			tr, k := tracking(config)
			q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer q.ShutDown()
			k.queue.Store(&q)
			g.Expect(tr.offer(k, c.obj, tr.seen())).To(BeTrue())
			for range c.waiting {
				other := resource(t, 1, false, true, false)
				other.UID = types.UID(uuid.NewString())
				g.Expect(tr.offer(k, other, tr.seen())).To(BeTrue())
			}
			f := tr.take()
			tr.settle(f, stored(len(f.items)))
			g.Expect(tr.watermark(c.obj.UID).Sequence).To(BeEquivalentTo(3))
			g.Expect(q.Len()).To(Equal(c.wake))
		})
	}
}

func TestTrimsWaitForTheBacklogButNotForEver(t *testing.T) {
	for name, pass := range map[string]func(*tracker, *clocktesting.FakeClock){
		"until a batch is left": func(tr *tracker, _ *clocktesting.FakeClock) { tr.take() },
		"for half a minute": func(tr *tracker, clock *clocktesting.FakeClock) {
			clock.Step(mostHeld)
			tr.config.BatchRows = 1 // more than a batch waits after this one, too
			tr.take()
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
				g.Expect(tr.offer(k, obj, tr.seen())).To(BeTrue())
			}
			offer(resource(t, 3, true, true, false))
			for range 4 {
				offer(resource(t, 1, false, true, false))
			}
			f := tr.take()
			tr.settle(f, stored(len(f.items)))
			g.Expect(q.Len()).To(BeZero())
			pass(tr, clock)
			g.Expect(q.Len()).To(Equal(1))
		})
	}
}

func TestAResourceThatVanishedWithItsFinalizerIsNotPatchedAgain(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	obj := resource(t, 1, true, true, true)
	obj.ResourceVersion = "7"
	g.Expect(tr.offer(k, obj, tr.seen())).To(BeTrue())
	f := tr.take()
	tr.settle(f, stored(len(f.items)))
	answer := obj.DeepCopy()
	answer.Finalizers = nil
	g.Expect(tr.stale(obj)).To(BeFalse())
	tr.wrote(answer)
	g.Expect(tr.stale(obj)).To(BeTrue(), "the cache has it until the event of its deletion comes")
}
