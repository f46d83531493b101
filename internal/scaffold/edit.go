package scaffold

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// docs is where a RefusalError sends its reader.
const docs = "docs/embedding.md"

// RefusalError says why a project cannot be changed, and what to do instead.
type RefusalError struct {
	// File, and Line in it; 0 if there is none.
	File string
	Line int
	// Found and Expected there.
	Found, Expected string
	// Section of docs/embedding.md.
	Section string
}

func (r *RefusalError) Error() string {
	place := r.File
	if r.Line > 0 {
		place += ":" + strconv.Itoa(r.Line)
	}
	return fmt.Sprintf("%s: %s; expected %s; by hand: %s#%s", place, r.Found, r.Expected, docs, r.Section)
}

// file is one of the project's, with the changes to it.
type file struct {
	path   string // absolute
	name   string // below the project
	source []byte
	set    *token.FileSet
	syntax *ast.File
	edits  []edit
	// imported are the names of packages that the edits import.
	imported map[string]string
}

// edit replaces what is between two offsets.
type edit struct {
	from, to int
	text     string
}

func parse(root, path string) (*file, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	name, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, name: filepath.ToSlash(name), source: source, set: token.NewFileSet()}
	f.syntax, err = parser.ParseFile(f.set, f.name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("%w; fix the syntax first", err) // begins with file and line
	}
	return f, nil
}

func (f *file) offset(p token.Pos) int { return f.set.Position(p).Offset }

func (f *file) refuse(at token.Pos, section, expected, found string, args ...any) *RefusalError {
	r := &RefusalError{File: f.name, Found: fmt.Sprintf(found, args...), Expected: expected, Section: section}
	if at.IsValid() {
		r.Line = f.set.Position(at).Line
	}
	return r
}

// text is the source of a node.
func (f *file) text(n ast.Node) string { return string(f.source[f.offset(n.Pos()):f.offset(n.End())]) }

// before is where the line of a position begins.
func (f *file) before(p token.Pos) int {
	return bytes.LastIndexByte(f.source[:f.offset(p)], '\n') + 1
}

// after is where the line after a position begins.
func (f *file) after(p token.Pos) int {
	at := f.offset(p)
	if i := bytes.IndexByte(f.source[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(f.source)
}

func (f *file) insert(at int, text string) { f.edits = append(f.edits, edit{at, at, text}) }

func (f *file) replace(n ast.Node, text string) {
	f.edits = append(f.edits, edit{f.offset(n.Pos()), f.offset(n.End()), text})
}

// importName is the name by which the file refers to a package; "" if it has none for it.
func (f *file) importName(path string) string {
	for _, s := range f.syntax.Imports {
		p, _ := strconv.Unquote(s.Path.Value)
		switch {
		case p != path || s.Name != nil && (s.Name.Name == "_" || s.Name.Name == "."):
		case s.Name != nil:
			return s.Name.Name
		default:
			return path[strings.LastIndexByte(path, '/')+1:]
		}
	}
	return f.imported[path]
}

// use is the name by which the file refers to a package. If it has none, the package is imported under the given name, in the first group of its sort: the standard library, or others'.
// Formatting sorts them. A name that is something else in the file is refused.
func (f *file) use(path, name, section string) (string, error) {
	if known := f.importName(path); known != "" {
		return known, nil
	}
	if f.has(name) {
		return "", f.refuse(f.syntax.Name.Pos(), section, "no identifier of that name: the package "+path+" would be called so", "%s is a name in this file already", name)
	}
	at, err := f.importPlace(path)
	if err != nil {
		return "", err
	}
	spec := strconv.Quote(path)
	if !strings.HasSuffix(path, "/"+name) && path != name {
		spec = name + " " + spec
	}
	f.insert(at, "\t"+spec+"\n")
	if f.imported == nil {
		f.imported = map[string]string{}
	}
	f.imported[path] = name
	return name, nil
}

// has reports whether the file has an identifier of this name. What stands after a dot does not count.
func (f *file) has(name string) (found bool) {
	var look func(n ast.Node) bool
	look = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			ast.Inspect(n.X, look)
			return false
		case *ast.Ident:
			found = found || n.Name == name
		}
		return !found
	}
	ast.Inspect(f.syntax, look)
	return found
}

// importPlace is where the import of a package is written.
func (f *file) importPlace(path string) (int, error) {
	external := func(path string) bool { return strings.Contains(strings.SplitN(path, "/", 2)[0], ".") }
	for _, d := range f.syntax.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.IMPORT || !g.Rparen.IsValid() || len(g.Specs) == 0 {
			continue
		}
		for _, s := range g.Specs {
			s := s.(*ast.ImportSpec)
			// A comment above an import is about that import, and so is its group.
			if s.Doc == nil && (s.Name == nil || s.Name.Name != "_") && external(strings.Trim(s.Path.Value, `"`)) == external(path) {
				return f.before(s.Pos()), nil
			}
		}
		return f.before(g.Rparen), nil
	}
	return 0, f.refuse(f.syntax.Name.Pos(), "the-status", "imports in parentheses", "the file has none")
}

// result is the file with its edits; an error if it cannot be parsed any more, which is a fault of this package.
func (f *file) result() ([]byte, error) {
	slices.SortStableFunc(f.edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	windows := bytes.Contains(f.source, []byte("\r\n"))
	var out bytes.Buffer
	at := 0
	for _, e := range f.edits {
		out.Write(f.source[at:e.from])
		if windows {
			e.text = strings.ReplaceAll(e.text, "\n", "\r\n")
		}
		out.WriteString(e.text)
		at = e.to
	}
	out.Write(f.source[at:])
	formatted, err := format.Source(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: what init would make of it is not Go: %w; nothing was written, please report it", f.name, err)
	}
	if was, err := format.Source(f.source); err == nil && bytes.Equal(was, f.source) {
		return formatted, nil
	}
	return out.Bytes(), nil // it is not formatted: leave the rest as it is
}

// diff is the change to a file as `git apply` and `patch -p1` take it.
func diff(name string, was, is []byte) (string, error) {
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: lines(was), B: lines(is), FromFile: "a/" + name, ToFile: "b/" + name, Context: 3,
	})
}

// lines with their newlines.
func lines(text []byte) (all []string) {
	for line := range strings.Lines(string(text)) {
		all = append(all, line)
	}
	return all
}
