package v1alpha1_test

import (
	"context"
	"fmt"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// entries are n audit entries after the first `after`. Their hashes are of the right shape, which is all that the API server looks at.
func entries(after, n int) []any {
	list := make([]any, 0, n)
	for sequence := after + 1; sequence <= after+n; sequence++ {
		list = append(list, object{
			"id": fmt.Sprintf("019ab3c4-0000-8000-8000-%012d", sequence), "sequence": sequence, "kind": "orchestration", "event": "PhaseChanged",
			"phase": "Executing", "recordedTime": "2026-11-23T04:05:06.123456Z", "schemaVersion": 1, "final": false,
			"record": object{"remediation_id": "0b6f"}, "previousHash": hash(sequence - 1), "hash": hash(sequence),
		})
	}
	return list
}

func hash(sequence int) string { return fmt.Sprintf("%064x", sequence) }

// outboxOf has the entries after the first `after`, up to `last`.
func outboxOf(after, last int, closed bool) object {
	return object{
		"lastSequence": last, "persistedSequence": after, "pending": last - after, "headHash": hash(last), "closed": closed,
		"entries": entries(after, last-after),
	}
}

// withOutbox makes a resource that has this outbox.
func withOutbox(ctx context.Context, k kind, outbox object) object {
	GinkgoHelper()
	o, err := create(ctx, k, sample(k, newNamespace(ctx)))
	Expect(err).NotTo(HaveOccurred())
	o, err = updateStatus(ctx, k, at(o, "status.outbox", outbox))
	Expect(err).NotTo(HaveOccurred())
	return o
}

// patchStatus is one JSON patch, as the relay's.
func patchStatus(ctx context.Context, k kind, o object, operations ...object) (object, error) {
	return request{
		verb: http.MethodPatch, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o), subresource: "status",
		patch: "application/json-patch+json", body: operations,
	}.do(ctx)
}

func replace(path string, value any) object {
	return object{"op": "replace", "path": path, "value": value}
}

const final = "a closed outbox is final: "

