//go:build unix

package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scrape gets a URL; the manager's certificate is its own.
func (f *fixture) scrape(url, token string) (status int, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	f.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	scraper := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	var answer *http.Response
	f.Eventually(func() (err error) { // readiness is told by another port, which listens earlier
		answer, err = scraper.Do(req)
		return err
	}).Should(Succeed())
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	f.Expect(err).NotTo(HaveOccurred())
	return answer.StatusCode, string(content)
}

// account makes a service account and a token of it for the API server.
func (f *fixture) account(name string) string {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}
	f.create(account)
	request := &authenticationv1.TokenRequest{}
	f.Expect(f.client.SubResource("token").Create(ctx, account, request)).To(Succeed())
	return request.Status.Token
}

func TestMetricsOnLoopbackArePlain(t *testing.T) {
	f := setup(t)
	address := freeAddress(f)
	f.manager(stack.Postgres.URL(), "--metrics-bind-address="+address)
	status, body := f.scrape("http://"+address+"/metrics", "")
	f.Expect(status).To(Equal(http.StatusOK))
	f.Expect(body).To(ContainSubstring("holdfast_relay_breaker_open"))
}

func TestMetricsElsewhereAreForReaders(t *testing.T) {
	f := setup(t)
	reader, other := f.account("prometheus"), f.account("other")
	f.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}}})
	f.create(&rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: f.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: f.namespace},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "prometheus", Namespace: f.namespace}},
	})
	_, port, err := net.SplitHostPort(freeAddress(f))
	f.Expect(err).NotTo(HaveOccurred())
	f.manager(stack.Postgres.URL(), "--metrics-bind-address=:"+port)
	url := "https://127.0.0.1:" + port + "/metrics"

	f.Eventually(func() int { status, _ := f.scrape(url, reader); return status }).Should(Equal(http.StatusOK)) // an early refusal is remembered for 10 s
	_, body := f.scrape(url, reader)
	f.Expect(body).To(ContainSubstring("holdfast_relay_breaker_open"))
	for token, expected := range map[string]int{"": http.StatusUnauthorized, "garbage": http.StatusUnauthorized, other: http.StatusForbidden} {
		status, body := f.scrape(url, token)
		f.Expect(status).To(Equal(expected))
		f.Expect(body).NotTo(ContainSubstring("holdfast_relay"))
	}
	if plain, err := http.Get("http://127.0.0.1:" + port + "/metrics"); err == nil { // the server's refusal, or a reset connection that was faster
		f.Expect(plain.Body.Close()).To(Succeed())
		f.Expect(plain.StatusCode).To(Equal(http.StatusBadRequest), "there is no plain HTTP")
	}
	log, err := os.ReadFile(f.log("manager"))
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(string(log)).NotTo(Or(ContainSubstring(reader), ContainSubstring(other)))
}

func TestOpenMetricsAreRefused(t *testing.T) {
	f := setup(t)
	c := exec.Command(program, "manager", "--metrics-bind-address=:0", "--metrics-secure=false", "--health-probe-bind-address=0")
	c.Env = []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + stack.Postgres.URL()}
	output, err := c.CombinedOutput()
	f.Expect(err).To(HaveOccurred())
	f.Expect(string(output)).To(ContainSubstring(`--metrics-bind-address is ":0" without --metrics-secure, so anyone could read the metrics; set --metrics-secure, or a loopback address`))
}
