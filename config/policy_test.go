package config_test

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// How long the API server may take to enforce a policy or to know a role.
const (
	enforcement = 30 * time.Second
	poll        = 50 * time.Millisecond
)

// ctxOf outlives the test's own context, which ends before its cleanups run.
func ctxOf(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

// samplesOf has one object of each kind, without an account.
func samplesOf(t *testing.T, ns string) []*unstructured.Unstructured {
	t.Helper()
	ref := map[string]any{"name": "cart-crash", "uid": "0b6f"}
	target := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}
	signal := map[string]any{
		"fingerprint": strings.Repeat("3f", 32), "name": "KubePodCrashLooping", "severity": "critical", "source": "alertmanager", "receivedTime": "2026-11-23T04:05:06Z",
	}
	specs := map[string]map[string]any{
		"RemediationRequest":  {"signal": signal, "target": target},
		"AIAnalysis":          {"remediationRef": ref, "signal": signal, "target": target},
		"WorkflowExecution":   {"remediationRef": ref, "target": target, "workflowID": "restart", "steps": []any{map[string]any{"name": "restart", "action": "RolloutRestart"}}},
		"NotificationRequest": {"remediationRef": ref, "subject": "cart was fixed", "channels": []any{map[string]any{"type": "console"}}},
	}
	objects := make([]*unstructured.Unstructured, 0, len(specs))
	for kind, spec := range specs {
		o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
		o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		o.SetNamespace(ns)
		o.SetGenerateName("sample-")
		objects = append(objects, o.DeepCopy())
	}
	return objects
}

func sampleOf(t *testing.T, ns, kind string) *unstructured.Unstructured {
	t.Helper()
	found := ofKind(samplesOf(t, ns), kind)
	NewWithT(t).Expect(found).To(HaveLen(1))
	return found[0]
}

// grant gives a user rights in a namespace and waits until the API server knows them.
func grant(t *testing.T, ns, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	g := NewWithT(t)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{GenerateName: "grant-", Namespace: ns}, Rules: rules}
	g.Expect(as(t, "").Create(t.Context(), role)).To(Succeed())
	g.Expect(as(t, "").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name, Namespace: ns},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	})).To(Succeed())
	for _, rule := range rules {
		name := ""
		if len(rule.ResourceNames) > 0 {
			name = rule.ResourceNames[0]
		}
		access := request{ns, rule.APIGroups[0], rule.Resources[0], name, rule.Verbs[0]}
		g.Eventually(func() bool { return may(t, access, user) }, enforcement, poll).Should(BeTrue())
	}
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// named narrows a rule to one object.
func named(r rbacv1.PolicyRule, name string) rbacv1.PolicyRule {
	r.ResourceNames = []string{name}
	return r
}

const jane = "jane@example.com"

var edits = rule("holdfast.dev", "aianalyses", "create", "update", "patch", "get")

func decision(by string) map[string]any {
	return map[string]any{"verdict": "Approved", "decidedBy": by, "method": "api", "justification": "known bad release"}
}

// decide is what a person does: one merge patch.
func decide(t *testing.T, ns, name, user, by string) error {
	t.Helper()
	a := &unstructured.Unstructured{}
	a.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AIAnalysis"))
	a.SetNamespace(ns)
	a.SetName(name)
	original := a.DeepCopy()
	a.Object["spec"] = map[string]any{"decision": decision(by)}
	return as(t, user).Patch(t.Context(), a, client.MergeFrom(original))
}

