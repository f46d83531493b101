package scaffold_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/scaffold"
)

var update = flag.Bool("update", false, "write examples/release/retrofit.patch anew")

// example is the project of which the tests make others.
var example = filepath.Join("..", "..", "examples", "release")

const (
	types      = "api/v1/release_types.go"
	reconciler = "internal/controller/release_controller.go"
	program    = "cmd/main.go"
)

// copyExample copies the project, with changes to its files: old and new texts, in pairs.
func copyExample(t *testing.T, changes map[string][]string) string {
	t.Helper()
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.CopyFS(dir, os.DirFS(example))).To(Succeed())
	for name, pairs := range changes {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		for i := 0; i < len(pairs); i += 2 {
			g.Expect(string(text)).To(ContainSubstring(pairs[i]), name)
		}
		g.Expect(os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600)).To(Succeed())
	}
	return dir
}

func TestThePatchOfTheExampleIsWhatInitPrints(t *testing.T) {
	g := NewWithT(t)
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: example})
	g.Expect(err).NotTo(HaveOccurred())
	patch, err := plan.Patch()
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(example, "retrofit.patch")
	if *update {
		g.Expect(os.WriteFile(path, []byte(patch), 0o600)).To(Succeed())
	}
	g.Expect(os.ReadFile(path)).To(BeEquivalentTo(patch), "go test ./internal/scaffold -update writes it")
	g.Expect(plan.Notes).To(BeEmpty())
}

func TestGitTakesThePatchAndItIsWhatWriteWrites(t *testing.T) {
	g := NewWithT(t)
	patched, written := copyExample(t, nil), copyExample(t, nil)
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: written})
	g.Expect(err).NotTo(HaveOccurred())
	patch, err := plan.Patch()
	g.Expect(err).NotTo(HaveOccurred())
	apply := exec.Command("git", "apply", "-")
	apply.Dir, apply.Stdin = patched, strings.NewReader(patch)
	output, err := apply.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
	g.Expect(plan.Write()).To(Succeed())
	for _, name := range []string{types, reconciler, program} {
		want, err := os.ReadFile(filepath.Join(patched, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.ReadFile(filepath.Join(written, name))).To(BeEquivalentTo(want), name)
	}
}

func TestASecondRunChangesNothing(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, nil)
	for want := range 2 {
		plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
		g.Expect(err).NotTo(HaveOccurred())
		if want == 0 {
			g.Expect(plan.Files).To(HaveLen(3))
		} else {
			g.Expect(plan.Files).To(BeEmpty())
		}
		g.Expect(plan.Write()).To(Succeed())
	}
}

