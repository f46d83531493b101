package config_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// request is one thing that somebody wants to do.
type request struct{ namespace, group, resource, name, verb string }

// may asks the API server's authorizer.
func may(t *testing.T, r request, user string, groups ...string) bool {
	t.Helper()
	resource, subresource, _ := strings.Cut(r.resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user, Groups: append(groups, "system:authenticated"),
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: r.namespace, Group: r.group, Resource: resource, Subresource: subresource, Name: r.name, Verb: r.verb,
		},
	}}
	NewWithT(t).Expect(as(t, "").Create(t.Context(), review)).To(Succeed())
	return review.Status.Allowed
}

// installRoles applies config/rbac, whose account and bindings are in holdfast-system.
func installRoles(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	for _, ns := range ofKind(build(t, "manager"), "Namespace") {
		g.Expect(apply(t, ns)).To(Succeed())
	}
	for _, o := range build(t, "rbac") {
		g.Expect(apply(t, o)).To(Succeed())
	}
}

const own = "holdfast.dev"

func TestRoles(t *testing.T) {
	installRoles(t)
	ns, elsewhere := namespace(t), namespace(t)
	for _, role := range []string{"approver", "requester", "viewer"} {
		NewWithT(t).Expect(as(t, "").Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role, Namespace: ns},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-" + role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: role}},
		})).To(Succeed())
	}
	const manager = "system:serviceaccount:holdfast-system:holdfast-manager"
	for user, requests := range map[string]struct{ allowed, refused []request }{
		"approver": {
			allowed: []request{{ns, own, "aianalyses", "", "list"}, {ns, own, "aianalyses", "x", "patch"}, {ns, own, "aianalyses", "x", "approve"}},
			refused: []request{
				{elsewhere, own, "aianalyses", "x", "approve"}, {ns, own, "aianalyses/status", "x", "patch"}, {ns, own, "aianalyses", "", "create"},
				{ns, own, "aianalyses", "x", "delete"}, {ns, own, "aianalyses", "x", "release"}, {ns, own, "remediationrequests", "x", "orchestrate"},
				{ns, own, "remediationrequests", "", "create"}, {ns, "", "serviceaccounts", "x", "impersonate"}, {ns, "", "secrets", "x", "get"},
			},
		},
		"requester": {
			allowed: []request{{ns, own, "remediationrequests", "", "create"}, {ns, own, "remediationrequests", "x", "patch"}, {ns, own, "remediationrequests", "", "watch"}},
			refused: []request{
				{elsewhere, own, "remediationrequests", "", "create"}, {ns, own, "remediationrequests", "x", "delete"}, {ns, own, "remediationrequests/status", "x", "update"},
				{ns, own, "remediationrequests", "x", "release"}, {ns, own, "remediationrequests", "x", "orchestrate"},
				{ns, own, "aianalyses", "x", "approve"}, {ns, own, "aianalyses", "x", "patch"}, {ns, own, "workflowexecutions", "", "create"}, {ns, "", "serviceaccounts", "x", "impersonate"},
			},
		},
		"viewer": {
			allowed: []request{
				{ns, own, "remediationrequests", "", "list"}, {ns, own, "aianalyses", "", "watch"}, {ns, own, "workflowexecutions", "x", "get"}, {ns, own, "notificationrequests", "x", "get"},
			},
			refused: []request{{ns, own, "remediationrequests", "", "create"}, {ns, own, "aianalyses", "x", "patch"}, {ns, own, "aianalyses", "x", "approve"}, {elsewhere, own, "remediationrequests", "", "list"}},
		},
		manager: {
			allowed: []request{
				{"holdfast-system", "coordination.k8s.io", "leases", "", "create"}, {"holdfast-system", "coordination.k8s.io", "leases", "holdfast-manager", "update"},
				{ns, own, "workflowexecutions", "", "create"}, {ns, "", "serviceaccounts", "remediator", "impersonate"}, {ns, own, "remediationrequests", "x", "delete"},
				{ns, own, "aianalyses/status", "x", "update"}, {ns, own, "remediationrequests/finalizers", "x", "update"},
				{ns, own, "remediationrequests", "x", "orchestrate"}, {ns, own, "workflowexecutions", "x", "release"},
			},
			refused: []request{
				{ns, own, "aianalyses", "x", "approve"}, {ns, own, "remediationrequests", "", "create"}, {ns, own, "workflowexecutions", "x", "delete"},
				{ns, "", "secrets", "", "list"}, {ns, "", "secrets", "x", "update"}, {ns, "", "pods", "x", "delete"}, {ns, "apps", "deployments", "x", "patch"},
				{"", "", "users", "x", "impersonate"}, {"", "", "groups", "system:masters", "impersonate"}, {ns, "", "serviceaccounts/token", "x", "create"},
				{"", "admissionregistration.k8s.io", "validatingadmissionpolicies", "holdfast-approval", "patch"}, {"", "rbac.authorization.k8s.io", "clusterroles", "x", "bind"},
				{ns, "coordination.k8s.io", "leases", "holdfast-manager", "update"}, {"holdfast-system", "coordination.k8s.io", "leases", "other", "update"},
			},
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

	t.Run("an approver decides, and nothing else", func(t *testing.T) {
		g, a := NewWithT(t), sampleOf(t, ns, "AIAnalysis")
		g.Expect(as(t, "").Create(t.Context(), a)).To(Succeed())
		g.Expect(decide(t, ns, a.GetName(), "approver", "approver")).To(Succeed())
		g.Expect(as(t, "approver").Delete(t.Context(), a)).To(MatchError(ContainSubstring("is forbidden")))
	})
	t.Run("a requester asks, without an account", func(t *testing.T) {
		g, rr := NewWithT(t), sampleOf(t, ns, "RemediationRequest")
		g.Expect(as(t, "requester").Create(t.Context(), rr)).To(Succeed())
	})
}

func TestRolesJoinThoseOfKubernetes(t *testing.T) {
	g := NewWithT(t)
	for _, o := range ofKind(build(t, "rbac"), "ClusterRole") {
		joined := slices.DeleteFunc(slices.Sorted(maps.Keys(o.GetLabels())), func(label string) bool { return !strings.Contains(label, "aggregate-to-") })
		g.Expect(joined).To(Equal(map[string][]string{
			"holdfast-viewer":    {"rbac.authorization.k8s.io/aggregate-to-view"},
			"holdfast-requester": {"rbac.authorization.k8s.io/aggregate-to-edit"},
			"holdfast-approver":  {},
			"holdfast-manager":   {},

			"holdfast-metrics-reader": {},
		}[o.GetName()]), o.GetName())
	}
}

// unmarked are the manager's rights that no marker in the sources asks for, and why it has them.
var unmarked = map[string]string{
	"holdfast.dev/remediationrequests/status get":        "the writer saves",
	"holdfast.dev/remediationrequests/status update":     "the writer saves",
	"holdfast.dev/remediationrequests/status patch":      "the relay trims",
	"holdfast.dev/aianalyses/status patch":               "the relay trims",
	"holdfast.dev/workflowexecutions/status patch":       "the relay trims",
	"holdfast.dev/notificationrequests/status patch":     "the relay trims",
	"holdfast.dev/remediationrequests patch":             "the writer adds the finalizer, the relay releases it",
	"holdfast.dev/remediationrequests delete":            "the orchestrator deletes what is finished",
	"holdfast.dev/remediationrequests orchestrate":       "the orchestrator makes children (policy holdfast-orchestration)",
	"holdfast.dev/remediationrequests release":           "the relay releases it (policies holdfast-finalizer, holdfast-metadata)",
	"holdfast.dev/aianalyses release":                    "the relay releases it",
	"holdfast.dev/workflowexecutions release":            "the relay releases it",
	"holdfast.dev/notificationrequests release":          "the relay releases it",
	"holdfast.dev/remediationrequests/finalizers update": "the orchestrator's children block its deletion",
	"holdfast.dev/aianalyses create":                     "the orchestrator makes it",
	"holdfast.dev/workflowexecutions create":             "the orchestrator makes it",
	"holdfast.dev/notificationrequests create":           "the orchestrator makes it",
}

// The markers stand beside the code that needs them; the role is written by hand, with its reasons. This holds them together.
func TestTheManagersRoleIsWhatTheSourcesAskFor(t *testing.T) {
	g := NewWithT(t)
	role := &rbacv1.ClusterRole{}
	for _, o := range ofKind(build(t, "rbac"), "ClusterRole") {
		if o.GetName() == "holdfast-manager" {
			g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role)).To(Succeed())
		}
	}
	granted := map[string]bool{}
	for _, r := range role.Rules {
		for _, right := range rights(r.APIGroups, r.Resources, r.Verbs) {
			granted[right] = true
		}
	}
	asked := marked(t)
	for right := range asked {
		g.Expect(granted).To(HaveKey(right), "a marker asks for it, config/rbac/manager.yaml does not grant it")
	}
	for right := range granted {
		if unmarked[right] == "" {
			g.Expect(asked).To(HaveKey(right), "config/rbac/manager.yaml grants it, no marker asks for it")
		}
	}
}

func rights(groups, resources, verbs []string) []string {
	var all []string
	for _, group := range groups {
		for _, resource := range resources {
			for _, verb := range verbs {
				all = append(all, group+"/"+resource+" "+verb)
			}
		}
	}
	return all
}

var marker = regexp.MustCompile(`(?m)^// \+kubebuilder:rbac:groups=([^,]*),resources=([^,]*),verbs=(\S*)$`)

// marked collects the rights that markers in the sources ask for.
func marked(t *testing.T) map[string]bool {
	t.Helper()
	g, asked := NewWithT(t), map[string]bool{}
	for _, folder := range []string{"../controllers", "../relay", "../outbox", "../internal/serving"} {
		g.Expect(filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, found := range marker.FindAllStringSubmatch(string(source), -1) {
				split := func(s string) []string { return strings.Split(strings.Trim(s, `"`), ";") }
				for _, right := range rights(split(found[1]), split(found[2]), split(found[3])) {
					asked[right] = true
				}
			}
			return nil
		})).To(Succeed())
	}
	g.Expect(asked).NotTo(BeEmpty())
	return asked
}
