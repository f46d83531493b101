package scaffold

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
)

// join adds a kind to the relay of another, and returns the variable of that relay.
func (w *wiring) join(k *kind) (string, error) {
	relay := w.importName(modulePath + "/relay")
	for _, s := range w.list {
		a, ok := s.(*ast.AssignStmt)
		if !ok || a.Pos() > w.statement.Pos() || len(a.Lhs) != 2 || len(a.Rhs) != 1 {
			continue
		}
		trail, isName := a.Lhs[0].(*ast.Ident)
		call, isCall := a.Rhs[0].(*ast.CallExpr)
		if !isName || trail.Name == "_" || !isCall || call.Ellipsis != token.NoPos || len(call.Args) == 0 || w.text(call.Fun) != relay+".Add" || w.text(call.Args[0]) != w.mgr {
			continue
		}
		object := fmt.Sprintf("&%s.%s{}", w.api, k.name)
		if !slices.ContainsFunc(call.Args, func(e ast.Expr) bool { return w.text(e) == object }) {
			w.insert(w.offset(call.Args[len(call.Args)-1].End()), ", "+object)
		}
		return trail.Name, nil
	}
	expected := fmt.Sprintf("`trail, err := %s.Add(%s, …)` before it, in the same block: add &%s.%s{} to the call that is there, and make this reconciler's client of its result",
		relay, w.mgr, w.api, k.name)
	return "", w.refuse(w.statement.Pos(), "several-kinds", expected, "this program has a relay already")
}
