//go:build unix

package serving_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

func protected(t *testing.T, cfg *rest.Config) *httptest.Server {
	t.Helper()
	filter, err := serving.MetricsFilter(cfg, nil)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	handler, err := filter(ctrl.Log, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "holdfast_up 1\n") }))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, url, token string) (*http.Response, string) {
	t.Helper()
	g := NewWithT(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(req)
	g.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return answer, string(body)
}

func TestMetricsAreForReadersOfMetrics(t *testing.T) {
	reader, other := newCaller(t), newCaller(t, "create")
	reader.bind(t, rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}})
	token := reader.token(t)
	server := protected(t, admin)
	for name, c := range map[string]struct {
		path, token string
		status      int
	}{
		"a reader":             {"/metrics", token, http.StatusOK},
		"another account":      {"/metrics", other.token(t), http.StatusForbidden},
		"no token":             {"/metrics", "", http.StatusUnauthorized},
		"garbage":              {"/metrics", "garbage", http.StatusUnauthorized},
		"for another audience": {"/metrics", reader.token(t, audience), http.StatusUnauthorized},
		"another path":         {"/debug/pprof", token, http.StatusNotFound},
		"a path below":         {"/metrics/x", token, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			answer, body := get(t, server.URL+c.path, c.token)
			g.Expect(answer.StatusCode).To(Equal(c.status), body)
			if c.status == http.StatusOK {
				g.Expect(body).To(Equal("holdfast_up 1\n"))
			} else {
				g.Expect(body).NotTo(ContainSubstring("holdfast_up"))
			}
			if c.status == http.StatusUnauthorized {
				g.Expect(answer.Header.Get("WWW-Authenticate")).To(Equal("Bearer"))
			}
			withoutSecrets(t, body, c.token)
		})
	}
	withoutSecrets(t, logged.String(), token)
}

func TestMetricsWithoutAPIServer(t *testing.T) {
	g := NewWithT(t)
	reader := newCaller(t)
	proxy, cfg := proxied(t)
	server := protected(t, cfg)
	proxy.Stop()
	token := reader.token(t)
	answer, body := get(t, server.URL+"/metrics", token)
	g.Expect(answer.StatusCode).To(Equal(http.StatusServiceUnavailable))
	g.Expect(answer.Header.Get("Retry-After")).NotTo(BeEmpty())
	g.Expect(body).To(Equal("authentication is not available\n"), "the reason is the operator's")
	g.Expect(logged.String()).To(ContainSubstring("token review failed"))
	withoutSecrets(t, logged.String(), token)
}
