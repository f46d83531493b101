package config_test

import (
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// only reads the single object of a kind into a typed one.
func only[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) *T {
	t.Helper()
	g, into := NewWithT(t), new(T)
	found := ofKind(objects, kind)
	g.Expect(found).To(HaveLen(1), kind)
	g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(found[0].Object, into, true)).To(Succeed())
	return into
}

// installStorage applies the accounts and roles around the storage service, with bindings for two callers.
func installStorage(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	installRoles(t)
	for _, o := range append(build(t, "storage"), ofKind(build(t, "prometheus"), "ClusterRoleBinding")...) {
		if o.GetObjectKind().GroupVersionKind().Group == rbacv1.GroupName || o.GetKind() == "ServiceAccount" {
			g.Expect(apply(t, o)).To(Succeed())
		}
	}
	for _, role := range []string{"recorder", "relay"} {
		g.Expect(client.IgnoreAlreadyExists(as(t, "").Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "caller-" + role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-" + role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "caller-" + role}},
		}))).To(Succeed())
	}
}

func TestRolesAroundStorage(t *testing.T) {
	installStorage(t)
	ns := namespace(t)
	const (
		service  = "system:serviceaccount:holdfast-system:holdfast-storage"
		manager  = "system:serviceaccount:holdfast-system:holdfast-manager"
		scraper  = "system:serviceaccount:holdfast-system:holdfast-metrics-reader"
		recorder = "caller-recorder"
		relay    = "caller-relay"
	)
	create, relayed := request{"", own, "auditrecords", "", "create"}, request{"", own, "auditrecords", "", "relay"}
	tokens, access := request{"", "authentication.k8s.io", "tokenreviews", "", "create"}, request{"", "authorization.k8s.io", "subjectaccessreviews", "", "create"}
	everything := request{"", "*", "*", "", "*"}
	for user, requests := range map[string]struct{ allowed, refused []request }{
		recorder: {allowed: []request{create}, refused: []request{relayed, tokens, access, {ns, own, "remediationrequests", "", "list"}, {"", own, "auditrecords", "", "get"}, everything}},
		relay:    {allowed: []request{create, relayed}, refused: []request{tokens, {"", own, "auditrecords", "", "list"}, everything}},
		service: {
			allowed: []request{tokens, access},
			refused: []request{create, relayed, {ns, "", "secrets", "x", "get"}, {ns, "", "serviceaccounts/token", "x", "create"}, {ns, "", "serviceaccounts", "x", "impersonate"}, everything},
		},
		manager: {allowed: []request{tokens, access}, refused: []request{create, relayed}},
		scraper: {refused: []request{create, tokens, {ns, "", "pods", "", "list"}, everything}},
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
	t.Run("metrics", func(t *testing.T) {
		reads := func(user, path string) bool {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: user, Groups: []string{"system:authenticated"}, NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
			}}
			NewWithT(t).Expect(as(t, "").Create(t.Context(), review)).To(Succeed())
			return review.Status.Allowed
		}
		g := NewWithT(t)
		g.Eventually(func() bool { return reads(scraper, "/metrics") }, enforcement, poll).Should(BeTrue())
		g.Expect(reads(scraper, "/debug/pprof")).To(BeFalse())
		g.Expect(reads(recorder, "/metrics")).To(BeFalse())
	})
}

// What the role allows is what the service does: it asks with its own account.
func TestTheStorageAccountMayAskAboutItsCallers(t *testing.T) {
	installStorage(t)
	service := as(t, "system:serviceaccount:holdfast-system:holdfast-storage", "system:serviceaccounts", "system:serviceaccounts:holdfast-system")
	g := NewWithT(t)
	g.Eventually(func() error {
		return service.Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "garbage", Audiences: []string{"holdfast-storage"}}})
	}, enforcement, poll).Should(Succeed())
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "caller-recorder", ResourceAttributes: &authorizationv1.ResourceAttributes{Group: own, Resource: "auditrecords", Verb: "create"},
	}}
	g.Expect(service.Create(t.Context(), review)).To(Succeed())
	g.Expect(review.Status.Allowed).To(BeTrue())
}

func TestTheManifestsOfAServiceFitTogether(t *testing.T) {
	for _, component := range []string{"storage", "reports", "gateway"} {
		t.Run(component, func(t *testing.T) { fitsTogether(t, component) })
	}
}