func TestApproval(t *testing.T) {
	ns := namespace(t)
	propose := func(t *testing.T) string {
		a := sampleOf(t, ns, "AIAnalysis")
		NewWithT(t).Expect(as(t, "").Create(t.Context(), a)).To(Succeed())
		return a.GetName()
	}
	grant(t, ns, jane, edits, rule("holdfast.dev", "aianalyses", "approve"))
	grant(t, ns, "editor", edits)

	t.Run("in another's name is refused, also for an administrator", func(t *testing.T) {
		g, name := NewWithT(t), propose(t)
		g.Expect(decide(t, ns, name, jane, "boss@example.com")).To(deniedBy("holdfast-approval",
			`spec.decision.decidedBy: "boss@example.com": expected the user name of the caller, "jane@example.com"`))
		g.Expect(decide(t, ns, name, "", jane)).To(deniedBy("holdfast-approval",
			`spec.decision.decidedBy: "jane@example.com": expected the user name of the caller, "admin"`))
	})
	t.Run("without the verb approve is refused", func(t *testing.T) {
		g, name := NewWithT(t), propose(t)
		g.Expect(decide(t, ns, name, "editor", "editor")).To(deniedBy("holdfast-approval",
			`spec.decision: "Approved" by "editor": expected a caller with the verb approve on aianalyses.holdfast.dev "`+name+`" in namespace "`+ns+`"`))
	})
	t.Run("with the verb, in one's own name, is taken", func(t *testing.T) {
		g, name := NewWithT(t), propose(t)
		g.Expect(decide(t, ns, name, jane, jane)).To(Succeed())
	})
	t.Run("of one analysis by name gives no right on another", func(t *testing.T) {
		g, mine, other := NewWithT(t), propose(t), propose(t)
		grant(t, ns, "narrow", edits, named(rule("holdfast.dev", "aianalyses", "approve"), mine))
		g.Expect(decide(t, ns, other, "narrow", "narrow")).To(deniedBy("holdfast-approval", "expected a caller with the verb approve"))
		g.Expect(decide(t, ns, mine, "narrow", "narrow")).To(Succeed())
	})
	t.Run("in another namespace gives none here", func(t *testing.T) {
		g, elsewhere := NewWithT(t), namespace(t)
		grant(t, elsewhere, "editor", rule("holdfast.dev", "aianalyses", "approve"))
		g.Expect(decide(t, ns, propose(t), "editor", "editor")).To(deniedBy("holdfast-approval", "expected a caller with the verb approve"))
	})
	t.Run("with the creation is held to the same", func(t *testing.T) {
		g := NewWithT(t)
		try := func(user, by, name string) error {
			a := sampleOf(t, ns, "AIAnalysis")
			a.SetName(name)
			g.Expect(unstructured.SetNestedMap(a.Object, decision(by), "spec", "decision")).To(Succeed())
			return as(t, user).Create(t.Context(), a)
		}
		g.Expect(try(jane, "boss@example.com", "")).To(deniedBy("holdfast-approval", "expected the user name of the caller"))
		g.Expect(try("editor", "editor", "")).To(deniedBy("holdfast-approval", "expected a caller with the verb approve"))
		g.Expect(try("editor", "editor", "with-a-name")).To(deniedBy("holdfast-approval", `aianalyses.holdfast.dev "with-a-name"`))
		g.Expect(try(jane, jane, "")).To(Succeed())
		g.Expect(try(jane, jane, "with-a-name")).To(Succeed())
	})
	t.Run("once made does not bind those who change something else", func(t *testing.T) {
		g, name := NewWithT(t), propose(t)
		g.Expect(decide(t, ns, name, jane, jane)).To(Succeed())
		a := &v1alpha1.AIAnalysis{}
		g.Expect(as(t, "editor").Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, a)).To(Succeed())
		original := a.DeepCopy()
		a.Labels, a.Spec.Cancel = map[string]string{"team": "checkout"}, true
		g.Expect(as(t, "editor").Patch(t.Context(), a, client.MergeFrom(original))).To(Succeed())
	})
	t.Run("cannot be written through the status", func(t *testing.T) {
		g, name := NewWithT(t), propose(t)
		a := &v1alpha1.AIAnalysis{}
		g.Expect(as(t, "").Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, a)).To(Succeed())
		a.Spec.Decision = &v1alpha1.Decision{Verdict: v1alpha1.VerdictApproved, DecidedBy: "boss@example.com", Method: "api"}
		g.Expect(as(t, "").Status().Update(t.Context(), a)).To(Succeed())
		g.Expect(as(t, "").Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, a)).To(Succeed())
		g.Expect(a.Spec.Decision).To(BeNil())
	})
}

func TestImpersonation(t *testing.T) {
	ns := namespace(t)
	for kind, resource := range map[string]string{"RemediationRequest": "remediationrequests", "WorkflowExecution": "workflowexecutions"} {
		t.Run(kind, func(t *testing.T) {
			try := func(t *testing.T, user, account string) error {
				o := sampleOf(t, ns, kind)
				NewWithT(t).Expect(unstructured.SetNestedField(o.Object, account, "spec", "serviceAccountName")).To(Succeed())
				return as(t, user).Create(t.Context(), o)
			}
			creator, trusted := "creator-of-"+resource, "trusted-creator-of-"+resource
			grant(t, ns, creator, rule("holdfast.dev", resource, "create"))
			grant(t, ns, trusted, rule("holdfast.dev", resource, "create"), named(rule("", "serviceaccounts", "impersonate"), "remediator"))

			t.Run("of an account that the creator may not act as is refused", func(t *testing.T) {
				NewWithT(t).Expect(try(t, creator, "remediator")).To(deniedBy("holdfast-impersonation",
					`spec.serviceAccountName: "remediator": expected an account that the caller, "`+creator+`", may act as; grant the verb impersonate on that serviceaccount in namespace "`+ns+`"`))
			})
			t.Run("of another account than the one granted is refused", func(t *testing.T) {
				NewWithT(t).Expect(try(t, trusted, "cluster-admin")).To(deniedBy("holdfast-impersonation", `spec.serviceAccountName: "cluster-admin"`))
			})
			t.Run("of the account granted is taken", func(t *testing.T) {
				NewWithT(t).Expect(try(t, trusted, "remediator")).To(Succeed())
			})
			t.Run("is not needed where no account is named", func(t *testing.T) {
				NewWithT(t).Expect(try(t, creator, "")).To(Succeed())
				NewWithT(t).Expect(as(t, creator).Create(t.Context(), sampleOf(t, ns, kind))).To(Succeed())
			})
			t.Run("in another namespace gives no right here", func(t *testing.T) {
				elsewhere := namespace(t)
				grant(t, elsewhere, creator, rule("", "serviceaccounts", "impersonate"))
				NewWithT(t).Expect(try(t, creator, "remediator")).To(deniedBy("holdfast-impersonation", "may act as"))
			})
		})
	}
}

// deniedBy matches the refusal of a policy.
func deniedBy(policy, message string) OmegaMatcher {
	return And(
		WithTransform(apierrors.IsForbidden, BeTrue()),
		MatchError(ContainSubstring("ValidatingAdmissionPolicy '"+policy+"' with binding '"+policy+"' denied request: ")),
		MatchError(ContainSubstring(message)),
	)
}
