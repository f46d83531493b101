//go:build unix

package serving_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/serving"
)

// How long the API server may take to see a changed role.
const (
	enforceTimeout = 20 * time.Second
	poll           = 50 * time.Millisecond
)

const audience = "holdfast-test"

var (
	admin      *rest.Config
	client     kubernetes.Interface
	signingKey *ecdsa.PrivateKey // of service account tokens
	logged     buffer            // everything that this process logs, at every level
)

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	log := zap.New(zap.UseDevMode(true), zap.WriteTo(&logged))
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	dir, err := os.MkdirTemp("", "serving-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cluster, err := localcluster.Start(context.Background(), localcluster.Options{Dir: dir, Profile: localcluster.ControlPlane, Progress: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	admin = cluster.RESTConfig()
	client = kubernetes.NewForConfigOrDie(admin)
	content, err := os.ReadFile(filepath.Join(dir, "certs", "service-accounts.key"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	block, _ := pem.Decode(content)
	if signingKey, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// caller is a service account with the verbs on auditrecords.holdfast.dev.
type caller struct{ name, namespace string }

func newCaller(t *testing.T, verbs ...string) caller {
	t.Helper()
	g := NewWithT(t)
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "serving-"}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	c := caller{name: "auditor", namespace: ns.Name}
	_, err = client.CoreV1().ServiceAccounts(c.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: c.name}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	if len(verbs) > 0 {
		c.bind(t, rbacv1.PolicyRule{APIGroups: []string{"holdfast.dev"}, Resources: []string{"auditrecords"}, Verbs: verbs})
	}
	return c
}

func (c caller) user() string { return "system:serviceaccount:" + c.namespace + ":" + c.name }

// bind grants, and waits until the API server's authorizer knows.
func (c caller) bind(t *testing.T, rule rbacv1.PolicyRule) {
	t.Helper()
	g := NewWithT(t)
	_, err := client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: c.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: c.namespace},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: c.name, Namespace: c.namespace}},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() bool { return c.may(t, rule) }, enforceTimeout, poll).Should(BeTrue())
}

// unbind takes it away, and waits likewise.
func (c caller) unbind(t *testing.T, rule rbacv1.PolicyRule) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(client.RbacV1().ClusterRoleBindings().Delete(t.Context(), c.namespace, metav1.DeleteOptions{})).To(Succeed())
	g.Eventually(func() bool { return c.may(t, rule) }, enforceTimeout, poll).Should(BeFalse())
}

func (c caller) may(t *testing.T, rule rbacv1.PolicyRule) bool {
	t.Helper()
	spec := authorizationv1.SubjectAccessReviewSpec{User: c.user()}
	if len(rule.NonResourceURLs) > 0 {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: rule.NonResourceURLs[0], Verb: rule.Verbs[0]}
	} else {
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Group: rule.APIGroups[0], Resource: rule.Resources[0], Verb: rule.Verbs[0]}
	}
	answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return answer.Status.Allowed
}

// token is made for the audiences; without one for the API server's own.
func (c caller) token(t *testing.T, audiences ...string) string {
	t.Helper()
	answer, err := client.CoreV1().ServiceAccounts(c.namespace).CreateToken(t.Context(), c.name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return answer.Status.Token
}

// claims of a token, changed and, with the cluster's own key, signed anew.
func resigned(t *testing.T, token string, change func(claims map[string]any)) string {
	t.Helper()
	g := NewWithT(t)
	parts := strings.Split(token, ".")
	g.Expect(parts).To(HaveLen(3))
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	g.Expect(err).NotTo(HaveOccurred())
	var claims map[string]any
	g.Expect(json.Unmarshal(payload, &claims)).To(Succeed())
	change(claims)
	payload, err = json.Marshal(claims)
	g.Expect(err).NotTo(HaveOccurred())
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, signingKey, sum[:])
	g.Expect(err).NotTo(HaveOccurred())
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// traffic counts the reviews that a Reviewer asks for, and may hold or break them.
type traffic struct {
	tokens, access atomic.Int32
	before         func(*http.Request) error
}

func (c *traffic) on(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return transportFunc(func(req *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(req.URL.Path, "/tokenreviews"):
				c.tokens.Add(1)
			case strings.HasSuffix(req.URL.Path, "/subjectaccessreviews"):
				c.access.Add(1)
			}
			if c.before != nil {
				if err := c.before(req); err != nil {
					return nil, err
				}
			}
			return next.RoundTrip(req)
		})
	})
	return cfg
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

var (
	create = rbacv1.PolicyRule{APIGroups: []string{"holdfast.dev"}, Resources: []string{"auditrecords"}, Verbs: []string{"create"}}
	ask    = func(verb string) serving.Right {
		return serving.Right{Resource: &authorizationv1.ResourceAttributes{Group: "holdfast.dev", Resource: "auditrecords", Verb: verb}}
	}
)

// reviewer needs create, and asks for relay.
func reviewer(t *testing.T, cfg *rest.Config, o serving.Options) *serving.Reviewer {
	t.Helper()
	o.Audience, o.Needs, o.Asks = audience, ask("create"), []serving.Right{ask("relay")}
	r, err := serving.NewReviewer(cfg, o)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return r
}