func fitsTogether(t *testing.T, component string) {
	t.Helper()
	g := NewWithT(t)
	objects := build(t, component)
	deployment := deploymentOf(t, component)
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]

	service := only[corev1.Service](t, objects, "Service")
	policy := only[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy")
	budget := only[policyv1.PodDisruptionBudget](t, objects, "PodDisruptionBudget")
	g.Expect(ofKind(objects, "ServiceAccount")).To(ContainElement(HaveField("GetName()", pod.Spec.ServiceAccountName)), "readers have an account of their own")
	for _, selector := range []map[string]string{service.Spec.Selector, policy.Spec.PodSelector.MatchLabels, budget.Spec.Selector.MatchLabels, deployment.Spec.Selector.MatchLabels} {
		g.Expect(labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels))).To(BeTrue())
		g.Expect(labels.SelectorFromSet(selector).Matches(labels.Set(deploymentOf(t, "manager").Spec.Template.Labels))).To(BeFalse(), "the manager is another")
	}
	g.Expect(container.Ports).To(HaveLen(1))
	g.Expect(service.Spec.Ports[0].TargetPort).To(Equal(intstr.FromString(container.Ports[0].Name)))
	g.Expect(policy.Spec.Ingress[0].Ports[0].Port).To(HaveValue(Equal(intstr.FromString(container.Ports[0].Name))))
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
		g.Expect(probe.HTTPGet.Port).To(Equal(intstr.FromString(container.Ports[0].Name)))
		g.Expect(probe.HTTPGet.Scheme).To(Equal(corev1.URISchemeHTTPS))
	}
	g.Expect(container.LivenessProbe.HTTPGet.Path).To(Equal("/healthz"), "which does not follow the database")
	g.Expect(budget.Spec.UnhealthyPodEvictionPolicy).To(HaveValue(Equal(policyv1.AlwaysAllow)))
	g.Expect(*deployment.Spec.Replicas).To(BeNumerically(">", budget.Spec.MaxUnavailable.IntVal), "one is left")

	pause, grace := container.Lifecycle.PreStop.Sleep.Seconds, *pod.Spec.TerminationGracePeriodSeconds
	g.Expect(pause).To(BeNumerically(">=", 5), "nobody is sent to the Pod any more when it stops")
	g.Expect(grace).To(BeNumerically(">=", pause+20), "then it finishes what it has taken, which takes at most 20 s")
	g.Expect(container.Env).To(ContainElement(HaveField("Name", "GOMEMLIMIT")))
	g.Expect(container.Resources.Limits).To(HaveKey(corev1.ResourceMemory))

	mount := container.VolumeMounts[0]
	g.Expect(mount.SubPath).To(BeEmpty(), "it would hide a new certificate")
	g.Expect(container.Args).To(ContainElements("--tls-cert-file="+mount.MountPath+"/tls.crt", "--tls-key-file="+mount.MountPath+"/tls.key"))
	g.Expect(pod.Spec.Volumes[0].Secret.DefaultMode).To(HaveValue(BeEquivalentTo(0o440)), "the key is not for everybody")
}

func TestTheSampleCallerReachesTheService(t *testing.T) {
	g := NewWithT(t)
	sample, storage := build(t, "storage/samples"), build(t, "storage")
	job := only[batchv1.Job](t, sample, "Job")
	allowed := only[networkingv1.NetworkPolicy](t, storage, "NetworkPolicy").Spec.Ingress[0].From[0].NamespaceSelector
	selector, err := metav1.LabelSelectorAsSelector(allowed)
	g.Expect(err).NotTo(HaveOccurred())
	ns := only[corev1.Namespace](t, sample, "Namespace")
	g.Expect(selector.Matches(labels.Set(ns.Labels))).To(BeTrue())
	g.Expect(job.Namespace).To(Equal(ns.Name))
	service := only[corev1.Service](t, storage, "Service")
	g.Expect(job.Spec.Template.Spec.Containers[0].Args[0]).To(ContainSubstring("https://" + service.Name + "." + service.Namespace + ".svc/api/v1/audit/executions"))

	binding := only[rbacv1.ClusterRoleBinding](t, sample, "ClusterRoleBinding")
	g.Expect(binding.RoleRef.Name).To(Equal("holdfast-recorder"))
	g.Expect(binding.Subjects).To(ConsistOf(rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: job.Spec.Template.Spec.ServiceAccountName, Namespace: job.Namespace}))

	// A Job's Pods are checked when they are made, by a controller that the test has not.
	g.Expect(apply(t, ofKind(sample, "Namespace")[0].DeepCopy())).To(Succeed())
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "job-", Namespace: job.Namespace}, Spec: job.Spec.Template.Spec}
	g.Expect(as(t, "").Create(t.Context(), pod, client.DryRunAll)).To(Succeed())
}
