package scaffold

import (
	"go/ast"
	"go/token"
)

// place is where a function makes a reconciler.
type place struct {
	function *ast.FuncDecl
	// made is the expression that makes it: a composite literal, or the call of a constructor.
	made ast.Expr
	// statement has the expression in it, and is one of a list: others can be written before it.
	statement ast.Stmt
	list      []ast.Stmt
	// loop is true if it may run several times.
	loop bool
}

// placesIn are the places of a function with an expression that makes a reconciler.
func placesIn(fn *ast.FuncDecl, makes func(ast.Expr) bool) (found []*place) {
	var stack []ast.Node
	ast.Inspect(fn, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		if e, ok := n.(ast.Expr); ok && makes(e) {
			found = append(found, placeOf(fn, e, stack))
		}
		return true
	})
	return found
}

// placeOf is the place of an expression, from what is around it, outermost first.
func placeOf(fn *ast.FuncDecl, made ast.Expr, around []ast.Node) *place {
	at := &place{function: fn, made: made}
	for i := len(around) - 1; i > 0; i-- {
		statement, ok := around[i].(ast.Stmt)
		if !ok {
			continue
		}
		switch statement.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			at.loop = true
		}
		if at.statement == nil {
			switch list := around[i-1].(type) {
			case *ast.BlockStmt:
				at.statement, at.list = statement, list.List
			case *ast.CaseClause:
				at.statement, at.list = statement, list.Body
			case *ast.CommClause:
				at.statement, at.list = statement, list.Body
			}
		}
	}
	return at
}

// value is what a variable of the function has for its whole life; nil if there is no such variable, or if it may have another value.
func (at *place) value(name string) (value ast.Expr) {
	if len(declarations(at.function, name)) != 1 {
		return nil
	}
	changes := false
	ast.Inspect(at.function, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for _, e := range a.Lhs {
			if id, ok := e.(*ast.Ident); !ok || id.Name != name {
				continue
			}
			if a.Tok == token.DEFINE && len(a.Lhs) == 1 {
				value = a.Rhs[0]
			} else {
				changes = true
			}
		}
		return true
	})
	if changes {
		return nil
	}
	return value
}

// declarations are where a function declares a name, in the order of the text.
func declarations(fn *ast.FuncDecl, name string) (at []token.Pos) {
	ast.Inspect(fn, func(n ast.Node) bool {
		var names []*ast.Ident
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					if id, ok := e.(*ast.Ident); ok {
						names = append(names, id)
					}
				}
			}
		case *ast.ValueSpec:
			names = n.Names
		case *ast.Field:
			names = n.Names
		}
		for _, id := range names {
			if id.Name == name {
				at = append(at, id.Pos())
			}
		}
		return true
	})
	return at
}

// declares are the names that a statement declares in its own list, but the blank one.
func declares(s ast.Stmt) (names []string) {
	add := func(id *ast.Ident) {
		if id.Name != "_" {
			names = append(names, id.Name)
		}
	}
	switch s := s.(type) {
	case *ast.AssignStmt:
		if s.Tok == token.DEFINE {
			for _, e := range s.Lhs {
				if id, ok := e.(*ast.Ident); ok {
					add(id)
				}
			}
		}
	case *ast.DeclStmt:
		for _, spec := range s.Decl.(*ast.GenDecl).Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, id := range v.Names {
					add(id)
				}
			}
		}
	}
	return names
}
