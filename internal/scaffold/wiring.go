package scaffold

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// wiring is where main.go makes the manager and the reconciler.
type wiring struct {
	*file
	// mgr is the manager's variable.
	mgr string
	// client is the value of the reconciler's field Client.
	client ast.Expr
	*place
	// api and controllers are the names by which the file knows the packages of the kind and of its reconciler.
	api, controllers string
	// done is true when the reconciler has another client already.
	done bool
}

// wirings are the places where a program makes the reconciler.
func (p *project) wirings(c *controller) ([]*wiring, error) {
	var found []*wiring
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || f.syntax.Name.Name != "main" {
				continue
			}
			for _, at := range reconcilersIn(fn, c.name) {
				w, err := f.wiringAt(at, c.name)
				if err != nil {
					return nil, err
				}
				found = append(found, w)
			}
		}
	}
	return found, nil
}

// wiring finds the place where a reconciler gets its client.
func (p *project) wiring(k *kind, c *controller) (*wiring, error) {
	found, err := p.wirings(c)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && len(p.broken) > 0 {
		return nil, p.broken[0]
	}
	if len(found) == 0 {
		return nil, &RefusalError{File: p.root, Found: fmt.Sprintf("no %s{…} in a function of package main", c.name),
			Expected: fmt.Sprintf("&controller.%s{Client: mgr.GetClient(), …} as kubebuilder writes it", c.name), Section: "the-wiring"}
	}
	for _, other := range found[1:] {
		if !other.done || !found[0].done {
			return nil, other.refuse(other.statement.Pos(), "the-wiring", fmt.Sprintf("one, as in %s: a program whose client is forgotten writes states without entries", found[0].name), "another %s{…}", c.name)
		}
	}
	w := found[0]
	if w.done {
		return w, nil
	}
	if w.api, err = w.packageName(p, k.structType); err != nil {
		return nil, err
	}
	if w.controllers, err = w.packageName(p, c.structType); err != nil {
		return nil, err
	}
	for _, d := range w.syntax.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR && strings.Contains(w.text(g), "setupLog") {
			return w, nil
		}
	}
	return nil, w.refuse(w.syntax.Name.Pos(), "the-wiring", "the variable setupLog of kubebuilder, to say why the operator cannot start", "there is no variable setupLog")
}

// place is where a function makes a reconciler.
type place struct {
	function *ast.FuncDecl
	literal  *ast.CompositeLit
	// statement has the literal in it, and is one of a list: others can be written before it.
	statement ast.Stmt
	list      []ast.Stmt
	// loop is true if it may run several times.
	loop bool
}

// reconcilersIn are the places of a function with a composite literal of a reconciler.
func reconcilersIn(fn *ast.FuncDecl, name string) (found []*place) {
	var stack []ast.Node
	ast.Inspect(fn, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		if l, ok := n.(*ast.CompositeLit); ok && l.Type != nil && embedded(l.Type) == name {
			found = append(found, placeOf(fn, l, stack))
		}
		return true
	})
	return found
}

