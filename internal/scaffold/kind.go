package scaffold

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

const modulePath = "github.com/holdfast-dev/holdfast"

// project is the code below a go.mod.
type project struct {
	root  string
	files []*file
	// broken are the errors of files that cannot be parsed.
	broken []error
}

// maxSource is the largest file that is read. Nobody writes a larger one by hand.
const maxSource = 4 << 20

// open parses what belongs to the module in a folder and is built: no tests, no deep copies, no nested modules, nothing behind a link or a build constraint.
func open(root string) (*project, error) {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		return nil, &RefusalError{File: filepath.Join(root, "go.mod"), Found: "there is none", Expected: "the folder of a Go module, as --dir", Section: "do-you-qualify"}
	}
	p := &project{root: root}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"vendor", "testdata", "bin"}, d.Name()) || isModule(path)):
			return filepath.SkipDir
		case d.IsDir() || !d.Type().IsRegular() || !strings.HasSuffix(d.Name(), ".go") || strings.HasSuffix(d.Name(), "_test.go") || strings.HasPrefix(d.Name(), "zz_generated"):
			return nil
		}
		if built, err := build.Default.MatchFile(filepath.Dir(path), d.Name()); err == nil && !built {
			return nil
		}
		f, err := parseSmall(root, path, d)
		if err != nil {
			p.broken = append(p.broken, err)
			return nil
		}
		p.files = append(p.files, f)
		return nil
	})
	return p, err
}

func parseSmall(root, path string, d fs.DirEntry) (*file, error) {
	info, err := d.Info()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSource {
		return nil, fmt.Errorf("%s has %d bytes, expected at most %d in a Go file", path, info.Size(), maxSource)
	}
	return parse(root, path)
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// structType is a struct type and where it is declared.
type structType struct {
	*file
	decl *ast.GenDecl
	name string
	*ast.StructType
}

// structs are the struct types of a name.
func (p *project) structs(name string) (found []*structType) {
	for _, f := range p.files {
		for _, d := range f.syntax.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, s := range g.Specs {
				if t, ok := s.(*ast.TypeSpec); ok && t.Name.Name == name {
					if st, ok := t.Type.(*ast.StructType); ok {
						found = append(found, &structType{file: f, decl: g, name: name, StructType: st})
					}
				}
			}
		}
	}
	return found
}

// field of a name, or embedded type of that name.
func (s *structType) field(name string) *ast.Field {
	for _, f := range s.Fields.List {
		if len(f.Names) == 0 && embedded(f.Type) == name || slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.Name == name }) {
			return f
		}
	}
	return nil
}

func embedded(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return embedded(t.X)
	case *ast.SelectorExpr:
		return t.Sel.Name
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// comments are those between the declaration before and this one: kubebuilder writes markers apart from the doc comment.
func (s *structType) comments() string {
	start := s.syntax.Name.End()
	for _, d := range s.syntax.Decls {
		if d.End() < s.decl.Pos() {
			start = d.End()
		}
	}
	var all strings.Builder
	for _, g := range s.syntax.Comments {
		if g.Pos() > start && g.End() <= s.decl.TokPos {
			for _, c := range g.List {
				all.WriteString(c.Text + "\n")
			}
		}
	}
	return all.String()
}

// kind is the kind that gets an outbox.
type kind struct {
	*structType
	status *structType
	// group of its API.
	group string
}

var kindName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)

// kind finds a kind by its name; api is the folder of its types where several have it.
func (p *project) kind(name, api string) (*kind, error) {
	if !kindName.MatchString(name) {
		return nil, fmt.Errorf("kind is %q, expected a name as in Release", name)
	}
	found := p.structs(name)
	found = slices.DeleteFunc(found, func(s *structType) bool {
		return s.field("TypeMeta") == nil || s.field("ObjectMeta") == nil || api != "" && filepath.Dir(s.path) != filepath.Join(p.root, api)
	})
	if len(found) == 0 && len(p.broken) > 0 {
		return nil, p.broken[0]
	}
	if len(found) == 0 {
		found := fmt.Sprintf("no type %s", name)
		if kinds := p.kindNames(); len(kinds) > 0 {
			found += "; its kinds are " + strings.Join(kinds, ", ")
		}
		return nil, &RefusalError{File: p.root, Found: found,
			Expected: fmt.Sprintf("a struct type %s with metav1.TypeMeta and metav1.ObjectMeta in this module", name), Section: "do-you-qualify"}
	}
	if len(found) > 1 {
		var dirs []string
		for _, s := range found {
			dirs = append(dirs, filepath.ToSlash(filepath.Dir(s.file.name)))
		}
		return nil, &RefusalError{File: found[1].file.name, Line: found[1].set.Position(found[1].decl.Pos()).Line, Found: fmt.Sprintf("another type %s, of %s", name, strings.Join(dirs, " and ")),
			Expected: "one, or --api with the folder of the version that is stored", Section: "several-versions"}
	}
	k := &kind{structType: found[0]}
	if err := k.check(p); err != nil {
		return nil, err
	}
	return k, nil
}

