package examples

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/postgres"
)

// subject is an operator under test.
type subject struct {
	gvk      schema.GroupVersionKind
	resource string
	scoped   bool // namespaced
	// args of the program beside the kubeconfig.
	args func(w *world) []string
	// begin makes a resource, and what it needs.
	begin func(w *world) *unstructured.Unstructured
	// settled reports whether it is where it stays. It is asked until it is, and may do what others do in a cluster.
	settled func(w *world, o *unstructured.Unstructured) bool
	// further brings it to another state, which is settled, too; nil for a kind that ends.
	further func(w *world, o *unstructured.Unstructured, n int)
	// trail has the phases of a resource that begins, settles, and is deleted.
	trail []string
}

// world is a database and a namespace of one scenario.
type world struct {
	*WithT
	*subject
	t                          *testing.T
	p                          *project
	kubeconfig, url, namespace string
	// log is that of the newest operator.
	log string
}

func newWorld(t *testing.T, p *project, s *subject, kubeconfig string) *world {
	t.Helper()
	w := &world{WithT: NewWithT(t), subject: s, t: t, p: p, kubeconfig: kubeconfig, namespace: env.Namespace(ctx, p.name)}
	w.SetDefaultEventuallyTimeout(testenv.LongTimeout)
	w.SetDefaultEventuallyPollingInterval(testenv.Interval)
	var err error
	w.url, err = env.Database(ctx, fmt.Sprintf("%s_%d", p.name, time.Now().UnixNano()))
	w.Expect(err).NotTo(HaveOccurred())
	return w
}

// operator starts the operator.
func (w *world) operator() *localcluster.Running {
	w.t.Helper()
	log := filepath.Join(w.t.TempDir(), "operator.log")
	w.log = log
	args := []string{"--kubeconfig", w.kubeconfig}
	if w.args != nil {
		args = append(args, w.args(w)...)
	}
	m, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name: w.p.name, Path: filepath.Join(w.p.dir, "operator"), Args: args, Env: append(os.Environ(), "HOLDFAST_DATABASE_URL="+w.url), Log: log,
	})
	w.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() {
		w.Expect(m.Kill()).To(Succeed())
		if text, err := os.ReadFile(log); err == nil && w.t.Failed() {
			lines := bytes.Split(text, []byte("\n"))
			w.t.Logf("the end of the operator's log:\n%s", bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
		}
	})
	return m
}

// kill is kill -9.
func (w *world) kill(m *localcluster.Running) {
	w.t.Helper()
	w.Expect(m.Kill()).To(Succeed())
}

// store stops PostgreSQL, or starts it again.
func (w *world) store(runs bool) {
	w.t.Helper()
	if runs {
		w.Expect(env.Postgres.Start(ctx)).To(Succeed())
		return
	}
	w.Expect(env.Postgres.Stop(ctx)).To(Succeed())
	w.t.Cleanup(func() {
		if w.t.Failed() { // or the next scenario fails, too
			_ = env.Postgres.Start(ctx)
		}
	})
}

// object is an empty resource of the kind.
func (w *world) object(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(w.gvk)
	o.SetName(name)
	if w.scoped {
		o.SetNamespace(w.namespace)
	}
	return o
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	w.Expect(env.Client.Create(ctx, o)).To(Succeed())
}

// waitSettled waits until the resource is where it stays, and reads it.
func (w *world) waitSettled(o *unstructured.Unstructured) {
	w.t.Helper()
	w.Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		g.Expect(w.settled(w, o)).To(BeTrue(), "%v", o.Object["status"])
	}).Should(Succeed())
}

// gone waits until the resource does not exist.
func (w *world) gone(o *unstructured.Unstructured) {
	w.t.Helper()
	w.Eventually(func() bool {
		return apierrors.IsNotFound(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopy()))
	}).Should(BeTrue(), "the resource is still there")
}

func (w *world) outbox(o *unstructured.Unstructured) (sequence int64, entries int) {
	sequence, _, _ = unstructured.NestedInt64(o.Object, "status", "outbox", "lastSequence")
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "outbox", "entries")
	return sequence, len(list)
}

// phases are those of the rows, by sequence; the test fails when a sequence is missing.
func (w *world) phases(uid types.UID) []string {
	w.t.Helper()
	s, err := postgres.Open(ctx, w.url, postgres.Options{})
	w.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	var rows []struct {
		Sequence int64
		Phase    string
	}
	err = s.DB().NewSelect().Table("resource_audit").Column("sequence", "phase").Where("source_uid = ?", string(uid)).OrderExpr("sequence").Scan(ctx, &rows)
	w.Expect(err).NotTo(HaveOccurred())
	var phases []string
	for i, row := range rows {
		w.Expect(row.Sequence).To(BeEquivalentTo(i+1), "a gap in the trail")
		phases = append(phases, row.Phase)
	}
	return phases
}

// verify is `holdfast verify` with the kind's resources. It returns the exit status, and what was printed.
func (w *world) verify() (int, string) {
	w.t.Helper()
	kind := w.resource + "." + w.gvk.Group
	cmd := exec.CommandContext(ctx, holdfast, "verify", "--kubeconfig", env.Cluster.Kubeconfig(), "--resource", fmt.Sprintf("%s=%s.%s.%s", kind, w.resource, w.gvk.Version, w.gvk.Group))
	cmd.Env = append(os.Environ(), "HOLDFAST_DATABASE_URL="+w.url)
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.Expect(err).NotTo(HaveOccurred())
	}
	return cmd.ProcessState.ExitCode(), string(output)
}

func (w *world) verified() {
	w.t.Helper()
	code, output := w.verify()
	w.Expect(code).To(BeZero(), output)
}
