package condition

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"github.com/holdfast-dev/holdfast/internal/pattern"
	"github.com/holdfast-dev/holdfast/internal/quantity"
)

// maxConstructors bounds the lists and maps that an expression makes. Each may nest the type of the one before into its own, and the checker's work grows
// with the third power of that depth: 240 lists in each other take it a gigabyte.
const maxConstructors = 32

// checkShape looks at a parsed expression for what is costly to check, or needs no evaluation to be refused. It returns the first problem.
func checkShape(parsed *ast.AST) error {
	var problem error
	constructors := 0
	ast.PostOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if constructs(e) {
			constructors++
		}
		if problem == nil {
			problem = checkNode(e)
		}
	}))
	if problem == nil && constructors > maxConstructors {
		problem = fmt.Errorf("expression makes %d lists, maps and optional values, expected at most %d: make fewer, or split it into several conditions", constructors, maxConstructors)
	}
	return problem
}

// constructs reports whether the type of an expression is a new one, with the types of its parts inside. The empty lists are those that macros begin with.
func constructs(e ast.Expr) bool {
	switch e.Kind() {
	case ast.ListKind:
		return e.AsList().Size() > 0
	case ast.MapKind:
		return true
	case ast.CallKind:
		return strings.HasPrefix(e.AsCall().FunctionName(), "optional.of")
	}
	return false
}

func checkNode(e ast.Expr) error {
	switch e.Kind() {
	case ast.StructKind:
		return fmt.Errorf("expression makes a message %s, expected lists and maps only", e.AsStruct().TypeName())
	case ast.MapKind:
		return checkKeys(e.AsMap())
	case ast.CallKind:
		return checkLiterals(e.AsCall())
	}
	return nil
}

// checkKeys wants literal keys. A map whose key and value are the map before doubles the type each time: 30 in each other are a type of a billion parts.
func checkKeys(m ast.MapExpr) error {
	for _, entry := range m.Entries() {
		key := entry.AsMapEntry().Key()
		if key.Kind() != ast.LiteralKind {
			return errors.New("expression makes a map with a computed key, expected keys that are texts, numbers, true or false")
		}
		switch key.AsLiteral().(type) {
		case types.String, types.Int, types.Uint, types.Double, types.Bool:
		default:
			return fmt.Errorf("expression makes a map with a key of type %s, expected keys that are texts, numbers, true or false", key.AsLiteral().Type().TypeName())
		}
	}
	return nil
}

// checkLiterals tries the arguments that are parsed when they are used, where they are literals already.
func checkLiterals(call ast.CallExpr) error {
	if len(call.Args()) == 0 {
		return nil
	}
	last := call.Args()[len(call.Args())-1]
	if last.Kind() != ast.LiteralKind {
		return nil
	}
	text, ok := last.AsLiteral().(types.String)
	if !ok {
		return nil
	}
	var err error
	switch call.FunctionName() {
	case "matches":
		_, err = pattern.Compile(string(text))
	case "quantity":
		_, err = quantity.Parse(string(text))
	}
	return err
}
