//go:build unix

package reportsapi_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/reportsapi"
	"github.com/holdfast-dev/holdfast/internal/serving"
)

const (
	enforcement = 30 * time.Second
	poll        = 50 * time.Millisecond
)

// cluster is a real API server, and what a test does with it.
type cluster struct {
	*testing.T
	config *rest.Config
	client kubernetes.Interface
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	g := NewWithT(t)
	running, err := localcluster.Start(t.Context(), localcluster.Options{Dir: t.TempDir(), Profile: localcluster.ControlPlane, Progress: os.Stderr})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(running.Stop()).To(Succeed()) })
	c := &cluster{T: t, config: running.RESTConfig(), client: kubernetes.NewForConfigOrDie(running.RESTConfig())}
	_, err = c.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "report-viewer"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{"holdfast.dev"}, Resources: []string{"remediationreports"}, Verbs: []string{"get", "list"}}}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	return c
}

func (c *cluster) namespace(name string) time.Time {
	c.Helper()
	ns, err := c.client.CoreV1().Namespaces().Create(c.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	NewWithT(c.T).Expect(err).NotTo(HaveOccurred())
	return ns.CreationTimestamp.Time
}

// remove deletes a namespace, as the controller does that this cluster has not.
func (c *cluster) remove(name string) {
	c.Helper()
	g := NewWithT(c.T)
	g.Expect(c.client.CoreV1().Namespaces().Delete(c.Context(), name, metav1.DeleteOptions{})).To(Succeed())
	ns, err := c.client.CoreV1().Namespaces().Get(c.Context(), name, metav1.GetOptions{})
	if err == nil {
		ns.Spec.Finalizers = nil
		_, err = c.client.CoreV1().Namespaces().Finalize(c.Context(), ns, metav1.UpdateOptions{})
	}
	g.Expect(err).To(Or(BeNil(), Satisfy(apierrors.IsNotFound)))
	g.Eventually(func() bool {
		_, err := c.client.CoreV1().Namespaces().Get(c.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, enforcement, poll).Should(BeTrue())
}

func (c *cluster) token(namespace, name string, audiences ...string) string {
	c.Helper()
	g := NewWithT(c.T)
	_, err := c.client.CoreV1().ServiceAccounts(namespace).Create(c.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		g.Expect(err).NotTo(HaveOccurred())
	}
	answer, err := c.client.CoreV1().ServiceAccounts(namespace).CreateToken(c.Context(), name, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	return answer.Status.Token
}

// bind lets an account read the reports of a namespace, "" of all, and waits until the API server knows.
func (c *cluster) bind(namespace, ofNamespace, name string) {
	c.Helper()
	g := NewWithT(c.T)
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "report-viewer"}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ofNamespace, Name: name}}
	var err error
	if namespace == "" {
		_, err = c.client.RbacV1().ClusterRoleBindings().Create(c.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: role, Subjects: subjects}, metav1.CreateOptions{})
	} else {
		_, err = c.client.RbacV1().RoleBindings(namespace).Create(c.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: role, Subjects: subjects}, metav1.CreateOptions{})
	}
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "system:serviceaccount:" + ofNamespace + ":" + name,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Group: "holdfast.dev", Resource: "remediationreports", Verb: "get", Namespace: namespace}}}
		answer, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(c.Context(), review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed
	}, enforcement, poll).Should(BeTrue())
}

// reviews counts those that one of the authorizer's clients asks for.
type reviews struct {
	next http.RoundTripper
	n    *atomic.Int32
}

func (r *reviews) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/subjectaccessreviews") {
		r.n.Add(1)
	}
	return r.next.RoundTrip(req)
}

func (c *cluster) authorizer(o reportsapi.AccessOptions) (_ reportsapi.Authorizer, asked *atomic.Int32) {
	c.Helper()
	asked = &atomic.Int32{}
	config := rest.CopyConfig(c.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &reviews{next, asked} })
	a, err := reportsapi.NewKubernetesAuthorizer(config, o)
	NewWithT(c.T).Expect(err).NotTo(HaveOccurred())
	return a, asked
}