var _ = Describe("An outbox", func() {
	for _, k := range kinds {
		Describe("of a "+k.name, func() {
			DescribeTable("that is closed is final, by update and by patch", func(ctx context.Context, field string, value any, message string) {
				o := withOutbox(ctx, k, outboxOf(2, 5, true))
				_, err := updateStatus(ctx, k, at(copyOf(o), "status.outbox."+field, value))
				Expect(err).To(beRefused("status.outbox", message))
				_, err = patchStatus(ctx, k, o, replace("/status/outbox/"+field, value))
				Expect(err).To(beRefused("status.outbox", message))
			},
				Entry("it stays closed", "closed", false, final+"closed, headHash and lastSequence stay as they are"),
				Entry("its head stays", "headHash", hash(6), final+"closed, headHash and lastSequence stay as they are"),
				Entry("its length stays", "lastSequence", 6, final+"closed, headHash and lastSequence stay as they are"),
				Entry("no entry is added", "entries", entries(2, 4), final+"its entries only shrink, oldest first"),
				Entry("none comes back", "entries", entries(1, 4), final+"its entries only shrink, oldest first"),
				Entry("none leaves out of turn", "entries", entries(2, 2), final+"its entries only shrink, oldest first"),
				Entry("none is replaced", "entries", entries(3, 3), final+"its entries only shrink, oldest first"),
				Entry("none is changed", "entries", append(entries(2, 2), entries(6, 1)...), final+"its entries only shrink, oldest first"),
			)

			It("that is closed shrinks, oldest first, by update and by patch", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 5, true))
				o, err := updateStatus(ctx, k, at(o, "status.outbox", outboxOf(2, 5, true)))
				Expect(err).NotTo(HaveOccurred())
				o, err = patchStatus(ctx, k, o,
					object{"op": "test", "path": "/status/outbox/headHash", "value": hash(5)},
					replace("/status/outbox/entries", entries(3, 2)), replace("/status/outbox/persistedSequence", 3), replace("/status/outbox/pending", 2))
				Expect(err).NotTo(HaveOccurred())
				o, err = patchStatus(ctx, k, o,
					replace("/status/outbox/entries", []any{}), replace("/status/outbox/persistedSequence", 5), replace("/status/outbox/pending", 0),
					object{"op": "add", "path": "/status/outbox/persistedTime", "value": "2026-11-23T04:05:06.789012Z"})
				Expect(err).NotTo(HaveOccurred())
				Expect(o["status"]).To(HaveKeyWithValue("outbox", HaveKeyWithValue("entries", BeEmpty())))
			})

			It("that exists can't be removed", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 1, false))
				without := copyOf(o)
				delete(without["status"].(object), "outbox")
				for _, changed := range []object{
					without, at(copyOf(o), "status", object{"phase": "Pending"}), at(copyOf(o), "status", object{}), at(copyOf(o), "status.outbox", nil),
				} {
					_, err := updateStatus(ctx, k, changed)
					Expect(err).To(beRefused("<nil>", "status.outbox can't be removed"))
				}
				delete(without, "status")
				_, err := updateStatus(ctx, k, without)
				Expect(err).To(beRefused("<nil>", "status.outbox can't be removed"))
				_, err = patchStatus(ctx, k, o, object{"op": "remove", "path": "/status/outbox"})
				Expect(err).To(beRefused("<nil>", "status.outbox can't be removed"))
				_, err = patchStatus(ctx, k, o, object{"op": "remove", "path": "/status"})
				Expect(err).To(beRefused("<nil>", "status.outbox can't be removed"))

				stored, err := update(ctx, k, without) // the main resource does not write the status
				Expect(err).NotTo(HaveOccurred())
				Expect(stored["status"]).To(Equal(o["status"]))
			})

			DescribeTable("needs the fields that patches test and rules read", func(ctx context.Context, field string) {
				o := withOutbox(ctx, k, outboxOf(0, 1, false))
				_, err := patchStatus(ctx, k, o, object{"op": "remove", "path": "/status/outbox/" + field})
				Expect(err).To(beRefused("status.outbox."+field, "Required value"))
			},
				Entry(nil, "lastSequence"), Entry(nil, "persistedSequence"), Entry(nil, "pending"), Entry(nil, "headHash"), Entry(nil, "closed"),
			)

			It("that is open grows, and shrinks", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 2, false))
				for _, next := range []object{outboxOf(1, 3, false), outboxOf(3, 3, false), outboxOf(3, 4, false), outboxOf(3, 5, true)} {
					var err error
					o, err = updateStatus(ctx, k, at(o, "status.outbox", next))
					Expect(err).NotTo(HaveOccurred())
				}
			})

			It("is closed and trimmed with 500 entries, within the budget of the rules", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 499, false))
				o, err := updateStatus(ctx, k, at(o, "status.outbox", outboxOf(0, 500, true)))
				Expect(err).NotTo(HaveOccurred())
				o, err = patchStatus(ctx, k, o, replace("/status/outbox/entries", entries(1, 499)))
				Expect(err).NotTo(HaveOccurred())
				_, err = patchStatus(ctx, k, o, replace("/status/outbox/entries", entries(500, 0)))
				Expect(err).NotTo(HaveOccurred())
			})

			It("keeps an entry's record as it is", func(ctx context.Context) {
				outbox := outboxOf(0, 1, false)
				record := object{
					"text": "free form", "number": 0.25, "big": 9007199254740991, "none": nil, "list": []any{1, "two", nil, object{"three": true}},
					"nested": object{"status": object{"outbox": object{"closed": "yes"}}}, "": "no name", "apiVersion": 1, "kind": []any{}, "metadata": "text",
				}
				at(object{"outbox": outbox}, "outbox.entries[0].record", record)
				o := withOutbox(ctx, k, outbox)
				stored, err := request{verb: http.MethodGet, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o)}.do(ctx)
				Expect(err).NotTo(HaveOccurred())
				got := stored["status"].(object)["outbox"].(object)["entries"].([]any)[0].(object)["record"]
				Expect(got).To(Equal(copyOf(record)))
			})

			It("takes a record only as an object", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 1, false))
				for _, record := range []any{"text", 1, []any{}} {
					_, err := patchStatus(ctx, k, o, replace("/status/outbox/entries/0/record", record))
					Expect(err).To(beRefused("status.outbox.entries[0].record", "must be of type object"))
				}
			})
		})
	}
})
