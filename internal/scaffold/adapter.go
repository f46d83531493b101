package scaffold

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// addAdapter adds the function that says what the trail keeps, and the end of the record.
func (c *controller) addAdapter(p *project, k *kind) error {
	name := "Audit" + k.name
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == name {
				return nil
			}
		}
	}
	api, err := c.packageName(p, k.structType)
	if err != nil {
		return err
	}
	phase, helper, err := k.phase(c)
	if err != nil {
		return err
	}
	if err := c.addEnd(); err != nil {
		return err
	}
	outbox, err := c.use(modulePath+"/outbox", "outbox", "the-adapter")
	if err != nil {
		return err
	}
	c.insert(len(c.source), fmt.Sprintf(`
// %[1]s says what the audit trail keeps of a change of the status; nil keeps nothing.
func %[1]s(before, after %[9]s.Object) *%[9]s.Change {
	was, is := before.(*%[2]s.%[3]s), after.(*%[2]s.%[3]s)
	if %[7]s == %[6]s && is.DeletionTimestamp.IsZero() {
		return nil
	}
	is.Status.Outbox = nil // is is a copy, and a record has no outbox in it
	return &%[9]s.Change{Kind: "%[4]s.%[5]s", Event: "StatusChanged", Phase: %[6]s, Final: %[9]s.Ending(is),
		Record: map[string]any{"spec": is.Spec, "status": is.Status}}
}
%[8]s`, name, api, k.name, c.resource, k.group, phase, strings.ReplaceAll(phase, "is.", "was."), helper, outbox))
	return nil
}

// phase is an expression for the phase of is, and the function that it needs, if any.
func (k *kind) phase(c *controller) (expression, helper string, err error) {
	for _, name := range []string{"Phase", "State"} {
		f := k.status.field(name)
		if f == nil {
			continue
		}
		if t, ok := f.Type.(*ast.Ident); ok {
			if t.Name == "string" {
				return "is.Status." + name, "", nil
			}
			return "string(is.Status." + name + ")", "", nil
		}
	}
	if !k.hasConditions() {
		return "", "", k.status.refuse(k.status.decl.Pos(), "the-adapter", "one of these, from which the trail takes the phase", "status %s has no field Phase or State, and no conditions", k.status.name)
	}
	metav1, err := c.use("k8s.io/apimachinery/pkg/apis/meta/v1", "metav1", "the-adapter")
	if err != nil {
		return "", "", err
	}
	meta, err := c.use("k8s.io/apimachinery/pkg/api/meta", "meta", "the-adapter")
	if err != nil {
		return "", "", err
	}
	return "ready" + k.name + "(is.Status.Conditions)", fmt.Sprintf(`
// ready%[1]s is the phase of a %[1]s, which has conditions only.
func ready%[1]s(conditions []%[2]s.Condition) string {
	if ready := %[3]s.FindStatusCondition(conditions, "Ready"); ready != nil {
		return ready.Reason
	}
	return ""
}
`, k.name, metav1, meta), nil
}

// addEnd lets Reconcile end the record of a resource that is being deleted. A controller with a finalizer of its own does that after its clean-up, which is its author's to say.
func (c *controller) addEnd() error {
	if c.selects("Finalizers", "GetFinalizers", "SetFinalizers") {
		c.notes = append(c.notes, fmt.Sprintf(
			"%s reads or sets the list of finalizers itself: the outbox's will be in it, and setting the list removes that; use AddFinalizer and RemoveFinalizer of controllerutil, see %s#what-becomes-of-your-calls",
			c.file.name, docs))
	}
	if c.selects("AddFinalizer", "SetFinalizers", "DeletionTimestamp", "GetDeletionTimestamp") {
		c.notes = append(c.notes, fmt.Sprintf("%s does something when a resource is deleted: end the record there, where a finalizer of yours is not there any more, see %s#deletion", c.file.name, docs))
		return nil
	}
	for _, d := range c.syntax.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "Reconcile" || fn.Recv == nil || len(fn.Recv.List) != 1 || embedded(fn.Recv.List[0].Type) != c.name || len(fn.Recv.List[0].Names) != 1 {
			continue
		}
		receiver := fn.Recv.List[0].Names[0].Name
		through := receiver // by which Reconcile reads and writes
		if c.clientField != "Client" {
			through += "." + c.clientField
		}
		if fn.Type.Results == nil || fn.Type.Results.NumFields() != 2 {
			continue
		}
		result := c.text(fn.Type.Results.List[0].Type)
		for _, s := range fn.Body.List {
			if object := c.read(s, through); object != nil {
				text := c.text(object)
				c.insert(c.after(s.End()), fmt.Sprintf(`	if !%s.DeletionTimestamp.IsZero() {
		return %s{}, %s.IgnoreNotFound(%s.Status().Update(ctx, %s))
	}
`, strings.TrimPrefix(text, "&"), result, c.client, through, text))
				return nil
			}
		}
		return c.refuse(fn.Pos(), "deletion", fmt.Sprintf("if err := %s.Get(ctx, req.NamespacedName, obj); err != nil {…} in it, after which the record of a deleted resource ends", through), "Reconcile does not read its resource")
	}
	return &RefusalError{File: c.file.name, Found: "no method Reconcile of " + c.name, Expected: "it in the file of its type", Section: "deletion"}
}

// read is the object that a statement reads, if it is `if err := r.Get(ctx, req.NamespacedName, object); …`.
func (c *controller) read(s ast.Stmt, through string) (object ast.Expr) {
	condition, ok := s.(*ast.IfStmt)
	if !ok || condition.Init == nil {
		return nil
	}
	ast.Inspect(condition.Init, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if ok && (c.text(call.Fun) == through+".Get" || c.text(call.Fun) == through+".Client.Get") && len(call.Args) == 3 && strings.HasSuffix(c.text(call.Args[1]), ".NamespacedName") {
			switch o := call.Args[2].(type) {
			case *ast.Ident:
				object = o
			case *ast.UnaryExpr:
				if _, ok := o.X.(*ast.Ident); ok && o.Op == token.AND {
					object = o
				}
			}
		}
		return object == nil
	})
	return object
}

// selects reports whether the controller's file uses a field or a function of one of these names.
func (c *controller) selects(names ...string) (found bool) {
	ast.Inspect(c.syntax, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(names, s.Sel.Name) {
			found = true
		}
		return !found
	})
	return found
}
