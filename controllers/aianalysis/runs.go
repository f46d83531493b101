package aianalysis

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// runs are the investigations of this process: under way, or answered and not yet saved. At most slots are under way.
type runs struct {
	clock clock.PassiveClock
	slots int
	// wake starts the reconciler for a resource; it may block until stopped is closed.
	wake    func(key client.ObjectKey, stopped <-chan struct{})
	stopped chan struct{}
	all     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	used    int
	waiting []client.ObjectKey
	byKey   map[client.ObjectKey]*run
}

// run is one attempt.
type run struct {
	uid     types.UID
	attempt int32
	cancel  context.CancelFunc
	done    chan struct{}
	// answer may be read once done is closed.
	answer answer
}

type answer struct {
	finding        investigator.Finding
	err            error
	started, ended time.Time
}

// question asks the investigator.
type question func(context.Context) (investigator.Finding, error)

func newRuns(slots int, c clock.PassiveClock) *runs {
	return &runs{clock: c, slots: slots, wake: func(client.ObjectKey, <-chan struct{}) {}, stopped: make(chan struct{}), byKey: map[client.ObjectKey]*run{}}
}

// serve ends all investigations when ctx does, and waits for them.
func (r *runs) serve(ctx context.Context) error {
	<-ctx.Done()
	r.close()
	return nil
}

// close breaks all investigations off, and begins no others. Their answers are not taken up: whoever comes next finds the attempts unfinished.
func (r *runs) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.stopped)
	}
	for _, run := range r.byKey {
		run.cancel()
	}
	r.mu.Unlock()
	r.all.Wait()
}

// ending tells whether the process stops.
func (r *runs) ending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// admit takes a slot. Without a free one it remembers the resource, which is woken when there is one.
func (r *runs) admit(key client.ObjectKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used < r.slots {
		r.used++
		r.waiting = slices.DeleteFunc(r.waiting, func(k client.ObjectKey) bool { return k == key })
		return true
	}
	if !slices.Contains(r.waiting, key) {
		r.waiting = append(r.waiting, key)
	}
	return false
}

// release gives a slot back, and tells who has waited longest for one.
func (r *runs) release() (next client.ObjectKey, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used--
	if len(r.waiting) == 0 {
		return client.ObjectKey{}, false
	}
	next, r.waiting = r.waiting[0], r.waiting[1:]
	return next, true
}

// begin asks in a goroutine. The caller has a slot, which the goroutine gives back.
func (r *runs) begin(ctx context.Context, key client.ObjectKey, uid types.UID, attempt int32, timeout time.Duration, ask question) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	run := &run{uid: uid, attempt: attempt, done: make(chan struct{})}
	// The question outlives the reconcile that begins it.
	ctx, run.cancel = context.WithTimeout(context.WithoutCancel(ctx), timeout)
	r.byKey[key] = run
	r.all.Go(func() {
		defer run.cancel()
		run.answer = answer{started: r.clock.Now()}
		run.answer.finding, run.answer.err = safely(ctx, ask)
		run.answer.ended = r.clock.Now()
		if run.answer.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			run.answer.err = fmt.Errorf("no answer within %s: %w", timeout.Round(time.Millisecond), run.answer.err)
		}
		close(run.done)
		if next, ok := r.release(); ok {
			r.wake(next, r.stopped)
		}
		r.wake(key, r.stopped)
	})
}

// safely turns a panic into an error: what a server answers must not end the process.
func safely(ctx context.Context, ask question) (_ investigator.Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			logf.FromContext(ctx).Error(nil, "Investigator panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the investigator panicked: %v", p)
		}
	}()
	return ask(ctx)
}

// find returns the run of this attempt, nil if it is not this process that runs it. A run of another attempt, or of a resource that had the name before, is dropped.
func (r *runs) find(key client.ObjectKey, uid types.UID, attempt int32) *run {
	r.mu.Lock()
	run := r.byKey[key]
	r.mu.Unlock()
	if run == nil || run.uid == uid && run.attempt == attempt {
		return run
	}
	r.drop(key)
	return nil
}

// drop cancels the run of a resource, if there is one, and forgets its answer.
func (r *runs) drop(key client.ObjectKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run := r.byKey[key]; run != nil {
		run.cancel()
		delete(r.byKey, key)
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(k client.ObjectKey) bool { return k == key })
}

// finished tells whether the answer is there.
func (r *run) finished() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
