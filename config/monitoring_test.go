package config_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/holdfast-dev/holdfast/internal/gateway"
	"github.com/holdfast-dev/holdfast/internal/narrator"
	_ "github.com/holdfast-dev/holdfast/internal/operator" // registers its metrics, and those of outbox and relay
	"github.com/holdfast-dev/holdfast/internal/reportsapi"
	"github.com/holdfast-dev/holdfast/internal/storageapi"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/postgres"
)

// What the manifests use of the Prometheus operator's API (monitoring.coreos.com/v1). Decoding is strict: a field that is not here is
// either misspelt or needs to be looked up and added.
type (
	podMonitor struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			PodMetricsEndpoints []struct {
				Port      string `json:"port"`
				Interval  string `json:"interval"`
				Scheme    string `json:"scheme"`
				TLSConfig struct {
					InsecureSkipVerify bool `json:"insecureSkipVerify"`
				} `json:"tlsConfig"`
				Authorization struct {
					Credentials corev1.SecretKeySelector `json:"credentials"`
				} `json:"authorization"`
			} `json:"podMetricsEndpoints"`
		} `json:"spec"`
	}
	prometheusRule struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       struct {
			Groups []struct {
				Name  string  `json:"name"`
				Rules []alert `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	alert struct {
		Alert       string            `json:"alert"`
		Expr        string            `json:"expr"`
		For         string            `json:"for,omitempty"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	}
)