// What a project may have in another form.
func TestOddProjects(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string][]string
		has     map[string]string
		notes   string
	}{
		"the resource is a value": {
			changes: map[string][]string{reconciler: {"rel := &deliveryv1.Release{}\n\tif err := r.Get(ctx, req.NamespacedName, rel); err", "rel := deliveryv1.Release{}\n\tif err := r.Get(ctx, req.NamespacedName, &rel); err"}},
			has:     map[string]string{reconciler: "\tif !rel.DeletionTimestamp.IsZero() {\n\t\treturn ctrl.Result{}, client.IgnoreNotFound(r.Status().Update(ctx, &rel))\n\t}\n"},
		},
		"a phase of a type of its own": {
			changes: map[string][]string{types: {"Phase string", "Phase ReleasePhase"}},
			has:     map[string]string{reconciler: "if string(was.Status.Phase) == string(is.Status.Phase) &&"},
		},
		"conditions only": {
			changes: map[string][]string{types: {"Phase string", "Step string"}},
			has:     map[string]string{reconciler: "Phase: readyRelease(is.Status.Conditions)"},
		},
		"no conditions": {
			changes: map[string][]string{types: {"Conditions []metav1.Condition", "Facts []metav1.Duration"}},
			has:     map[string]string{types: "return &r.Status.Status, nil"},
		},
		"a required field in the status": {
			changes: map[string][]string{types: {"`json:\"releases,omitempty\"`", "`json:\"releases\"`", "releases counts the images that were released.\n\t// +optional", "releases counts the images that were released."}},
			has:     map[string]string{types: `rule="(has(self.status) && has(self.status.outbox))`},
		},
		"a finalizer of its own": {
			changes: map[string][]string{reconciler: {"if rel.Status.Phase == \"\" {", "controllerutil.AddFinalizer(rel, \"x\")\n\tif rel.Status.Phase == \"\" {"}},
			notes:   "does something when a resource is deleted",
		},
		"a client in a variable": {
			changes: map[string][]string{program: {"\tif err := (&controller.ReleaseReconciler{", "\tcl := mgr.GetClient()\n\tif err := (&controller.ReleaseReconciler{", "Client: mgr.GetClient()", "Client: cl"}},
			has:     map[string]string{program: "Client: outbox.NewWriter(cl, mgr.GetAPIReader(), trail).Client(controller.AuditRelease)"},
		},
		"a list of finalizers that it sets itself": {
			changes: map[string][]string{reconciler: {"if rel.Status.Phase == \"\" {", "if len(rel.GetFinalizers()) == 0 {\n\t\trel.SetFinalizers([]string{\"x\"})\n\t}\n\tif rel.Status.Phase == \"\" {"}},
			notes:   "reads or sets the list of finalizers itself",
		},
		"a right that is there": {
			changes: map[string][]string{reconciler: {"resources=releases,verbs=get;list;watch", "resources=releases,verbs=*"}},
			has:     map[string]string{reconciler: "verbs=get;list;watch;patch\n\n// Reconcile"},
		},
		"several groups in folders of their own": {
			changes: map[string][]string{
				program: {"example.com/release-operator/api/v1", "example.com/release-operator/api/delivery/v1"}, reconciler: {"example.com/release-operator/api/v1", "example.com/release-operator/api/delivery/v1"},
			},
			has: map[string]string{"api/delivery/v1/release_types.go": "outboxapi.Status `json:\",inline\"`"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			dir := copyExample(t, c.changes)
			if name == "several groups in folders of their own" {
				g.Expect(os.MkdirAll(filepath.Join(dir, "api", "delivery"), 0o755)).To(Succeed())
				g.Expect(os.Rename(filepath.Join(dir, "api", "v1"), filepath.Join(dir, "api", "delivery", "v1"))).To(Succeed())
			}
			plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(strings.Join(plan.Notes, "\n")).To(ContainSubstring(c.notes))
			is := map[string]string{}
			for _, f := range plan.Files {
				is[f.Name] = string(f.Is)
			}
			for file, text := range c.has {
				g.Expect(is[file]).To(ContainSubstring(text), file)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		kind    string
		changes map[string][]string
		says    []string
	}{
		"no such kind":            {kind: "Rollout", says: []string{"no type Rollout; its kinds are Release", "metav1.TypeMeta", "docs/embedding.md#"}},
		"no name of a kind":       {kind: "release; rm", says: []string{`kind is "release; rm"`, "expected a name as in Release"}},
		"no status subresource":   {changes: map[string][]string{types: {"// +kubebuilder:subresource:status\n", ""}}, says: []string{types + ":", "no status subresource", "+kubebuilder:subresource:status"}},
		"no status":               {changes: map[string][]string{types: {"Status ReleaseStatus `json:\"status,omitempty\"`", ""}}, says: []string{types + ":", "kind Release has no status"}},
		"status is a pointer":     {changes: map[string][]string{types: {"Status ReleaseStatus", "Status *ReleaseStatus"}}, says: []string{types + ":", "the status is *ReleaseStatus"}},
		"an outbox of another":    {changes: map[string][]string{types: {"Message string `json:\"message,omitempty\"`", "Message string `json:\"outbox,omitempty\"`"}}, says: []string{types + ":", "a field outbox already"}},
		"syntax error":            {changes: map[string][]string{types: {"type ReleaseStatus struct {", "type ReleaseStatus struct"}}, says: []string{types + ":", "fix the syntax first"}},
		"no group":                {changes: map[string][]string{"api/v1/groupversion_info.go": {"// +groupName=delivery.example.com", "//"}}, says: []string{types + ":", "the API group is not known"}},
		"nothing to take a phase": {changes: map[string][]string{types: {"Phase string", "Step string", "Conditions []metav1.Condition", "Facts []metav1.Duration"}}, says: []string{types + ":", "no field Phase or State, and no conditions"}},
		"another reconciler":      {changes: map[string][]string{reconciler: {"type ReleaseReconciler struct", "type Deliverer struct"}}, says: []string{"no type ReleaseReconciler"}},
		"no client":               {changes: map[string][]string{reconciler: {"\tclient.Client\n", "\tkube client.Reader\n"}}, says: []string{reconciler + ":", "client.Client embedded or as a field"}},
		"no rights":               {changes: map[string][]string{reconciler: {"+kubebuilder:rbac:groups=delivery.example.com", "+kubebuilder:rbac:groups=other.example.com"}}, says: []string{reconciler + ":", "+kubebuilder:rbac:groups=delivery.example.com"}},
		"does not read":           {changes: map[string][]string{reconciler: {"r.Get(ctx, req.NamespacedName, rel); err != nil {\n\t\treturn ctrl", "r.find(ctx, req, rel); err != nil {\n\t\treturn ctrl"}}, says: []string{reconciler + ":", "does not read its resource"}},
		"another client":          {changes: map[string][]string{program: {"mgr.GetClient()", "cached"}}, says: []string{program + ":", "the client of ReleaseReconciler is cached", "Client: mgr.GetClient()"}},
		"nothing makes one":       {changes: map[string][]string{program: {"&controller.ReleaseReconciler{", "&controller.Other{"}}, says: []string{"nothing makes a ReleaseReconciler", "a call of a function that returns one"}},
		"another log":             {changes: map[string][]string{program: {"setupLog", "logger"}}, says: []string{program + ":", "no variable setupLog"}},
		"a package's name":        {changes: map[string][]string{program: {"probeAddr", "relay"}}, says: []string{program + ":", "relay is a name in this file already", "github.com/holdfast-dev/holdfast/relay would be called so"}},
		"another package outbox":  {changes: map[string][]string{reconciler: {"retry.", "outbox.", "\"k8s.io/client-go/util/retry\"", "\"example.com/mail/outbox\""}}, says: []string{reconciler + ":", "outbox is a name in this file already"}},
		"a client that may be another": {changes: map[string][]string{program: {"\tif err := (&controller.ReleaseReconciler{", "\tcl := mgr.GetClient()\n\tcl = cached\n\tif err := (&controller.ReleaseReconciler{", "Client: mgr.GetClient()", "Client: cl"}},
			says: []string{program + ":", "the client of ReleaseReconciler is cl"}},
		"a manager in an if": {changes: map[string][]string{program: {"\tif err := (&controller.ReleaseReconciler{", "\tif mgr, err := ctrl.NewManager(nil, ctrl.Options{}); err != nil {\n\t\tos.Exit(1)\n\t} else if err := (&controller.ReleaseReconciler{"}},
			says: []string{program + ":", "the manager mgr is made in the statement of the reconciler"}},
		"a loop": {changes: map[string][]string{program: {"\tif err := (&controller.ReleaseReconciler{", "\tfor err := (&controller.ReleaseReconciler{", "SetupWithManager(mgr); err != nil {", "SetupWithManager(mgr); err != nil; {"}}, says: []string{program + ":", "made in a loop"}},
		"err comes later": {changes: map[string][]string{program: {"\tmgr, err := ctrl.NewManager(", "\tmgr, failed := ctrl.NewManager(", "\tif err != nil {\n\t\tsetupLog.Error(err, \"unable to start manager\")", "\tif failed != nil {",
			"\tif err := (&controller.ReleaseReconciler{", "\terr := (&controller.ReleaseReconciler{", "SetupWithManager(mgr); err != nil {", "SetupWithManager(mgr)\n\tif err != nil {"}},
			says: []string{program + ":", "err is declared after the place"}},
		"a name that is taken": {changes: map[string][]string{program: {"probeAddr", "store"}}, says: []string{program + ":", "store is a name in this file already"}},
		"a generated file":     {changes: map[string][]string{types: {"package v1", "// Code generated by protoc. DO NOT EDIT.\n\npackage v1"}}, says: []string{types + ":", "the file is generated"}},
		"a group that is code": {changes: map[string][]string{"api/v1/groupversion_info.go": {"+groupName=delivery.example.com", `+groupName=x.y"+f()+"z`}, reconciler: {"rbac:groups=delivery.example.com", `rbac:groups=x.y"+f()+"z`}}, says: []string{reconciler + ":", "the kind of the entries would be", "lower-case letters"}},
		"another relay":        {changes: map[string][]string{program: {"\t\"os\"\n", "\t\"os\"\n\n\t\"github.com/holdfast-dev/holdfast/relay\"\n"}}, says: []string{program + ":", "a relay already", "&deliveryv1.Release{}"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			if c.kind == "" {
				c.kind = "Release"
			}
			_, err := scaffold.Make(scaffold.Options{Kind: c.kind, Dir: copyExample(t, c.changes)})
			g.Expect(err).To(HaveOccurred())
			for _, text := range c.says {
				g.Expect(err.Error()).To(ContainSubstring(text))
			}
		})
	}
}

func TestAKindWithTwoVersionsNeedsTheFolder(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, nil)
	g.Expect(os.CopyFS(filepath.Join(dir, "api", "v2"), os.DirFS(filepath.Join(dir, "api", "v1")))).To(Succeed())
	_, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).To(MatchError(And(ContainSubstring("api/v2/release_types.go"), ContainSubstring("--api"))))
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir, API: "api/v1"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Files[0].Name).To(Equal(types))
}

