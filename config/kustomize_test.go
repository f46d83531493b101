package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/holdfast-dev/holdfast/config"
)

// build makes the objects of a kustomization, as `kubectl kustomize` does.
func build(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	g.Expect(err).NotTo(HaveOccurred())
	objects := make([]*unstructured.Unstructured, 0, built.Size())
	for _, resource := range built.Resources() {
		text, err := resource.MarshalJSON()
		g.Expect(err).NotTo(HaveOccurred())
		object := &unstructured.Unstructured{}
		g.Expect(object.UnmarshalJSON(text)).To(Succeed())
		objects = append(objects, object)
	}
	g.Expect(objects).NotTo(BeEmpty())
	return objects
}

// ofKind picks the objects of a kind.
func ofKind(objects []*unstructured.Unstructured, kind string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return o.GetKind() != kind })
}

// folders are all kustomizations below this folder.
func folders(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*/kustomization.yaml")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	NewWithT(t).Expect(found).To(ContainElements("admission", "crd", "default", "gateway", "manager", "prometheus", "rbac", "reports", "samples", "storage"))
	return append(found, "storage/samples", "gateway/samples")
}

// apply is a server-side apply, strict about fields that nobody knows.
func apply(t *testing.T, o *unstructured.Unstructured, options ...client.ApplyOption) error {
	t.Helper()
	options = append(options, client.FieldOwner("config-test"), client.ForceOwnership)
	return client.WithFieldValidation(as(t, ""), metav1.FieldValidationStrict).Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), options...)
}

func TestEveryKustomizationIsAcceptedByTheAPIServer(t *testing.T) {
	for _, folder := range folders(t) {
		t.Run(folder, func(t *testing.T) {
			objects := build(t, folder)
			for _, ns := range ofKind(objects, "Namespace") { // a dry run makes no namespace for those that follow
				NewWithT(t).Expect(apply(t, ns.DeepCopy())).To(Succeed())
			}
			for _, o := range objects {
				if strings.HasPrefix(o.GetAPIVersion(), "monitoring.coreos.com/") {
					continue // see monitoring_test.go
				}
				NewWithT(t).Expect(apply(t, o, client.DryRunAll)).To(Succeed(), "%s %s", o.GetKind(), o.GetName())
			}
		})
	}
}

func TestTheDefaultHasWhatInstallApplies(t *testing.T) {
	g := NewWithT(t)
	names := map[string]bool{}
	for _, o := range build(t, "default") {
		names[o.GetKind()+" "+o.GetName()] = true
	}
	crds, err := config.CRDs()
	g.Expect(err).NotTo(HaveOccurred())
	for _, crd := range crds {
		g.Expect(names).To(HaveKey("CustomResourceDefinition " + crd.Name))
	}
	policies, err := config.Policies()
	g.Expect(err).NotTo(HaveOccurred())
	for _, policy := range policies {
		g.Expect(names).To(HaveKey(policy.GetKind() + " " + policy.GetName()))
	}
	g.Expect(policies).To(HaveLen(2 * 7))
	roles, err := config.Roles()
	g.Expect(err).NotTo(HaveOccurred())
	for _, o := range slices.Concat(build(t, "storage"), build(t, "reports"), build(t, "gateway")) {
		names[o.GetKind()+" "+o.GetName()] = true
	}
	for _, role := range roles {
		g.Expect(names).To(HaveKey("ClusterRole " + role.GetName()))
	}
}

// deploymentOf is the one of a folder.
func deploymentOf(t *testing.T, folder string) *appsv1.Deployment {
	t.Helper()
	g := NewWithT(t)
	found := ofKind(build(t, folder), "Deployment")
	g.Expect(found).To(HaveLen(1))
	deployment := &appsv1.Deployment{}
	g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(found[0].Object, deployment)).To(Succeed())
	return deployment
}

func TestTheServicesRunUnderRestrictedPodSecurity(t *testing.T) {
	g := NewWithT(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "config-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	g.Expect(as(t, "").Create(t.Context(), ns)).To(Succeed())
	for _, folder := range []string{"manager", "storage"} {
		t.Run(folder, func(t *testing.T) {
			g := NewWithT(t)
			deployment := deploymentOf(t, folder)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: folder + "-", Namespace: ns.Name}, Spec: deployment.Spec.Template.Spec}
			g.Expect(as(t, "").Create(t.Context(), pod, client.DryRunAll)).To(Succeed())
			g.Expect(pod.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem).To(HaveValue(BeTrue()))

			pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: folder + "-", Namespace: ns.Name}, Spec: deployment.Spec.Template.Spec}
			pod.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = new(bool)
			*pod.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = true
			g.Expect(as(t, "").Create(t.Context(), pod, client.DryRunAll)).To(MatchError(ContainSubstring(`violates PodSecurity "restricted`)), "the namespace enforces it")
		})
	}
}

