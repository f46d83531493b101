package scaffold

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"strings"
)

// wiring is where main.go makes the manager and the reconciler.
type wiring struct {
	*file
	// mgr is the manager's variable.
	mgr string
	// client is the value of the reconciler's field Client.
	client ast.Expr
	// statement has the reconciler in it.
	statement ast.Stmt
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
			for _, s := range fn.Body.List {
				if literal := reconcilerIn(s, c.name); literal != nil {
					w, err := f.wiringAt(s, literal, c.name)
					if err != nil {
						return nil, err
					}
					found = append(found, w)
				}
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

// reconcilerIn is the composite literal of a reconciler within a statement.
func reconcilerIn(s ast.Stmt, name string) (found *ast.CompositeLit) {
	ast.Inspect(s, func(n ast.Node) bool {
		if l, ok := n.(*ast.CompositeLit); ok && l.Type != nil && embedded(l.Type) == name {
			found = l
		}
		return found == nil
	})
	return found
}

func (f *file) wiringAt(s ast.Stmt, l *ast.CompositeLit, name string) (*wiring, error) {
	for _, e := range l.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok || f.text(kv.Key) != "Client" {
			continue
		}
		w := &wiring{file: f, statement: s, client: kv.Value}
		text := f.text(kv.Value)
		if mgr, ok := strings.CutSuffix(text, ".GetClient()"); ok && token.IsIdentifier(mgr) {
			w.mgr = mgr
			return w, nil
		}
		if f.importName(modulePath+"/outbox") != "" {
			w.done = true
			return w, nil
		}
		return nil, f.refuse(kv.Pos(), "the-wiring", "Client: mgr.GetClient()", "the client of %s is %s", name, text)
	}
	return nil, f.refuse(l.Pos(), "the-wiring", "Client: mgr.GetClient() in it", "%s gets no client", name)
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
	for _, name := range []string{"store", "trail"} {
		if w.uses(name) {
			return w.refuse(w.statement.Pos(), "the-wiring", "no identifier of that name: the store and the relay would be called so", "%s is a name in this file already", name)
		}
	}
	if err := w.addImports(`"context"`, `"os"`, `"`+modulePath+`/outbox"`, `"`+modulePath+`/postgres"`, `"`+modulePath+`/relay"`); err != nil {
		return err
	}
	w.insert(w.before(w.statement.Pos()), fmt.Sprintf(`	store, err := postgres.Open(context.Background(), os.Getenv("HOLDFAST_DATABASE_URL"), postgres.Options{})
	if err != nil {
		setupLog.Error(err, "unable to open the audit store")
		os.Exit(1)
	}
	trail, err := relay.Add(%s, store, relay.Config{}, &%s.%s{})
	if err != nil {
		setupLog.Error(err, "unable to set up the audit relay")
		os.Exit(1)
	}
`, w.mgr, w.api, k.name))
	w.replace(w.client, fmt.Sprintf("outbox.NewWriter(%[1]s.GetClient(), %[1]s.GetAPIReader(), trail).Client(%[2]s.Audit%[3]s)", w.mgr, w.controllers, k.name))
	return nil
}

// uses reports whether an identifier of this name is in the file.
func (f *file) uses(name string) (found bool) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == name {
			found = true
		}
		return !found
	})
	return found
}