// What a caller may see is what the API server says: by namespace, by verb, by audience, and as of when the namespace was made.
func TestWhatACallerMaySee(t *testing.T) {
	c := newCluster(t)
	g := NewWithT(t)
	made := c.namespace("shop")
	c.namespace("bank")
	viewer, auditor, stranger := c.token("bank", "viewer", reportsapi.DefaultAudience), c.token("bank", "auditor", reportsapi.DefaultAudience), c.token("bank", "stranger", reportsapi.DefaultAudience)
	c.bind("shop", "bank", "viewer")
	c.bind("", "bank", "auditor")
	a, asked := c.authorizer(reportsapi.AccessOptions{Cluster: "east"})

	_, err := a.Authorize(t.Context(), c.token("bank", "viewer"), "get", nil)
	g.Expect(err).To(MatchError(serving.ErrUnauthenticated), "a token of another audience")
	seen, err := a.Authorize(t.Context(), viewer, "get", nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(seen.Name).To(Equal("system:serviceaccount:bank:viewer"))
	g.Expect(seen.Readable.Everything).To(BeFalse())
	g.Expect(seen.Readable.Cluster).To(Equal("east"))
	g.Expect(seen.Readable.Since).To(HaveLen(1))
	g.Expect(seen.Readable.Since["shop"]).To(BeTemporally("==", made))
	before := asked.Load()
	again, err := a.Authorize(t.Context(), viewer, "get", nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).To(Equal(seen))
	g.Expect(asked.Load()).To(Equal(before), "the answers are remembered")
	named, err := a.Authorize(t.Context(), viewer, "get", []string{"bank", "shop", "none"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(named.Readable.Since).To(Equal(seen.Readable.Since))

	all, err := a.Authorize(t.Context(), auditor, "list", nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all.Readable.Everything).To(BeTrue())
	none, err := a.Authorize(t.Context(), stranger, "list", nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(none.Readable.Everything).To(BeFalse())
	g.Expect(none.Readable.Since).To(BeEmpty())

	// A right is remembered; when the namespace was made is not.
	c.remove("shop")
	gone, err := a.Authorize(t.Context(), viewer, "get", nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(gone.Readable.Since).To(BeEmpty())
	anew := c.namespace("shop")
	for !anew.After(made) { // creation times have whole seconds
		c.remove("shop")
		anew = c.namespace("shop")
	}
	young, err := a.Authorize(t.Context(), viewer, "get", []string{"shop"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(young.Readable.Since["shop"]).To(BeTemporally("==", anew))
}

// The number of reviews a request is bounded, and says what to do instead.
func TestReviewsAreBounded(t *testing.T) {
	c := newCluster(t)
	g := NewWithT(t)
	c.namespace("shop")
	viewer := c.token("shop", "viewer", reportsapi.DefaultAudience)
	c.bind("shop", "shop", "viewer")
	a, asked := c.authorizer(reportsapi.AccessOptions{Reviews: 2})
	_, err := a.Authorize(t.Context(), viewer, "list", nil)
	g.Expect(err).To(MatchError(reportsapi.ErrManyNamespaces), "kube-system and others are there, too")
	g.Expect(asked.Load()).To(BeEquivalentTo(1), "only whether everything may be seen")
	_, err = a.Authorize(t.Context(), viewer, "list", []string{"a", "b", "c"})
	g.Expect(err).To(MatchError(reportsapi.ErrManyNamespaces))
	named, err := a.Authorize(t.Context(), viewer, "list", []string{"shop"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(named.Readable.Since).To(HaveKey("shop"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.Authorize(ended, c.token("shop", "other", reportsapi.DefaultAudience), "list", nil)
	g.Expect(errors.Is(err, serving.ErrUnavailable)).To(BeTrue())
}
