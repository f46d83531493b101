//go:build unix

package plugin_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

var docsFolder = flag.String("docs", "", "folder of the documentation, to write examples and the recorded session into")

// TestDocs runs the commands of docs/kubectl.md about a remediation and an outage, on a cluster where these have happened, and compares what they print with the page. `make docs-kubectl` writes
// the page and the session anew.
func TestDocs(t *testing.T) {
	f := setupIn(t, "shop")
	s := &session{fixture: f, kubeconfig: f.kubeconfigOf("jane@example.com")}
	f.onlyTheseLeases()
	f.approver("jane@example.com")
	f.mayDoAll("jane@example.com")
	f.installed()
	f.broken("cart")

	// An outage: a resource that is deleted stays until its entries are rows.
	f.Expect(stack.Postgres.Stop(ctx)).To(Succeed())
	stop := f.manager(stack.Postgres.URL())
	news := testenv.MakeNotification(f.namespace, "news").Obj()
	f.create(news)
	f.Expect(f.in("wait", "nr/news", "--for=Sent", "--timeout=2m").Code).To(BeZero())
	f.delete(news)
	f.is("nr/news", "StoreUnavailable")
	s.run(`kubectl holdfast explain nr/news -n shop`)
	s.run(`kubectl holdfast drain -n shop --timeout=1s`)
	f.Expect(stack.Postgres.Start(ctx)).To(Succeed())
	f.gone(news)

	// A request, until a person is asked.
	rr := testenv.MakeRemediation(f.namespace, "cart-slow").Obj()
	rr.Spec.Target.Name, rr.Spec.Signal.Name, rr.Spec.Signal.Severity = "cart", "CartLatencyHigh", "warning"
	f.create(rr)
	f.settled("rr/cart-slow", "AwaitingApproval")
	f.Eventually(func() string { return f.in("status").Stdout }).Should(ContainSubstring("breaker closed"))
	b := f.backup("settings")
	f.append(b, entry.Change{Kind: "backups.example.com", Event: "Started", Phase: "Running", Record: map[string]string{"source": "settings"}})
	s.run(`kubectl holdfast check`)
	s.run(`kubectl holdfast status -n shop`)
	s.run(`kubectl holdfast list -n shop`)
	s.run(`kubectl holdfast entries backup/settings -n shop`)
	s.run(`kubectl holdfast tree cart-slow -n shop`)
	s.run(`kubectl holdfast explain rr/cart-slow -n shop`)
	s.run(`kubectl holdfast approvals -n shop`)
	f.read(rr)
	s.answer("yes", `kubectl holdfast approve `+rr.Status.Analysis+` -n shop --reason 'known bad release'`)

	// Its end, and what remains.
	s.run(`kubectl holdfast wait rr/cart-slow -n shop --for=closed --timeout=10m`)
	f.patch(b, `{"metadata":{"finalizers":null}}`)
	f.delete(b)
	f.settled("rr/cart-slow", "Completed")
	s.run(`kubectl holdfast drain -n shop`)
	s.run(`kubectl holdfast history rr/cart-slow -n shop --database-url "$HOLDFAST_DATABASE_URL"`)
	f.delete(rr, client.PropagationPolicy(metav1.DeletePropagationForeground))
	f.gone(rr)
	stop()

	page := filepath.Join("..", "..", "docs", "kubectl.md")
	if *docsFolder != "" {
		page = filepath.Join(*docsFolder, "kubectl.md")
		s.write(page)
		s.record(filepath.Join(*docsFolder, "images"))
	}
	s.compare(page)
	s.compareRecorded(filepath.Join(filepath.Dir(page), "images", "kubectl-session.cast"))
}

// onlyTheseLeases removes the leases of other tests.
func (f *fixture) onlyTheseLeases() {
	f.t.Helper()
	f.Expect(api.DeleteAllOf(ctx, &coordinationv1.Lease{}, client.InNamespace(f.system))).To(Succeed())
}

// mayDoAll lets a user read what the commands read.
func (f *fixture) mayDoAll(user string) {
	f.t.Helper()
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "docs-"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}
	f.create(binding)
	f.t.Cleanup(func() { f.delete(binding) })
}

// installed has what an installation has beside the manager, which runs outside of the cluster here: its account with rights, its Secret, and a Deployment without Pods.
func (f *fixture) installed() {
	f.t.Helper()
	name := metav1.ObjectMeta{Namespace: f.system, Name: "holdfast-manager"}
	labels := map[string]string{"app.kubernetes.io/name": "holdfast", "app.kubernetes.io/component": "manager"}
	url := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "holdfast-database"}, Key: "url"}
	deployment := &appsv1.Deployment{ObjectMeta: name, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{ServiceAccountName: name.Name, Containers: []corev1.Container{
			{Name: "manager", Image: "holdfast", Env: []corev1.EnvVar{{Name: "HOLDFAST_DATABASE_URL", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: url}}}}}}},
	}}
	deployment.Labels = labels
	for _, o := range []client.Object{
		deployment,
		&corev1.ServiceAccount{ObjectMeta: name},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.system, Name: "holdfast-database"}, StringData: map[string]string{"url": "postgres://example"}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "docs-manager"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name.Name, Namespace: f.system}}},
	} {
		f.create(o)
		f.t.Cleanup(func() { f.delete(o, client.PropagationPolicy(metav1.DeletePropagationBackground)) })
	}
}