// kindNames are the kinds of the project, in the order of their names.
func (p *project) kindNames() (names []string) {
	for _, f := range p.files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if t, ok := n.(*ast.TypeSpec); ok {
				if st, ok := t.Type.(*ast.StructType); ok {
					if s := (&structType{StructType: st}); s.field("TypeMeta") != nil && s.field("ObjectMeta") != nil {
						names = append(names, t.Name.Name)
					}
				}
			}
			return true
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var groupName = regexp.MustCompile(`(?m)^// \+groupName=(\S+)$`)

// check finds what belongs to the kind, and refuses what cannot have an outbox.
func (k *kind) check(p *project) error {
	if !strings.Contains(k.comments(), "+kubebuilder:subresource:status") {
		return k.refuse(k.decl.Pos(), "do-you-qualify", "the marker // +kubebuilder:subresource:status above it", "kind %s has no status subresource", k.name)
	}
	field := k.field("Status")
	if field == nil {
		return k.refuse(k.decl.Pos(), "do-you-qualify", "a field Status", "kind %s has no status", k.name)
	}
	ident, ok := field.Type.(*ast.Ident)
	if !ok {
		return k.refuse(field.Pos(), "do-you-qualify", "a struct type of this package, as in Status "+k.name+"Status", "the status is %s", k.text(field.Type))
	}
	for _, s := range p.structs(ident.Name) {
		if filepath.Dir(s.path) == filepath.Dir(k.path) {
			k.status = s
		}
	}
	if k.status == nil {
		return k.refuse(field.Pos(), "do-you-qualify", "a struct type of this package", "the status is a %s, which is not one", ident.Name)
	}
	for _, f := range k.status.Fields.List {
		if jsonName(f) == "outbox" {
			return k.status.refuse(f.Pos(), "the-status", "no field of that name", "the status has a field outbox already")
		}
		if slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.Name == "Status" || n.Name == "Outbox" }) {
			return k.status.refuse(f.Pos(), "the-status", "no field called Status or Outbox in it: the embedded type is called so", "the status has a field %s", f.Names[0])
		}
	}
	for _, f := range p.files {
		if filepath.Dir(f.path) != filepath.Dir(k.path) {
			continue
		}
		for _, c := range f.syntax.Comments {
			for _, line := range c.List {
				if m := groupName.FindStringSubmatch(line.Text); m != nil {
					k.group = m[1]
				}
			}
		}
	}
	if k.group == "" {
		return k.refuse(k.syntax.Name.Pos(), "do-you-qualify", "the marker // +groupName=… in this package", "the API group is not known")
	}
	return nil
}

// jsonName of a field.
func jsonName(f *ast.Field) string {
	if f.Tag == nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
	return name
}

// required is the first field of the status that its schema requires; nil if there is none.
func (k *kind) required() *ast.Field {
	for _, f := range k.status.Fields.List {
		comment := f.Doc.Text()
		if f.Doc != nil {
			for _, c := range f.Doc.List {
				comment += c.Text + "\n"
			}
		}
		tag := ""
		if f.Tag != nil {
			tag = f.Tag.Value
		}
		optional := strings.Contains(comment, "+optional") || strings.Contains(comment, "+kubebuilder:validation:Optional") || strings.Contains(tag, ",omit") || strings.Contains(tag, ",inline")
		if strings.Contains(comment, "+required") || strings.Contains(comment, "+kubebuilder:validation:Required") || !optional {
			return f
		}
	}
	return nil
}

// embedsOutbox reports whether the status has an outbox already.
func (k *kind) embedsOutbox() bool {
	f := k.status.field("Status")
	return f != nil && len(f.Names) == 0
}