// placeOf is the place of a literal, from what is around it, outermost first.
func placeOf(fn *ast.FuncDecl, l *ast.CompositeLit, around []ast.Node) *place {
	at := &place{function: fn, literal: l}
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

func (f *file) wiringAt(at *place, name string) (*wiring, error) {
	for _, e := range at.literal.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok || f.text(kv.Key) != "Client" {
			continue
		}
		w := &wiring{file: f, place: at, client: kv.Value}
		text := f.text(kv.Value)
		made := text
		if value := at.value(text); value != nil {
			made = f.text(value)
		}
		if mgr, ok := strings.CutSuffix(made, ".GetClient()"); ok && token.IsIdentifier(mgr) {
			w.mgr = mgr
			return w, nil
		}
		if f.importName(modulePath+"/outbox") != "" {
			w.done = true
			return w, nil
		}
		return nil, f.refuse(kv.Pos(), "the-wiring", "Client: mgr.GetClient()", "the client of %s is %s", name, text)
	}
	return nil, f.refuse(at.literal.Pos(), "the-wiring", "Client: mgr.GetClient() in it", "%s gets no client", name)
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

// fits refuses a place where the relay cannot be made before the reconciler.
func (w *wiring) fits() error {
	const section = "the-wiring"
	if w.loop {
		return w.refuse(w.statement.Pos(), section, "it outside of any loop: a program has one relay", "the reconciler is made in a loop")
	}
	declared := declarations(w.function, w.mgr)
	for _, at := range slices.Backward(declared) {
		if at >= w.literal.Pos() {
			continue
		}
		if at >= w.statement.Pos() {
			return w.refuse(at, section, "a statement of its own for it, before the one with the reconciler", "the manager %s is made in the statement of the reconciler", w.mgr)
		}
		break
	}
	earlier := false // err of this list is there before the statement
	for _, s := range w.list {
		if s.Pos() < w.statement.Pos() {
			earlier = earlier || slices.Contains(declares(s), "err")
			continue
		}
		if names := declares(s); !earlier && len(names) == 1 && names[0] == "err" {
			return w.refuse(s.Pos(), section, "err declared before the reconciler, as kubebuilder does with the manager", "err is declared after the place where the store is opened")
		}
	}
	return nil
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

// packageName is how the file calls the package of a type.
func (f *file) packageName(p *project, of *structType) (string, error) {
	for _, s := range f.syntax.Imports {
		path := strings.Trim(s.Path.Value, `"`)
		dir, err := filepath.Rel(p.root, filepath.Dir(of.path))
		if err == nil && strings.HasSuffix(path, "/"+filepath.ToSlash(dir)) {
			return f.importName(path), nil
		}
	}
	return "", f.refuse(f.syntax.Name.Pos(), "the-wiring", "the import of its package", "this file does not know the type %s of %s", of.name, of.file.name)
}

// connect opens the store, adds the relay, and gives the reconciler a client that audits.
func (w *wiring) connect(k *kind) error {
	if w.done {
		return nil
	}
	if name := w.importName(modulePath + "/relay"); name != "" {
		return w.refuse(w.statement.Pos(), "several-kinds", fmt.Sprintf("no other audited kind: add &%s.%s{} to the call of %s.Add, and its case to the function that the client has", w.api, k.name, name),
			"this program has a relay already")
	}
	if err := w.fits(); err != nil {
		return err
	}
	for _, name := range []string{"store", "trail"} {
		if w.has(name) {
			return w.refuse(w.statement.Pos(), "the-wiring", "no identifier of that name: the store and the relay would be called so", "%s is a name in this file already", name)
		}
	}
	names := map[string]string{}
	for _, path := range []string{"context", "os", modulePath + "/outbox", modulePath + "/postgres", modulePath + "/relay"} {
		name := path[strings.LastIndexByte(path, '/')+1:]
		var err error
		if names[name], err = w.use(path, name, "the-wiring"); err != nil {
			return err
		}
	}
	w.insert(w.before(w.statement.Pos()), fmt.Sprintf(`	store, err := %[4]s.Open(%[5]s.Background(), %[6]s.Getenv("HOLDFAST_DATABASE_URL"), %[4]s.Options{})
	if err != nil {
		setupLog.Error(err, "unable to open the audit store")
		%[6]s.Exit(1)
	}
	trail, err := %[7]s.Add(%[1]s, store, %[7]s.Config{}, &%[2]s.%[3]s{})
	if err != nil {
		setupLog.Error(err, "unable to set up the audit relay")
		%[6]s.Exit(1)
	}
`, w.mgr, w.api, k.name, names["postgres"], names["context"], names["os"], names["relay"]))
	w.replace(w.client, fmt.Sprintf("%[4]s.NewWriter(%[5]s, %[1]s.GetAPIReader(), trail).Client(%[2]s.Audit%[3]s)", w.mgr, w.controllers, k.name, names["outbox"], w.text(w.client)))
	return nil
}
