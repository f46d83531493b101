package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/spf13/pflag"

	"github.com/holdfast-dev/holdfast/internal/command"
)

const operationsPage = "../../docs/operations.md"

var update = flag.Bool("update", false, "write the table of flags in docs/operations.md anew")

// The table is a part of the page: a change is made with `go test ./cmd/holdfast -run Flags -update`.
func TestTheFlagsOfTheManagerAreDocumented(t *testing.T) {
	const begin, end = "<!-- begin: cmd/holdfast/docs_test.go -->\n", "<!-- end -->"
	g := NewWithT(t)
	page, err := os.ReadFile(operationsPage)
	g.Expect(err).NotTo(HaveOccurred())
	before, rest, found := strings.Cut(string(page), begin)
	g.Expect(found).To(BeTrue(), begin)
	have, after, found := strings.Cut(rest, end)
	g.Expect(found).To(BeTrue(), end)

	var want strings.Builder
	want.WriteString("| flag | variable | default | |\n|---|---|---|---|\n")
	newManagerCommand().Flags().VisitAll(func(f *pflag.Flag) {
		value := f.DefValue
		if value != "" && value != "[]" {
			value = "`" + value + "`"
		} else {
			value = ""
		}
		fmt.Fprintf(&want, "| `--%s` | `%s` | %s | %s |\n", f.Name, command.Variable(f.Name), value, f.Usage)
	})
	if *update {
		g.Expect(os.WriteFile(operationsPage, []byte(before+begin+want.String()+end+after), 0o644)).To(Succeed())
		return
	}
	g.Expect(strings.Split(have, "\n")).To(Equal(strings.Split(want.String(), "\n")), "run this test with -update")
}

// Whoever looks for a message of the log must find it in the runbooks, and the other way round.
func TestWhatTheRunbooksQuoteExists(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile(operationsPage)
	g.Expect(err).NotTo(HaveOccurred())
	text := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`").ReplaceAllStringFunc(string(page), func(code string) string {
		return strings.ReplaceAll(code, `"`, "") // what is quoted in code is code
	})
	all := texts(t)
	messages := regexp.MustCompile(`"([^"\n]+)"`).FindAllStringSubmatch(text, -1)
	g.Expect(len(messages)).To(BeNumerically(">", 8))
	for _, quoted := range messages {
		ours := slices.ContainsFunc(all, func(text string) bool { return strings.Contains(text, quoted[1]) })
		if !ours {
			t.Errorf("%q is no message of ours", quoted[1])
		}
	}
	reasons := regexp.MustCompile("Events? `([A-Za-z]+)`").FindAllStringSubmatch(text, -1)
	g.Expect(len(reasons)).To(BeNumerically(">", 5))
	for _, reason := range reasons {
		if !slices.Contains(all, reason[1]) {
			t.Errorf("%q is no reason of an Event of ours", reason[1])
		}
	}
}

// texts are the string literals of everything but tests; those that are added to each other are one.
func texts(t *testing.T) []string {
	t.Helper()
	g := NewWithT(t)
	all := []string{"forbidden"} // the API server's
	for _, folder := range []string{"cmd", "controllers", "internal", "migrations", "outbox", "postgres", "relay", "storageclient"} {
		g.Expect(filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				x, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				whole, ok := literal(x)
				if ok {
					all = append(all, whole)
				}
				return !ok
			})
			return nil
		})).To(Succeed())
	}
	return all
}

// literal is the text of a string literal, or of a sum of them.
func literal(x ast.Expr) (string, bool) {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, x.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, ok1 := literal(x.X)
		right, ok2 := literal(x.Y)
		return left + right, x.Op == token.ADD && ok1 && ok2
	}
	return "", false
}