// kubeconfigOf is a kubeconfig whose user is somebody.
func (f *fixture) kubeconfigOf(user string) string {
	f.t.Helper()
	text, err := os.ReadFile(stack.Cluster.Kubeconfig())
	f.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(f.t.TempDir(), "kubeconfig")
	as := strings.Replace(string(text), "  user:\n", "  user:\n    as: "+user+"\n", 1)
	f.Expect(as).NotTo(Equal(string(text)))
	f.Expect(os.WriteFile(path, []byte(as), 0o600)).To(Succeed())
	return path
}

// setupIn is setup of a namespace with a name that people read. One of an earlier run is waited for.
func setupIn(t *testing.T, name string) *fixture {
	t.Helper()
	g := NewWithT(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	g.Eventually(func() error { return api.Create(ctx, ns.DeepCopy()) }, testenv.LongTimeout, testenv.Interval).Should(Succeed())
	t.Cleanup(func() { g.Expect(api.Delete(ctx, ns)).To(Succeed()) })
	return setupWith(t, name)
}

// block is a part of the page that is made: commands and what they print.
var block = regexp.MustCompile("(?s)```console\n(.*?)```")

// same is a text without what differs from run to run.
func (f *fixture) same(text string) string {
	text = hashless(f.without(evidence.ReplaceAllString(text, ""))) // without makes columns of spaces narrow
	text = randomPod.ReplaceAllString(text, "$1-POD")
	text = address.ReplaceAllString(text, "ADDRESS")
	return strings.TrimSpace(trailing.ReplaceAllString(progressed.ReplaceAllString(text, ""), "\n"))
}

var (
	randomPod  = regexp.MustCompile(`\b(cart-[0-9a-f]{8,10})-[a-z0-9]{5}\b`)
	progressed = regexp.MustCompile(`(?m)^\d+ entr(?:y|ies) pending in \d+ resources?\n`)
	address    = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	trailing   = regexp.MustCompile(` *\n`)
	// evidence is what an investigation saw, which depends on the moment.
	evidence = regexp.MustCompile(`(?m)^  (?:root cause|evidence  |rationale  |recommends |instead of |deadline   |           ) .*\n`)
)

func (s *session) compare(page string) {
	s.t.Helper()
	text, err := os.ReadFile(page)
	s.Expect(err).NotTo(HaveOccurred())
	shown := map[string]bool{}
	for _, match := range block.FindAllStringSubmatch(string(text), -1) {
		for _, c := range takenApart(match[1]) {
			want := s.find(c.command)
			if want == nil {
				s.exists(c.command)
				continue
			}
			s.Expect(s.same(c.output)).To(Equal(s.same(want.output)), "docs/kubectl.md: what `%s` prints; make docs-kubectl writes it anew", c.command)
			shown[want.command] = true
		}
	}
	for _, c := range s.commands {
		s.Expect(shown).To(HaveKey(c.command), "docs/kubectl.md does not show `%s`", c.command)
	}
}

// exists makes sure that a command which this test does not run has the verb and the flags that the page gives it.
func (s *session) exists(command string) {
	s.t.Helper()
	words := strings.Fields(command)
	s.Expect(len(words)).To(BeNumerically(">", 2), command)
	s.Expect(words[:2]).To(HaveExactElements("kubectl", "holdfast"), "docs/kubectl.md shows `%s`", command)
	help := s.kubectl(append(verbOf(words[2:]), "--help")...)
	s.Expect(help.Code).To(BeZero(), "docs/kubectl.md shows `%s`: %+v", command, help)
	for _, word := range words {
		if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(name, "--") {
			s.Expect(help.Stdout).To(MatchRegexp(regexp.QuoteMeta(name)+`\b`), "docs/kubectl.md shows `%s`", command)
		}
	}
}

// verbOf are the words of a command before its flags and names.
func verbOf(words []string) []string {
	verb := words[:1]
	if len(words) > 1 && verb[0] == "dead-letter" {
		verb = words[:2]
	}
	return verb
}

// write replaces what the commands of the page print.
func (s *session) write(page string) {
	s.t.Helper()
	text, err := os.ReadFile(page)
	s.Expect(err).NotTo(HaveOccurred())
	anew := block.ReplaceAllStringFunc(string(text), func(old string) string {
		var all strings.Builder
		for _, c := range takenApart(block.FindStringSubmatch(old)[1]) {
			made := s.find(c.command)
			if made == nil {
				made = &c
			}
			all.WriteString("$ " + made.command + "\n" + made.output)
		}
		return "```console\n" + all.String() + "```"
	})
	s.Expect(os.WriteFile(page, []byte(anew), 0o600)).To(Succeed())
}

// takenApart are the commands of a block with what they print.
func takenApart(text string) []performed {
	var all []performed
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, performed{command: strings.TrimSpace(command)})
		} else if n := len(all); n > 0 {
			all[n-1].output += line
		}
	}
	return all
}
