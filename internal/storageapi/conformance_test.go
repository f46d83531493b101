//go:build unix

package storageapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/serving"
)

// provocation makes an endpoint give an answer. The record is one that it takes.
type provocation func(path string, record map[string]any) reply

// provocations by the status that they lead to. Each service is the same program in other circumstances.
func provocations(t *testing.T) map[string]provocation {
	t.Helper()
	usual := start(t, func(c *Config) { c.Limits.BodyBytes = 1 << 14 })
	hasty := start(t, func(c *Config) { c.Limits.ReadTimeout = 100 * time.Millisecond })
	strict := start(t, func(c *Config) { c.Limits.RequestsPerSecond, c.Limits.Burst = 0.001, 1 })
	broken := start(t, func(c *Config) { c.Authorizer = panicking{} })
	send := func(s *service, token, path string, record map[string]any, headers ...string) reply {
		body, err := json.Marshal(record)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return s.do(http.MethodPost, path, token, strings.NewReader(string(body)), headers...)
	}
	with := func(record map[string]any, name string, value any) map[string]any {
		changed := maps.Clone(record)
		changed[name] = value
		return changed
	}
	as := func(token string) provocation {
		return func(path string, record map[string]any) reply { return send(usual, token, path, record) }
	}
	return map[string]provocation{
		"201": as("relayer"),
		"200": func(path string, record map[string]any) reply {
			if path == entries {
				return send(usual, "relayer", path, record)
			}
			record = with(record, "id", uuid.NewString())
			send(usual, "poster", path, record)
			return send(usual, "poster2", path, record)
		},
		"400": func(path string, _ map[string]any) reply {
			return usual.do(http.MethodPost, path, "relayer", strings.NewReader("{"))
		},
		"401": as("nobody"),
		"403": as("stranger"),
		"408": func(path string, _ map[string]any) reply { return hasty.stalled(path) },
		"409": func(path string, record map[string]any) reply {
			record = with(record, "id", uuid.NewString())
			send(usual, "relayer", path, record)
			return send(usual, "relayer", path, with(record, "phase", "Other"))
		},
		"413": func(path string, _ map[string]any) reply {
			return usual.do(http.MethodPost, path, "relayer", strings.NewReader(strings.Repeat(" ", 1<<15)))
		},
		"415": func(path string, record map[string]any) reply {
			return send(usual, "relayer", path, record, "Content-Type", "text/plain")
		},
		"422": func(path string, record map[string]any) reply {
			return send(usual, "relayer", path, with(record, "no_such_field", 1))
		},
		"429": func(path string, record map[string]any) reply {
			send(strict, "poster", path, record)
			return send(strict, "poster", path, record)
		},
		"500": func(path string, record map[string]any) reply { return send(broken, "poster", path, record) },
		"503": as("outage"),
	}
}

// stalled is the answer to a body that stops after its beginning.
func (s *service) stalled(path string) reply {
	body, never := io.Pipe()
	defer never.Close()
	return s.do(http.MethodPost, path, "relayer", io.MultiReader(strings.NewReader("{"), body))
}

// Every answer that the document has for a post is given, at each endpoint, with the headers and in the form that it says. The document says what has to be tried: a
// status that is documented and that nothing here leads to fails.
func TestEveryDocumentedAnswerOfAPostIsGiven(t *testing.T) {
	c := readContract(t, start(t))
	provoke := provocations(t)
	for path, item := range at(c.root, "paths").(map[string]any) {
		if at(item, "post") == nil {
			continue
		}
		record := at(c.root, "paths", path, "post", "requestBody", "content", "application/json", "examples", "one", "value").(map[string]any)
		for _, status := range slices.Sorted(maps.Keys(at(c.root, "paths", path, "post", "responses").(map[string]any))) {
			t.Run(path+" "+status, func(t *testing.T) {
				g := NewWithT(t)
				g.Expect(provoke).To(HaveKey(status), "nobody knows how to come to this answer")
				answer := provoke[status](path, record)
				g.Expect(fmt.Sprint(answer.status)).To(Equal(status), answer.body)
				c.documented(http.MethodPost, path, answer)
			})
		}
	}
}

// The same for what can be read, with a cluster that knows who may read the metrics.
func TestEveryDocumentedAnswerOfAGetIsGiven(t *testing.T) {
	g := NewWithT(t)
	cluster, err := localcluster.Start(t.Context(), localcluster.Options{Profile: localcluster.ControlPlane})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(cluster.Stop()).To(Succeed()) })
	reader, other, late := readers(t, kubernetes.NewForConfigOrDie(cluster.RESTConfig()))
	protect, err := serving.Metrics(cluster.RESTConfig())
	g.Expect(err).NotTo(HaveOccurred())
	usual := start(t, func(c *Config) { c.ProtectMetrics = protect })
	broken := start(t, func(c *Config) { c.Check = func(context.Context) error { return errors.New("no database") } })
	g.Eventually(func() int { return usual.do(http.MethodGet, "/metrics", reader, nil).status }, patience).Should(Equal(http.StatusOK), "the role is known")

	c := readContract(t, usual)
	seen := map[string]bool{}
	note := func(path string, answer reply) {
		seen[fmt.Sprint(path, " ", answer.status)] = true
		c.documented(http.MethodGet, path, answer)
	}
	for path, item := range at(c.root, "paths").(map[string]any) {
		if at(item, "get") != nil {
			note(path, usual.do(http.MethodGet, path, reader, nil))
		}
	}
	note("/readyz", broken.do(http.MethodGet, "/readyz", "", nil))
	note("/metrics", usual.do(http.MethodGet, "/metrics", "", nil))
	note("/metrics", usual.do(http.MethodGet, "/metrics", other, nil))
	g.Expect(cluster.Stop()).To(Succeed())
	note("/metrics", usual.do(http.MethodGet, "/metrics", late, nil))

	documented := map[string]bool{}
	for path, item := range at(c.root, "paths").(map[string]any) {
		responses, _ := at(item, "get", "responses").(map[string]any)
		for status := range responses {
			documented[path+" "+status] = true
		}
	}
	g.Expect(seen).To(Equal(documented))
}

// readers makes tokens of somebody who may get the metrics, of somebody who may not, and one that is not yet reviewed.
func readers(t *testing.T, client *kubernetes.Clientset) (reader, other, late string) {
	t.Helper()
	g := NewWithT(t)
	accounts := client.CoreV1().ServiceAccounts("default")
	token := func(name string) string {
		answer, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		return answer.Status.Token
	}
	for _, name := range []string{"reader", "other"} {
		_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "reader", Namespace: "default"}}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	return token("reader"), token("other"), token("reader")
}
