package pool

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Key names one attempt.
type Key struct {
	Resource types.NamespacedName
	// UID distinguishes the resource from others that have, or had, its name.
	UID types.UID
	// Part distinguishes attempts of one resource that run at the same time. A controller that makes one at a time leaves it 0.
	Part int32
	// Attempt is the attempt's number, as the resource's status has it.
	Attempt int32
}

// State is the state of an attempt.
type State int

const (
	// Unknown attempts were not started here, or were dropped.
	Unknown State = iota
	// Running attempts have no result yet.
	Running
	// Ended attempts have a result.
	Ended
)

// Config bounds a Pool.
type Config struct {
	// Slots is how many attempts run at once.
	Slots int
	// SlotsPerNamespace is how many of them may be of one namespace; 0 for all.
	SlotsPerNamespace int
}

// Pool runs attempts and keeps their results, of type R, until they are dropped.
type Pool[R any] struct {
	config   Config
	panicked func(error) R
	running  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	wake     func(types.NamespacedName)
	used     int
	usedIn   map[string]int // by namespace
	waiting  []types.NamespacedName
	attempts map[types.NamespacedName]map[Key]*attempt[R]
}

type attempt[R any] struct {
	cancel context.CancelFunc
	ended  bool
	result R
}

// New returns a Pool that wakes no reconciler; see AddTo. panicked makes the result of an attempt that panicked.
func New[R any](c Config, panicked func(error) R) *Pool[R] {
	if c.SlotsPerNamespace <= 0 {
		c.SlotsPerNamespace = c.Slots
	}
	return &Pool[R]{config: c, panicked: panicked, wake: func(types.NamespacedName) {}, usedIn: map[string]int{}, attempts: map[types.NamespacedName]map[Key]*attempt[R]{}}
}

// Notify sets what wakes the reconciler of a resource; AddTo does it for a controller. It must not block.
func (p *Pool[R]) Notify(wake func(types.NamespacedName)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake = wake
}

// AddTo has the manager close the pool when it stops. The source is for the controller whose queue wakes resources.
func (p *Pool[R]) AddTo(mgr manager.Manager) (source.Source, error) {
	closing := manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		p.Close()
		return nil
	})
	if err := mgr.Add(closing); err != nil {
		return nil, fmt.Errorf("add the pool to the manager: %w", err)
	}
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		p.Notify(func(resource types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: resource}) })
		return nil
	}), nil
}

// Close cancels all attempts, waits for them and discards their results. Attempts that are started later do not run.
func (p *Pool[R]) Close() {
	p.mu.Lock()
	p.closed = true
	for _, attempts := range p.attempts {
		for _, a := range attempts {
			a.cancel()
		}
	}
	p.mu.Unlock()
	p.Wait()
}

// Wait returns when no attempt runs.
func (p *Pool[R]) Wait() { p.running.Wait() }

// Len returns the number of attempts that run or whose results were not dropped.
func (p *Pool[R]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, attempts := range p.attempts {
		n += len(attempts)
	}
	return n
}

// Acquire takes up to n slots for a resource, and returns how many it got. The caller starts an attempt in each, or releases it. A resource that got none is woken when a
// slot is free.
func (p *Pool[R]) Acquire(resource types.NamespacedName, n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = max(0, min(n, p.free(resource.Namespace)))
	if n == 0 {
		if !slices.Contains(p.waiting, resource) {
			p.waiting = append(p.waiting, resource)
		}
		return 0
	}
	p.used += n
	p.usedIn[resource.Namespace] += n
	p.stopWaiting(resource)
	return n
}

// Release frees n slots in which no attempt was started.
func (p *Pool[R]) Release(namespace string, n int) {
	for range n {
		p.release(namespace)
	}
}

