//go:build unix

package e2e

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/reportsapi"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/internal/testenv/monitor"
	"github.com/holdfast-dev/holdfast/migrations"
)

// nowhere is the URL of a database that is away.
const nowhere = "postgres://nobody@127.0.0.1:1/none"

// monitored is an installation that a real Prometheus scrapes: a manager, the REST services, and each service once more with a database or an API server that is away.
type monitored struct {
	*fixture
	prometheus                             *monitor.Prometheus
	posts, reports, awayPosts, awayReports string // URLs
	alerts, awayAlerts                     string // URLs of gateways
	poster, reader                         string // tokens
	rounds                                 int
}

// reportReader makes an account that may read all reports and ask for narratives, and returns its token.
func (f *fixture) reportReader() string {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "report-reader"}}
	f.create(account)
	for _, role := range []string{"holdfast-report-viewer", "holdfast-report-narrator"} {
		f.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "report-reader-"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account.Name, Namespace: f.namespace}}})
	}
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{reportsapi.DefaultAudience}}}
	f.Expect(f.client.SubResource("token").Create(ctx, account, token)).To(Succeed())
	return token.Status.Token
}

// watched starts everything.
func watched(t *testing.T) *monitored {
	f := setup(t)
	m := &monitored{fixture: f, poster: f.relay("poster"), reader: f.reportReader()}
	database, err := stack.Postgres.CreateDatabase(ctx, "monitored")
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(migrations.Up(ctx, database, io.Discard)).To(Succeed())
	owner, err := sql.Open("pgx", database)
	f.Expect(err).NotTo(HaveOccurred())
	defer owner.Close()
	_, err = owner.ExecContext(ctx, `ALTER TABLE notification_audit ADD CHECK (source_name <> 'refused')`)
	f.Expect(err).NotTo(HaveOccurred())

	metrics := freeAddress(f)
	f.manager(database, "--metrics-bind-address="+metrics, "--namespaces="+f.namespace)
	model := httptest.NewServer(http.NotFoundHandler()) // fails each narrative
	t.Cleanup(model.Close)
	token := filepath.Join(t.TempDir(), "token")
	f.Expect(os.WriteFile(token, []byte("token"), 0o600)).To(Succeed())
	service := func(name, database, ready string, args ...string) string {
		address := freeAddress(f)
		f.start(name, []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + database}, "http://"+address+ready, append(args, "--insecure-http", "--bind-address", address)...)
		return "http://" + address
	}
	reports := []string{"reports", "--narrator-url=" + model.URL, "--narrator-model=none", "--narrator-token-file=" + token}
	m.posts, m.reports = service("storage", database, "/readyz", "storage"), service("reports", database, "/readyz", reports...)
	m.awayPosts, m.awayReports = service("away-storage", nowhere, "/healthz", "storage"), service("away-reports", nowhere, "/healthz", reports...)
	m.alerts, m.awayAlerts = m.gateway("gateway", stack.Cluster.Kubeconfig(), "/readyz"), m.gateway("away-gateway", m.nobody(), "/healthz")
	scraper := f.account("prometheus")
	f.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "prometheus-"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-metrics-reader"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "prometheus", Namespace: f.namespace}}})
	m.watch(scraper, "http://"+metrics, m.posts, m.reports, m.awayPosts, m.awayReports, m.alerts, m.awayAlerts)
	return m
}

