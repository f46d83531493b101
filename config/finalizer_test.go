package config_test

import (
	"context"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	finalizer = "holdfast.dev/outbox"
	other     = "example.com/other"
)

var resources = map[string]string{
	"RemediationRequest": "remediationrequests", "AIAnalysis": "aianalyses", "WorkflowExecution": "workflowexecutions", "NotificationRequest": "notificationrequests",
}

// strippings are the usual ways to strip a resource of its finalizers.
var strippings = map[string]func(c client.Client, o *unstructured.Unstructured) error{
	"a merge patch with null": func(c client.Client, o *unstructured.Unstructured) error {
		return c.Patch(context.Background(), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	},
	"a JSON patch": func(c client.Client, o *unstructured.Unstructured) error {
		return c.Patch(context.Background(), o, client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/finalizers"}]`)))
	},
	"an update, as kubectl replace does it": func(c client.Client, o *unstructured.Unstructured) error {
		o.SetFinalizers(nil)
		return c.Update(context.Background(), o)
	},
}

// record gives a resource an outbox with one entry more, which is durable; it closes the record, or not.
func record(t *testing.T, o *unstructured.Unstructured, closed bool) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(as(t, "").Get(t.Context(), keyOf(o), o)).To(Succeed())
	sequence, _, err := unstructured.NestedInt64(o.Object, "status", "outbox", "lastSequence")
	g.Expect(err).NotTo(HaveOccurred())
	sequence++
	g.Expect(unstructured.SetNestedMap(o.Object, map[string]any{
		"lastSequence": sequence, "persistedSequence": sequence, "pending": int64(0), "headHash": fmt.Sprintf("%064x", sequence), "closed": closed, "entries": []any{},
	}, "status", "outbox")).To(Succeed())
	g.Expect(as(t, "").Status().Update(t.Context(), o)).To(Succeed())
}

func remove(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	t.Cleanup(func() {
		c := as(t, "")
		_ = c.Patch(ctxOf(t), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
		_ = c.Delete(ctxOf(t), o)
		_ = c.Patch(ctxOf(t), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
	})
}

func TestTheFinalizerIsThereFromTheBeginning(t *testing.T) {
	for _, o := range samplesOf(t, namespace(t)) {
		t.Run(o.GetKind(), func(t *testing.T) {
			g := NewWithT(t)
			made := func(given ...string) []string {
				dry := o.DeepCopy()
				dry.SetFinalizers(given)
				g.Expect(as(t, "").Create(t.Context(), dry, client.DryRunAll)).To(Succeed())
				return dry.GetFinalizers()
			}
			g.Expect(made()).To(ConsistOf(finalizer))
			g.Expect(made(other)).To(ConsistOf(other, finalizer))
			g.Expect(made(finalizer)).To(ConsistOf(finalizer))
		})
	}
}

// A cluster administrator may do anything, and does this by accident.
func TestTheFinalizerStaysWhileTheRecordIsOpen(t *testing.T) {
	ns := namespace(t)
	for kind := range resources {
		for way, strip := range strippings {
			t.Run(kind+" after "+way, func(t *testing.T) {
				g, o := NewWithT(t), sampleOf(t, ns, kind)
				o.SetFinalizers([]string{other})
				g.Expect(as(t, "").Create(t.Context(), o)).To(Succeed())
				remove(t, o)
				g.Expect(o.GetFinalizers()).To(ConsistOf(finalizer, other))
				g.Expect(strip(as(t, ""), o)).To(Succeed())
				g.Expect(o.GetFinalizers()).To(ConsistOf(finalizer), "before the first entry; a foreign finalizer goes, as it was asked for")

				record(t, o, false)
				g.Expect(strip(as(t, ""), o)).To(Succeed())
				g.Expect(o.GetFinalizers()).To(ConsistOf(finalizer), "with an open record")

				record(t, o, true)
				g.Expect(strip(as(t, ""), o)).To(Succeed())
				g.Expect(o.GetFinalizers()).To(BeEmpty(), "a closed one an administrator may release")
			})
		}
	}
}

// Who may patch a resource and not delete it can't have it deleted, nor lose its trail.
func TestAPatchIsNoDeletion(t *testing.T) {
	ns := namespace(t)
	ghost := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "ghost", UID: "00000000-0000-4000-8000-000000000000"}
	for kind, resource := range resources {
		patcher, deleter, releaser := "patcher-of-"+resource, "deleter-of-"+resource, "releaser-of-"+resource
		grant(t, ns, patcher, rule("holdfast.dev", resource, "patch", "update", "get", "create"))
		grant(t, ns, deleter, rule("holdfast.dev", resource, "patch", "update", "get", "create", "delete"))
		grant(t, ns, releaser, rule("holdfast.dev", resource, "patch", "update", "get"), rule("holdfast.dev", resource, "release"))
		make := func(t *testing.T, closed bool, finalizers ...string) *unstructured.Unstructured {
			t.Helper()
			g, o := NewWithT(t), sampleOf(t, ns, kind)
			o.SetFinalizers(finalizers)
			g.Expect(as(t, "").Create(t.Context(), o)).To(Succeed())
			remove(t, o)
			record(t, o, closed)
			return o
		}
		t.Run(kind, func(t *testing.T) {
			t.Run("at the creation", func(t *testing.T) {
				g := NewWithT(t)
				owned, held := sampleOf(t, ns, kind), sampleOf(t, ns, kind)
				owned.SetOwnerReferences([]metav1.OwnerReference{ghost})
				held.SetFinalizers([]string{finalizer, "example.com/forever"})
				g.Expect(as(t, patcher).Create(t.Context(), owned.DeepCopy())).To(deniedBy("holdfast-metadata", "metadata.ownerReferences: expected none, because the garbage collector"))
				g.Expect(as(t, patcher).Create(t.Context(), held.DeepCopy())).To(deniedBy("holdfast-metadata", "metadata.finalizers: expected none"))
				g.Expect(as(t, deleter).Create(t.Context(), owned.DeepCopy())).To(Succeed())
				g.Expect(as(t, deleter).Create(t.Context(), held.DeepCopy())).To(Succeed())
			})
			for way, strip := range strippings {
				t.Run(way, func(t *testing.T) {
					g := NewWithT(t)
					open, closed := make(t, false), make(t, true)
					g.Expect(strip(as(t, patcher), open)).To(Succeed())
					g.Expect(open.GetFinalizers()).To(ConsistOf(finalizer), "of an open record")
					g.Expect(strip(as(t, patcher), closed)).To(Succeed())
					g.Expect(closed.GetFinalizers()).To(ConsistOf(finalizer), "of a closed one that may not be drained yet")
					g.Expect(strip(as(t, releaser), closed)).To(Succeed())
					g.Expect(closed.GetFinalizers()).To(BeEmpty(), "as the relay does")

					terminating := make(t, false)
					g.Expect(as(t, "").Delete(t.Context(), terminating.DeepCopy())).To(Succeed())
					g.Expect(as(t, "").Get(t.Context(), keyOf(terminating), terminating)).To(Succeed())
					g.Expect(strip(as(t, patcher), terminating.DeepCopy())).To(deniedBy("holdfast-metadata", "expected holdfast.dev/outbox to stay"))
					g.Expect(client.IgnoreNotFound(strip(as(t, deleter), terminating.DeepCopy()))).To(Succeed(), "the way out when no manager is left")
					g.Expect(as(t, "").Get(t.Context(), keyOf(terminating), terminating)).To(Satisfy(apierrors.IsNotFound))
				})
			}
			t.Run("an owner that does not exist", func(t *testing.T) {
				g, o := NewWithT(t), make(t, false)
				owned := o.DeepCopy()
				owned.SetOwnerReferences([]metav1.OwnerReference{ghost})
				g.Expect(as(t, patcher).Patch(t.Context(), owned.DeepCopy(), client.MergeFrom(o))).To(deniedBy("holdfast-metadata",
					"metadata.ownerReferences: expected no change, because the garbage collector deletes a resource whose owner is gone"))
				g.Expect(as(t, deleter).Patch(t.Context(), owned.DeepCopy(), client.MergeFrom(o))).To(Succeed())
				g.Expect(as(t, patcher).Patch(t.Context(), o.DeepCopy(), client.MergeFrom(owned))).To(deniedBy("holdfast-metadata", "metadata.ownerReferences"), "taking one away")
			})
			t.Run("a foreign finalizer", func(t *testing.T) {
				g, o := NewWithT(t), make(t, false, other)
				without, with := o.DeepCopy(), o.DeepCopy()
				without.SetFinalizers([]string{finalizer})
				with.SetFinalizers([]string{finalizer, other, "example.com/forever"})
				g.Expect(as(t, patcher).Patch(t.Context(), without.DeepCopy(), client.MergeFrom(o))).To(deniedBy("holdfast-metadata", "metadata.finalizers: expected no change"))
				g.Expect(as(t, patcher).Patch(t.Context(), with.DeepCopy(), client.MergeFrom(o))).To(deniedBy("holdfast-metadata", "metadata.finalizers: expected no change"))
				g.Expect(as(t, deleter).Patch(t.Context(), with.DeepCopy(), client.MergeFrom(o))).To(Succeed())
			})
			t.Run("more than anybody needs", func(t *testing.T) {
				g := NewWithT(t)
				many := []string{finalizer}
				for i := range 32 {
					many = append(many, fmt.Sprintf("example.com/f%d", i))
				}
				o := sampleOf(t, ns, kind)
				o.SetFinalizers(many)
				g.Expect(as(t, "").Create(t.Context(), o)).To(MatchError(ContainSubstring("expected at most 32 finalizers")), "each later change would pay for them")
				o = make(t, false)
				g.Expect(as(t, deleter).Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["holdfast.dev/outbox","holdfast.dev/outbox"]}}`)))).
					To(MatchError(ContainSubstring("holdfast.dev/outbox among them at most once")))
				g.Expect(as(t, "").Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)))).To(Succeed())
			})
			t.Run("the finalizer, once it was released", func(t *testing.T) {
				g, o := NewWithT(t), make(t, true)
				without := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
				g.Expect(as(t, releaser).Patch(t.Context(), o, without)).To(Succeed())
				again := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["holdfast.dev/outbox"]}}`))
				g.Expect(as(t, patcher).Patch(t.Context(), o.DeepCopy(), again)).To(deniedBy("holdfast-metadata", "the record is closed"))
				g.Expect(as(t, deleter).Patch(t.Context(), o.DeepCopy(), again)).To(Succeed())
			})
			t.Run("labels are free", func(t *testing.T) {
				g, o := NewWithT(t), make(t, false, other)
				g.Expect(as(t, patcher).Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"checkout"}}}`)))).To(Succeed())
			})
		})
	}
}

func TestOrchestration(t *testing.T) {
	ns := namespace(t)
	rr := sampleOf(t, ns, "RemediationRequest")
	NewWithT(t).Expect(as(t, "").Create(t.Context(), rr)).To(Succeed())
	controller := true
	owner := metav1.OwnerReference{APIVersion: "holdfast.dev/v1alpha1", Kind: "RemediationRequest", Name: rr.GetName(), UID: rr.GetUID(), Controller: &controller}
	for kind, resource := range resources {
		if kind == "RemediationRequest" {
			continue
		}
		maker, orchestrator := "maker-of-"+resource, "orchestrator-of-"+resource
		makes := rule("holdfast.dev", resource, "create", "get", "patch", "update", "delete")
		grant(t, ns, maker, makes)
		grant(t, ns, orchestrator, makes, named(rbacv1.PolicyRule{APIGroups: []string{"holdfast.dev"}, Resources: []string{"remediationrequests"}, Verbs: []string{"orchestrate"}}, rr.GetName()))
		child := func(t *testing.T, name string, uid types.UID, owners ...metav1.OwnerReference) *unstructured.Unstructured {
			t.Helper()
			o := sampleOf(t, ns, kind)
			NewWithT(t).Expect(unstructured.SetNestedMap(o.Object, map[string]any{"name": name, "uid": string(uid)}, "spec", "remediationRef")).To(Succeed())
			o.SetOwnerReferences(owners)
			return o
		}
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			refused := deniedBy("holdfast-orchestration", `RemediationRequest "`+rr.GetName()+`": expected a caller with the verb orchestrate on it; "`+maker+`" does not have it`)
			weak := owner
			weak.Controller = nil
			another := owner
			another.Name, another.UID = "another", "11111111-0000-4000-8000-000000000000"

			g.Expect(as(t, maker).Create(t.Context(), child(t, rr.GetName(), rr.GetUID(), owner))).To(refused)
			g.Expect(as(t, maker).Create(t.Context(), child(t, rr.GetName(), rr.GetUID(), weak))).To(refused, "an owner that is no controller")
			g.Expect(as(t, orchestrator).Create(t.Context(), child(t, rr.GetName(), rr.GetUID(), owner))).To(Succeed())
			g.Expect(as(t, orchestrator).Create(t.Context(), child(t, rr.GetName(), rr.GetUID(), another))).To(MatchError(ContainSubstring("expected the one of spec.remediationRef")))

			byHand := child(t, "by-hand", "by-hand")
			g.Expect(as(t, maker).Create(t.Context(), byHand)).To(Succeed(), "by hand, owned by nobody")
			claimed := byHand.DeepCopy()
			claimed.SetOwnerReferences([]metav1.OwnerReference{another})
			g.Expect(as(t, maker).Patch(t.Context(), claimed, client.MergeFrom(byHand))).To(MatchError(ContainSubstring("expected the one of spec.remediationRef")), "claimed later")
			adopted := child(t, rr.GetName(), rr.GetUID())
			g.Expect(as(t, maker).Create(t.Context(), adopted)).To(Succeed())
			claimed = adopted.DeepCopy()
			claimed.SetOwnerReferences([]metav1.OwnerReference{owner})
			g.Expect(as(t, maker).Patch(t.Context(), claimed, client.MergeFrom(adopted))).To(refused, "claimed later")
		})
	}
}

// A decision that can't count is refused with the reason, not taken in silence.
func TestADecisionThatComesTooLate(t *testing.T) {
	ns := namespace(t)
	grant(t, ns, jane, edits, rule("holdfast.dev", "aianalyses", "approve"))
	for name, c := range map[string]struct {
		change func(g *WithT, a *unstructured.Unstructured)
		reason string
	}{
		"it waits":         {func(g *WithT, a *unstructured.Unstructured) { phase(t, a, "AwaitingApproval") }, ""},
		"it investigates":  {func(g *WithT, a *unstructured.Unstructured) { phase(t, a, "Investigating") }, ""},
		"it has completed": {func(g *WithT, a *unstructured.Unstructured) { phase(t, a, "Completed") }, "it has ended with phase Completed"},
		"it has expired":   {func(g *WithT, a *unstructured.Unstructured) { phase(t, a, "TimedOut") }, "it has ended with phase TimedOut"},
		"it is cancelled": {func(g *WithT, a *unstructured.Unstructured) {
			g.Expect(as(t, "").Patch(t.Context(), a, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))).To(Succeed())
		}, "it is cancelled"},
		"it is being deleted": {func(g *WithT, a *unstructured.Unstructured) {
			g.Expect(as(t, "").Delete(t.Context(), a)).To(Succeed())
		}, "it is being deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			g, a := NewWithT(t), sampleOf(t, ns, "AIAnalysis")
			g.Expect(as(t, "").Create(t.Context(), a)).To(Succeed())
			remove(t, a)
			c.change(g, a)
			err := decide(t, ns, a.GetName(), jane, jane)
			if c.reason == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(And(ContainSubstring("holdfast-approval"),
				ContainSubstring(`spec.decision: "Approved" is too late: expected an analysis that waits for a decision, but `+c.reason))))
		})
	}
}

func phase(t *testing.T, o *unstructured.Unstructured, phase string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(unstructured.SetNestedField(o.Object, phase, "status", "phase")).To(Succeed())
	g.Expect(as(t, "").Status().Update(t.Context(), o)).To(Succeed())
}
