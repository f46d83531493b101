package config_test

import (
	"os/exec"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/gateway"
)

// The gateway reads what alerts name, creates requests, and may use no account, but for that of the sample, whose administrator grants it.
func TestRolesAroundTheGateway(t *testing.T) {
	g := NewWithT(t)
	installRoles(t)
	for _, o := range build(t, "gateway") {
		if o.GetObjectKind().GroupVersionKind().Group == rbacv1.GroupName || o.GetKind() == "ServiceAccount" {
			g.Expect(apply(t, o)).To(Succeed())
		}
	}
	for _, o := range build(t, "gateway/samples") {
		g.Expect(apply(t, o)).To(Succeed())
	}
	const user, sample = "system:serviceaccount:holdfast-system:holdfast-gateway", "alerted"
	ns := namespace(t)
	for _, r := range []request{
		{ns, own, "remediationrequests", "", "create"}, {ns, own, "remediationrequests", "x", "get"}, {ns, own, "remediationrequests", "x", "patch"}, {"", own, "remediationrequests", "", "list"}, {"", own, "remediationrequests", "", "watch"},
		{"", "", "namespaces", ns, "get"}, {ns, "", "pods", "x", "get"}, {ns, "apps", "deployments", "x", "get"}, {ns, "apps", "replicasets", "x", "get"}, {ns, "", "configmaps", "holdfast-gateway", "get"},
		{ns, "events.k8s.io", "events", "", "create"}, {sample, "", "serviceaccounts", "remediator", "impersonate"},
		{"", "authentication.k8s.io", "tokenreviews", "", "create"}, {"", "authorization.k8s.io", "subjectaccessreviews", "", "create"},
	} {
		g.Eventually(func() bool { return may(t, r, user) }, enforcement, poll).Should(BeTrue(), "%+v", r)
	}
	for _, r := range []request{
		{ns, "", "serviceaccounts", "default", "impersonate"}, {ns, "", "serviceaccounts", "remediator", "impersonate"}, {sample, "", "serviceaccounts", "default", "impersonate"}, {"", "", "users", "x", "impersonate"},
		{ns, "", "secrets", "x", "get"}, {ns, "", "configmaps", "other", "get"}, {ns, "", "configmaps", "", "list"}, {ns, "", "pods", "", "list"}, {ns, "", "pods", "x", "delete"}, {ns, "apps", "deployments", "x", "patch"},
		{ns, own, "remediationrequests", "x", "delete"}, {ns, own, "remediationrequests/status", "x", "patch"}, {ns, own, "remediationrequests", "x", "orchestrate"}, {ns, own, "aianalyses", "x", "get"}, {ns, own, "aianalyses", "x", "approve"},
	} {
		g.Expect(may(t, r, user)).To(BeFalse(), "%+v", r)
	}
}

// The samples are what the gateway and Alertmanager can read, and fit together.
func TestTheSamplesOfTheGateway(t *testing.T) {
	g := NewWithT(t)
	sample := build(t, "gateway/samples")
	policy, err := gateway.ParsePolicy(only[corev1.ConfigMap](t, sample, "ConfigMap").Data[gateway.ConfigKey])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(policy.Rules).To(HaveLen(2))
	account := only[corev1.ServiceAccount](t, sample, "ServiceAccount")
	for _, r := range policy.Rules {
		g.Expect(r.ServiceAccountName).To(Equal(account.Name))
	}
	ns := only[corev1.Namespace](t, sample, "Namespace")
	g.Expect(ns.Labels).To(HaveKeyWithValue(gateway.EnabledLabel, gateway.Enabled))
	allowed := only[networkingv1.NetworkPolicy](t, build(t, "gateway"), "NetworkPolicy").Spec.Ingress[0].From[0].NamespaceSelector
	g.Expect(allowed.MatchLabels).To(HaveKeyWithValue("holdfast.dev/gateway-client", "true"))
	g.Expect(client.ObjectKeyFromObject(ns).Name).To(Equal(account.Namespace))

	amtool, err := exec.LookPath("amtool")
	if err != nil {
		t.Skip("SKIPPED: amtool not found, alertmanager.yml is not checked (Debian: apt-get install prometheus-alertmanager)")
	}
	said, err := exec.CommandContext(t.Context(), amtool, "check-config", "gateway/samples/alertmanager.yml").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
}