// gateway starts one, for a namespace that takes part.
func (m *monitored) gateway(name, kubeconfig, ready string) string {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: m.namespace}}
	m.Expect(m.client.Patch(ctx, ns, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"holdfast.dev/gateway":"enabled"}}}`)))).To(Succeed())
	address := freeAddress(m.fixture)
	m.start(name, []string{"KUBECONFIG=" + kubeconfig}, "http://"+address+ready, "gateway", "--insecure-http", "--insecure-no-auth", "--max-open-requests=1000", "--bind-address", address)
	return "http://" + address
}

// nobody is the kubeconfig of an API server that is away.
func (m *monitored) nobody() string {
	path := filepath.Join(m.t.TempDir(), "kubeconfig")
	m.Expect(clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"away": {Server: "https://127.0.0.1:1"}}, Contexts: map[string]*clientcmdapi.Context{"away": {Cluster: "away"}}, CurrentContext: "away",
	}, path)).To(Succeed())
	return path
}

// alert posts one of a workload of its own.
func (m *monitored) alert(name string) {
	labels := map[string]string{"app": name}
	m.create(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "x"}}}},
	}})
	message := fmt.Sprintf(`{"version": "4", "alerts": [{"status": "firing", "startsAt": %q, "labels": {"alertname": "Alert", "namespace": %q, "deployment": %q}}]}`, time.Now().UTC().Format(time.RFC3339), m.namespace, name)
	for _, url := range []string{m.alerts, m.awayAlerts} {
		m.call(http.MethodGet, url+"/readyz", "", "")
		m.call(http.MethodPost, url+"/api/v1/alertmanager", "", message)
	}
}

// watch starts Prometheus with our rules, and a token to scrape with.
func (m *monitored) watch(token string, urls ...string) {
	for i := range urls {
		urls[i] = strings.TrimPrefix(urls[i], "http://")
	}
	var err error
	m.prometheus, err = monitor.Start(ctx, monitor.Options{Dir: m.t.TempDir(), Targets: urls, Token: token})
	if errors.Is(err, monitor.ErrNotInstalled) {
		m.t.Skipf("NOT TRIED: %v, so no query of the dashboard and no rule was evaluated", err)
	}
	m.Expect(err).NotTo(HaveOccurred())
	m.t.Cleanup(func() { m.Expect(m.prometheus.Stop()).To(Succeed()) })
}

// call sends a request, and ignores its answer: only the metrics count.
func (m *monitored) call(method, url, token, body string) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	m.Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	m.Expect(err).NotTo(HaveOccurred())
	answer.Body.Close()
}

// load is a little of everything that the services do.
func (m *monitored) load() {
	m.rounds++
	id, now := fmt.Sprintf("by-hand-%d", m.rounds), time.Now().UTC().Add(-time.Minute).Format(time.RFC3339)
	m.create(testenv.MakeRemediation(m.namespace, fmt.Sprintf("none%d", m.rounds)).Auto(80).Obj()) // its target is not there: it ends by itself
	record := fmt.Sprintf(`{"remediation_id": %q, "signal_fingerprint": "f", "signal_received_at": %q, "remediation_created_at": %[2]q, "completed_at": %[2]q, "outcome": "remediated",
		"signal_context": {"name": "Alert", "severity": "warning"}, "target": {"apiVersion": "v1", "kind": "Node", "name": "worker-7"}}`, id, now)
	for _, storage := range []string{m.posts, m.awayPosts} {
		m.call(http.MethodGet, storage+"/readyz", "", "")
		m.call(http.MethodPost, storage+"/api/v1/audit/orchestration", m.poster, record)
	}
	for _, reports := range []string{m.reports, m.awayReports} {
		m.call(http.MethodGet, reports+"/readyz", "", "")
		m.call(http.MethodGet, reports+"/api/v2/rar/"+id+"?narrative=generate", m.reader, "")
	}
	m.alert(fmt.Sprintf("alerted-%d", m.rounds))
}

// queries are those of the dashboard, and every selector of a rule: most rules find nothing while all is well.
func queries(t *testing.T) map[string]string {
	t.Helper()
	g := NewWithT(t)
	all := map[string]string{}
	text, err := os.ReadFile("../../config/grafana/dashboard.json")
	g.Expect(err).NotTo(HaveOccurred())
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	g.Expect(json.Unmarshal(text, &dashboard)).To(Succeed())
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all[strings.ReplaceAll(target.Expr, "$__rate_interval", "30s")] = "panel " + panel.Title
		}
	}
	rules, err := os.ReadFile("../../config/prometheus/rules.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	for _, part := range regexp.MustCompile(`(?s)- alert: (\w+)(.*?)\n +labels:`).FindAllStringSubmatch(string(rules), -1) {
		for _, selector := range regexp.MustCompile(`holdfast_\w+(?:\{[^}]*\})?`).FindAllString(part[2], -1) {
			all["last_over_time("+selector+"[10m])"] = "alert " + part[1]
		}
	}
	g.Expect(len(all)).To(BeNumerically(">", 60))
	return all
}

// A query that names a metric or a label that nobody has is silent for ever, and looks like a system that is well.
func TestEveryQueryFindsSeries(t *testing.T) {
	missing := queries(t)
	m := watched(t)
	m.create(testenv.MakeNotification(m.namespace, "refused").Obj())
	m.Eventually(func(g Gomega) {
		m.load()
		for query := range missing {
			found, err := m.prometheus.Query(ctx, query)
			g.Expect(err).NotTo(HaveOccurred())
			if len(found) > 0 {
				delete(missing, query)
			}
		}
		g.Expect(missing).To(BeEmpty(), "found nothing")
	}).WithPolling(time.Second).Should(Succeed())

	var state struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
	}
	m.Eventually(func(g Gomega) {
		g.Expect(m.prometheus.Ask(ctx, "/api/v1/rules", &state)).To(Succeed())
		states := map[string]string{}
		for _, group := range state.Data.Groups {
			for _, rule := range group.Rules {
				g.Expect(rule.Health).To(Equal("ok"), "%s: %s", rule.Name, rule.LastError)
				states[rule.Name] = rule.State
			}
		}
		g.Expect(states).To(HaveKeyWithValue("HoldfastDeadLetters", "firing"), "the database refused an entry")
		g.Expect(states).To(HaveKeyWithValue("HoldfastStoreUnavailable", "inactive"))
		g.Expect(states).To(HaveKeyWithValue("HoldfastHistoryForked", "inactive"))
	}).Should(Succeed())
}
