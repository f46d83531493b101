//go:build unix

package plugin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/local/dev"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

var (
	ctx   = context.Background()
	stack *dev.Stack
	api   client.Client
	// programs is a folder with kubectl-holdfast, kubectl-outbox, kubectl_complete-holdfast and holdfast, and home one for caches.
	programs, home string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "holdfast-plugin-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs, home = filepath.Join(dir, "bin"), filepath.Join(dir, "home")
	err = errors.Join(os.MkdirAll(home, 0o755), testenv.BuildProgram(ctx, filepath.Join(programs, "holdfast"), os.Stdout), buildPlugin())
	if err == nil {
		stack, err = dev.Start(ctx, dev.Options{Dir: filepath.Join(dir, "state"), InfraOnly: true, Program: filepath.Join(programs, "holdfast"), Progress: io.Discard})
	}
	if err == nil {
		err = errors.Join(installBackups(), connect())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := published(); err != nil {
		fmt.Println(err)
		return 1
	}
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		code = everySituation()
	}
	if err := stack.Stop(); err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}

// buildPlugin builds what is shipped, under its names.
func buildPlugin() error {
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X main.version=v0.0.0-test", "-o", filepath.Join(programs, "kubectl-holdfast"), "github.com/holdfast-dev/holdfast/cmd/kubectl-holdfast")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build kubectl-holdfast: %w\n%s", err, text)
	}
	binaries, err := localcluster.Binaries(ctx, io.Discard, "kubectl")
	completes, bad := filepath.Abs(filepath.Join("..", "..", "cmd", "kubectl-holdfast", "kubectl_complete-holdfast"))
	return errors.Join(err, bad, os.Symlink(completes, filepath.Join(programs, "kubectl_complete-holdfast")), os.Symlink("kubectl-holdfast", filepath.Join(programs, "kubectl-outbox")),
		os.Symlink(binaries["kubectl"], filepath.Join(programs, "kubectl")))
}

func connect() (err error) {
	scheme := testenv.Scheme()
	if err := backupv1.AddToScheme(scheme); err != nil {
		return err
	}
	if api, err = client.New(stack.Cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "holdfast-system"}})
}

// installBackups installs another operator's kind.
func installBackups() error {
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "backup", "config", "backups.example.com_backups.yaml"))
	if err != nil {
		return err
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := utilyaml.Unmarshal(text, crd); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(stack.Cluster.RESTConfig(), client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return c.Create(ctx, crd)
}

// published waits until the API server publishes the schemas of all kinds.
func published() error {
	return wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.LongTimeout, true, func(ctx context.Context) (bool, error) {
		cmd := exec.CommandContext(ctx, filepath.Join(programs, "kubectl-holdfast"), "__complete", "list", "")
		cmd.Env = surroundings()
		text, err := cmd.Output()
		return strings.Contains(string(text), "notificationrequest.") && strings.Contains(string(text), "backup."), err
	})
}

// fixture is a namespace, and a writer that no relay acknowledges.
type fixture struct {
	*WithT
	t         *testing.T
	namespace string
	// system is the namespace of the managers' leases. Tests share holdfast-system, unless they look at all leases.
	system string
	writer *outbox.Writer
}

func setup(t *testing.T) *fixture {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "plugin-"}}
	NewWithT(t).Expect(api.Create(ctx, ns)).To(Succeed())
	return setupWith(t, ns.Name)
}

// setupWith is setup of a namespace that is there.
func setupWith(t *testing.T, namespace string) *fixture {
	t.Helper()
	f := &fixture{namespace: namespace, WithT: NewWithT(t), t: t, system: "holdfast-system", writer: outbox.NewWriter(api, api, &testenv.Watermarks{})}
	f.SetDefaultEventuallyTimeout(testenv.LongTimeout)
	f.SetDefaultEventuallyPollingInterval(testenv.Interval)
	f.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "remediator"}})
	f.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "remediator"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "replicasets"}, Verbs: []string{"get", "list", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
	}})
	f.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "remediator"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "remediator"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "remediator", Namespace: f.namespace}}})
	return f
}

func (f *fixture) create(o client.Object) {
	f.t.Helper()
	f.Expect(api.Create(ctx, o)).To(Succeed())
}

func (f *fixture) read(o client.Object) {
	f.t.Helper()
	f.Expect(api.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
}

func (f *fixture) delete(o client.Object, options ...client.DeleteOption) {
	f.t.Helper()
	f.Expect(api.Delete(ctx, o, options...)).To(Succeed())
}

func (f *fixture) patch(o client.Object, merge string) {
	f.t.Helper()
	f.Expect(api.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(merge)))).To(Succeed())
}

func (f *fixture) gone(o client.Object) {
	f.t.Helper()
	f.Eventually(func() bool {
		return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopyObject().(client.Object)))
	}).Should(BeTrue())
}

// append appends an entry without a manager.
func (f *fixture) append(o outbox.Object, c entry.Change) {
	f.t.Helper()
	f.read(o)
	f.Expect(f.writer.Draft(o).Save(ctx, &c)).To(Succeed())
}

