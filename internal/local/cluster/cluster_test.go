//go:build unix

package cluster

import (
	"context"
	"os"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// pids returns the process ids of the cluster's servers.
func (c *Cluster) pids() []int {
	var ids []int
	for _, p := range append([]*process{c.etcd, c.api}, c.others...) {
		ids = append(ids, p.cmd.Process.Pid)
	}
	return ids
}

func TestControlPlane(t *testing.T) {
	g := NewWithT(t)
	leaks := goleak.IgnoreCurrent()
	ctx := t.Context()
	c, err := Start(ctx, Options{Progress: t.Output()})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = c.Stop() })
	client := kubernetes.NewForConfigOrDie(c.RESTConfig())

	t.Run("the kubeconfig leads to the same cluster", func(t *testing.T) {
		g := NewWithT(t)
		config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
		g.Expect(err).NotTo(HaveOccurred())
		defer closeIdle(kubernetes.NewForConfigOrDie(config))
		namespaces, err := kubernetes.NewForConfigOrDie(config).CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(namespaces.Items).NotTo(BeEmpty())
	})

	t.Run("it serves both kinds of admission policy", func(t *testing.T) {
		g := NewWithT(t)
		list, err := client.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
		g.Expect(err).NotTo(HaveOccurred())
		var kinds []string
		for _, resource := range list.APIResources {
			kinds = append(kinds, resource.Kind)
		}
		g.Expect(kinds).To(ContainElements("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"))
	})

	t.Run("a token of a service account authenticates, and has no rights of its own", func(t *testing.T) {
		g := NewWithT(t)
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}
		_, err := client.CoreV1().ServiceAccounts("default").Create(ctx, account, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		token, err := client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		review, err := client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token},
		}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(review.Status.User.Username).To(Equal("system:serviceaccount:default:robot"))

		config := rest.AnonymousClientConfig(c.RESTConfig())
		config.BearerToken = token.Status.Token
		robot := kubernetes.NewForConfigOrDie(config)
		defer closeIdle(robot)
		_, err = robot.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
		g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "got %v", err)
	})

	for name, restart := range map[string]func(context.Context) error{
		"kube-apiserver": c.RestartAPIServer, "etcd": c.RestartEtcd,
	} {
		t.Run("a restart of "+name+" keeps address and data", func(t *testing.T) {
			g := NewWithT(t)
			before := c.pids()
			kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept-by-" + name}}
			_, err := client.CoreV1().ConfigMaps("default").Create(ctx, kept, metav1.CreateOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(restart(ctx)).To(Succeed())
			_, err = client.CoreV1().ConfigMaps("default").Get(ctx, kept.Name, metav1.GetOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(c.pids()).NotTo(Equal(before))
		})
	}

	t.Run("after Stop nothing is left, and it may be called again", func(t *testing.T) {
		g := NewWithT(t)
		pids, dir := c.pids(), c.dir.path
		g.Expect(c.Stop()).To(Succeed())
		g.Expect(c.Stop()).To(Succeed())
		for _, pid := range pids {
			g.Expect(gone(pid)).To(BeTrue(), "process %d", pid)
		}
		_, err := os.Stat(dir)
		g.Expect(err).To(MatchError(os.ErrNotExist))
		g.Expect(c.RestartAPIServer(ctx)).To(MatchError(ContainSubstring("stopped")))
		closeIdle(client)
		g.Expect(goleak.Find(leaks)).To(Succeed())
	})
}