// overlayOf builds a kustomization that is written for the test.
func overlayOf(t *testing.T, content string) []*unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	folder, err := os.MkdirTemp(".", "overlay-") //nolint:usetesting // kustomize reaches bases by relative paths only
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(os.RemoveAll(folder)).To(Succeed()) })
	g.Expect(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(content), 0o600)).To(Succeed())
	return build(t, folder)
}

// The component makes a StatefulSet of the Deployment, a Pod a shard, and lets its account use a lease for each.
func TestAShardedManagerIsAStatefulSet(t *testing.T) {
	for name, content := range map[string]string{
		"with the database":        "resources: [../default]\ncomponents: [../manager/sharded]\n",
		"with the storage service": "resources: [../default, ../storage]\ncomponents: [../manager/relayed, ../manager/sharded]\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			objects := overlayOf(t, content)
			for _, ns := range ofKind(objects, "Namespace") {
				g.Expect(apply(t, ns.DeepCopy())).To(Succeed())
			}
			for _, o := range objects {
				g.Expect(apply(t, o, client.DryRunAll)).To(Succeed(), "%s %s", o.GetKind(), o.GetName())
			}
			for _, o := range ofKind(objects, "Deployment") {
				g.Expect(o.GetName()).NotTo(Equal("holdfast-manager"), "it would look after everything beside the shards")
			}
			found := ofKind(objects, "StatefulSet")
			g.Expect(found).To(HaveLen(1))
			set := &appsv1.StatefulSet{}
			g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(found[0].Object, set)).To(Succeed())
			container := set.Spec.Template.Spec.Containers[0]
			total := int(*set.Spec.Replicas)
			g.Expect(container.Args).To(ContainElements(fmt.Sprintf("--total-shards=%d", total), "--leader-elect"))
			g.Expect(container.Env).To(ContainElement(And(HaveField("Name", "HOLDFAST_SHARD"),
				HaveField("ValueFrom.FieldRef.FieldPath", "metadata.labels['"+appsv1.PodIndexLabel+"']"))))

			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "shard-", Namespace: set.Namespace}, Spec: set.Spec.Template.Spec}
			g.Expect(as(t, "").Create(t.Context(), pod, client.DryRunAll)).To(Succeed(), "under restricted Pod security")
			g.Expect(leases(objects)).To(ContainElements("holdfast-manager-0-of-2", "holdfast-manager-1-of-2"))
			g.Expect(total).To(Equal(2), "as many as there are leases")
		})
	}
}

// leases are the names that the roles allow.
func leases(objects []*unstructured.Unstructured) (names []string) {
	for _, o := range ofKind(objects, "Role") {
		role := &rbacv1.Role{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role) != nil {
			continue
		}
		for _, rule := range role.Rules {
			if slices.Contains(rule.Resources, "leases") && slices.Contains(rule.Verbs, "update") {
				names = append(names, rule.ResourceNames...)
			}
		}
	}
	return names
}

// The component leaves the manager without the database's credentials, and lets it into the service, whose roles must be those that it names.
func TestARelayedManagerHasNoDatabase(t *testing.T) {
	g := NewWithT(t)
	objects := overlayOf(t, "resources: [../default, ../storage]\ncomponents: [../manager/relayed]\n")
	roles, granted := map[string]bool{}, map[string]bool{}
	for _, o := range objects {
		if o.GetKind() == "Namespace" {
			g.Expect(apply(t, o.DeepCopy())).To(Succeed())
		}
		g.Expect(apply(t, o, client.DryRunAll)).To(Succeed(), "%s %s", o.GetKind(), o.GetName())
		switch o.GetKind() {
		case "ClusterRole":
			roles[o.GetName()] = true
		case "ClusterRoleBinding":
			name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name")
			granted[o.GetName()] = roles[name]
		}
	}
	g.Expect(granted).To(HaveKeyWithValue("holdfast-manager-relay", true))
	ingress, _, _ := unstructured.NestedSlice(ofKind(objects, "NetworkPolicy")[0].Object, "spec", "ingress")
	g.Expect(ingress[0]).To(HaveKeyWithValue("from", ContainElement(HaveKeyWithValue("podSelector", HaveKeyWithValue("matchLabels", HaveKeyWithValue("app.kubernetes.io/component", "manager"))))))
	deployment := &appsv1.Deployment{}
	for _, o := range ofKind(objects, "Deployment") {
		if o.GetName() == "holdfast-manager" {
			g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, deployment)).To(Succeed())
		}
	}
	var names []string
	for _, e := range deployment.Spec.Template.Spec.Containers[0].Env {
		names = append(names, e.Name)
	}
	g.Expect(names).To(ConsistOf("HOLDFAST_STORE_URL", "HOLDFAST_STORE_TOKEN_FILE", "HOLDFAST_STORE_CA_FILE", "POD_NAME", "POD_NAMESPACE"))
}
