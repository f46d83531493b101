package scaffold

import (
	"fmt"
	"go/ast"
	"strings"
)

// defaultMarker makes the API server show an outbox on every resource.
const defaultMarker = "// +kubebuilder:default={}"

// ruleKept is the marker of the root type where the status cannot have a default (see RuleKept in package outbox/api).
const ruleKept = "// +kubebuilder:validation:XValidation:" +
	"rule=\"(has(self.status) && has(self.status.outbox)) || !has(oldSelf.status) || !has(oldSelf.status.outbox)\",message=\"the outbox cannot be removed\""

// addStatus embeds the outbox in the status, keeps it from being removed, and says where it is.
func (k *kind) addStatus() error {
	if !k.embedsOutbox() {
		outboxapi, err := k.status.use(modulePath+"/outbox/api", "outboxapi", "the-status")
		if err != nil {
			return err
		}
		k.status.insert(k.status.after(k.status.Fields.Opening), "\t"+outboxapi+".Status `json:\",inline\"`\n")
	}
	k.addDefault()
	if k.hasMethod("OutboxStatus") {
		return nil
	}
	outboxapi, err := k.use(modulePath+"/outbox/api", "outboxapi", "the-status")
	if err != nil {
		return err
	}
	metav1, err := k.use("k8s.io/apimachinery/pkg/apis/meta/v1", "metav1", "the-status")
	if err != nil {
		return err
	}
	conditions := "nil"
	if k.hasConditions() {
		conditions = "&r.Status.Conditions"
	}
	k.insert(k.after(k.decl.End()), fmt.Sprintf(`
// OutboxStatus is where the outbox and the conditions are.
func (r *%s) OutboxStatus() (*%s.Status, *[]%s.Condition) {
	return &r.Status.Status, %s
}
`, k.name, outboxapi, metav1, conditions))
	return nil
}

// addDefault adds the marker that the status has a default or, where it has required fields, the rule that does the same.
func (k *kind) addDefault() {
	field := k.field("Status")
	text := ""
	if field.Doc != nil {
		text = k.text(field.Doc)
	}
	switch {
	case k.required() == nil && !strings.Contains(text, "+kubebuilder:default"):
		k.insert(k.before(field.Pos()), "\t"+defaultMarker+"\n")
	case k.required() != nil && !strings.Contains(k.comments(), ruleKept):
		k.insert(k.before(k.decl.Pos()), ruleKept+"\n")
	}
}

// hasMethod reports whether the kind has a method of this name in its file.
func (k *kind) hasMethod(name string) bool {
	for _, d := range k.syntax.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name && f.Recv != nil && len(f.Recv.List) == 1 && embedded(f.Recv.List[0].Type) == k.name {
			return true
		}
	}
	return false
}

// hasConditions reports whether the status has standard conditions.
func (k *kind) hasConditions() bool {
	f := k.status.field("Conditions")
	if f == nil || len(f.Names) == 0 {
		return false
	}
	list, ok := f.Type.(*ast.ArrayType)
	if !ok || list.Len != nil {
		return false
	}
	of, ok := list.Elt.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "Condition" && k.status.importName("k8s.io/apimachinery/pkg/apis/meta/v1") == k.status.text(of.X)
}
