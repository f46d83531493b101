package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// world is one run of a scenario: a namespace, what is in it, and whom its manager talks to.
type world struct {
	*WithT
	t         *testing.T
	namespace string
	logs      string // a folder
	tracker   *tracker
	receiver  *receiver
	deaths    int
}

func newWorld(t *testing.T, s *scenario) *world {
	w := &world{WithT: NewWithT(t), t: t, namespace: env.Namespace(ctx, s.name), logs: t.TempDir()}
	w.SetDefaultEventuallyTimeout(deadline)
	w.SetDefaultEventuallyPollingInterval(testenv.Interval)
	w.receiver = newReceiver(w)
	w.tracker = newTracker(w)
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "remediator"}})
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "receiver"}, StringData: map[string]string{
		"takes": w.receiver.URL + "/takes", "recovers": w.receiver.URL + "/recovers", "refuses": w.receiver.URL + "/refuses", "fails": w.receiver.URL + "/fails"}})
	s.fill(w)
	if s.first != "" {
		w.Expect(w.dies(s, s.first)).To(BeTrue(), "the work was done without passing %s", s.first)
	}
	return w
}

func (w *world) create(o client.Object) {
	o.SetNamespace(w.namespace)
	w.Expect(env.Client.Create(ctx, o)).To(Succeed())
}

func (w *world) status(o client.Object) {
	w.Expect(env.Client.Status().Update(ctx, o)).To(Succeed())
}

// manager starts a manager for this world's namespace. It need not live until it is ready.
func (w *world) manager(s *scenario, environment ...string) *localcluster.Running {
	log := filepath.Join(w.logs, "manager.log")
	m, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name: "manager",
		Path: program,
		Args: []string{"manager", "--metrics-bind-address=0", "--health-probe-bind-address=0", "--database-pool-size=2",
			"--namespaces", w.namespace, "--investigator-url", w.receiver.URL, "--investigator-timeout=4s"},
		Env: append([]string{"KUBECONFIG=" + env.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + env.DatabaseURL, "HOLDFAST_FAILPOINT_CALL=" + s.calls(w)}, environment...),
		Log: log,
	})
	w.Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() {
		w.Expect(m.Kill()).To(Succeed())
		if text, err := os.ReadFile(log); err == nil && w.t.Failed() {
			lines := bytes.Split(text, []byte("\n"))
			w.t.Logf("the end of the managers' log:\n%s", bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
		}
	})
	return m
}

// dies runs a manager until it has killed itself where a boundary is first passed. It is false when the work was done without that.
func (w *world) dies(s *scenario, at string) bool {
	log := filepath.Join(w.t.TempDir(), "boundaries.log")
	m := w.manager(s, "HOLDFAST_FAILPOINT="+at, "HOLDFAST_FAILPOINT_LOG="+log)
	dead := func() bool {
		select {
		case <-m.Done():
			return true
		default:
			return false
		}
	}
	w.Eventually(func() string {
		if dead() {
			return ""
		}
		return w.missing(s)
	}).Should(BeEmpty(), "it neither died at %s nor got its work done", at)
	// Everybody may have seen the last write of all before the manager dies of its answer.
	if name, _, _ := strings.Cut(at, ":"); slices.Contains(w.passed(log), name) {
		w.Eventually(m.Done()).Should(BeClosed(), "it passed %s and goes on", at)
	}
	if !dead() {
		w.Expect(m.Kill()).To(Succeed())
		return false
	}
	w.Expect(m.Failure()).To(MatchError(ContainSubstring("signal: killed")), "it died of something else than %s", at)
	w.deaths++
	return true
}

// passed are the boundaries that a manager has come to, each as often as it did.
func (w *world) passed(log string) []string {
	text, err := os.ReadFile(log)
	w.Expect(err).NotTo(HaveOccurred())
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// finish lets a manager that nothing befalls do the rest, and checks everything.
func (w *world) finish(s *scenario, environment ...string) {
	m := w.manager(s, environment...)
	w.Eventually(func() string { return w.missing(s) }).Should(BeEmpty())
	w.receiver.check(w)
	w.tracker.checkTargets(w, s)
	for _, o := range w.tracker.live() {
		w.Expect(client.IgnoreNotFound(env.Client.Delete(ctx, o))).To(Succeed())
	}
	w.Eventually(func() int { return len(w.tracker.live()) }).Should(BeZero(), "something holds resources whose records are closed and durable")
	w.Expect(m.Kill()).To(Succeed())
	w.compare(s)
}

// missing says what has not come to its end yet.
func (w *world) missing(s *scenario) string {
	return strings.Join(w.tracker.missing(s), "; ")
}