// release frees a slot and wakes the resource that has waited longest and can use it.
func (p *Pool[R]) release(namespace string) {
	p.mu.Lock()
	p.used--
	if p.usedIn[namespace]--; p.usedIn[namespace] == 0 {
		delete(p.usedIn, namespace)
	}
	next := slices.IndexFunc(p.waiting, func(r types.NamespacedName) bool { return p.free(r.Namespace) > 0 })
	if next < 0 {
		p.mu.Unlock()
		return
	}
	resource, wake := p.waiting[next], p.wake
	p.waiting = slices.Delete(p.waiting, next, next+1)
	p.mu.Unlock()
	wake(resource)
}

// free is the number of slots that a namespace can use. The caller has the lock.
func (p *Pool[R]) free(namespace string) int {
	return min(p.config.Slots-p.used, p.config.SlotsPerNamespace-p.usedIn[namespace])
}

// Start runs an attempt in a slot that was acquired. The attempt has the values of ctx, but lives on when ctx ends: until its timeout, or until it is forgotten.
func (p *Pool[R]) Start(ctx context.Context, key Key, timeout time.Duration, run func(context.Context) R) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return // the slots of a closed pool are of no use to anybody
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	a := &attempt[R]{cancel: cancel}
	if p.attempts[key.Resource] == nil {
		p.attempts[key.Resource] = map[Key]*attempt[R]{}
	}
	p.attempts[key.Resource][key] = a
	p.running.Go(func() {
		defer cancel()
		result := p.guarded(ctx, run)
		p.release(key.Resource.Namespace)
		p.finish(key, a, result)
	})
}

// guarded is run. What a stranger answers may make it panic, which must not end the process.
func (p *Pool[R]) guarded(ctx context.Context, run func(context.Context) R) (result R) {
	defer func() {
		if cause := recover(); cause != nil {
			err := fmt.Errorf("the attempt panicked: %v", cause)
			logf.FromContext(ctx).Error(err, "Attempt panicked", "stack", string(debug.Stack()))
			result = p.panicked(err)
		}
	}()
	return run(ctx)
}

// finish keeps the result and wakes the reconciler, unless the attempt was dropped or the pool closed.
func (p *Pool[R]) finish(key Key, a *attempt[R], result R) {
	p.mu.Lock()
	if p.closed || p.attempts[key.Resource][key] != a {
		p.mu.Unlock()
		return
	}
	a.ended, a.result = true, result
	wake := p.wake
	p.mu.Unlock()
	wake(key.Resource)
}

// Look returns an attempt's state, and its result if it has Ended.
func (p *Pool[R]) Look(key Key) (R, State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.attempts[key.Resource][key]
	switch {
	case !ok:
		var none R
		return none, Unknown
	case !a.ended:
		var none R
		return none, Running
	}
	return a.result, Ended
}

// Drop discards one attempt, whose result was saved.
func (p *Pool[R]) Drop(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.attempts[key.Resource][key]; a != nil {
		a.cancel()
	}
	delete(p.attempts[key.Resource], key)
	if len(p.attempts[key.Resource]) == 0 {
		delete(p.attempts, key.Resource)
	}
}

// KeepOnly cancels and discards the attempts of key's resource other than key: earlier ones, or those of a resource that had the name before.
func (p *Pool[R]) KeepOnly(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, a := range p.attempts[key.Resource] {
		if other != key {
			a.cancel()
			delete(p.attempts[key.Resource], other)
		}
	}
	if len(p.attempts[key.Resource]) == 0 {
		delete(p.attempts, key.Resource)
	}
}

// DropAll cancels all attempts of a resource, discards their results, and stops waiting for a slot.
func (p *Pool[R]) DropAll(resource types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.attempts[resource] {
		a.cancel()
	}
	delete(p.attempts, resource)
	p.stopWaiting(resource)
}

// stopWaiting removes a resource from the queue for slots. The caller has the lock.
func (p *Pool[R]) stopWaiting(resource types.NamespacedName) {
	p.waiting = slices.DeleteFunc(p.waiting, func(r types.NamespacedName) bool { return r == resource })
}
