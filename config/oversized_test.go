package config_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/outbox"
)

// The policy that keeps the finalizer knows the request with which a manager lets go of a resource that is too large to audit, and nobody else's.
func TestAManagerLetsGoOfWhatIsTooLarge(t *testing.T) {
	ns := namespace(t)
	strip := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	refuses := client.FieldOwner(outbox.OversizedManager)
	for kind, resource := range resources {
		t.Run(kind, func(t *testing.T) {
			g, o := NewWithT(t), sampleOf(t, ns, kind)
			writer, deleter, manager := "large-writer-of-"+resource, "large-deleter-of-"+resource, "large-manager-of-"+resource
			writes := rule("holdfast.dev", resource, "patch", "update", "get")
			grant(t, ns, writer, writes)
			grant(t, ns, deleter, writes, rule("holdfast.dev", resource, "delete"))
			grant(t, ns, manager, writes, rule("holdfast.dev", resource, "release"))
			g.Expect(as(t, "").Create(t.Context(), o, refuses)).To(Succeed())
			remove(t, o)
			g.Expect(o.GetFinalizers()).To(ConsistOf(finalizer), "whoever makes it")

			for _, user := range []string{writer, deleter} {
				g.Expect(as(t, user).Patch(t.Context(), o, strip, refuses)).To(Succeed())
				g.Expect(o.GetFinalizers()).To(ConsistOf(finalizer), user+" is no manager")
			}
			g.Expect(as(t, manager).Patch(t.Context(), o, strip)).To(Succeed())
			g.Expect(o.GetFinalizers()).To(ConsistOf(finalizer), "not on purpose")
			g.Expect(as(t, manager).Patch(t.Context(), o, strip, refuses)).To(Succeed())
			g.Expect(o.GetFinalizers()).To(BeEmpty())

			again := sampleOf(t, ns, kind)
			again.SetName("")
			again.SetGenerateName("begun-")
			g.Expect(as(t, "").Create(t.Context(), again)).To(Succeed())
			remove(t, again)
			record(t, again, false)
			g.Expect(as(t, manager).Patch(t.Context(), again, strip, refuses)).To(Succeed())
			g.Expect(again.GetFinalizers()).To(ConsistOf(finalizer), "a record that has begun")
		})
	}
}

func TestMetadataLeavesRoomForEntries(t *testing.T) {
	ns := namespace(t)
	many := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprintf("example.com/k%d", i)] = "v"
		}
		return m
	}
	tooMany, tooLarge := MatchError(ContainSubstring("metadata.labels: expected at most 128")), MatchError(ContainSubstring("metadata.annotations: expected at most 128 annotations with 131072 characters in total"))
	for kind := range resources {
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			with := func(labels, annotations map[string]string) error {
				o := sampleOf(t, ns, kind)
				o.SetLabels(labels)
				o.SetAnnotations(annotations)
				return as(t, "").Create(t.Context(), o, client.DryRunAll)
			}
			g.Expect(with(many(128), many(128))).To(Succeed())
			g.Expect(with(many(129), nil)).To(tooMany)
			g.Expect(with(nil, many(129))).To(tooLarge)
			g.Expect(with(nil, map[string]string{"a": strings.Repeat("é", 131_071)})).To(Succeed())
			g.Expect(with(nil, map[string]string{"a": strings.Repeat("é", 131_072-10), "b": strings.Repeat("x", 10)})).To(tooLarge)

			o := sampleOf(t, ns, kind)
			o.SetLabels(many(100))
			o.SetAnnotations(map[string]string{"a": strings.Repeat("x", 100_000)})
			g.Expect(as(t, "").Create(t.Context(), o)).To(Succeed())
			remove(t, o)
			merge := func(patch string) error {
				return as(t, "").Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
			}
			g.Expect(merge(fmt.Sprintf(`{"metadata":{"annotations":{"b":%q}}}`, strings.Repeat("x", 40_000)))).To(tooLarge)
			g.Expect(merge(`{"metadata":{"annotations":{"a":"x"}}}`)).To(Succeed())
			g.Expect(merge(`{"metadata":{"labels":{"a":"x"}}}`)).To(Succeed())
		})
	}
}

// Resources from before the policy knew bounds have more. What does not grow stays possible, or they could never be deleted.
func TestTheWayOutStaysOpen(t *testing.T) {
	ns := namespace(t)
	o := sampleOf(t, ns, "RemediationRequest")
	labels, annotations := map[string]string{}, map[string]string{}
	for i := range 3000 {
		labels[fmt.Sprintf("example.com/k%d", i)], annotations[fmt.Sprintf("example.com/k%d", i)] = "v", strings.Repeat("x", 50)
	}
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
	withoutBinding(t, "holdfast-metadata", func() error { return as(t, "").Create(t.Context(), o) })
	remove(t, o)
	g := NewWithT(t)
	merge := func(patch string) error {
		return as(t, "").Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch)))
	}
	g.Expect(merge(`{"spec":{"cancel":true}}`)).To(Succeed())
	g.Expect(merge(`{"metadata":{"labels":{"example.com/k0":null},"annotations":{"example.com/k0":null}}}`)).To(Succeed())
	g.Expect(merge(`{"metadata":{"labels":{"example.com/k0":"again"}}}`)).To(MatchError(ContainSubstring("metadata.labels")))
	g.Expect(merge(`{"metadata":{"annotations":{"example.com/k0":"again"}}}`)).To(MatchError(ContainSubstring("metadata.annotations")))
	g.Expect(as(t, "").Delete(t.Context(), o.DeepCopy())).To(Succeed())
	g.Expect(merge(`{"metadata":{"finalizers":null}}`)).To(Succeed())
}

// withoutBinding does something while a validating policy is out of force.
func withoutBinding(t *testing.T, name string, do func() error) {
	t.Helper()
	g := NewWithT(t)
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	g.Expect(as(t, "").Delete(t.Context(), binding)).To(Succeed())
	defer func() { g.Expect(config.Install(t.Context(), admin, io.Discard)).To(Succeed()) }()
	g.Eventually(do, enforcement, poll).Should(Succeed())
}
