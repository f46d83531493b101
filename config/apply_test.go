package config_test

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Somebody applies the manifests with kubectl, then a GitOps controller applies the same ones. A default of the API server inside a value that has one owner would differ from what
// the second applies: a conflict. So the manifests write it out.
func TestTheSameManifestsFromASecondManagerDoNotConflict(t *testing.T) {
	overlays := map[string]string{
		"default, storage": "resources: [../default, ../storage]\n",
		"sharded":          "resources: [../default]\ncomponents: [../manager/sharded]\n",
		"relayed":          "resources: [../default, ../storage]\ncomponents: [../manager/relayed]\n",
		"narrator":         "resources: [../default, ../reports]\ncomponents: [../reports/narrator]\n",
		"samples":          "resources: [../samples, ../storage/samples]\n",
	}
	for name, content := range overlays {
		t.Run(name, func(t *testing.T) {
			objects := overlayOf(t, content)
			objects = append(ofKind(objects, "Namespace"), objects...)
			for _, o := range objects { // whatever overlay was there before
				NewWithT(t).Expect(apply(t, o.DeepCopy())).To(Succeed(), "%s %s", o.GetKind(), o.GetName())
			}
			for _, o := range objects {
				err := as(t, "").Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner("gitops"))
				if err != nil {
					t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				}
			}
			for _, o := range ofKind(objects, "CustomResourceDefinition") {
				nothingTakenOver(t, o)
			}
			for _, kind := range []string{"ClusterRoleBinding", "RoleBinding", "Deployment", "StatefulSet"} { // other tests look at who may do what
				for _, o := range ofKind(objects, kind) {
					NewWithT(t).Expect(as(t, "").Delete(t.Context(), o)).To(Succeed())
				}
			}
		})
	}
}

// nothingTakenOver checks that the API server, which updates a definition's conditions, owns nothing of what was applied.
func nothingTakenOver(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	g := NewWithT(t)
	stored := o.DeepCopy()
	g.Expect(as(t, "").Get(t.Context(), keyOf(o), stored)).To(Succeed())
	for _, entry := range stored.GetManagedFields() {
		if entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Subresource == "" {
			g.Expect(entry.FieldsV1.GetRawString()).NotTo(ContainSubstring("f:spec"), "%s %s: %s", o.GetKind(), o.GetName(), entry.Manager)
		}
	}
}
