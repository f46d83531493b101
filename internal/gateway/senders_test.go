package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/internal/gateway"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// programs are Debian's Prometheus and Alertmanager.
func programs(t *testing.T) (prometheus, alertmanager string) {
	t.Helper()
	prometheus, err := exec.LookPath("prometheus")
	if err == nil {
		alertmanager, err = exec.LookPath("prometheus-alertmanager")
	}
	if err != nil {
		t.Skipf("SKIPPED: the gateway is not tried with real senders: %v (Debian: apt-get install prometheus prometheus-alertmanager)", err)
	}
	return prometheus, alertmanager
}

func address(t *testing.T) string {
	t.Helper()
	a, err := localcluster.FreeAddress()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return a
}

func launch(t *testing.T, name, path string, args ...string) *localcluster.Running {
	t.Helper()
	log := filepath.Join(t.TempDir(), name+".log")
	p, err := localcluster.StartProgram(t.Context(), localcluster.Program{Name: name, Path: path, Args: args, Env: []string{"PATH=" + os.Getenv("PATH")}, Log: log, Ready: ready(args)})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		_ = p.Stop(10 * time.Second)
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("%s:\n%s", name, text)
		}
	})
	return p
}

func ready(args []string) func(context.Context) error {
	for _, a := range args {
		if at, ok := strings.CutPrefix(a, "--web.listen-address="); ok {
			return localcluster.Answers("http://" + at + "/-/ready")
		}
	}
	return func(context.Context) error { return nil }
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	NewWithT(t).Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	return path
}

// startAlertmanagers runs Alertmanagers that know of each other, all sending to the gateway.
func startAlertmanagers(t *testing.T, url string, n int) []string {
	t.Helper()
	_, program := programs(t)
	settings := file(t, "alertmanager.yml", fmt.Sprintf(`
route:
  receiver: holdfast
  group_by: [namespace]
  group_wait: 100ms
  group_interval: 500ms
  repeat_interval: 1s
receivers:
  - name: holdfast
    webhook_configs:
      - url: %s%s
        http_config:
          authorization: {type: Bearer, credentials_file: %s}
`, url, gateway.Path, file(t, "token", token+"\n")))
	var all, peers []string
	for i := range n {
		at, gossip := address(t), address(t)
		args := []string{"--config.file=" + settings, "--storage.path=" + t.TempDir(), "--web.listen-address=" + at, "--cluster.listen-address=" + gossip, "--cluster.settle-timeout=1s", "--cluster.peer-timeout=1s"}
		for _, peer := range peers {
			args = append(args, "--cluster.peer="+peer)
		}
		launch(t, fmt.Sprintf("alertmanager-%d", i), program, args...)
		all, peers = append(all, at), append(peers, gossip)
	}
	return all
}

