package notification

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// How many attempts may be under way at once. A namespace whose receivers never answer can hold a part of the places, not all.
const (
	places          = 64
	placesNamespace = 16
)

// courier makes attempts outside of Reconcile, so that no receiver holds up a worker, and remembers their outcomes until they are saved.
type courier struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	ctx      context.Context                                         //nolint:containedctx // the controller's life, which attempts share; no call carries it
	queue    workqueue.TypedRateLimitingInterface[reconcile.Request] // nil until attached
	taken    int
	takenIn  map[string]int // by namespace
	attempts map[types.NamespacedName]map[job]*delivery
	running  sync.WaitGroup
}

type delivery struct {
	cancel context.CancelFunc
	ended  bool
	outcome
}

func newCourier(c clock.PassiveClock) *courier {
	return &courier{clock: c, ctx: context.Background(), takenIn: map[string]int{}, attempts: map[types.NamespacedName]map[job]*delivery{}}
}

// attach binds the attempts to the life of the controller, whose queue is told when one has ended.
func (c *courier) attach(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx, c.queue = ctx, queue
}

// acquire takes up to n places, which the caller starts attempts with or releases.
func (c *courier) acquire(namespace string, n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = max(0, min(n, places-c.taken, placesNamespace-c.takenIn[namespace]))
	c.taken += n
	c.takenIn[namespace] += n
	return n
}

func (c *courier) release(namespace string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken -= n
	if c.takenIn[namespace] -= n; c.takenIn[namespace] <= 0 {
		delete(c.takenIn, namespace)
	}
}

// start makes an attempt in a place that was acquired.
func (c *courier) start(j job, timeout time.Duration, deliver func(context.Context) outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	life := c.ctx
	ctx, cancel := context.WithTimeout(life, timeout)
	d := &delivery{cancel: cancel}
	if c.attempts[j.resource] == nil {
		c.attempts[j.resource] = map[job]*delivery{}
	}
	c.attempts[j.resource][j] = d
	c.running.Go(func() {
		defer cancel()
		o := deliver(ctx)
		o.finished = c.clock.Now()
		c.release(j.resource.Namespace, 1)
		// An attempt that was broken off because the controller stops has no outcome that we know: the next process says so.
		if life.Err() == nil {
			c.finish(j, d, o)
		}
	})
}

func (c *courier) finish(j job, d *delivery, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempts[j.resource][j] != d {
		return // forgotten meanwhile
	}
	d.ended, d.outcome = true, o
	if c.queue != nil {
		c.queue.Add(reconcile.Request{NamespacedName: j.resource})
	}
}

// state of an attempt as the courier knows it.
type state int

const (
	notOurs state = iota // not made here, or forgotten
	underWay
	hasEnded
)

func (c *courier) look(j job) (outcome, state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.attempts[j.resource][j]
	switch {
	case !ok:
		return outcome{}, notOurs
	case !d.ended:
		return outcome{}, underWay
	}
	return d.outcome, hasEnded
}

// drop forgets an attempt whose outcome was saved.
func (c *courier) drop(j job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.attempts[j.resource], j)
	if len(c.attempts[j.resource]) == 0 {
		delete(c.attempts, j.resource)
	}
}

// forget breaks off what is under way for a resource and drops its outcomes.
func (c *courier) forget(resource types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.attempts[resource] {
		d.cancel()
	}
	delete(c.attempts, resource)
}
