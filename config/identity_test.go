package config_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

func requestedBy(name string) func(*unstructured.Unstructured) {
	return func(o *unstructured.Unstructured) { o.Object["spec"].(map[string]any)["requestedBy"] = name }
}

// Who asked, and who cancelled, is who says so: tried with tokens, as a Pod or a stolen token would.
func TestWhoAskedAndWhoCancelled(t *testing.T) {
	installRoles(t)
	r := newTrial(t)
	asker := account(t, r.ns, "asker", "holdfast-requester")
	other := account(t, r.ns, "other", "holdfast-requester")
	// made makes a request with the token, and returns it as it is stored.
	made := func(t *testing.T, change ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
		o := sampleOf(t, r.ns, "RemediationRequest")
		for _, f := range change {
			f(o)
		}
		NewWithT(t).Eventually(func() error { return asker.Create(t.Context(), o) }, enforcement, poll).Should(Succeed())
		return o
	}
	by := func(t *testing.T, o *unstructured.Unstructured, field string) string {
		NewWithT(t).Expect(as(t, "").Get(t.Context(), keyOf(o), o)).To(Succeed())
		name, _, _ := unstructured.NestedString(o.Object, "spec", field)
		return name
	}
	me, stranger := r.user("asker"), r.user("other")

	t.Run("who names nobody gets the own name", func(t *testing.T) {
		g := NewWithT(t)
		o := made(t)
		g.Expect(by(t, o, "requestedBy")).To(Equal(me))
		g.Expect(by(t, o, "cancelledBy")).To(BeEmpty())
	})
	t.Run("who names themselves keeps it", func(t *testing.T) {
		o := made(t, requestedBy(me))
		NewWithT(t).Expect(by(t, o, "requestedBy")).To(Equal(me))
	})
	t.Run("who names somebody else is refused, also an administrator", func(t *testing.T) {
		g := NewWithT(t)
		made(t) // the token's rights are known
		g.Expect(r.make(asker, r.ns, "RemediationRequest", requestedBy(stranger))).To(deniedBy("holdfast-identity",
			`spec.requestedBy: "`+stranger+`": expected the user name of the caller, "`+me+`"`))
		g.Expect(r.make(as(t, ""), r.ns, "RemediationRequest", requestedBy(stranger))).To(deniedBy("holdfast-identity", `the user name of the caller, "admin"`))
		g.Expect(r.make(asker, r.ns, "RemediationRequest", func(o *unstructured.Unstructured) {
			spec := o.Object["spec"].(map[string]any)
			spec["cancel"], spec["cancelledBy"] = true, stranger
		})).To(deniedBy("holdfast-identity", "spec.cancelledBy"))
	})
	t.Run("nobody can change it", func(t *testing.T) {
		g := NewWithT(t)
		o := made(t)
		for _, c := range []string{`"` + stranger + `"`, `"admin"`} {
			g.Expect(r.try(other, o, merge(`{"spec":{"requestedBy":`+c+`}}`))).To(MatchError(ContainSubstring("requestedBy is immutable")), c)
		}
		g.Expect(r.try(other, o, merge(`{"spec":{"requestedBy":null}}`))).To(Succeed())
		g.Expect(by(t, o, "requestedBy")).To(Equal(me), "it is put back, since clients that do not know the field drop it")
		g.Expect(r.try(as(t, ""), o, merge(`{"metadata":{"labels":{"team":"checkout"}}}`))).To(Succeed(), "who changes something else is not asked")
	})
	t.Run("who cancels gets the own name", func(t *testing.T) {
		g := NewWithT(t)
		o := made(t)
		g.Expect(r.try(other, o, merge(`{"spec":{"cancelledBy":"`+stranger+`"}}`))).To(MatchError(ContainSubstring("cancelledBy requires cancel to be true")))
		g.Expect(r.try(other, o, merge(`{"spec":{"cancel":true,"cancelledBy":"`+me+`"}}`))).To(deniedBy("holdfast-identity",
			`spec.cancelledBy: "`+me+`": expected the user name of the caller, "`+stranger+`"`))
		g.Expect(r.try(other, o, merge(cancelIt))).To(Succeed())
		g.Expect(by(t, o, "cancelledBy")).To(Equal(stranger))
		g.Expect(by(t, o, "requestedBy")).To(Equal(me))

		g.Expect(r.try(asker, o, merge(`{"spec":{"cancelledBy":"`+me+`"}}`))).To(MatchError(ContainSubstring("cancelledBy is immutable once cancel is true")))
		g.Expect(r.try(asker, o, merge(`{"spec":{"cancelledBy":null}}`))).To(Succeed())
		g.Expect(by(t, o, "cancelledBy")).To(Equal(stranger), "it is put back")
		g.Expect(r.try(asker, o, merge(cancelIt))).To(Succeed())
		g.Expect(by(t, o, "cancelledBy")).To(Equal(stranger), "cancelling again changes nothing")
	})
	t.Run("who makes a request that is cancelled is both", func(t *testing.T) {
		g := NewWithT(t)
		o := made(t, func(o *unstructured.Unstructured) { o.Object["spec"].(map[string]any)["cancel"] = true })
		g.Expect(by(t, o, "requestedBy")).To(Equal(me))
		g.Expect(by(t, o, "cancelledBy")).To(Equal(me))
	})
	t.Run("the longest name of an account fits", func(t *testing.T) {
		long := "system:serviceaccount:" + r.ns + ":" + strings.Repeat("a", 253)
		grant(t, r.ns, long, rule(own, "remediationrequests", "create"))
		rr := sampleOf(t, r.ns, "RemediationRequest")
		NewWithT(t).Expect(as(t, long).Create(t.Context(), rr)).To(Succeed())
		NewWithT(t).Expect(by(t, rr, "requestedBy")).To(Equal(long))
	})
	t.Run("who applies the same manifest again changes nothing", func(t *testing.T) {
		g := NewWithT(t)
		manifest := sampleOf(t, r.ns, "RemediationRequest")
		manifest.SetGenerateName("")
		manifest.SetName("applied")
		apply := func(c client.Client) error {
			return c.Patch(t.Context(), manifest.DeepCopy(), client.Apply, client.FieldOwner("gitops"), client.ForceOwnership) //nolint:staticcheck // of an unstructured object
		}
		g.Eventually(func() error { return apply(asker) }, enforcement, poll).Should(Succeed())
		g.Expect(apply(asker)).To(Succeed())
		g.Expect(apply(other)).To(Succeed())
		g.Expect(by(t, manifest.DeepCopy(), "requestedBy")).To(Equal(me))
	})
	t.Run("a typed client that writes the whole spec changes nothing", func(t *testing.T) {
		g := NewWithT(t)
		o, rr := made(t), &v1alpha1.RemediationRequest{}
		g.Expect(as(t, "").Get(t.Context(), keyOf(o), rr)).To(Succeed())
		rr.Spec.RequestedBy, rr.Labels = "", map[string]string{"by": "older"}
		g.Expect(as(t, "").Update(t.Context(), rr)).To(Succeed())
		g.Expect(by(t, o, "requestedBy")).To(Equal(me))
	})
}
