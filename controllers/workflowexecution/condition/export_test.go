package condition

import (
	"context"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// Limits, for tests.
const (
	MaxWork   = maxWork
	MaxMemory = maxMemory
)

// Spend evaluates once, and counts what it took of its budget.
func (c *Condition) Spend(ctx context.Context, target map[string]any) (work, memory uint64, err error) {
	b := newBudget(ctx.Done(), full, c.steps)
	_, _, err = c.program.ContextEval(ctx, &variables{target: target, budget: b})
	return maxWork - b.left.work, maxMemory - b.left.memory, err
}

var full = price{work: maxWork, memory: maxMemory}

// Estimate is what an expression may cost by Kubernetes' estimate.
func Estimate(expression string) (uint64, error) {
	s, err := standard()
	if err != nil {
		return 0, err
	}
	checked, issues := s.env.Compile(expression)
	if issues.Err() != nil {
		return 0, issues.Err()
	}
	cost, err := s.env.EstimateCost(checked, newEstimator())
	return cost.Max, err
}

var _ cel.Activation = (*variables)(nil)

// named is a call that only answers for its names.
type named struct{ function, overload string }

func (n named) ID() int64                                { return 1 }
func (n named) Function() string                         { return n.function }
func (n named) OverloadID() string                       { return n.overload }
func (n named) Args() []interpreter.InterpretableV2      { return nil }
func (n named) Eval(interpreter.Activation) ref.Val      { panic("not evaluated") }
func (n named) Exec(*interpreter.ExecutionFrame) ref.Val { panic("not evaluated") }
