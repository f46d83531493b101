package config_test

import (
	"testing"

	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
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

func forbidden() gomegatypes.GomegaMatcher { return Satisfy(apierrors.IsForbidden) }

// merge is what a token tries to change.
func merge(patch string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(patch)) }

const (
	ghostOwner    = `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"ghost","uid":"00000000-0000-4000-8000-000000000000"}]}}`
	noFinalizers  = `{"metadata":{"finalizers":null}}`
	cancelIt      = `{"spec":{"cancel":true}}`
	forgedStatus  = `{"status":{"phase":"Completed"}}`
	noOutbox      = `{"status":{"outbox":null}}`
	noStatus      = `{"status":null}`
	anotherTarget = `{"spec":{"target":{"name":"another"}}}`
)

func decisionBy(name string) client.Patch {
	return merge(`{"spec":{"decision":{"verdict":"Approved","decidedBy":"` + name + `","method":"api"}}}`)
}

// trial is the ground on which each role tries everything that docs/threat-model.md says of it: a request and its children, all with open records.
type trial struct {
	*WithT
	t        *testing.T
	ns       string
	rr       *unstructured.Unstructured
	analysis *unstructured.Unstructured
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	r := &trial{WithT: NewWithT(t), t: t, ns: namespace(t)}
	r.rr, r.analysis = sampleOf(t, r.ns, "RemediationRequest"), sampleOf(t, r.ns, "AIAnalysis")
	for _, o := range []*unstructured.Unstructured{r.rr, r.analysis} {
		r.Expect(as(t, "").Create(t.Context(), o)).To(Succeed())
		remove(t, o)
		record(t, o, false)
	}
	r.Expect(as(t, "").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.ns, Name: "webhook"}})).To(Succeed())
	return r
}

// user is the name under which the API server knows an account.
func (r *trial) user(account string) string { return "system:serviceaccount:" + r.ns + ":" + account }

// try changes a copy of a resource.
func (r *trial) try(c client.Client, o *unstructured.Unstructured, p client.Patch) error {
	return c.Patch(r.t.Context(), o.DeepCopy(), p)
}

func (r *trial) tryStatus(c client.Client, o *unstructured.Unstructured, p client.Patch) error {
	return c.Status().Patch(r.t.Context(), o.DeepCopy(), p)
}

func (r *trial) make(c client.Client, ns, kind string, change ...func(*unstructured.Unstructured)) error {
	o := sampleOf(r.t, ns, kind)
	for _, f := range change {
		f(o)
	}
	return c.Create(r.t.Context(), o)
}

func (r *trial) finalizers(o *unstructured.Unstructured) []string {
	r.Expect(as(r.t, "").Get(r.t.Context(), keyOf(o), o)).To(Succeed())
	return o.GetFinalizers()
}

// owned makes the request the controller of a child, and the remediation that it belongs to.
func (r *trial) owned(o *unstructured.Unstructured) {
	controller := true
	o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "holdfast.dev/v1alpha1", Kind: "RemediationRequest", Name: r.rr.GetName(), UID: r.rr.GetUID(), Controller: &controller}})
	r.Expect(unstructured.SetNestedMap(o.Object, map[string]any{"name": r.rr.GetName(), "uid": string(r.rr.GetUID())}, "spec", "remediationRef")).To(Succeed())
}

func withAccount(name string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) { o.Object["spec"].(map[string]any)["serviceAccountName"] = name }
}

// cannotDelete holds of whoever may patch a resource, and not delete it.
func (r *trial) cannotDelete(c client.Client, o *unstructured.Unstructured) {
	r.Expect(c.Delete(r.t.Context(), o.DeepCopy())).To(forbidden())
	r.Expect(r.try(c, o, merge(ghostOwner))).To(deniedBy("holdfast-metadata", "metadata.ownerReferences"))
	r.Expect(r.try(c, o, merge(`{"metadata":{"finalizers":["example.com/forever","holdfast.dev/outbox"]}}`))).To(deniedBy("holdfast-metadata", "metadata.finalizers"))
	r.Expect(r.try(c, o, merge(noFinalizers))).To(Succeed())
	r.Expect(r.finalizers(o)).To(ConsistOf("holdfast.dev/outbox"))
}

