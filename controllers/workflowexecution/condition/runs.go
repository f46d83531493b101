package condition

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
	"golang.org/x/sync/semaphore"
)

const (
	// maxTogether bounds how many evaluations of a process run at once, including those that nobody waits for any more. With maxMemory for each, it bounds the memory that
	// conditions use. An evaluation takes milliseconds, so others do not wait for long.
	maxTogether = 4
	// maxTime is how long an evaluation may take. By its budget it takes 0.1 s; the rest is for a machine that is starved.
	maxTime = 10 * time.Second
	// maxSlow evaluations in a row that took longer are no accident.
	maxSlow = 2
)

// ErrEnded means that an evaluation did not finish, for reasons outside of the condition: ctx ended, or an abandoned evaluation still runs. A retry may
// succeed.
var ErrEnded = errors.New("the evaluation of the condition did not finish")

// together bounds the evaluations of many conditions.
type together struct {
	slots *semaphore.Weighted
	max   int64
	limit time.Duration
}

func newTogether(maximum int64, limit time.Duration) *together {
	return &together{slots: semaphore.NewWeighted(maximum), max: maximum, limit: limit}
}

var shared = newTogether(maxTogether, maxTime)

// runs are the evaluations of one condition.
type runs struct {
	*together
	// abandoned is how many run although nobody waits for them any more.
	abandoned atomic.Int32
	// slow is how many in a row took longer than their time.
	slow atomic.Int32
}

// outcome of an evaluation, and what is left of its budget.
type outcome struct {
	holds bool
	err   error
	left  price
}

// evaluate runs one evaluation in a goroutine of its own, so the caller can return when ctx ends. An evaluation that its caller abandoned keeps its slot until it
// really ends, and no other evaluation of the condition starts before that. After maxSlow evaluations that took longer than their time, none starts at all. An evaluation spends
// some of what is left of the budget; an abandoned one spends all of it.
func (c *Condition) evaluate(ctx context.Context, target map[string]any, left *price) (bool, error) {
	switch {
	case c.runs.slow.Load() >= maxSlow:
		return false, tooSlow(c.runs.limit)
	case c.runs.abandoned.Load() > 0:
		return false, fmt.Errorf("%w: an earlier evaluation still runs", ErrEnded)
	}
	if err := c.runs.slots.Acquire(ctx, 1); err != nil {
		return false, fmt.Errorf("%w: no slot was free, %d evaluations were running: %w", ErrEnded, c.runs.max, err)
	}
	limited, cancel := context.WithTimeout(ctx, c.runs.limit)
	defer cancel()
	done, over := make(chan outcome, 1), atomic.Bool{}
	available := *left
	*left = price{}
	go func() {
		o := c.run(limited, target, available)
		if !over.CompareAndSwap(false, true) {
			c.runs.abandoned.Add(-1)
		}
		c.runs.slots.Release(1)
		done <- o
	}()
	select {
	case o := <-done:
		*left = o.left
		if !errors.Is(o.err, ErrEnded) {
			c.runs.slow.Store(0)
			return o.holds, o.err
		}
	case <-limited.Done():
		c.runs.abandoned.Add(1)
		if !over.CompareAndSwap(false, true) { // it ended meanwhile
			c.runs.abandoned.Add(-1)
		}
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	if c.runs.slow.Add(1) < maxSlow {
		return false, fmt.Errorf("%w: it took longer than %s; it can be tried once more", ErrEnded, c.runs.limit)
	}
	return false, tooSlow(c.runs.limit)
}

func tooSlow(limit time.Duration) error {
	return fmt.Errorf("%w: %d evaluations took longer than %s, so it is not evaluated again; read less of the target", ErrCost, maxSlow, limit)
}

// run evaluates. Its error is ErrEnded, ErrCost or CEL's.
func (c *Condition) run(ctx context.Context, target map[string]any, available price) (o outcome) {
	b := newBudget(ctx.Done(), available, c.steps)
	defer func() {
		if r := recover(); r != nil {
			o.err = fmt.Errorf("evaluating panicked: %v", r)
		}
		o.left = b.left
	}()
	out, _, err := c.program.ContextEval(ctx, &variables{target: target, budget: b})
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded:
		return outcome{err: fmt.Errorf("%w: %s; read less of the target, or split it into several workflows", ErrCost, cancelled.Message)}
	case errors.As(err, &cancelled), errors.Is(err, interpreter.InterruptError{}):
		return outcome{err: ErrEnded}
	case err != nil:
		return outcome{err: err}
	case out.Type() != types.BoolType:
		return outcome{err: fmt.Errorf("the expression returned a value of type %s, expected true or false", out.Type().TypeName())}
	}
	return outcome{holds: out == types.True}
}
