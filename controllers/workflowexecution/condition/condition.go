package condition

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"k8s.io/utils/lru"

	"github.com/holdfast-dev/holdfast/outbox"
)

const (
	// checkEvery so many iterations of a comprehension the context is asked whether to stop. Calls ask it each time.
	checkEvery = 100
	// keptPrograms: a Wait evaluates its expression every second or two, and compiling costs more than evaluating.
	keptPrograms = 256
	// maxMessage bounds what errors of CEL say, in bytes: they quote values and types.
	maxMessage = 1 << 10
)

// ErrCost means that an evaluation exceeded its limit of work, memory or time. With the same target it would do so again.
var ErrCost = errors.New("the condition costs too much")

var programs = lru.New(keptPrograms)

// Condition is a compiled expression. It may be used by several goroutines.
type Condition struct {
	program cel.Program
	steps   uint64 // outside of loops
	runs    runs
}

// Compile checks and compiles an expression; the error says where it is wrong, or what it would cost and what it may.
func Compile(expression string) (*Condition, error) {
	if kept, ok := programs.Get(expression); ok {
		return kept.(*Condition), nil
	}
	s, err := standard()
	if err != nil {
		return nil, err
	}
	c, err := s.compile(expression)
	if err != nil {
		return nil, err
	}
	programs.Add(expression, c)
	return c, nil
}

func (s *setting) compile(expression string) (*Condition, error) {
	parsed, issues := s.env.Parse(expression)
	if issues.Err() != nil {
		return nil, compileError(issues.Err())
	}
	if err := checkShape(parsed.NativeRep()); err != nil {
		return nil, compileError(err)
	}
	checked, issues := s.env.Check(parsed)
	if issues.Err() != nil {
		return nil, compileError(issues.Err())
	}
	if out := checked.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("expression returns %s, expected true or false", outbox.Bound(out.String(), maxMessage))
	}
	if err := checkEstimate(s.env, checked); err != nil {
		return nil, err
	}
	counted := countSteps(checked.NativeRep().Expr())
	program, err := s.env.Program(checked, cel.CustomDecoratorV2(s.meter(counted)), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, fmt.Errorf("expression cannot be planned: %w", err)
	}
	return &Condition{program: program, steps: counted.once, runs: runs{together: shared}}, nil
}

func compileError(err error) error {
	return fmt.Errorf("expression does not compile: %s", outbox.Bound(err.Error(), maxMessage))
}