func TestAStatusInAFileOfItsOwn(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, nil)
	path := filepath.Join(dir, types)
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	before, after, _ := strings.Cut(string(text), "// ReleaseStatus defines")
	status, after, _ := strings.Cut(after, "\n}\n")
	g.Expect(os.WriteFile(path, []byte(before+after), 0o600)).To(Succeed())
	const head = "package v1\n\nimport (\n\tmetav1 \"k8s.io/apimachinery/pkg/apis/meta/v1\"\n)\n\n// ReleaseStatus defines"
	g.Expect(os.WriteFile(filepath.Join(dir, "api", "v1", "status.go"), []byte(head+status+"\n}\n"), 0o600)).To(Succeed())
	plan, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Files).To(HaveLen(4))
	g.Expect(plan.Files[1].Name).To(Equal("api/v1/status.go"))
	g.Expect(string(plan.Files[1].Is)).To(ContainSubstring("outboxapi.Status `json:\",inline\"`"))
}

func TestAFolderThatIsNoModule(t *testing.T) {
	g := NewWithT(t)
	_, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: t.TempDir()})
	var refusal *scaffold.RefusalError
	g.Expect(errors.As(err, &refusal)).To(BeTrue())
	g.Expect(refusal.Expected).To(ContainSubstring("--dir"))
}

// A file that cannot be parsed is only in the way where something is missing.
func TestABrokenFileElsewhere(t *testing.T) {
	g := NewWithT(t)
	dir := copyExample(t, nil)
	g.Expect(os.WriteFile(filepath.Join(dir, "cmd", "other.go"), []byte("package main\n\nfunc {"), 0o600)).To(Succeed())
	_, err := scaffold.Make(scaffold.Options{Kind: "Release", Dir: dir})
	g.Expect(err).NotTo(HaveOccurred())
}
