package config_test

import (
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// account makes a service account with a role in its namespace ("" is none), and returns a client that holds its token and nothing else.
func account(t *testing.T, ns, name, role string) client.Client {
	t.Helper()
	g := NewWithT(t)
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	g.Expect(client.IgnoreAlreadyExists(as(t, "").Create(t.Context(), sa))).To(Succeed())
	if role != "" {
		g.Expect(as(t, "").Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name}},
		})).To(Succeed())
	}
	token := &authenticationv1.TokenRequest{}
	g.Expect(as(t, "").SubResource("token").Create(t.Context(), sa, token)).To(Succeed())
	return bearing(t, token.Status.Token)
}

func bearing(t *testing.T, token string) client.Client {
	t.Helper()
	cfg := rest.AnonymousClientConfig(admin)
	cfg.BearerToken = token
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

func forbidden() types.GomegaMatcher { return Satisfy(apierrors.IsForbidden) }

// The roles, tried with tokens of accounts that hold them, as a Pod or a stolen token would: not what the authorizer says, but what the API server does.
func TestWhatATokenOfEachRoleCanDo(t *testing.T) {
	installRoles(t)
	ns, elsewhere := namespace(t), namespace(t)
	requests := func(ns string) client.Object { return sampleOf(t, ns, "RemediationRequest") }
	analysis := sampleOf(t, ns, "AIAnalysis")
	NewWithT(t).Expect(as(t, "").Create(t.Context(), analysis)).To(Succeed())
	status := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"phase":"Completed"}}`))
	decision := func(by string) client.Patch {
		return client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"decision":{"verdict":"Approved","decidedBy":"`+by+`","method":"api"}}}`))
	}
	name := func(account string) string { return "system:serviceaccount:" + ns + ":" + account }
	secrets := func(c client.Client) error { return c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(ns)) }

	t.Run("requester", func(t *testing.T) {
		g, c := NewWithT(t), account(t, ns, "requester", "holdfast-requester")
		rr := requests(ns)
		g.Eventually(func() error { return c.Create(t.Context(), rr) }, enforcement, poll).Should(Succeed())
		g.Expect(c.Create(t.Context(), requests(elsewhere))).To(forbidden())
		g.Expect(c.Status().Patch(t.Context(), rr, status)).To(forbidden(), "entries live in the status")
		g.Expect(c.Delete(t.Context(), rr)).To(forbidden())
		g.Expect(c.Patch(t.Context(), analysis.DeepCopy(), decision(name("requester")))).To(forbidden())
		g.Expect(secrets(c)).To(forbidden())
	})
	t.Run("viewer", func(t *testing.T) {
		g, c := NewWithT(t), account(t, ns, "viewer", "holdfast-viewer")
		list := &v1alpha1.AIAnalysisList{}
		g.Eventually(func() error { return c.List(t.Context(), list, client.InNamespace(ns)) }, enforcement, poll).Should(Succeed())
		g.Expect(c.List(t.Context(), list)).To(forbidden(), "of all namespaces")
		g.Expect(c.Create(t.Context(), requests(ns))).To(forbidden())
		g.Expect(c.Patch(t.Context(), analysis.DeepCopy(), decision(name("viewer")))).To(forbidden())
	})
	t.Run("approver", func(t *testing.T) {
		g, c := NewWithT(t), account(t, ns, "approver", "holdfast-approver")
		g.Eventually(func() error {
			return c.Get(t.Context(), keyOf(analysis), &v1alpha1.AIAnalysis{})
		}, enforcement, poll).Should(Succeed())
		g.Expect(c.Status().Patch(t.Context(), analysis.DeepCopy(), status)).To(forbidden())
		g.Expect(c.Create(t.Context(), requests(ns))).To(forbidden())
		g.Eventually(func() error { return c.Patch(t.Context(), analysis.DeepCopy(), decision("jane@example.com")) }, enforcement, poll).
			Should(MatchError(ContainSubstring("decidedBy")), "in another's name")
		g.Expect(c.Patch(t.Context(), analysis.DeepCopy(), decision(name("approver")))).To(Succeed())
	})
	t.Run("manager", func(t *testing.T) {
		g, c := NewWithT(t), account(t, "holdfast-system", "holdfast-manager", "")
		another := sampleOf(t, ns, "AIAnalysis")
		another.SetName("another")
		g.Expect(as(t, "").Create(t.Context(), another)).To(Succeed())
		g.Eventually(func() error {
			return c.List(t.Context(), &v1alpha1.AIAnalysisList{})
		}, enforcement, poll).Should(Succeed())
		g.Expect(c.Patch(t.Context(), another, decision("system:serviceaccount:holdfast-system:holdfast-manager"))).NotTo(Succeed(), "it decides for nobody")
		g.Expect(c.Create(t.Context(), requests(ns))).To(forbidden())
		g.Expect(secrets(c)).To(forbidden(), "it may get one that it knows, not look around")
		sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "requester"}}
		g.Expect(c.SubResource("token").Create(t.Context(), sa, &authenticationv1.TokenRequest{})).To(forbidden())
		g.Expect(c.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "mine"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "holdfast-system", Name: "holdfast-manager"}}})).To(forbidden())
	})
	t.Run("stranger", func(t *testing.T) {
		g, c := NewWithT(t), account(t, ns, "stranger", "")
		g.Expect(c.List(t.Context(), &v1alpha1.RemediationRequestList{}, client.InNamespace(ns))).To(forbidden())
		g.Expect(c.Create(t.Context(), requests(ns))).To(forbidden())
		g.Expect(bearing(t, "no.such.token").List(t.Context(), &v1alpha1.RemediationRequestList{})).To(Satisfy(apierrors.IsUnauthorized))
	})
}
