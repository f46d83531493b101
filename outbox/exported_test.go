package outbox_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// maxExported is how many names an adopter has to look at. What readers, stores and verifiers need goes into package entry.
const maxExported = 28

func TestTheAPIStaysNarrow(t *testing.T) {
	g := NewWithT(t)
	files, err := filepath.Glob("*.go")
	g.Expect(err).NotTo(HaveOccurred())
	var exported []string
	note := func(name *ast.Ident) {
		if name.IsExported() {
			exported = append(exported, name.Name)
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		g.Expect(err).NotTo(HaveOccurred())
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		g.Expect(err).NotTo(HaveOccurred())
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					note(d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						note(spec.Name)
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							note(n)
						}
					}
				}
			}
		}
	}
	g.Expect(len(exported)).To(BeNumerically("<=", maxExported), "%s", exported)
}
