package condition

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// bindingMacros replace two macros of cel-go that write their target down twice: a chain of n of them has 2^n copies of its beginning, and 16 of them
// (200 characters) do not compile in any time. These bind the target to a variable, and write it once.
var bindingMacros = []cel.Macro{
	cel.ReceiverMacro("optMap", 2, expandOptional(func(f cel.MacroExprFactory, mapped ast.Expr) ast.Expr { return f.NewCall("optional.of", mapped) })),
	cel.ReceiverMacro("optFlatMap", 2, expandOptional(func(_ cel.MacroExprFactory, mapped ast.Expr) ast.Expr { return mapped })),
}

const (
	// boundOptional is the variable with the target of an optMap. No expression can name it.
	boundOptional = "@optional"
	unusedName    = "#unused"
)

// expandOptional makes of target.optMap(name, expression): with boundOptional as target, boundOptional.hasValue() ? wrap(with name as boundOptional.value(), expression) : optional.none().
func expandOptional(wrap func(cel.MacroExprFactory, ast.Expr) ast.Expr) cel.MacroFactory {
	return func(f cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		if args[0].Kind() != ast.IdentKind {
			return nil, f.NewError(args[0].ID(), "the first argument must be the name of a variable")
		}
		mapped := bind(f, args[0].AsIdent(), f.NewMemberCall("value", f.NewIdent(boundOptional)), args[1])
		return bind(f, boundOptional, target, f.NewCall(operators.Conditional,
			f.NewMemberCall("hasValue", f.NewIdent(boundOptional)), wrap(f, mapped), f.NewCall("optional.none"))), nil
	}
}

// bind gives a value a name within an expression. CEL has it as a comprehension over nothing, whose accumulator is the value.
func bind(f cel.MacroExprFactory, name string, value, within ast.Expr) ast.Expr {
	return f.NewComprehension(f.NewList(), unusedName, name, value, f.NewLiteral(types.False), f.NewIdent(name), within)
}
