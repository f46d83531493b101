package scaffold_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/scaffold"
)

const literal = "(&controller.ReleaseReconciler{\n\t\tClient: mgr.GetClient(),\n\t\tScheme: mgr.GetScheme(),\n\t})"

// private is the example with a reconciler whose client nobody else can set, made by a function.
func private(parameters, client string) []string {
	return []string{
		"\tclient.Client\n\tScheme *runtime.Scheme\n}\n",
		"\tkube   client.Client\n\tscheme *runtime.Scheme\n}\n" +
			"\n// NewReleaseReconciler makes one.\nfunc NewReleaseReconciler(" + parameters + ", scheme *runtime.Scheme) *ReleaseReconciler {\n\treturn &ReleaseReconciler{kube: " + client + ", scheme: scheme}\n}\n",
		"r.Get(", "r.kube.Get(", "r.Patch(", "r.kube.Patch(", "r.List(", "r.kube.List(", "r.Status()", "r.kube.Status()",
	}
}

// renamed is a list of changes after which something has another name.
func renamed(changes []string, from, to string) []string {
	for i := 1; i < len(changes); i += 2 {
		changes[i] = strings.ReplaceAll(changes[i], from, to)
	}
	return append(changes, from, to)
}

// byFunction is where a constructor is put into the reconciler's file.
const byFunction = "\n// Reconcile gives the image"

// What becomes of projects in another shape than kubebuilder's compiles too.
func TestFunctionsAndSeveralKinds(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles an operator")
	}
	dir := t.TempDir() // what the module requires is worked out once
	t.Run("a function takes the client", func(t *testing.T) { testFunctionThatTakesTheClient(t, dir) })
	t.Run("a function takes the manager", func(t *testing.T) { testLinesForAFunctionThatTakesTheManager(t, dir) })
	t.Run("several kinds", func(t *testing.T) { testSeveralKinds(t, dir) })
}

func testFunctionThatTakesTheClient(t *testing.T, dir string) {
	for name, c := range map[string]struct {
		changes map[string][]string
		has     map[string]string
	}{
		"takes the client": {
			changes: map[string][]string{reconciler: private("kube client.Client", "kube"), program: {literal, "controller.NewReleaseReconciler(mgr.GetClient(), mgr.GetScheme())"}},
			has: map[string]string{
				program:    "controller.NewReleaseReconciler(outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), trail).Client(controller.AuditRelease), mgr.GetScheme())",
				reconciler: "client.IgnoreNotFound(r.kube.Status().Update(ctx, rel))",
			},
		},
		"is stored in a variable": {
			changes: map[string][]string{
				reconciler: private("kube client.Client", "kube"),
				program:    {"\tif err := " + literal, "\treleases := controller.NewReleaseReconciler(mgr.GetClient(), mgr.GetScheme())\n\tif err := releases"},
			},
			has: map[string]string{program: "releases := controller.NewReleaseReconciler(outbox.NewWriter("},
		},
		"of a type with another name": {
			changes: map[string][]string{
				reconciler: renamed(private("kube client.Client", "kube"), "ReleaseReconciler", "Deliverer"),
				program:    {literal, "controller.NewDeliverer(mgr.GetClient(), mgr.GetScheme())"},
			},
			has: map[string]string{program: "trail).Client(controller.AuditRelease), mgr.GetScheme())"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			project := copyExample(t, c.changes)
			plan := write(t, project, "Release")
			g.Expect(plan.Notes).To(BeEmpty())
			for file, text := range c.has {
				g.Expect(os.ReadFile(filepath.Join(project, file))).To(ContainSubstring(text), file)
			}
			compile(t, project, dir)
			g.Expect(write(t, project, "Release").Files).To(BeEmpty())
		})
	}
}

// Where the client cannot be replaced in the call, init prints the lines. Written as they are printed, they compile, and init has nothing more to say.
func testLinesForAFunctionThatTakesTheManager(t *testing.T, dir string) {
	g := NewWithT(t)
	project := copyExample(t, map[string][]string{
		reconciler: {byFunction, "\n// NewReleaseReconciler makes one.\nfunc NewReleaseReconciler(mgr ctrl.Manager) *ReleaseReconciler {\n\treturn &ReleaseReconciler{Client: mgr.GetClient(), Scheme: mgr.GetScheme()}\n}\n" + byFunction},
		program:    {literal, "controller.NewReleaseReconciler(mgr)"},
	})
	plan := write(t, project, "Release")
	g.Expect(plan.Files).To(HaveLen(2), "all but main.go")
	g.Expect(plan.Notes).To(HaveLen(1))
	g.Expect(plan.Notes[0]).To(And(ContainSubstring(program+":61 makes the reconciler by controller.NewReleaseReconciler(mgr)"), ContainSubstring("docs/embedding.md#")))

	lines := regexp.MustCompile(`(?s)\n\n(\t.*?)\n\n`).FindStringSubmatch(plan.Notes[0])[1]
	then := regexp.MustCompile(`client: (r := .*?); (r\.Client = audited)\.`).FindStringSubmatch(plan.Notes[0])
	path := filepath.Join(project, program)
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	is := strings.NewReplacer(
		"\tif err := controller.NewReleaseReconciler(mgr)", lines+"\n\t"+then[1]+"\n\t"+then[2]+"\n\tif err := r",
		"\t\"flag\"\n", "\t\"context\"\n\t\"flag\"\n",
		"\t\"example.com/release-operator/internal/controller\"\n", "\t\"example.com/release-operator/internal/controller\"\n\n"+
			"\t\"github.com/holdfast-dev/holdfast/outbox\"\n\t\"github.com/holdfast-dev/holdfast/postgres\"\n\t\"github.com/holdfast-dev/holdfast/relay\"\n",
	).Replace(string(text))
	g.Expect(os.WriteFile(path, []byte(is), 0o600)).To(Succeed())
	compile(t, project, dir)
	again := write(t, project, "Release")
	g.Expect(again.Files).To(BeEmpty())
	g.Expect(again.Notes).To(BeEmpty())
}

