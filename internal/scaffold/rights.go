package scaffold

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// controller is where the reconciler of a kind is, and the rights that its markers give.
type controller struct {
	*structType
	// resource is the name of the kind's resource, as in releases.
	resource string
	// client is the name by which the file knows the package of client.Client.
	client string
	// clientField is the reconciler's field of that type: Client if it is embedded.
	clientField string
	markers     []marker
	// last is the end of the last marker.
	last token.Pos
	// notes say what is left to do by hand.
	notes []string
}

// marker is an RBAC marker.
type marker struct{ groups, resources, verbs []string }

var rbacMarker = regexp.MustCompile(`^//\s*\+kubebuilder:rbac:(.+)$`)

func parseMarker(text string) (m marker, ok bool) {
	found := rbacMarker.FindStringSubmatch(strings.TrimSpace(text))
	if found == nil {
		return m, false
	}
	for part := range strings.SplitSeq(found[1], ",") {
		name, value, _ := strings.Cut(part, "=")
		values := strings.Split(strings.Trim(value, `"{}`), ";")
		switch name {
		case "groups":
			m.groups = values
		case "resources":
			m.resources = values
		case "verbs":
			m.verbs = values
		}
	}
	return m, true
}

// controller finds the reconciler of a kind.
func (p *project) controller(k *kind) (*controller, error) {
	name := k.name + "Reconciler"
	found := p.structs(name)
	if len(found) == 0 {
		found = p.reconcilersOf(k)
	}
	switch {
	case len(found) == 0 && len(p.broken) > 0:
		return nil, p.broken[0]
	case len(found) == 0:
		return nil, &RefusalError{File: p.root, Found: "no type " + name + ", and no other whose Reconcile reads a " + k.name, Expected: "the struct of kubebuilder's scaffold, with client.Client embedded", Section: "the-reconciler"}
	case len(found) > 1:
		return nil, found[1].refuse(found[1].decl.Pos(), "the-reconciler", fmt.Sprintf("one, or one called %s", name), "another type %s", found[1].name)
	}
	c := &controller{structType: found[0]}
	if !c.findClient() {
		return nil, c.refuse(c.decl.Pos(), "the-reconciler", "client.Client embedded or as a field, by which it saves the status", "%s has none", c.name)
	}
	for _, g := range c.syntax.Comments {
		for _, line := range g.List {
			if m, ok := parseMarker(line.Text); ok {
				c.markers = append(c.markers, m)
				c.last = line.End()
			}
		}
	}
	plural, _ := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Kind: k.name})
	for _, m := range c.markers {
		for _, r := range m.resources {
			if c.resource != plural.Resource && slices.Contains(m.groups, k.group) && !strings.Contains(r, "/") && strings.HasPrefix(r, strings.ToLower(k.name)[:len(k.name)-1]) {
				c.resource = r
			}
		}
	}
	if c.resource == "" {
		return nil, c.refuse(c.decl.Pos(), "rights", fmt.Sprintf("a marker // +kubebuilder:rbac:groups=%s,resources=…,verbs=… in this file", k.group), "the rights on the resources of kind %s are not there", k.name)
	}
	if entries := c.resource + "." + k.group; !entry.KnownKind(entries) {
		return nil, c.refuse(c.decl.Pos(), "the-adapter", "a resource and a group of lower-case letters, digits and hyphens, with dots between", "the kind of the entries would be %q", entries)
	}
	return c, nil
}

// reconcilersOf are the struct types with a method Reconcile that has a value of the kind in it. A project that does not come from kubebuilder names them as it likes.
func (p *project) reconcilersOf(k *kind) (found []*structType) {
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Name.Name != "Reconcile" || fn.Recv == nil || fn.Body == nil || len(fn.Recv.List) != 1 {
				continue
			}
			reads := false
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				reads = reads || ok && p.means(f, e, k.name, filepath.Dir(k.path))
				return !reads
			})
			for _, s := range p.structs(embedded(fn.Recv.List[0].Type)) {
				if reads && s.path == f.path {
					found = append(found, s)
				}
			}
		}
	}
	return found
}

// findClient finds the field by which the reconciler reads and writes.
func (c *controller) findClient() bool {
	for _, f := range c.Fields.List {
		t, ok := f.Type.(*ast.SelectorExpr)
		if !ok || t.Sel.Name != "Client" || c.importName("sigs.k8s.io/controller-runtime/pkg/client") != c.text(t.X) {
			continue
		}
		c.client, c.clientField = c.text(t.X), "Client"
		if len(f.Names) > 0 {
			c.clientField = f.Names[0].Name
		}
		return true
	}
	return false
}

func (c *controller) may(group, resource, verb string) bool {
	return slices.ContainsFunc(c.markers, func(m marker) bool {
		has := func(all []string, one string) bool { return slices.Contains(all, one) || slices.Contains(all, "*") }
		return has(m.groups, group) && has(m.resources, resource) && has(m.verbs, verb)
	})
}

// addRights adds the markers that the Writer and the relay need beside what is there.
func (c *controller) addRights(k *kind) {
	for _, want := range []struct {
		group, resource string
		verbs           []string
	}{
		{k.group, c.resource, []string{"get", "list", "watch", "patch"}},      // informer; the finalizer
		{k.group, c.resource + "/status", []string{"get", "update", "patch"}}, // state and entry; trims
	} {
		verbs := slices.DeleteFunc(want.verbs, func(v string) bool { return c.may(want.group, want.resource, v) })
		if len(verbs) > 0 {
			c.insert(c.after(c.last), fmt.Sprintf("// +kubebuilder:rbac:groups=%s,resources=%s,verbs=%s\n", want.group, want.resource, strings.Join(verbs, ";")))
		}
	}
}