func TestAlerts(t *testing.T) {
	g := NewWithT(t)
	rules := rulesOf(t, build(t, "prometheus"))
	known := metricsOfTheServices(t)
	runbooks, err := os.ReadFile("../docs/operations.md")
	g.Expect(err).NotTo(HaveOccurred())
	for _, group := range rules.Spec.Groups {
		for _, a := range group.Rules {
			t.Run(a.Alert, func(t *testing.T) {
				g := NewWithT(t)
				g.Expect(a.Alert).To(HavePrefix("Holdfast"))
				g.Expect(a.Labels["severity"]).To(BeElementOf("critical", "warning"))
				g.Expect(a.Annotations).To(HaveKeyWithValue("runbook_url", "https://github.com/holdfast-dev/holdfast/blob/main/docs/operations.md#"+strings.ToLower(a.Alert)))
				g.Expect(string(runbooks)).To(ContainSubstring("\n### "+a.Alert+"\n"), "its runbook")
				g.Expect(a.Annotations).To(And(HaveKey("summary"), HaveKey("description")))
				used := regexp.MustCompile(`(holdfast_\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(a.Expr, -1)
				g.Expect(used).NotTo(BeEmpty())
				for _, u := range used {
					name := strings.TrimSuffix(u[1], "_bucket")
					g.Expect(known).To(HaveKey(name))
					for _, label := range regexp.MustCompile(`(\w+)=`).FindAllStringSubmatch(u[2], -1) {
						g.Expect(known[name]).To(ContainElement(label[1]), "labels of %s", name)
					}
				}
				for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(a.Annotations["summary"], -1) {
					g.Expect(a.Expr).To(MatchRegexp(`by \([^)]*\b%s\b`, label[1]), "the summary's label %s", label[1])
				}
			})
		}
	}
}

func TestThePodMonitorsFindTheServices(t *testing.T) {
	objects := build(t, "prometheus")
	for _, component := range []string{"manager", "storage", "reports", "gateway"} {
		t.Run(component, func(t *testing.T) {
			g := NewWithT(t)
			name := "holdfast-" + component
			found := slices.DeleteFunc(ofKind(objects, "PodMonitor"), func(o *unstructured.Unstructured) bool { return o.GetName() != name })
			g.Expect(found).To(HaveLen(1))
			monitor := &podMonitor{}
			g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found[0].Object, monitor, true)).To(Succeed())
			g.Expect(monitor.Spec.PodMetricsEndpoints).To(HaveLen(1))
			endpoint := monitor.Spec.PodMetricsEndpoints[0]

			deployment := deploymentOf(t, component)
			g.Expect(found[0].GetNamespace()).To(Equal(deployment.Namespace))
			for key, value := range monitor.Spec.Selector.MatchLabels {
				g.Expect(deployment.Spec.Template.Labels).To(HaveKeyWithValue(key, value))
			}
			var ports []string
			for _, port := range deployment.Spec.Template.Spec.Containers[0].Ports {
				ports = append(ports, port.Name)
			}
			g.Expect(ports).To(ContainElement(endpoint.Port))
			g.Expect(endpoint.Scheme).To(Equal("https"), "tokens go over TLS only")
			g.Expect(endpoint.Authorization.Credentials.Key).To(Equal("token"))
			secret := ofKind(objects, "Secret")[0]
			g.Expect(secret.GetName()).To(Equal(endpoint.Authorization.Credentials.Name))
			g.Expect(secret.GetNamespace()).To(Equal(found[0].GetNamespace()), "a PodMonitor reads Secrets of its own namespace")
		})
	}
}

// metricsOfTheServices are the metrics that the manager and the REST services have, with the names of their labels.
func metricsOfTheServices(t *testing.T) map[string][]string {
	t.Helper()
	g := NewWithT(t)
	registry, ok := metrics.Registry.(prometheus.Collector)
	g.Expect(ok).To(BeTrue())
	descriptions := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descriptions)
		close(descriptions)
	}()
	known, parts := map[string][]string{}, regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`)
	for description := range descriptions {
		if found := parts.FindStringSubmatch(description.String()); found != nil {
			known[found[1]] = strings.Split(found[2], ",")
		}
	}
	g.Expect(known).To(HaveKey("holdfast_relay_breaker_open"))
	maps.Copy(known, serviceMetrics(t))
	return known
}

// serviceMetrics are what the REST services say of themselves when they were asked something before. They need no database and no API server for that.
func serviceMetrics(t *testing.T) map[string][]string {
	t.Helper()
	g := NewWithT(t)
	nowhere, err := postgres.Open(t.Context(), "postgres://nobody@127.0.0.1:1/none", postgres.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(nowhere.Close)
	storage, err := storageapi.New(storageapi.Config{Store: nowhere, Authorizer: storageapi.NoAuth{}})
	g.Expect(err).NotTo(HaveOccurred())
	tells, err := narrator.New(narrator.Options{URL: "http://127.0.0.1:1", Model: "none"})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(tells.Close)
	reports, err := reportsapi.New(reportsapi.Config{Store: nowhere, Authorizer: reportsapi.NoAuth{}, Narrator: tells})
	g.Expect(err).NotTo(HaveOccurred())
	cluster := &rest.Config{Host: "http://127.0.0.1:1"}
	direct, err := client.NewWithWatch(cluster, client.Options{Scheme: testenv.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	events, err := kubernetes.NewForConfig(cluster)
	g.Expect(err).NotTo(HaveOccurred())
	alerts, err := gateway.New(gateway.Config{Client: direct, Events: events, Limits: gateway.DefaultLimits()})
	g.Expect(err).NotTo(HaveOccurred())
	known, series, label := map[string][]string{}, regexp.MustCompile(`(?m)^(holdfast_(?:storage|reports|gateway)_\w+?)(?:_bucket)?(?:\{(.*)\})? `), regexp.MustCompile(`(\w+)="`)
	for _, server := range []http.Handler{storage.Handler(), reports.Handler(), alerts.Handler()} {
		var answer *httptest.ResponseRecorder
		for _, path := range []string{"/readyz", "/metrics"} {
			answer = httptest.NewRecorder()
			server.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		}
		for _, found := range series.FindAllStringSubmatch(answer.Body.String(), -1) {
			for _, l := range label.FindAllStringSubmatch(found[2], -1) {
				known[found[1]] = append(known[found[1]], l[1])
			}
			if _, ok := known[found[1]]; !ok {
				known[found[1]] = nil
			}
		}
		g.Expect(answer.Body.String()).To(ContainSubstring(`{code="503",method="GET",path="/readyz"} 1`), "the alert counts these")
	}
	for _, service := range []string{"storage", "reports", "gateway"} {
		g.Expect(known).To(HaveKeyWithValue("holdfast_"+service+"_requests_total", ConsistOf("path", "method", "code")))
	}
	return known
}