// podMetrics says of every pod of the cluster whether it crashes, as kube-state-metrics does.
func podMetrics(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pods := &corev1.PodList{}
		if err := admin.List(r.Context(), pods); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for i := range pods.Items {
			p := &pods.Items[i]
			for _, c := range p.Status.ContainerStatuses {
				if c.State.Waiting != nil {
					fmt.Fprintf(w, "kube_pod_container_status_waiting_reason{namespace=%q,pod=%q,container=%q,uid=%q,reason=%q} 1\n", p.Namespace, p.Name, c.Name, p.UID, c.State.Waiting.Reason)
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func crash(t *testing.T, p *corev1.Pod) {
	t.Helper()
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", Image: "x", ImageID: "x", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
	NewWithT(t).Expect(admin.Status().Update(t.Context(), p)).To(Succeed())
}

// Pods crash, Prometheus sees it in a metric, an alert fires, a pair of Alertmanagers sends it grouped and again and again: one open request. The gateway is started anew in between.
func TestPrometheusAndAPairOfAlertmanagers(t *testing.T) {
	prometheus, _ := programs(t)
	g := NewWithT(t)
	ns := tenant(t)
	r := start(t)
	senders := startAlertmanagers(t, r.url, 2)
	rules := file(t, "rules.yml", `
groups:
  - name: pods
    rules:
      - alert: KubePodCrashLooping
        expr: last_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5s]) == 1 # a scrape that fails ends no alert
        labels: {severity: critical}
        annotations: {summary: 'Pod {{ $labels.pod }} crashes'}
`)
	at := address(t)
	launch(t, "prometheus", prometheus, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+at, "--config.file="+file(t, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 200ms}
rule_files: [%s]
scrape_configs:
  - {job_name: kube-state-metrics, metrics_path: /, honor_labels: true, static_configs: [{targets: [%s]}]}
alerting:
  alertmanagers: [{static_configs: [{targets: [%s]}]}]
`, rules, podMetrics(t), strings.Join(senders, ", "))))

	first := podOf(t, ns, "cart")
	sibling := first.DeepCopy()
	sibling.ObjectMeta = metav1.ObjectMeta{Namespace: ns, Name: "cart-6d4cf56db6-zzzzz", Labels: first.Labels, OwnerReferences: first.OwnerReferences}
	sibling = pod(t, sibling.ObjectMeta)
	crash(t, first)
	crash(t, sibling)
	open := func() []string { return opened(t, ns) }
	g.Eventually(open, time.Minute, interval).Should(HaveLen(1))
	rr := requests(t, ns)[0]
	g.Expect(rr.Spec.Target.Name).To(Equal("cart"))
	g.Expect(rr.Spec.Signal.Severity).To(Equal("critical"))
	g.Expect(rr.Spec.Signal.Annotations).To(HaveKeyWithValue("summary", Or(BeEquivalentTo("Pod "+first.Name+" crashes"), BeEquivalentTo("Pod "+sibling.Name+" crashes"))))
	g.Expect(string(rr.Spec.Signal.Annotations["holdfast.dev/alert-fingerprint"])).To(MatchRegexp("^[0-9a-f]{16}$"))

	// It is repeated by both, and makes nothing more, also by a gateway that knows nothing of before.
	g.Eventually(func() string { return r.metrics() }, timeout, interval).Should(MatchRegexp(`alerts_total\{result="open"\} ([3-9]|\d\d)`))
	g.Expect(r.stop()).To(Succeed())
	again := startAt(t, r.address)
	g.Eventually(func() string { return again.metrics() }, timeout, interval).Should(MatchRegexp(`alerts_total\{result="open"\} [2-9]`))
	g.Expect(open()).To(Equal([]string{rr.Name}))

	// It ends while the alert still fires: nothing new. Then the pod recovers, and crashes anew.
	finish(t, ns, rr.Name, time.Now())
	g.Eventually(func() string { return again.metrics() }, timeout, interval).Should(MatchRegexp(`alerts_total\{result="ended"\} [1-9]`))
	g.Expect(open()).To(BeEmpty())
	for _, p := range []*corev1.Pod{first, sibling} {
		p.Status.ContainerStatuses = nil
		g.Expect(admin.Status().Update(t.Context(), p)).To(Succeed())
	}
	g.Eventually(func() string { return again.metrics() }, timeout, interval).Should(MatchRegexp(`alerts_total\{result="resolved"\} [1-9]`))
	crash(t, first)
	g.Eventually(open, time.Minute, interval).Should(HaveLen(1))
	g.Expect(requests(t, ns)).To(HaveLen(2))
}

// opened are the names of the open requests of a namespace.
func opened(t *testing.T, ns string) (names []string) {
	t.Helper()
	for _, rr := range requests(t, ns) {
		if !rr.Status.Phase.Final() {
			names = append(names, rr.Name)
		}
	}
	return names
}

// A storm: 5,000 alerts of 100 workloads in 5 namespaces, through a pair of Alertmanagers. The gateway is stopped in its middle and started again.
func TestAStorm(t *testing.T) {
	programs(t)
	g := NewWithT(t)
	const namespaces, workloads, alerts = 5, 20, 50
	more := func(c *gateway.Config) { c.Limits.OpenRequests = workloads }
	r := start(t, more)
	senders := startAlertmanagers(t, r.url, 2)
	var posted []map[string]any
	var spaces []string
	for range namespaces {
		ns := tenant(t)
		spaces = append(spaces, ns)
		for w := range workloads {
			name := fmt.Sprintf("app-%d", w)
			deployment(t, ns, name)
			for a := range alerts {
				posted = append(posted, map[string]any{"labels": labelsOf(ns, "deployment", name, "alertname", fmt.Sprintf("Alert%d", a)), "annotations": map[string]string{"summary": "x"}})
			}
		}
	}
	for chunk := range slices.Chunk(posted, 500) {
		for _, at := range senders {
			send(t, at, chunk)
		}
	}
	all := func() (n int) {
		for _, ns := range spaces {
			n += len(requests(t, ns))
		}
		return n
	}
	g.Eventually(all, time.Minute, interval).Should(BeNumerically(">", 0))
	g.Expect(r.stop()).To(Succeed())
	again := startAt(t, r.address, more)
	g.Eventually(all, time.Minute, 200*time.Millisecond).Should(Equal(namespaces * workloads))
	// Each message has all alerts of a namespace: as soon as each namespace had one answered, every alert was taken.
	g.Eventually(func() string { return again.metrics() }, time.Minute, 200*time.Millisecond).Should(MatchRegexp(`requests_total\{code="200",method="POST",path="/api/v1/alertmanager"\} (\d\d+|[5-9])`))
	for _, ns := range spaces {
		targets := map[string]int{}
		for _, rr := range requests(t, ns) {
			targets[rr.Spec.Target.Name]++
		}
		g.Expect(targets).To(HaveLen(workloads))
		g.Expect(opened(t, ns)).To(HaveLen(workloads))
	}
}

// send posts alerts to an Alertmanager.
func send(t *testing.T, at string, alerts []map[string]any) {
	t.Helper()
	g := NewWithT(t)
	text, err := json.Marshal(alerts)
	g.Expect(err).NotTo(HaveOccurred())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at+"/api/v2/alerts", bytes.NewReader(text))
	g.Expect(err).NotTo(HaveOccurred())
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	g.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	reply, _ := io.ReadAll(answer.Body)
	g.Expect(answer.StatusCode).To(Equal(http.StatusOK), string(reply))
}
