package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/scaffold"
)

// What init writes is Go that compiles, however the project names things.
func TestWhatInitWritesCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles an operator")
	}
	dir := t.TempDir()
	for name, changes := range map[string]map[string][]string{
		"manager in an inner scope": {program: {
			"\tmgr, err := ctrl.NewManager(", "\trun := func() {\n\tmgr, err := ctrl.NewManager(",
			"\t\tsetupLog.Error(err, \"problem running manager\")\n\t\tos.Exit(1)\n\t}\n", "\t\tsetupLog.Error(err, \"problem running manager\")\n\t\tos.Exit(1)\n\t}\n\t}\n\trun()\n",
		}},
		"reconciler in an if": {program: {
			"\tif err := (&controller.ReleaseReconciler{", "\tif probeAddr != \"\" {\n\tif err := (&controller.ReleaseReconciler{", "\t// +kubebuilder:scaffold:builder", "\t}\n\t// +kubebuilder:scaffold:builder",
		}},
		"other names for packages": {
			program:    {"\t\"os\"\n", "\tsys \"os\"\n", "os.Exit", "sys.Exit", "ctrl.", "controllerruntime.", "\tctrl \"", "\tcontrollerruntime \""},
			reconciler: {"ctrl.", "controllerruntime.", "\tctrl \"", "\tcontrollerruntime \"", "client.", "kube.", "\t\"sigs.k8s.io/controller-runtime/pkg/client\"", "\tkube \"sigs.k8s.io/controller-runtime/pkg/client\""},
			types:      {"metav1.", "v1.", "\tmetav1 \"", "\t\""},
		},
		"package reconcile":            {reconciler: {"ctrl.Result", "reconcile.Result"}},
		"a file that is not formatted": {types: {"import (", "import  ("}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			project := copyExample(t, changes)
			plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: project})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(plan.Write()).To(Succeed())
			compile(t, project, dir)
		})
	}
}

// compile builds a project. What its module requires is worked out once, and kept in dir.
func compile(t *testing.T, project, dir string) {
	t.Helper()
	g := NewWithT(t)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	g.Expect(err).NotTo(HaveOccurred())
	run := func(args ...string) {
		t.Helper()
		c := exec.Command("go", args...)
		c.Dir, c.Env = project, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
		output, err := c.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), "go %s\n%s", strings.Join(args, " "), output)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		run("mod", "edit", "-replace", "github.com/holdfast-dev/holdfast="+root)
		run("mod", "tidy")
		for _, name := range []string{"go.mod", "go.sum"} {
			text, err := os.ReadFile(filepath.Join(project, name))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(os.WriteFile(filepath.Join(dir, name), text, 0o600)).To(Succeed())
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(filepath.Join(project, name), text, 0o600)).To(Succeed())
	}
	run("build", "./...")
}
