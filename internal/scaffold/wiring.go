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
	// of is the constructor that is called there, if any.
	of *constructor
	// api and controllers are the names by which the file knows the packages of the kind and of its reconciler.
	api, controllers string
	// done is true when the reconciler has another client already.
	done bool
	// byHand is true where the client of the reconciler cannot be changed in this expression: the lines are printed instead.
	byHand bool
}

// wirings are the places where a program makes the reconciler: where it writes the struct, and where it calls a constructor of it.
func (p *project) wirings(c *controller) ([]*wiring, error) {
	var found []*wiring
	for _, m := range p.makings(c) {
		switch {
		case m.file.syntax.Name.Name != "main" || m.of == nil && p.isConstructor(c, m.function):
		case m.of != nil:
			found = append(found, m.wiringOfCall())
		default:
			w, err := m.file.wiringAt(m.place, c)
			if err != nil {
				return nil, err
			}
			found = append(found, w)
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
		found, err = p.elsewhere(c)
		if err != nil {
			return nil, err
		}
	}
	for _, other := range found[1:] {
		if !other.done || !found[0].done {
			return nil, other.refuse(other.statement.Pos(), "the-wiring", fmt.Sprintf("one, as in %s: a program whose client is forgotten writes states without entries", found[0].name), "another %s{…}", c.name)
		}
	}
	w := found[0]
	if w.byHand {
		w.done = p.audits("Audit" + k.name)
		return w, nil
	}
	if w.done {
		return w, nil
	}
	if w.api, err = w.packageName(p, k.structType); err != nil {
		return nil, err
	}
	if w.controllers, err = w.packageName(p, c.structType); err != nil {
		return nil, err
	}
	if !w.hasSetupLog() {
		return nil, w.refuse(w.syntax.Name.Pos(), "the-wiring", "the variable setupLog of kubebuilder, to say why the operator cannot start", "there is no variable setupLog")
	}
	return w, nil
}

func (f *file) hasSetupLog() bool {
	return slices.ContainsFunc(f.syntax.Decls, func(d ast.Decl) bool {
		g, ok := d.(*ast.GenDecl)
		return ok && g.Tok == token.VAR && strings.Contains(f.text(g), "setupLog")
	})
}

func (f *file) wiringAt(at *place, c *controller) (*wiring, error) {
	for _, e := range at.made.(*ast.CompositeLit).Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok || f.text(kv.Key) != c.clientField {
			continue
		}
		w := &wiring{file: f, place: at, client: kv.Value}
		if w.mgr = f.managerOf(at, kv.Value); w.mgr != "" {
			return w, nil
		}
		if f.importName(modulePath+"/outbox") != "" {
			w.done = true
			return w, nil
		}
		return nil, f.refuse(kv.Pos(), "the-wiring", c.clientField+": mgr.GetClient()", "the client of %s is %s", c.name, f.text(kv.Value))
	}
	return nil, f.refuse(at.made.Pos(), "the-wiring", c.clientField+": mgr.GetClient() in it", "%s gets no client", c.name)
}

// managerOf is the variable of the manager whose client an expression is; "" if it is another client, or may be.
func (f *file) managerOf(at *place, client ast.Expr) string {
	made := f.text(client)
	if value := at.value(made); value != nil {
		made = f.text(value)
	}
	if mgr, ok := strings.CutSuffix(made, ".GetClient()"); ok && token.IsIdentifier(mgr) {
		return mgr
	}
	return ""
}

// fits refuses a place where the relay cannot be made before the reconciler.
func (w *wiring) fits() error {
	const section = "the-wiring"
	if w.loop {
		return w.refuse(w.statement.Pos(), section, "it outside of any loop: a program has one relay", "the reconciler is made in a loop")
	}
	declared := declarations(w.function, w.mgr)
	for _, at := range slices.Backward(declared) {
		if at >= w.made.Pos() {
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

// packageName is how the file calls the package of a type.
func (f *file) packageName(p *project, of *structType) (string, error) {
	if name := f.nameOf(p, filepath.Dir(of.path)); name != "" {
		return name, nil
	}
	return "", f.refuse(f.syntax.Name.Pos(), "the-wiring", "the import of its package", "this file does not know the type %s of %s", of.name, of.file.name)
}

// nameOf is how the file calls the package in a folder of the project; "" if it does not import it.
func (f *file) nameOf(p *project, dir string) string {
	below, err := filepath.Rel(p.root, dir)
	if err != nil {
		return ""
	}
	for _, s := range f.syntax.Imports {
		if path := strings.Trim(s.Path.Value, `"`); strings.HasSuffix(path, "/"+filepath.ToSlash(below)) {
			return f.importName(path)
		}
	}
	return ""
}

// connect opens the store, adds the relay, and gives the reconciler a client that audits.
func (w *wiring) connect(p *project, k *kind, c *controller) error {
	switch {
	case w.done:
		return nil
	case w.byHand:
		c.notes = append(c.notes, w.lines(p, k, c))
		return nil
	}
	if err := w.fits(); err != nil {
		return err
	}
	trail := "trail"
	if w.importName(modulePath+"/relay") != "" {
		var err error
		if trail, err = w.join(k); err != nil {
			return err
		}
	} else if err := w.addRelay(k); err != nil {
		return err
	}
	outbox, err := w.use(modulePath+"/outbox", "outbox", "the-wiring")
	if err != nil {
		return err
	}
	w.replace(w.client, fmt.Sprintf("%[4]s.NewWriter(%[5]s, %[1]s.GetAPIReader(), %[6]s).Client(%[2]s.Audit%[3]s)", w.mgr, w.controllers, k.name, outbox, w.text(w.client), trail))
	return nil
}

// addRelay opens the store and adds the relay before the statement with the reconciler.
func (w *wiring) addRelay(k *kind) error {
	for _, name := range []string{"store", "trail"} {
		if w.has(name) {
			return w.refuse(w.statement.Pos(), "the-wiring", "no identifier of that name: the store and the relay would be called so", "%s is a name in this file already", name)
		}
	}
	names := map[string]string{}
	for _, path := range []string{"context", "os", modulePath + "/postgres", modulePath + "/relay"} {
		name := path[strings.LastIndexByte(path, '/')+1:]
		var err error
		if names[name], err = w.use(path, name, "the-wiring"); err != nil {
			return err
		}
	}
	w.insert(w.before(w.statement.Pos()), relayLines(w.mgr, w.api+"."+k.name, names, true))
	return nil
}

// relayLines open the store and add the relay; names are those of the packages.
func relayLines(mgr, kind string, names map[string]string, setupLog bool) string {
	stop := func(message string) string {
		if !setupLog {
			return "\t\treturn err // or what this function does with an error\n"
		}
		return fmt.Sprintf("\t\tsetupLog.Error(err, %q)\n\t\t%s.Exit(1)\n", message, names["os"])
	}
	return fmt.Sprintf(`	store, err := %[3]s.Open(%[4]s.Background(), %[5]s.Getenv("HOLDFAST_DATABASE_URL"), %[3]s.Options{})
	if err != nil {
%[7]s	}
	trail, err := %[6]s.Add(%[1]s, store, %[6]s.Config{}, &%[2]s{})
	if err != nil {
%[8]s	}
`, mgr, kind, names["postgres"], names["context"], names["os"], names["relay"], stop("unable to open the audit store"), stop("unable to set up the audit relay"))
}
