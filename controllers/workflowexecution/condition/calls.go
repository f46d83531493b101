package condition

import (
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apiserver/pkg/cel/library"

	"github.com/holdfast-dev/holdfast/internal/pattern"
	"github.com/holdfast-dev/holdfast/internal/quantity"
)

// Names that an evaluation resolves. No expression can name the budget.
const (
	targetName = "target"
	budgetName = "@budget"
)

// variables are what an evaluation sees.
type variables struct {
	target map[string]any
	budget *budget
}

// ResolveName implements cel.Activation.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case targetName:
		return v.target, true
	case budgetName:
		return v.budget, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (*variables) Parent() interpreter.Activation { return nil }

func budgetOf(frame *interpreter.ExecutionFrame) *budget {
	found, _ := frame.ResolveName(budgetName)
	return found.(*budget)
}

// meter puts the budget in front of all parts of a program that do work or make something: calls, lists and maps, and the rounds of loops.
func (s *setting) meter(counted *steps) interpreter.InterpretableDecoratorV2 {
	return func(part interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		id := part.ID()
		switch i := part.(type) {
		case interpreter.InterpretableCall:
			part = s.call(i)
		case interpreter.InterpretableConstructor:
			part = &constructor{i}
		}
		if n, ok := counted.each[id]; ok {
			part = &round{part, n}
		}
		if counted.ranges[id] {
			part = &iterated{part}
		}
		return part, nil
	}
}

// kubernetes counts what a call has cost as the API server does, for what it finds costlier than the budget has.
//
// cel.CostTracking, which usually asks it, is not used. It keeps the values of all steps on a stack that it searches from end to end, so its own work grows with
// the square of the steps: going through 30,000 items takes 10 ms without it, and 1.6 s with it.
var kubernetes = &library.CostEstimator{}

// call is a function's call that is paid for before it is made. It calls as cel-go does.
type call struct {
	interpreter.InterpretableCall
	args     []interpreter.InterpretableV2
	overload *functions.Overload
}

func (s *setting) call(i interpreter.InterpretableCall) *call {
	overload, found := s.calls[i.OverloadID()]
	if !found {
		overload = s.calls[i.Function()]
	}
	return &call{InterpretableCall: i, args: i.Args(), overload: overload}
}

// Exec implements interpreter.InterpretableV2.
func (c *call) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(c.args))
	for i, arg := range c.args {
		args[i] = arg.Exec(frame)
		if types.IsUnknownOrError(args[i]) && (c.overload == nil || !c.overload.NonStrict) {
			return args[i]
		}
	}
	b := budgetOf(frame)
	charged := b.priceOf(c.Function(), args)
	b.spend(charged)
	result := c.invoke(b, args)
	if failed, ok := result.(*types.Err); ok {
		b.spend(price{memory: uint64(len(failed.Error()))})
	}
	if cost := kubernetes.CallCost(c.Function(), c.OverloadID(), args, result); cost != nil && *cost > charged.work {
		b.spend(price{work: *cost - charged.work})
	}
	return types.LabelErrNode(c.ID(), result)
}

// Eval implements interpreter.Interpretable.
func (c *call) Eval(vars interpreter.Activation) ref.Val { return c.Exec(interpreter.AsFrame(vars)) }

// invoke calls what this package does itself, or else what the library does, by the overload or by the type of the first argument.
func (c *call) invoke(b *budget, args []ref.Val) ref.Val {
	switch c.Function() {
	case operators.Equals:
		return types.Equal(args[0], args[1])
	case operators.NotEquals:
		return types.Bool(types.Equal(args[0], args[1]) != types.True)
	case "matches":
		return b.matches(args)
	case "quantity", "isQuantity":
		if failed := refuseQuantity(c.Function(), args[0]); failed != nil {
			return failed
		}
	}
	if o := c.overload; o != nil && (o.OperandTrait == 0 || o.NonStrict && types.IsUnknownOrError(args[0]) || args[0].Type().HasTrait(o.OperandTrait)) {
		if result := apply(o, args); result != nil {
			return result
		}
	}
	if len(args) > 0 && args[0].Type().HasTrait(traits.ReceiverType) {
		return args[0].(traits.Receiver).Receive(c.Function(), c.OverloadID(), args[1:])
	}
	return types.NewErr("no such overload: %s", c.Function())
}

// apply calls an implementation, nil when there is none for that many arguments.
func apply(o *functions.Overload, args []ref.Val) ref.Val {
	switch {
	case len(args) == 1 && o.Unary != nil:
		return o.Unary(args[0])
	case len(args) == 2 && o.Binary != nil:
		return o.Binary(args[0], args[1])
	case o.Function != nil:
		return o.Function(args...)
	}
	return nil
}

// refuseQuantity keeps the library from parsing a quantity that package quantity does not take: what the function gives for it, nil when it may be parsed.
func refuseQuantity(function string, arg ref.Val) ref.Val {
	text, ok := arg.(types.String)
	if !ok {
		return nil
	}
	_, err := quantity.Parse(string(text))
	switch {
	case err == nil:
		return nil
	case function == "isQuantity":
		return types.False
	}
	return types.WrapErr(err)
}

// matches applies a regular expression that is small. An evaluation compiles each once.
func (b *budget) matches(args []ref.Val) ref.Val {
	text, isText := args[0].(types.String)
	expression, isPattern := args[1].(types.String)
	if !isText || !isPattern {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	p, compiled := b.patterns[string(expression)]
	if !compiled {
		b.spend(price{work: patternWork, memory: patternMemory})
		var err error
		if p, err = pattern.Compile(string(expression)); err != nil {
			return types.WrapErr(err)
		}
		b.spend(price{work: p.Instructions, memory: p.Instructions * instructionMemory})
		b.patterns[string(expression)] = p
	}
	b.spend(price{work: p.Instructions * (uint64(len(text)) + 1) / bytesInUnit})
	return types.Bool(p.MatchString(string(text)))
}

// What compiling a regular expression takes, and how many instructions times bytes of a match are a unit of work, as measured.
const (
	patternWork       = 100
	patternMemory     = 16 << 10
	instructionMemory = 512
	bytesInUnit       = 16
)

// constructor makes a list or a map.
type constructor struct {
	interpreter.InterpretableConstructor
}

// Exec implements interpreter.InterpretableV2.
func (c *constructor) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	b := budgetOf(frame)
	b.spend(b.list(uint64(len(c.InitVals()))))
	made := c.InterpretableConstructor.Exec(frame)
	if failed, ok := made.(*types.Err); ok {
		b.spend(price{memory: uint64(len(failed.Error()))})
		return made
	}
	b.spend(b.weigh(made).kept())
	return made
}

// Eval implements interpreter.Interpretable.
func (c *constructor) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}