// sees holds of whoever follows what happens in a namespace: `kubectl get holdfast` has no Forbidden line, and `kubectl describe` has the Events.
func (r *trial) sees(c client.Client, elsewhere string) {
	for _, list := range []client.ObjectList{&v1alpha1.RemediationRequestList{}, &v1alpha1.AIAnalysisList{}, &v1alpha1.WorkflowExecutionList{}, &v1alpha1.NotificationRequestList{},
		&corev1.EventList{}, &eventsv1.EventList{}} {
		r.Eventually(func() error { return c.List(r.t.Context(), list, client.InNamespace(r.ns)) }, enforcement, poll).Should(Succeed(), "%T", list)
		r.Expect(c.List(r.t.Context(), list, client.InNamespace(elsewhere))).To(forbidden(), "%T", list)
	}
	r.Expect(c.Get(r.t.Context(), keyOf(r.analysis), &v1alpha1.AIAnalysis{})).To(Succeed())
	r.Expect(c.Get(r.t.Context(), keyOf(r.rr), &v1alpha1.RemediationRequest{})).To(Succeed())
}

// The roles, tried with tokens of accounts that hold them, as a Pod or a stolen token would: not what the authorizer says, but what the API server does.
func TestWhatATokenOfEachRoleCanDo(t *testing.T) {
	installRoles(t)
	elsewhere := namespace(t)
	secrets := func(t *testing.T, c client.Client, ns string) error {
		return c.List(t.Context(), &corev1.SecretList{}, client.InNamespace(ns))
	}

	t.Run("requester", func(t *testing.T) {
		r := newTrial(t)
		c := account(t, r.ns, "requester", "holdfast-requester")
		r.Eventually(func() error { return r.make(c, r.ns, "RemediationRequest") }, enforcement, poll).Should(Succeed())
		r.sees(c, elsewhere)
		r.Expect(r.make(c, elsewhere, "RemediationRequest")).To(forbidden())
		r.Expect(r.make(c, r.ns, "RemediationRequest", withAccount("remediator"))).To(deniedBy("holdfast-impersonation", "remediator"))
		r.Expect(r.make(c, r.ns, "RemediationRequest", func(o *unstructured.Unstructured) {
			o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "mine", UID: "00000000-0000-4000-8000-000000000000"}})
		})).To(deniedBy("holdfast-metadata", "metadata.ownerReferences"), "the garbage collector would delete it with its owner")
		for _, kind := range []string{"AIAnalysis", "WorkflowExecution", "NotificationRequest"} {
			r.Expect(r.make(c, r.ns, kind)).To(forbidden(), kind)
		}
		r.Expect(r.tryStatus(c, r.rr, merge(forgedStatus))).To(forbidden(), "entries live in the status")
		r.Expect(r.try(c, r.rr, merge(anotherTarget))).To(MatchError(ContainSubstring("target is immutable")))
		r.cannotDelete(c, r.rr)
		r.Expect(r.try(c, r.analysis, decisionBy(r.user("requester")))).To(forbidden())
		r.Expect(r.try(c, r.rr, merge(cancelIt))).To(Succeed())
		r.Expect(secrets(t, c, r.ns)).To(forbidden())
	})
	t.Run("viewer", func(t *testing.T) {
		r := newTrial(t)
		c := account(t, r.ns, "viewer", "holdfast-viewer")
		list := &v1alpha1.AIAnalysisList{}
		r.Eventually(func() error { return c.List(t.Context(), list, client.InNamespace(r.ns)) }, enforcement, poll).Should(Succeed())
		r.Expect(c.List(t.Context(), list)).To(forbidden(), "of all namespaces")
		r.sees(c, elsewhere)
		r.Expect(r.make(c, r.ns, "RemediationRequest")).To(forbidden())
		r.Expect(r.try(c, r.analysis, decisionBy(r.user("viewer")))).To(forbidden())
		r.Expect(r.try(c, r.rr, merge(cancelIt))).To(forbidden())
		r.Expect(r.try(c, r.rr, merge(noFinalizers))).To(forbidden())
	})
	t.Run("approver", func(t *testing.T) {
		r := newTrial(t)
		c := account(t, r.ns, "approver", "holdfast-approver")
		r.Eventually(func() error { return c.Get(t.Context(), keyOf(r.analysis), &v1alpha1.AIAnalysis{}) }, enforcement, poll).Should(Succeed())
		r.sees(c, elsewhere)
		for _, list := range []client.ObjectList{&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.DaemonSetList{}, &appsv1.ReplicaSetList{}, &corev1.PodList{}} {
			r.Expect(c.List(t.Context(), list, client.InNamespace(r.ns))).To(Succeed(), "%T", list)
		}
		r.Expect(c.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: r.ns, Name: "mine"}})).To(forbidden())
		r.Expect(r.tryStatus(c, r.analysis, merge(forgedStatus))).To(forbidden())
		r.Expect(r.try(c, r.rr, merge(cancelIt))).To(forbidden())
		r.Expect(r.make(c, r.ns, "RemediationRequest")).To(forbidden())
		r.Expect(r.make(c, r.ns, "AIAnalysis")).To(forbidden())
		r.Expect(r.try(c, r.analysis, merge(anotherTarget))).To(MatchError(ContainSubstring("target is immutable")))
		r.cannotDelete(c, r.analysis)
		r.Eventually(func() error { return r.try(c, r.analysis, decisionBy("jane@example.com")) }, enforcement, poll).
			Should(MatchError(ContainSubstring("decidedBy")), "in another's name")
		r.Expect(r.try(c, r.analysis, decisionBy(r.user("approver")))).To(Succeed())
		r.Expect(r.try(c, r.analysis, merge(`{"spec":{"decision":{"verdict":"Rejected"}}}`))).To(MatchError(ContainSubstring("decision is immutable once it is set")))
		r.Expect(secrets(t, c, r.ns)).To(forbidden())

		late := sampleOf(t, r.ns, "AIAnalysis")
		r.Expect(as(t, "").Create(t.Context(), late)).To(Succeed())
		remove(t, late)
		r.Expect(r.try(c, late, merge(cancelIt))).To(Succeed(), "as good as a rejection")
		r.Expect(r.try(c, late, decisionBy(r.user("approver")))).To(MatchError(ContainSubstring("is too late")))
	})
	t.Run("whoever may create children", func(t *testing.T) {
		r := newTrial(t)
		c := account(t, r.ns, "forger", "")
		kinds := []string{"AIAnalysis", "WorkflowExecution", "NotificationRequest"}
		grant(t, r.ns, r.user("forger"), rule(own, "aianalyses", "create"), rule(own, "workflowexecutions", "create"), rule(own, "notificationrequests", "create"))
		for _, kind := range kinds {
			r.Expect(r.make(c, r.ns, kind)).To(Succeed(), "%s by hand", kind)
			r.Expect(r.make(c, r.ns, kind, r.owned)).To(deniedBy("holdfast-orchestration", "orchestrate"))
		}
		r.Expect(r.make(c, r.ns, "WorkflowExecution", withAccount("remediator"))).To(deniedBy("holdfast-impersonation", "remediator"))
		r.Expect(r.make(c, r.ns, "AIAnalysis", func(o *unstructured.Unstructured) {
			r.Expect(unstructured.SetNestedMap(o.Object, decision(r.user("forger")), "spec", "decision")).To(Succeed())
		})).To(deniedBy("holdfast-approval", "approve"))
		r.Expect(r.make(c, r.ns, "RemediationRequest")).To(forbidden())
	})
	t.Run("whoever may write the status", func(t *testing.T) {
		r := newTrial(t)
		c := account(t, r.ns, "writer", "")
		grant(t, r.ns, r.user("writer"), rule(own, "remediationrequests/status", "patch", "update"))
		r.Expect(r.tryStatus(c, r.rr, merge(forgedStatus))).To(Succeed())
		r.Expect(r.tryStatus(c, r.rr, merge(noOutbox))).To(MatchError(ContainSubstring("the outbox only grows at its end")), "what is removed counts as empty")
		r.Expect(r.tryStatus(c, r.rr, merge(noStatus))).To(MatchError(ContainSubstring("the outbox only grows at its end")))
		r.Expect(r.try(c, r.rr, merge(cancelIt))).To(forbidden())
		record(t, r.rr, true)
		r.Expect(r.tryStatus(c, r.rr, merge(`{"status":{"outbox":{"closed":false}}}`))).NotTo(Succeed(), "closed is final")
	})
	t.Run("manager", func(t *testing.T) {
		r := newTrial(t)
		c := account(t, "holdfast-system", "holdfast-manager", "")
		r.Eventually(func() error { return c.List(t.Context(), &v1alpha1.AIAnalysisList{}) }, enforcement, poll).Should(Succeed())
		for _, kind := range []string{"AIAnalysis", "WorkflowExecution", "NotificationRequest"} {
			r.Expect(r.make(c, r.ns, kind, r.owned)).To(Succeed(), kind)
		}
		r.Expect(r.make(c, r.ns, "WorkflowExecution", r.owned, withAccount("remediator"))).To(Succeed())
		r.Expect(r.tryStatus(c, r.rr, merge(`{"status":{"phase":"Analyzing"}}`))).To(Succeed())
		r.Expect(r.try(c, r.analysis, merge(cancelIt))).To(Succeed())
		r.Expect(c.Delete(t.Context(), r.analysis.DeepCopy())).To(forbidden(), "a child goes with its request")
		r.Expect(r.try(c, r.rr, merge(noFinalizers))).To(Succeed())
		r.Expect(r.finalizers(r.rr)).To(ConsistOf("holdfast.dev/outbox"), "the record is open")
		record(t, r.rr, true)
		r.Expect(r.try(c, r.rr, merge(noFinalizers))).To(Succeed())
		r.Expect(r.finalizers(r.rr)).To(BeEmpty(), "the record is closed")

		another := sampleOf(t, r.ns, "AIAnalysis")
		r.Expect(as(t, "").Create(t.Context(), another)).To(Succeed())
		remove(t, another)
		r.Expect(r.try(c, another, decisionBy("system:serviceaccount:holdfast-system:holdfast-manager"))).To(deniedBy("holdfast-approval", "approve"), "it decides for nobody")
		r.Expect(r.make(c, r.ns, "RemediationRequest")).To(forbidden())
		r.Expect(secrets(t, c, r.ns)).To(forbidden(), "it may get one that it knows, not look around")
		r.Expect(c.Get(t.Context(), client.ObjectKey{Namespace: r.ns, Name: "webhook"}, &corev1.Secret{})).To(Succeed())
		sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: r.ns, Name: "default"}}
		r.Expect(c.SubResource("token").Create(t.Context(), sa, &authenticationv1.TokenRequest{})).To(forbidden())
		r.Expect(c.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "mine"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "holdfast-system", Name: "holdfast-manager"}}})).To(forbidden())
		for _, o := range build(t, "admission") {
			r.Expect(c.Delete(t.Context(), o)).To(forbidden(), o.GetName())
		}
	})
	t.Run("nothing", func(t *testing.T) {
		r := newTrial(t)
		c := account(t, r.ns, "stranger", "")
		r.Expect(c.List(t.Context(), &v1alpha1.RemediationRequestList{}, client.InNamespace(r.ns))).To(forbidden())
		r.Expect(r.make(c, r.ns, "RemediationRequest")).To(forbidden())
		r.Expect(bearing(t, "no.such.token").List(t.Context(), &v1alpha1.RemediationRequestList{})).To(Satisfy(apierrors.IsUnauthorized))
	})
}
