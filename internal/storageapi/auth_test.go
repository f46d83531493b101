//go:build unix

package storageapi_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clocktesting "k8s.io/utils/clock/testing"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/storageapi"
)

// What package serving does with tokens is tested there; this is which tokens and which rights the service asks for.
func TestTheKubernetesAuthorizer(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(20 * time.Second)
	cluster, err := localcluster.Start(t.Context(), localcluster.Options{Profile: localcluster.ControlPlane})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(cluster.Stop()).To(Succeed()) })
	client := kubernetes.NewForConfigOrDie(cluster.RESTConfig())
	const ns = "default"
	accounts := client.CoreV1().ServiceAccounts(ns)
	token := func(account string, audiences ...string) string {
		answer, err := accounts.CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		return answer.Status.Token
	}
	for account, verbs := range map[string][]string{"writer": {"create"}, "relay": {"create", "relay"}, "reader": {"get", "list"}} {
		_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		_, err = client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: account},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"holdfast.dev"}, Resources: []string{"auditrecords"}, Verbs: verbs}},
		}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		_, err = client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: account},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: ns}},
		}, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
	}
	// The same rights in one namespace are not enough: the records are in none.
	_, err = accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "local"}}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = client.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "local"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "relay"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "local", Namespace: ns}},
	}, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	clock := clocktesting.NewFakePassiveClock(time.Now())
	authorizer, err := storageapi.NewKubernetesAuthorizer(cluster.RESTConfig(), storageapi.AuthOptions{Clock: clock})
	g.Expect(err).NotTo(HaveOccurred())
	authorize := func(token string) func() (storageapi.Caller, error) {
		return func() (storageapi.Caller, error) {
			clock.SetTime(clock.Now().Add(time.Hour)) // ask anew: the API server may need a moment to know the roles
			return authorizer.Authorize(t.Context(), token)
		}
	}
	g.Eventually(authorize(token("writer", storageapi.DefaultAudience))).Should(Equal(storageapi.Caller{Name: "system:serviceaccount:default:writer"}))
	g.Eventually(authorize(token("relay", storageapi.DefaultAudience))).Should(Equal(storageapi.Caller{Name: "system:serviceaccount:default:relay", MayRelay: true}))
	for bearer, expected := range map[string]error{
		token("reader", storageapi.DefaultAudience): storageapi.ErrForbidden,
		token("local", storageapi.DefaultAudience):  storageapi.ErrForbidden,
		token("writer"):             storageapi.ErrUnauthenticated,
		token("writer", "holdfast"): storageapi.ErrUnauthenticated,
	} {
		_, err := authorizer.Authorize(t.Context(), bearer)
		g.Expect(err).To(MatchError(expected))
	}

	other, err := storageapi.NewKubernetesAuthorizer(cluster.RESTConfig(), storageapi.AuthOptions{Audience: "holdfast"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other.Authorize(t.Context(), token("writer", "holdfast"))).To(HaveField("Name", "system:serviceaccount:default:writer"))
}

func TestNobodyIsAskedWithoutAuthentication(t *testing.T) {
	g := NewWithT(t)
	g.Expect(storageapi.NoAuth{}.Authorize(t.Context(), "")).To(Equal(storageapi.Caller{Name: "anonymous", MayRelay: true}))
}
