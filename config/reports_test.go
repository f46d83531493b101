package config_test

import (
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The account may ask what the service asks, and reads nothing else; a viewer of a namespace reads the reports of that one, and a viewer of the four kinds none.
func TestRolesAroundReports(t *testing.T) {
	g := NewWithT(t)
	installRoles(t)
	for _, o := range build(t, "reports") {
		if o.GetObjectKind().GroupVersionKind().Group == rbacv1.GroupName || o.GetKind() == "ServiceAccount" {
			g.Expect(apply(t, o)).To(Succeed())
		}
	}
	ns, other := namespace(t), namespace(t)
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-report-viewer"}
	who := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}
	}
	const service, viewer, auditor, onlooker = "system:serviceaccount:holdfast-system:holdfast-reports", "report-viewer", "report-auditor", "onlooker"
	g.Expect(as(t, "").Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: viewer, Namespace: ns}, RoleRef: role, Subjects: who(viewer)})).To(Succeed())
	g.Expect(client.IgnoreAlreadyExists(as(t, "").Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: auditor}, RoleRef: role, Subjects: who(auditor)}))).To(Succeed())
	look := role
	look.Name = "holdfast-viewer"
	g.Expect(as(t, "").Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: onlooker, Namespace: ns}, RoleRef: look, Subjects: who(onlooker)})).To(Succeed())

	get, list := request{ns, own, "remediationreports", "", "get"}, request{ns, own, "remediationreports", "", "list"}
	everywhere, elsewhere := request{"", own, "remediationreports", "", "list"}, request{other, own, "remediationreports", "", "get"}
	for user, requests := range map[string]struct{ allowed, refused []request }{
		viewer:   {allowed: []request{get, list}, refused: []request{everywhere, elsewhere, {ns, own, "remediationreports", "", "delete"}}},
		auditor:  {allowed: []request{get, list, everywhere, elsewhere}, refused: []request{{"", "", "namespaces", "", "list"}}},
		onlooker: {refused: []request{get, list}},
		service: {
			allowed: []request{{"", "authentication.k8s.io", "tokenreviews", "", "create"}, {"", "authorization.k8s.io", "subjectaccessreviews", "", "create"}, {"", "", "namespaces", "", "list"}, {"", "", "namespaces", "x", "get"}},
			refused: []request{get, list, {"", "", "namespaces", "x", "delete"}, {ns, "", "secrets", "x", "get"}, {ns, own, "remediationrequests", "", "list"}, {"", "*", "*", "", "*"}},
		},
	} {
		t.Run(user, func(t *testing.T) {
			for _, r := range requests.allowed {
				NewWithT(t).Eventually(func() bool { return may(t, r, user) }, enforcement, poll).Should(BeTrue(), "%+v", r)
			}
			for _, r := range requests.refused {
				NewWithT(t).Expect(may(t, r, user)).To(BeFalse(), "%+v", r)
			}
		})
	}
	account := as(t, service, "system:serviceaccounts", "system:serviceaccounts:holdfast-system")
	g.Expect(account.Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "garbage", Audiences: []string{"holdfast-reports"}}})).To(Succeed())
	g.Expect(account.List(t.Context(), &corev1.NamespaceList{})).To(Succeed())
}
