package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/gateway"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

const (
	timeout  = 30 * time.Second
	interval = 20 * time.Millisecond
	token    = "a-token-of-the-gateway-0123456789"
	// account is the gateway's own, with the rights of config/gateway.
	account = "system:serviceaccount:holdfast-system:holdfast-gateway"
)

var (
	cluster *localcluster.Cluster
	admin   client.WithWatch
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	before := goleak.IgnoreCurrent()
	var err error
	if cluster, err = localcluster.Start(ctx, localcluster.Options{Profile: localcluster.ControlPlane}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := 1
	if err = prepare(ctx); err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(before); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func prepare(ctx context.Context) (err error) {
	if err := config.Install(ctx, cluster.RESTConfig(), io.Discard); err != nil {
		return err
	}
	if admin, err = client.NewWithWatch(cluster.RESTConfig(), client.Options{Scheme: testenv.Scheme()}); err != nil {
		return err
	}
	if err := admin.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "holdfast-gateway"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-gateway"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "holdfast-gateway", Namespace: "holdfast-system"}},
	}); err != nil {
		return err
	}
	// The API server's authorizer knows the binding some moments later.
	own, err := client.New(asGateway(), client.Options{Scheme: testenv.Scheme()})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(timeout); ; {
		if err = own.List(ctx, &v1alpha1.RemediationRequestList{}); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// asGateway acts as the account of config/gateway.
func asGateway() *rest.Config {
	cfg := rest.CopyConfig(cluster.RESTConfig())
	cfg.QPS = -1
	cfg.Impersonate = rest.ImpersonationConfig{UserName: account, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:holdfast-system", "system:authenticated"}}
	return cfg
}

// running is a gateway.
type running struct {
	t       *testing.T
	url     string
	address string
	tokens  string
	stop    func() error
}

// start runs a gateway with the rights of config/gateway until the test ends.
func start(t *testing.T, adapt ...func(*gateway.Config)) *running {
	t.Helper()
	return startAt(t, "127.0.0.1:0", adapt...)
}

func startAt(t *testing.T, address string, adapt ...func(*gateway.Config)) *running {
	t.Helper()
	g := NewWithT(t)
	tokens := filepath.Join(t.TempDir(), "token")
	g.Expect(os.WriteFile(tokens, []byte(token+"\n"), 0o600)).To(Succeed())
	c := gateway.Config{Limits: gateway.DefaultLimits()}
	var err error
	c.Client, err = client.NewWithWatch(asGateway(), client.Options{Scheme: testenv.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	c.Events, err = kubernetes.NewForConfig(asGateway())
	g.Expect(err).NotTo(HaveOccurred())
	c.Tokens, err = gateway.NewTokens(tokens)
	g.Expect(err).NotTo(HaveOccurred())
	for _, a := range adapt {
		a(&c)
	}
	server, err := gateway.New(c)
	g.Expect(err).NotTo(HaveOccurred())
	l, err := net.Listen("tcp", address)
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	r := &running{t: t, url: "http://" + l.Addr().String(), address: l.Addr().String(), tokens: tokens}
	r.stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { NewWithT(t).Expect(r.stop()).To(Succeed()) })
	g.Eventually(func() int { return r.get("/readyz") }, timeout, interval).Should(Equal(http.StatusOK))
	return r
}

func (r *running) get(path string) int {
	answer, err := http.Get(r.url + path)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// metrics is what /metrics says.
func (r *running) metrics() string {
	answer, err := http.Get(r.url + "/metrics")
	g := NewWithT(r.t)
	g.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// firing is an alert that fires now.
func firing(labels map[string]string, change ...func(map[string]any)) map[string]any {
	a := map[string]any{
		"status": "firing", "labels": labels, "annotations": map[string]string{"summary": "it fails"},
		"startsAt": time.Now().Format(time.RFC3339Nano), "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "3f0c1b2a4d5e6f70", "generatorURL": "http://prometheus/graph",
	}
	for _, c := range change {
		c(a)
	}
	return a
}

// messageOf is what Alertmanager posts.
func messageOf(alerts ...map[string]any) []byte {
	text, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "holdfast", "groupLabels": map[string]string{},
		"commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "http://alertmanager", "alerts": alerts,
	})
	if err != nil {
		panic(err)
	}
	return text
}

// post sends a body as Alertmanager does.
func (r *running) post(body []byte, headers ...string) (int, gateway.Answer, string) {
	r.t.Helper()
	g := NewWithT(r.t)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+gateway.Path, bytes.NewReader(body))
	g.Expect(err).NotTo(HaveOccurred())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	reply, err := http.DefaultClient.Do(req)
	g.Expect(err).NotTo(HaveOccurred())
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	g.Expect(err).NotTo(HaveOccurred())
	var answer gateway.Answer
	if reply.Header.Get("Content-Type") == "application/json" {
		g.Expect(json.Unmarshal(text, &answer)).To(Succeed())
	}
	return reply.StatusCode, answer, string(text)
}

// one posts an alert, which must be answered 200.
func (r *running) one(alert map[string]any) gateway.Outcome {
	r.t.Helper()
	status, answer, text := r.post(messageOf(alert))
	g := NewWithT(r.t)
	g.Expect(status).To(Equal(http.StatusOK), text)
	g.Expect(answer.Alerts).To(HaveLen(1))
	return answer.Alerts[0]
}

// tenant makes a namespace that takes part.
func tenant(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "gateway-", Labels: map[string]string{gateway.EnabledLabel: gateway.Enabled}}}
	NewWithT(t).Expect(admin.Create(t.Context(), ns)).To(Succeed())
	return ns.Name
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	NewWithT(t).Expect(admin.Create(t.Context(), o)).To(Succeed())
}

var template = corev1.PodTemplateSpec{
	ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}},
	Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example.com/app:1"}}},
}

var selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}

func owned(ns, name string, owner client.Object, apiVersion, kind string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": "x"}}
	if owner != nil {
		m.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: ptr.To(true)}}
	}
	return m
}

func deployment(t *testing.T, ns, name string) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: owned(ns, name, nil, "", ""), Spec: appsv1.DeploymentSpec{Selector: selector, Template: template}}
	create(t, d)
	return d
}

func pod(t *testing.T, meta metav1.ObjectMeta) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: meta, Spec: *template.Spec.DeepCopy()}
	create(t, p)
	return p
}

// podOf makes a Deployment with its ReplicaSet and a pod.
func podOf(t *testing.T, ns, name string) *corev1.Pod {
	t.Helper()
	d := deployment(t, ns, name)
	rs := &appsv1.ReplicaSet{ObjectMeta: owned(ns, name+"-6d4cf56db6", d, "apps/v1", "Deployment"), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}}
	create(t, rs)
	return pod(t, owned(ns, name+"-6d4cf56db6-x2x7p", rs, "apps/v1", "ReplicaSet"))
}

func requests(t *testing.T, ns string) []v1alpha1.RemediationRequest {
	t.Helper()
	list := &v1alpha1.RemediationRequestList{}
	NewWithT(t).Expect(admin.List(t.Context(), list, client.InNamespace(ns))).To(Succeed())
	return list.Items
}

// finish ends a request, as the controller does.
func finish(t *testing.T, ns, name string, at time.Time) {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"phase":"Completed","outcome":"remediated","completedTime":%q}}`, at.UTC().Format("2006-01-02T15:04:05.000000Z"))
	rr := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	NewWithT(t).Expect(admin.Status().Patch(t.Context(), rr, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
}

func labelsOf(ns string, pairs ...string) map[string]string {
	l := map[string]string{"alertname": "KubePodCrashLooping", "severity": "warning", "namespace": ns}
	for i := 0; i < len(pairs); i += 2 {
		l[pairs[i]] = pairs[i+1]
	}
	return l
}

func long(n int) string { return strings.Repeat("x", n) }
