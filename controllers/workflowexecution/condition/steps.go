package condition

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// steps is how many parts of an expression an evaluation goes through. Reading a field is one as well as calling a function, so that a long path in a loop is
// paid for as what it is.
type steps struct {
	// once is how many there are outside of loops.
	once uint64
	// each is how many a round of a loop has beside the loops in it, by the id of the part that makes the round.
	each map[int64]uint64
	// ranges are the ids of what is gone through.
	ranges map[int64]bool
}

func countSteps(e ast.Expr) *steps {
	s := &steps{each: map[int64]uint64{}, ranges: map[int64]bool{}}
	s.once = s.count(e)
	return s
}

func (s *steps) count(e ast.Expr) uint64 {
	n := uint64(1)
	switch e.Kind() {
	case ast.CallKind:
		if e.AsCall().IsMemberFunction() {
			n += s.count(e.AsCall().Target())
		}
		for _, arg := range e.AsCall().Args() {
			n += s.count(arg)
		}
	case ast.SelectKind:
		n += s.count(e.AsSelect().Operand())
	case ast.ListKind:
		for _, item := range e.AsList().Elements() {
			n += s.count(item)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			n += s.count(entry.AsMapEntry().Key()) + s.count(entry.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		s.ranges[loop.IterRange().ID()] = true
		s.each[loop.LoopStep().ID()] = s.count(loop.LoopCondition()) + s.count(loop.LoopStep())
		n += s.count(loop.IterRange()) + s.count(loop.AccuInit()) + s.count(loop.Result())
	}
	return n
}

// round makes one round of a loop.
type round struct {
	interpreter.InterpretableV2
	steps uint64
}

// Exec implements interpreter.InterpretableV2.
func (r *round) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	budgetOf(frame).spend(price{work: r.steps})
	return r.InterpretableV2.Exec(frame)
}

// Eval implements interpreter.Interpretable.
func (r *round) Eval(vars interpreter.Activation) ref.Val { return r.Exec(interpreter.AsFrame(vars)) }

// iterated is what a loop goes through. For a map it copies the keys first, also if it needs only one of them.
type iterated struct{ interpreter.InterpretableV2 }

// Exec implements interpreter.InterpretableV2.
func (i *iterated) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := i.InterpretableV2.Exec(frame)
	if m, ok := value.(traits.Mapper); ok {
		n, _ := m.Size().(types.Int)
		budgetOf(frame).spend(price{work: 1 + uint64(n)/8, memory: uint64(n) * perItem})
	}
	return value
}

// Eval implements interpreter.Interpretable.
func (i *iterated) Eval(vars interpreter.Activation) ref.Val {
	return i.Exec(interpreter.AsFrame(vars))
}
