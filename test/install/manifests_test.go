//go:build unix

package install

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// apply is `kubectl apply --server-side` of everything, the Namespace and the definitions first.
func (w *world) apply(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, first := range []bool{true, false} {
		for _, o := range objects {
			if (o.GetKind() == "Namespace" || o.GetKind() == "CustomResourceDefinition") == first {
				w.put(t, o)
			}
		}
	}
}

func (w *world) put(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	err := w.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner("kubectl"), client.ForceOwnership)
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), nameOf(o))
}

// remove is step 3 of the runbook "Uninstalling": the finalizer's binding, then the rest, then the definitions. Nothing ends a namespace here, so that is left.
func (w *world) remove(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	g := NewWithT(t)
	for _, o := range objects {
		if o.GetKind() == "MutatingAdmissionPolicyBinding" && o.GetName() == "holdfast-finalizer" {
			g.Expect(client.IgnoreNotFound(w.client.Delete(ctx, o.DeepCopy()))).To(Succeed())
		}
	}
	for _, o := range objects {
		if o.GetKind() != "Namespace" && o.GetKind() != "CustomResourceDefinition" {
			g.Expect(client.IgnoreNotFound(w.client.Delete(ctx, o.DeepCopy(), client.PropagationPolicy("Background")))).To(Succeed(), nameOf(o))
		}
	}
	w.deleteDefinitions(t)
}

// installYAML is what `make install.yaml` writes.
func installYAML(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	script := exec.CommandContext(ctx, "../../hack/install-yaml", "registry.example.com:5000/holdfast:v1")
	script.Stderr = os.Stderr
	text, err := script.Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return decode(t, string(text))
}

func TestInstallYAMLIsTheDefault(t *testing.T) {
	g := NewWithT(t)
	file := installYAML(t)
	g.Expect(file[0].GetKind()).To(Equal("Namespace"), "kubectl apply -f takes them in this order")
	want := byName(t, kustomized(t, "resources: [../default]"))
	for name, text := range byName(t, file) {
		g.Expect(strings.ReplaceAll(text, "registry.example.com:5000/holdfast:v1", "holdfast:latest")).To(Equal(want[name]))
		delete(want, name)
	}
	g.Expect(want).To(BeEmpty())
	for _, image := range []string{"", "holdfast", "registry.example.com:5000/holdfast", "holdfast:v1; id"} {
		g.Expect(exec.CommandContext(ctx, "../../hack/install-yaml", image).Run()).NotTo(Succeed(), image)
	}
}

// Install, check, use, check, uninstall by the runbook; nothing is left and nothing lost.
func TestKustomizeAndInstallYAMLOnAnAPIServer(t *testing.T) {
	w := servers(t)
	w.prepare(t, "holdfast-database", "url")
	w.migrate(t)
	atFirst := w.inventory(t)
	for name, objects := range map[string][]*unstructured.Unstructured{
		"kustomize": kustomized(t, "resources: [../default]"), "install.yaml": installYAML(t),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w.apply(t, objects)
			stop := w.startManager(t)
			checked := w.check(t, "--wait", "--timeout", "1m")
			g.Expect(checked.Code).To(Equal(0), "%s%s", checked.Stdout, checked.Stderr)
			request := w.request(t, "work")
			w.cleared(t, request)
			drained := w.run(t, "holdfast", "drain", "--timeout", "1m")
			g.Expect(drained).To(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring("no resource has the finalizer"))), "%+v", drained)
			stop()
			w.remove(t, objects)
			g.Eventually(func() []string { return added(atFirst, w.inventory(t)) }, timeout, time.Second).Should(BeEmpty())
			verified := w.runWith(t, []string{"HOLDFAST_DATABASE_URL=" + w.databaseURL}, "holdfast", "verify")
			g.Expect(verified.Code).To(Equal(0), "%+v", verified)
		})
	}
}