func TestTheLinesForAProgramWhoseMainIsElsewhere(t *testing.T) {
	g := NewWithT(t)
	for name, c := range map[string]struct {
		changes map[string][]string
		says    []string
	}{
		"a literal": {
			changes: map[string][]string{program: {"package main", "package start"}},
			says:    []string{program + ":61", "Then give the reconciler that client: Client: audited."},
		},
		"a field that is private": {
			changes: map[string][]string{reconciler: private("kube client.Reader, mgr ctrl.Manager", "mgr.GetClient()"), program: {literal, "controller.NewReleaseReconciler(mgr.GetAPIReader(), mgr, mgr.GetScheme())"}},
			says:    []string{program + ":61", "as its field kube: pass it to NewReleaseReconciler."},
		},
		"no log": {
			changes: map[string][]string{program: {"package main", "package start", "setupLog", "logger"}},
			says:    []string{"return err // or what this function does with an error"},
		},
	} {
		plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: copyExample(t, c.changes)})
		g.Expect(err).NotTo(HaveOccurred(), name)
		for _, text := range c.says {
			g.Expect(strings.Join(plan.Notes, "\n")).To(ContainSubstring(text), name)
		}
	}
}

// One function for several kinds calls that of each.
func TestAFunctionForSeveralKindsAudits(t *testing.T) {
	g := NewWithT(t)
	const made = "controller.NewReleaseReconciler(mgr)"
	project := copyExample(t, map[string][]string{
		reconciler: {byFunction, "\n// NewReleaseReconciler makes one.\nfunc NewReleaseReconciler(mgr ctrl.Manager) *ReleaseReconciler {\n\treturn &ReleaseReconciler{Client: mgr.GetClient()}\n}\n" + byFunction},
		program:    {literal, made, "func main() {", "func audit(before, after outbox.Object) *outbox.Change {\n\treturn controller.AuditRelease(before, after)\n}\n\nfunc main() {"},
	})
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: project})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Notes).To(BeEmpty())
}

// A second kind joins the relay of the first.
func testSeveralKinds(t *testing.T, dir string) {
	g := NewWithT(t)
	project := copyExample(t, nil)
	other := strings.NewReplacer("release-operator", "release-operator", "Release", "Pipeline", "release", "pipeline", "setAvailable(", "setPipelineAvailable(", "available(", "pipelineAvailable(")
	for name, as := range map[string]string{
		types: "api/v1/pipeline_types.go", reconciler: "internal/controller/pipeline_controller.go", "api/v1/zz_generated.deepcopy.go": "api/v1/zz_generated.pipeline.go",
	} {
		text, err := os.ReadFile(filepath.Join(project, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(filepath.Join(project, as), []byte(other.Replace(string(text))), 0o600)).To(Succeed())
	}
	path := filepath.Join(project, program)
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	before, after, _ := strings.Cut(string(text), "\t// +kubebuilder:scaffold:builder\n")
	const made = "\tif err := (&controller.PipelineReconciler{\n\t\tClient: mgr.GetClient(),\n\t\tScheme: mgr.GetScheme(),\n\t}).SetupWithManager(mgr); err != nil {\n\t\tos.Exit(1)\n\t}\n"
	g.Expect(os.WriteFile(path, []byte(before+made+after), 0o600)).To(Succeed())

	write(t, project, "Release")
	write(t, project, "Pipeline")
	g.Expect(os.ReadFile(path)).To(And(
		ContainSubstring("trail, err := relay.Add(mgr, store, relay.Config{}, &deliveryv1.Release{}, &deliveryv1.Pipeline{})\n"),
		ContainSubstring("Client: outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), trail).Client(controller.AuditRelease),\n"),
		ContainSubstring("Client: outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), trail).Client(controller.AuditPipeline),\n"),
	))
	compile(t, project, dir)
	for _, kind := range []string{"Release", "Pipeline"} {
		g.Expect(write(t, project, kind).Files).To(BeEmpty(), kind)
	}
}

// write makes a plan and writes it.
func write(t *testing.T, project, kind string) *scaffold.Plan {
	t.Helper()
	g := NewWithT(t)
	plan, err := scaffold.Make(scaffold.Options{Kind: kind, Dir: project})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Write()).To(Succeed())
	return plan
}
