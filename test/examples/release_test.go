package examples

import (
	"fmt"
	"os"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The API server drops a field that the definition of the kind does not have, and does not say so.
func TestAnOperatorThatRunsBeforeItsDefinition(t *testing.T) {
	p := copyProject(t, "release")
	p.define()
	p.retrofit()
	p.generate()
	p.build("./cmd")
	w := newWorld(t, p, release(), p.access())
	w.operator()
	o := w.object("cart")
	o.Object["spec"] = map[string]any{"deployment": "cart", "image": "cart:1"}
	w.create(o)
	w.Eventually(func() (string, error) {
		text, err := os.ReadFile(w.log)
		return string(text), err
	}).Should(ContainSubstring("apply the CustomResourceDefinition of Release that has the field"))
	w.Expect(env.Vanish(ctx, o)).To(Succeed())
}

func TestRelease(t *testing.T) {
	audited(t, "release", "./cmd", release())
}

// release is a kind of kubebuilder, without a finalizer of its own.
func release() *subject {
	return &subject{
		gvk:      schema.GroupVersionKind{Group: "delivery.example.com", Version: "v1", Kind: "Release"},
		resource: "releases", scoped: true,
		args: func(*world) []string { return []string{"--health-probe-bind-address=0"} },
		begin: func(w *world) *unstructured.Unstructured {
			o := w.object("cart")
			o.Object["spec"] = map[string]any{"deployment": "cart", "image": "cart:1"}
			w.create(o)
			// The Deployment comes later: the first attempt fails, and the status says so.
			w.Eventually(func(g Gomega) {
				g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
				g.Expect(phase(o)).To(Equal("Failed"))
			}).Should(Succeed())
			labels := map[string]string{"app": "cart"}
			w.create(&appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cart"},
				Spec: appsv1.DeploymentSpec{
					Selector: &metav1.LabelSelector{MatchLabels: labels},
					Template: corev1.PodTemplateSpec{
						ObjectMeta: metav1.ObjectMeta{Labels: labels},
						Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "cart", Image: "cart:0"}}},
					},
				},
			})
			return o
		},
		settled: func(w *world, o *unstructured.Unstructured) bool {
			rollOut(w)
			wanted, _, _ := unstructured.NestedString(o.Object, "spec", "image")
			released, _, _ := unstructured.NestedString(o.Object, "status", "image")
			return phase(o) == "Live" && released == wanted
		},
		further: func(w *world, o *unstructured.Unstructured, n int) {
			image := fmt.Sprintf("cart:%d", n+2)
			patch := client.MergeFrom(o.DeepCopy())
			w.Expect(unstructured.SetNestedField(o.Object, image, "spec", "image")).To(Succeed())
			w.Expect(env.Client.Patch(ctx, o, patch)).To(Succeed())
		},
		trail: []string{"Pending", "Failed", "Progressing", "Live", "Live"},
	}
}

func phase(o *unstructured.Unstructured) string {
	p, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	return p
}

// rollOut does what the controller of Deployments would: etcd and kube-apiserver alone have none.
func rollOut(w *world) {
	d := &appsv1.Deployment{}
	w.Expect(env.Client.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: "cart"}, d)).To(Succeed())
	if d.Status.ObservedGeneration == d.Generation || d.Spec.Template.Spec.Containers[0].Image == "cart:0" {
		return
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	w.Expect(client.IgnoreNotFound(env.Client.Status().Update(ctx, d))).To(Succeed())
}
