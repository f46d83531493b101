package examples

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestDigest(t *testing.T) {
	audited(t, "digest", ".", &subject{
		gvk:      schema.GroupVersionKind{Group: "digests.example.com", Version: "v1", Kind: "Digest"},
		resource: "digests", scoped: true,
		begin: func(w *world) *unstructured.Unstructured {
			o := w.object("settings")
			o.Object["spec"] = map[string]any{"configMap": "settings"}
			w.create(o)
			w.Eventually(func(g Gomega) {
				g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
				g.Expect(phase(o)).To(Equal("Waiting"))
			}).Should(Succeed())
			w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "settings"}, Data: map[string]string{"color": "red"}})
			return o
		},
		settled: func(_ *world, o *unstructured.Unstructured) bool { return phase(o) == "Done" },
		trail:   []string{"Waiting", "Running", "Done"},
	})
}
