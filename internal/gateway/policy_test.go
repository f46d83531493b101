package gateway_test

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/gateway"
)

func configure(t *testing.T, ns, text string) {
	t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: gateway.ConfigMapName}, Data: map[string]string{gateway.ConfigKey: text}}
	if err := admin.Create(t.Context(), m); apierrors.IsAlreadyExists(err) {
		NewWithT(t).Expect(admin.Update(t.Context(), m)).To(Succeed())
	}
}

const policy = `
rules:
  - matchers: ['alertname=~"KubePod.*"', 'severity!="info"']
    serviceAccountName: remediator
    approval: {mode: Auto, autoApproveAbove: 90}
    notification: {channels: [{type: console}]}
    timeouts: {execution: 5m}
  - matchers: [team=shop]
    notification: {channels: [{type: slack, secretRef: {name: slack, key: url}}]}
`

// What a namespace configures is what its requests get. The account only after its administrator has granted the gateway impersonate on it.
func TestPolicy(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	for _, name := range []string{"cart", "web", "db"} {
		deployment(t, ns, name)
	}
	create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "remediator"}})
	configure(t, ns, policy)
	r := start(t)
	get := func(name string) *v1alpha1.RemediationRequest {
		rr := &v1alpha1.RemediationRequest{}
		g.Expect(admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, rr)).To(Succeed())
		return rr
	}
	o := r.one(firing(labelsOf(ns, "deployment", "cart")))
	g.Expect(o).To(And(HaveField("Result", "account"), HaveField("Detail", ContainSubstring(`the account "remediator", which the gateway may not use: grant it the verb impersonate`))))
	g.Expect(requests(t, ns)).To(BeEmpty(), "nor is there one without the account")
	g.Eventually(func() map[string]string { return eventsOf(t, ns) }, timeout, interval).Should(HaveKeyWithValue("GatewayAccountForbidden on ConfigMap holdfast-gateway", ContainSubstring("remediator")))

	create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"remediator"}, Verbs: []string{"impersonate"}},
	}})
	create(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "x"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "holdfast-gateway", Namespace: "holdfast-system"}},
	})
	g.Eventually(func() string { o = r.one(firing(labelsOf(ns, "deployment", "cart"))); return o.Result }, timeout, interval).Should(Equal("created"))
	rr := get(o.Request)
	g.Expect(rr.Spec.ServiceAccountName).To(Equal("remediator"))
	g.Expect(rr.Spec.Approval).To(And(HaveField("Mode", v1alpha1.ApprovalAuto), HaveField("AutoApproveAbove", HaveValue(BeEquivalentTo(90)))))
	g.Expect(rr.Spec.Notification.Channels).To(HaveExactElements(HaveField("Type", v1alpha1.ChannelConsole)))
	g.Expect(rr.Spec.Timeouts.Execution.Duration).To(Equal(5 * time.Minute))

	rr = get(r.one(firing(labelsOf(ns, "deployment", "web", "severity", "info", "team", "shop"))).Request)
	g.Expect(rr.Spec.Approval.Mode).To(Equal(v1alpha1.ApprovalManual))
	g.Expect(rr.Spec.ServiceAccountName).To(BeEmpty())
	g.Expect(rr.Spec.Notification.Channels).To(HaveExactElements(HaveField("SecretRef.Name", "slack")))
	rr = get(r.one(firing(labelsOf(ns, "deployment", "db", "severity", "info"))).Request)
	g.Expect(rr.Spec.Notification.Channels).To(BeEmpty())
}

// Nothing of a ConfigMap that cannot be used is used.
func TestBrokenPolicies(t *testing.T) {
	r := start(t)
	for name, c := range map[string]struct{ text, why string }{
		"no YAML":              {"rules: [", "did not find expected node content"},
		"a field too many":     {"rules: [{account: remediator}]", `unknown field "account"`},
		"an account like path": {"rules: [{serviceAccountName: ../x}]", "rules[0].serviceAccountName"},
		"Auto without percent": {"rules: [{serviceAccountName: remediator, approval: {mode: Auto}}]", "rules[0].approval.autoApproveAbove: missing"},
		"another mode":         {"rules: [{serviceAccountName: remediator, approval: {mode: auto}}]", `rules[0].approval.mode: "auto", expected Manual or Auto`},
		"no percentage":        {"rules: [{approval: {mode: Auto, autoApproveAbove: 101}}]", "expected a percentage"},
		"a matcher":            {"rules: [{matchers: ['severity == critical'], serviceAccountName: remediator}, {matchers: ['a b']}]", `rules[1].matchers[0]: "a b"`},
		"a regular expression": {`rules: [{matchers: ['a=~"("'], serviceAccountName: remediator}]`, "expected RE2 syntax"},
		"an open quote":        {`rules: [{matchers: ['a="x'], serviceAccountName: remediator}]`, "no closing quote"},
		"too many rules":       {"rules: [" + strings.Repeat("{},", 101) + "]", "101, expected at most 100"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ns := tenant(t)
			deployment(t, ns, "cart")
			configure(t, ns, c.text)
			g.Expect(r.one(firing(labelsOf(ns, "deployment", "cart"))).Result).To(Equal("created"))
			spec := requests(t, ns)[0].Spec
			g.Expect(spec.ServiceAccountName).To(BeEmpty())
			g.Expect(spec.Approval.Mode).To(Equal(v1alpha1.ApprovalManual))
			g.Expect(spec.Notification.Channels).To(BeEmpty())
			g.Eventually(func() map[string]string { return eventsOf(t, ns) }, timeout, interval).Should(HaveKeyWithValue("GatewayConfigInvalid on ConfigMap holdfast-gateway", ContainSubstring(c.why)))
		})
	}
	NewWithT(t).Expect(r.metrics()).To(MatchRegexp(`holdfast_gateway_invalid_config_total [1-9]`))
	t.Run("one that the API server refuses", func(t *testing.T) {
		g := NewWithT(t)
		ns := tenant(t)
		deployment(t, ns, "cart")
		configure(t, ns, "rules: [{notification: {channels: [{type: pigeon}]}}]")
		g.Expect(r.one(firing(labelsOf(ns, "deployment", "cart")))).To(And(HaveField("Result", "refused"), HaveField("Detail", ContainSubstring("pigeon"))))
		g.Eventually(func() map[string]string { return eventsOf(t, ns) }, timeout, interval).Should(HaveKey("GatewayRequestRefused on ConfigMap holdfast-gateway"))
	})
}
