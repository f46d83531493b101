package consumer

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// What the operator of another module requires: the oldest versions that the libraries support.
const (
	oldestGo                = "1.24.0"
	oldestControllerRuntime = "v0.22.0"
	oldestKubernetes        = "v0.34.0"
)

const module = "github.com/holdfast-dev/holdfast"

// testsOnly are modules that only the tests of packages rar and internal/plugin import. An operator's graph has them without a package of them, so they may rise there.
var testsOnly = []string{"github.com/yuin/goldmark", "github.com/creack/pty"}

// An operator that adds the libraries keeps the version of every module that it had.
func TestNothingIsForcedUp(t *testing.T) {
	g := NewWithT(t)
	repository, err := filepath.Abs("../..")
	g.Expect(err).NotTo(HaveOccurred())
	o := operator{dir: t.TempDir(), t: t}
	requirements := "module example.com/operator\n\ngo " + oldestGo + "\n\nrequire (\n\tsigs.k8s.io/controller-runtime " + oldestControllerRuntime + "\n"
	for _, staged := range []string{"api", "apimachinery", "client-go"} {
		requirements += "\tk8s.io/" + staged + " " + oldestKubernetes + "\n"
	}
	o.write("go.mod", requirements+")\n")
	o.copy("operator.go", "main.go")
	o.copy("plain.go", "setup.go")
	o.run("go", "mod", "tidy")
	before := o.versions()
	g.Expect(before).To(HaveKeyWithValue("sigs.k8s.io/controller-runtime", oldestControllerRuntime))

	o.run("go", "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+repository)
	o.copy("audited.go", "setup.go")
	o.run("go", "mod", "tidy")
	after := o.versions()
	g.Expect(strings.Fields(o.run("go", "list", "-f", "{{with .Module}}{{.Path}}{{end}}", "all"))).NotTo(ContainElement(BeElementOf(testsOnly)))
	for _, name := range testsOnly {
		delete(before, name)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		g.Expect(after).To(HaveKeyWithValue(name, before[name]), "%s is forced up: lower it in go.mod", name)
	}
	g.Expect(strings.Fields(o.run("go", "mod", "edit", "-print"))).To(And(ContainElements("go", oldestGo), Not(ContainElement("toolchain"))))

	if os.Getenv("HOLDFAST_MATRIX") == "" {
		return
	}
	o.run("go", "vet", ".")
	o.run("go", "build", "-o", "operator", ".")
	var built strings.Builder
	for line := range strings.Lines(o.run("go", "version", "-m", "operator")) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "dep" {
			new := ""
			if _, had := before[fields[1]]; !had {
				new = " (new)"
			}
			fmt.Fprintf(&built, "%s %s%s\n", fields[1], fields[2], new)
		}
	}
	t.Logf("%s builds the operator, of\n%s", strings.TrimSpace(o.run("go", "env", "GOVERSION")), built.String())
}

// The page for those who embed the libraries names the versions that they need.
func TestVersionsOnThePage(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile("../../docs/embedding.md")
	g.Expect(err).NotTo(HaveOccurred())
	table := "| | oldest | newest |\n|---|---|---|\n"
	for _, row := range [][2]string{
		{"Go", "go"}, {"controller-runtime", "sigs.k8s.io/controller-runtime"}, {"k8s.io/api, apimachinery, client-go", "k8s.io/client-go"},
		{"bun", "github.com/uptrace/bun"}, {"pgx", "github.com/jackc/pgx/v5"}, {"goose", "github.com/pressly/goose/v3"},
		{"client_golang of Prometheus", "github.com/prometheus/client_golang"},
	} {
		table += "| " + row[0]
		for _, file := range []string{"../../go.mod", "../../hack/newest/go.mod"} {
			content, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			version := regexp.MustCompile(`(?m)^\t?` + row[1] + ` (\S+)`).FindSubmatch(content)
			g.Expect(version).NotTo(BeNil(), "%s in %s", row[1], file)
			table += " | " + string(version[1])
		}
		table += " |\n"
	}
	g.Expect(string(page)).To(ContainSubstring(table), "section Versions")
}

// operator is a module in a folder.
type operator struct {
	dir string
	t   *testing.T
}

func (o operator) write(name, content string) {
	o.t.Helper()
	NewWithT(o.t).Expect(os.WriteFile(filepath.Join(o.dir, name), []byte(content), 0o600)).To(Succeed())
}

func (o operator) copy(from, to string) {
	o.t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", from))
	NewWithT(o.t).Expect(err).NotTo(HaveOccurred())
	o.write(to, string(content))
}

// run gives what a command writes to its standard output, without the last line break. The module is on its own: the repository's go.work counts for nobody else.
func (o operator) run(name string, args ...string) string {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), name, args...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	NewWithT(o.t).Expect(err).NotTo(HaveOccurred(), "%s %v: %s", name, args, &said)
	return strings.TrimSuffix(string(out), "\n")
}

// versions has the version of each module that the operator's build selects from.
func (o operator) versions() map[string]string {
	o.t.Helper()
	versions := map[string]string{}
	for line := range strings.Lines(o.run("go", "list", "-m", "-f", "{{if not .Main}}{{.Path}} {{.Version}}{{end}}", "all")) {
		if fields := strings.Fields(line); len(fields) == 2 {
			versions[fields[0]] = fields[1]
		}
	}
	return versions
}