// backup makes a resource of another operator, which does not run.
func (f *fixture) backup(name string) *backupv1.Backup {
	f.t.Helper()
	b := &backupv1.Backup{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: backupv1.BackupSpec{Source: "settings", Target: "settings-copy", EverySeconds: 10}}
	f.create(b)
	return b
}

// said is what a command printed.
type said struct {
	Code           int
	Stdout, Stderr string
}

// kubectl runs a command of the plugin as kubectl does.
func (f *fixture) kubectl(args ...string) said {
	f.t.Helper()
	return f.program(nil, filepath.Join(programs, "kubectl-holdfast"), args...)
}

func (f *fixture) program(more []string, path string, args ...string) said {
	f.t.Helper()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(surroundings(), more...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.Expect(err).NotTo(HaveOccurred())
	}
	return said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// surroundings are the environment of a person.
func surroundings() []string {
	return []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOME=" + home, "PATH=" + programs + ":/usr/bin:/bin"}
}

// in adds the fixture's namespace.
func (f *fixture) in(args ...string) said {
	f.t.Helper()
	return f.kubectl(append(args, "-n", f.namespace, "--system-namespace", f.system)...)
}

// settled waits until a resource is in a phase, every notification has ended, and nothing is pending any more in the namespace: what is compared with a file does not change after that.
func (f *fixture) settled(ref, phase string) {
	f.t.Helper()
	s := f.in("wait", ref, "--for", phase, "--timeout=2m")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	f.Eventually(func() bool {
		all := &v1alpha1.NotificationRequestList{}
		f.Expect(api.List(ctx, all, client.InNamespace(f.namespace))).To(Succeed())
		return !slices.ContainsFunc(all.Items, func(nr v1alpha1.NotificationRequest) bool { return nr.Status.Outbox == nil || !nr.Status.Outbox.Closed })
	}).Should(BeTrue())
	s = f.in("drain", "--timeout=2m")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
}

// goldens compares what a command prints, as text and as JSON, with NAME.txt and NAME.json, and returns its exit status.
func (f *fixture) goldens(name string, args ...string) int {
	f.t.Helper()
	text, json := f.in(args...), f.in(append(args, "-o", "json")...)
	f.Expect(json.Code).To(Equal(text.Code), "%+v\n%+v", text, json)
	f.golden(name+".txt", hashless(text.Stdout))
	f.golden(name+".json", hashless(json.Stdout))
	return text.Code
}

// into decodes a JSON output.
func (f *fixture) into(s said, v any) {
	f.t.Helper()
	f.Expect(json.Unmarshal([]byte(s.Stdout), v)).To(Succeed(), "%+v", s)
}

var varying = []struct {
	text *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "HASH"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`"salt": "[^"]*"`), `"salt": "SALT"`},
	{regexp.MustCompile(`("(?:pendingBytes|generation)": )\d+`), "${1}N"},
	{regexp.MustCompile(`"holder": "[^"]*"`), `"holder": "HOLDER"`},
	{regexp.MustCompile(`\S+_UID`), "HOLDER"},
	{regexp.MustCompile(`\b(\d+[dhms])+\b`), "AGE"},
	{regexp.MustCompile(`(persist \d+ entries|check the store): `), "OPERATION: "}, // of the relay; the first that fails opens the breaker
	{regexp.MustCompile(` {2,}`), "  "},
}

// without is a text without what varies.
func (f *fixture) without(text string) string {
	text = strings.ReplaceAll(text, f.namespace, "NAMESPACE")
	for _, v := range varying {
		text = v.text.ReplaceAllString(text, v.by)
	}
	return text
}

// golden compares an output with a file, without what varies. UPDATE_GOLDEN=1 writes the file.
func (f *fixture) golden(name, text string) {
	f.t.Helper()
	text = f.without(text)
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		f.Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	}
	want, err := os.ReadFile(path)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(text).To(Equal(string(want)), "run the test with UPDATE_GOLDEN=1 if this is right")
}

// manager runs `holdfast manager` with a lease, until the test ends or stop is called.
func (f *fixture) manager(database string, args ...string) (stop func()) {
	f.t.Helper()
	health, err := localcluster.FreeAddress()
	f.Expect(err).NotTo(HaveOccurred())
	m, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name: "manager", Path: filepath.Join(programs, "holdfast"), Env: []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + database},
		Args: append([]string{"manager", "--metrics-bind-address=0", "--health-probe-bind-address", health, "--idle-trim-delay=500ms", "--leader-elect", "--leader-elect-namespace=" + f.system}, args...),
		Log:  filepath.Join(stack.Dir, "logs", f.t.Name()+"-manager.log"), Ready: localcluster.Answers("http://" + health + "/readyz"),
	})
	f.Expect(err).NotTo(HaveOccurred())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			f.Expect(m.Stop(20 * time.Second)).To(Succeed())
		}
	}
	f.t.Cleanup(stop)
	return stop
}
