package v1alpha1_test

import (
	"context"
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// mutable are the fields that may change, each by a rule of its own, and those that holdfast-identity puts back.
var mutable = []string{"cancel", "decision", "requestedBy", "cancelledBy"}

var _ = Describe("A spec", func() {
	for _, k := range kinds {
		It("keeps every field, and the message names it: "+k.name, func(ctx context.Context) {
			original, err := create(ctx, k, full(k, newNamespace(ctx), "kept"))
			Expect(err).NotTo(HaveOccurred())
			other := object{"spec": example(property(schemaOf(k), "spec"), "spec", 1)}
			for _, l := range leaves(property(schemaOf(k), "spec"), "spec") {
				field := l.path[1].(string)
				if slices.Contains(mutable, field) {
					continue
				}
				changed := copyOf(original)
				l.set(changed, l.get(other))
				_, err := update(ctx, k, changed)
				Expect(err).To(beRefused("spec."+field, field+" is immutable"), "%s", l)
			}
		})

		It("keeps what is there and what is not: "+k.name, func(ctx context.Context) {
			namespace := newNamespace(ctx)
			had, err := create(ctx, k, full(k, namespace, "full"))
			Expect(err).NotTo(HaveOccurred())
			lacked, err := create(ctx, k, sparse(k, namespace, "sparse"))
			Expect(err).NotTo(HaveOccurred())
			s := property(schemaOf(k), "spec")
			for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
				if slices.Contains(mutable, field) || slices.Contains(s.Required, field) {
					continue
				}
				without := copyOf(had)
				delete(without["spec"].(object), field)
				_, err := update(ctx, k, without)
				Expect(err).To(beRefused("spec."+field, field+" is immutable"), "remove %s", field)

				with := copyOf(lacked)
				with["spec"].(object)[field] = had["spec"].(object)[field]
				_, err = update(ctx, k, with)
				Expect(err).To(beRefused("spec."+field, field+" is immutable"), "add %s", field)
			}
		})

		It("takes a cancellation, once and for all: "+k.name, func(ctx context.Context) {
			o, err := create(ctx, k, sparse(k, newNamespace(ctx), "cancelled"))
			Expect(err).NotTo(HaveOccurred())
			o["spec"].(object)["cancel"] = true
			o, err = update(ctx, k, o)
			Expect(err).NotTo(HaveOccurred())

			o["spec"].(object)["cancel"] = false
			_, err = update(ctx, k, o)
			Expect(err).To(beRefused("spec.cancel", "cancel cannot be unset once it is true"))
			delete(o["spec"].(object), "cancel")
			_, err = update(ctx, k, o)
			Expect(err).To(beRefused("spec.cancel", "cancel cannot be unset once it is true"))
		})

		It("is there: "+k.name, func(ctx context.Context) {
			o := full(k, newNamespace(ctx), "empty")
			delete(o, "spec")
			_, err := create(ctx, k, o)
			Expect(err).To(beRefused("spec", "Required value"))
		})
	}

	It("takes a decision, once", func(ctx context.Context) {
		o, err := create(ctx, aiAnalysis, sample(aiAnalysis, newNamespace(ctx)))
		Expect(err).NotTo(HaveOccurred())
		decision := object{"verdict": "Rejected", "decidedBy": user, "method": "console", "justification": "not now"}
		o["spec"].(object)["decision"] = decision
		o, err = update(ctx, aiAnalysis, o)
		Expect(err).NotTo(HaveOccurred())

		for field, value := range map[string]any{"verdict": "Approved", "method": "api", "justification": "why not"} {
			changed := copyOf(o)
			changed["spec"].(object)["decision"].(object)[field] = value
			_, err = update(ctx, aiAnalysis, changed)
			Expect(err).To(beRefused("spec.decision", "decision is immutable once it is set"), field)
		}
		delete(o["spec"].(object), "decision")
		_, err = update(ctx, aiAnalysis, o)
		Expect(err).To(beRefused("spec.decision", "decision is immutable once it is set"))
	})
})

// get reads the leaf's value from an object that example has made.
func (l leaf) get(o object) any {
	var at any = o
	for _, step := range l.path {
		switch step := step.(type) {
		case string:
			at = at.(object)[step]
		case int:
			at = at.([]any)[step]
		}
	}
	return at
}
