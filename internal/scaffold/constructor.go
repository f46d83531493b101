package scaffold

import (
	"fmt"
	"go/ast"
	"path/filepath"
	"slices"
	"strings"
)

// making is an expression that makes a reconciler.
type making struct {
	file *file
	*place
	// of is the constructor that it calls; nil for a composite literal.
	of *constructor
}

// constructor is a function that returns a reconciler, as in NewReleaseReconciler(c client.Client) *ReleaseReconciler.
type constructor struct {
	*ast.FuncDecl
	file *file
}

func (p *project) isConstructor(c *controller, fn *ast.FuncDecl) bool {
	return slices.ContainsFunc(p.constructors(c), func(m *constructor) bool { return m.FuncDecl == fn })
}

// constructors of a reconciler.
func (p *project) constructors(c *controller) (found []*constructor) {
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && fn.Recv == nil && fn.Body != nil && fn.Type.Results != nil && p.means(f, fn.Type.Results.List[0].Type, c.name, filepath.Dir(c.path)) {
				found = append(found, &constructor{FuncDecl: fn, file: f})
			}
		}
	}
	return found
}

// means reports whether an expression of a file names what a package of the project declares, or a pointer to it.
func (p *project) means(f *file, e ast.Expr, name, dir string) bool {
	switch e := e.(type) {
	case *ast.StarExpr:
		return p.means(f, e.X, name, dir)
	case *ast.Ident:
		return e.Name == name && filepath.Dir(f.path) == dir
	case *ast.SelectorExpr:
		of, ok := e.X.(*ast.Ident)
		return ok && e.Sel.Name == name && of.Name == f.nameOf(p, dir)
	}
	return false
}

// makings are all expressions of the project that make a reconciler.
func (p *project) makings(c *controller) (found []*making) {
	constructors := p.constructors(c)
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			for _, at := range placesIn(fn, func(e ast.Expr) bool {
				l, ok := e.(*ast.CompositeLit)
				return ok && l.Type != nil && p.means(f, l.Type, c.name, filepath.Dir(c.path))
			}) {
				found = append(found, &making{file: f, place: at})
			}
			for _, m := range constructors {
				for _, at := range placesIn(fn, func(e ast.Expr) bool {
					call, ok := e.(*ast.CallExpr)
					return ok && p.means(f, call.Fun, m.Name.Name, filepath.Dir(m.file.path))
				}) {
					found = append(found, &making{file: f, place: at, of: m})
				}
			}
		}
	}
	return found
}

// wiringOfCall is the place of a call whose constructor takes the client; else that of lines to be written by hand.
func (m *making) wiringOfCall() *wiring {
	w := &wiring{file: m.file, place: m.place, of: m.of}
	for i, arg := range m.made.(*ast.CallExpr).Args {
		if !m.of.takesClient(i) {
			continue
		}
		if w.mgr = m.file.managerOf(m.place, arg); w.mgr != "" {
			w.client = arg
			return w
		}
		if m.file.importName(modulePath+"/outbox") != "" {
			w.done = true
			return w
		}
	}
	w.byHand = true
	return w
}

// takesClient reports whether a parameter is a client.Client.
func (m *constructor) takesClient(parameter int) bool {
	for _, field := range m.Type.Params.List {
		if parameter -= max(1, len(field.Names)); parameter < 0 {
			t, ok := field.Type.(*ast.SelectorExpr)
			return ok && t.Sel.Name == "Client"
		}
	}
	return false
}

// elsewhere is the place where something that is no package main makes the reconciler.
func (p *project) elsewhere(c *controller) ([]*wiring, error) {
	all := p.makings(c)
	if len(all) == 0 {
		return nil, &RefusalError{File: p.root, Found: fmt.Sprintf("nothing makes a %s", c.name),
			Expected: fmt.Sprintf("&controller.%s{%s: mgr.GetClient(), …} as kubebuilder writes it, or a call of a function that returns one", c.name, c.clientField), Section: "the-wiring"}
	}
	at := all[0]
	for _, m := range all { // a call comes before the literal in its constructor
		if m.of != nil {
			at = m
			break
		}
	}
	return []*wiring{{file: at.file, place: at.place, of: at.of, byHand: true}}, nil
}

// audits reports whether anything uses this function: the lines were written by hand, with it as the argument of Writer.Client or called by that argument.
func (p *project) audits(function string) (found bool) {
	for _, f := range p.files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				found = found || slices.ContainsFunc(append([]ast.Expr{call.Fun}, call.Args...), func(e ast.Expr) bool {
					return f.text(e) == function || strings.HasSuffix(f.text(e), "."+function)
				})
			}
			return !found
		})
	}
	return found
}

// lines is the note with what has to be written where the reconciler is made, for a place that cannot be changed safely.
func (w *wiring) lines(p *project, k *kind, c *controller) string {
	api := c.nameOf(p, filepath.Dir(k.path))
	controllers := ""
	if filepath.Dir(w.path) != filepath.Dir(c.path) {
		controllers = c.syntax.Name.Name + "."
		if name := w.nameOf(p, filepath.Dir(c.path)); name != "" {
			controllers = name + "."
		}
	}
	var all strings.Builder
	fmt.Fprintf(&all, "%s:%d makes the reconciler by %s, which init does not change. Write before it, with the manager's name for mgr:\n\n", w.name, w.set.Position(w.made.Pos()).Line, firstLine(w.text(w.made)))
	if name := w.importName(modulePath + "/relay"); name != "" {
		fmt.Fprintf(&all, "\t… and &%s.%s{} as a further argument of the %s.Add that is there, whose result is trail\n", api, k.name, name)
	} else {
		all.WriteString(relayLines("mgr", api+"."+k.name, map[string]string{"postgres": "postgres", "context": "context", "os": "os", "relay": "relay"}, w.hasSetupLog()))
	}
	fmt.Fprintf(&all, "\taudited := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), trail).Client(%sAudit%s)\n\n", controllers, k.name)
	made := firstLine(w.text(w.made))
	_, literal := w.made.(*ast.CompositeLit)
	switch {
	case literal:
		fmt.Fprintf(&all, "Then give the reconciler that client: %s: audited.", c.clientField)
	case ast.IsExported(c.clientField):
		fmt.Fprintf(&all, "Then give the reconciler that client: r := %s; r.%s = audited.", made, c.clientField)
	default:
		fmt.Fprintf(&all, "Then give the reconciler that client as its field %s: pass it to %s.", c.clientField, w.of.Name)
	}
	fmt.Fprintf(&all, " Without it, states are saved without entries.\nThe imports are %[1]s/outbox, %[1]s/postgres and %[1]s/relay. See %[2]s#reconcilers-that-a-function-makes", modulePath, docs)
	return all.String()
}

func firstLine(text string) string {
	line, more, _ := strings.Cut(text, "\n")
	if more != "" {
		return line + "…}"
	}
	return line
}
