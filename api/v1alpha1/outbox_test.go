package v1alpha1_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// entries are n audit entries after the first `after`. Their texts are of the right shape, which is all that the API server looks at.
func entries(after, n int) []any {
	list := make([]any, 0, n)
	for sequence := after + 1; sequence <= after+n; sequence++ {
		list = append(list, text(sequence, "Executing"))
	}
	return list
}

func text(sequence int, phase string) string {
	return fmt.Sprintf(`{"event":"PhaseChanged","final":false,"id":"019ab3c4-0000-8000-8000-%012d","kind":"orchestration","phase":%q,"previousHash":%q,`+
		`"record":{"remediation_id":"0b6f"},"recordedTime":"2026-11-23T04:05:06.123456Z","salt":"AAAAAAAAAAAAAAAAAAAAAA","schemaVersion":1,"sequence":%d,"source":{"name":"cart","uid":"5c0f1e2d-0000-4000-8000-000000000001"}}`,
		sequence, phase, hash(sequence-1), sequence)
}

func hash(sequence int) string { return fmt.Sprintf("%064x", sequence) }

// outboxOf has the entries after the first `after`, up to `last`.
func outboxOf(after, last int, closed bool) object {
	head := ""
	if last > 0 {
		head = hash(last)
	}
	return object{
		"lastSequence": last, "persistedSequence": after, "pending": last - after, "headHash": head, "closed": closed,
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

// broken is what the one rule of an outbox says.
const broken = "the outbox only grows at its end and shrinks at its front"

// ways are how a status can be written, each with what it sends to set the outbox.
var ways = map[string]func(ctx context.Context, k kind, o object, outbox any) error{
	"PUT": func(ctx context.Context, k kind, o object, outbox any) error {
		_, err := updateStatus(ctx, k, at(copyOf(o), "status.outbox", outbox))
		return err
	},
	"a merge patch, as kubectl edit --subresource=status sends it": func(ctx context.Context, k kind, o object, outbox any) error {
		_, err := request{
			verb: http.MethodPatch, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o), subresource: "status",
			patch: "application/merge-patch+json", body: object{"status": object{"outbox": outbox}},
		}.do(ctx)
		return err
	},
	"a JSON patch": func(ctx context.Context, k kind, o object, outbox any) error {
		operation := replace("/status/outbox", outbox)
		if outbox == nil {
			operation = object{"op": "remove", "path": "/status/outbox"}
		}
		_, err := patchStatus(ctx, k, o, operation)
		return err
	},
	"a forced apply": func(ctx context.Context, k kind, o object, outbox any) error {
		status := object{"outbox": outbox}
		if outbox == nil {
			status = object{}
		}
		_, err := request{
			verb: http.MethodPatch, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o), subresource: "status", params: map[string]string{"fieldManager": "somebody", "force": "true"},
			patch: "application/apply-patch+yaml", body: object{"apiVersion": "holdfast.dev/v1alpha1", "kind": k.name, "metadata": object{"name": nameOf(o)}, "status": status},
		}.do(ctx)
		return err
	},
}

// breaks are what nobody may make of an outbox: what it is, and what it becomes.
var breaks = []TableEntry{
	Entry("a sequence that goes back", outboxOf(2, 5, false), func(o object) { o["lastSequence"] = 4 }),
	Entry("an outbox that begins anew", outboxOf(2, 5, false), func(o object) {
		o["lastSequence"], o["persistedSequence"], o["headHash"], o["entries"], o["pending"] = 0, 0, "", []any{}, 0
	}),
	Entry("another head for the same entry", outboxOf(2, 5, false), func(o object) { o["headHash"] = hash(9) }),
	Entry("entries that leave before they are durable", outboxOf(2, 5, false), func(o object) { o["entries"] = entries(4, 1) }),
	Entry("a last entry that leaves", outboxOf(2, 5, true), func(o object) { o["entries"] = entries(2, 2) }),
	Entry("an outbox that closes without an entry", outboxOf(2, 5, false), func(o object) { o["closed"] = true }),
	Entry("an outbox that closes before its first entry", outboxOf(0, 0, false), func(o object) { o["closed"] = true }),
	Entry("more entries than sequences", outboxOf(0, 1, false), func(o object) { o["entries"], o["pending"] = entries(0, 2), 2 }),
	Entry("an entry of no sequence", outboxOf(0, 0, false), func(o object) { o["entries"], o["pending"] = entries(0, 1), 1 }),
	Entry("a closed outbox that is opened", outboxOf(2, 5, true), func(o object) { o["closed"] = false }),
	Entry("a closed outbox that grows", outboxOf(2, 5, true), func(o object) {
		o["lastSequence"], o["headHash"], o["entries"] = 6, hash(6), entries(2, 4)
	}),
	Entry("a closed outbox with another last entry", outboxOf(2, 5, true), func(o object) {
		o["entries"] = append(entries(2, 2), text(5, "Forged"))
	}),
	Entry("a closed outbox to which an entry comes back", outboxOf(2, 5, true), func(o object) { o["entries"], o["persistedSequence"] = entries(1, 4), 1 }),
}

// edit is what somebody does with kubectl edit: the editor leaves the outbox that they want. It returns what they see: the file in the editor, each time that it opens, and what kubectl prints.
func edit(ctx context.Context, k kind, o, outbox object) (string, error) {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	wanted, seen, editor := filepath.Join(dir, "wanted"), filepath.Join(dir, "seen"), filepath.Join(dir, "editor")
	content, err := json.Marshal(at(copyOf(o), "status.outbox", outbox)) // JSON is YAML, too
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(wanted, content, 0o600)).To(Succeed())
	Expect(os.WriteFile(editor, fmt.Appendf(nil, "set -e\ncat \"$1\" >>'%s'\ncp '%s' \"$1\"\n", seen, wanted), 0o600)).To(Succeed())
	binaries, err := localcluster.Binaries(ctx, GinkgoWriter, "kubectl")
	Expect(err).NotTo(HaveOccurred())
	cmd := exec.CommandContext(ctx, binaries["kubectl"], "edit", k.plural+".holdfast.dev", nameOf(o), "--namespace", namespaceOf(o), "--subresource=status")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig(), "KUBE_EDITOR=sh "+editor, "HOME="+dir, "TMPDIR="+dir)
	printed, failed := cmd.CombinedOutput()
	file, err := os.ReadFile(seen)
	Expect(err).NotTo(HaveOccurred())
	return string(file) + string(printed), failed
}

var _ = Describe("An outbox", func() {
	for _, k := range kinds {
		Describe("of a "+k.name, func() {
			for how, write := range ways {
				DescribeTable("refuses, by "+how, func(ctx context.Context, is object, becomes func(object)) {
					o := withOutbox(ctx, k, is)
					next := copyOf(is)
					becomes(next)
					Expect(write(ctx, k, o, next)).To(beRefused("status.outbox", broken))
				}, breaks)

				It("that exists can't be removed by "+how, func(ctx context.Context) {
					o := withOutbox(ctx, k, outboxOf(0, 1, false))
					if err := write(ctx, k, o, nil); err == nil { // an apply that does not name it leaves it alone
						got, err := request{verb: http.MethodGet, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o)}.do(ctx)
						Expect(err).NotTo(HaveOccurred())
						Expect(got["status"]).To(HaveKeyWithValue("outbox", HaveKeyWithValue("entries", HaveLen(1))))
					} else {
						Expect(err).To(beRefused("status.outbox", broken))
					}
				})
			}

			It("that exists can't be removed with the status", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 1, false))
				without := copyOf(o)
				delete(without["status"].(object), "outbox")
				for _, changed := range []object{without, at(copyOf(o), "status", object{"phase": "Pending"}), at(copyOf(o), "status", object{})} {
					_, err := updateStatus(ctx, k, changed)
					Expect(err).To(beRefused("status.outbox", broken))
				}
				delete(without, "status")
				_, err := updateStatus(ctx, k, without)
				Expect(err).To(beRefused("status.outbox", broken))
				_, err = patchStatus(ctx, k, o, object{"op": "remove", "path": "/status"})
				Expect(err).To(beRefused("status.outbox", broken))

				stored, err := update(ctx, k, without) // the main resource does not write the status
				Expect(err).NotTo(HaveOccurred())
				Expect(stored["status"]).To(Equal(o["status"]))
			})

			It("is there from the beginning, without pending", func(ctx context.Context) {
				o, err := create(ctx, k, sample(k, newNamespace(ctx)))
				Expect(err).NotTo(HaveOccurred())
				got, err := request{verb: http.MethodGet, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o)}.do(ctx)
				Expect(err).NotTo(HaveOccurred())
				Expect(got["status"]).To(HaveKeyWithValue("outbox", And(HaveLen(5), HaveKeyWithValue("lastSequence", BeEquivalentTo(0)), HaveKeyWithValue("entries", BeEmpty()))))
			})

			It("takes no head that is no hash", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 1, false))
				for _, head := range []string{"zz", strings.ToUpper(hash(0xab)), hash(1)[1:]} {
					next := outboxOf(0, 2, false)
					next["headHash"] = head
					_, err := updateStatus(ctx, k, at(copyOf(o), "status.outbox", next))
					Expect(err).To(beRefused("status.outbox.headHash", "should match"))
				}
			})

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

			// Comparing all entries is refused by the API server for its cost. The relay makes a dead letter of such an entry, and verify finds the chain broken.
			It("that is closed lets its middle be changed", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(2, 5, true))
				_, err := patchStatus(ctx, k, o, replace("/status/outbox/entries/1", text(4, "Forged")))
				Expect(err).NotTo(HaveOccurred())
			})

			DescribeTable("needs the fields that patches test and the rule reads", func(ctx context.Context, field string) {
				o := withOutbox(ctx, k, outboxOf(0, 1, false))
				_, err := patchStatus(ctx, k, o, object{"op": "remove", "path": "/status/outbox/" + field})
				Expect(err).To(beRefused("status.outbox."+field, "Required value"))
			},
				Entry(nil, "lastSequence"), Entry(nil, "persistedSequence"), Entry(nil, "headHash"), Entry(nil, "closed"),
			)

			It("that is open grows, and shrinks", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 2, false))
				for _, next := range []object{outboxOf(1, 3, false), outboxOf(3, 3, false), outboxOf(3, 4, false), outboxOf(3, 5, true)} {
					var err error
					o, err = updateStatus(ctx, k, at(o, "status.outbox", next))
					Expect(err).NotTo(HaveOccurred())
				}
			})

			It("is closed and trimmed with 500 entries, within the budget of the rule", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 499, false))
				o, err := updateStatus(ctx, k, at(o, "status.outbox", outboxOf(0, 500, true)))
				Expect(err).NotTo(HaveOccurred())
				o, err = patchStatus(ctx, k, o, replace("/status/outbox/entries", entries(1, 499)), replace("/status/outbox/persistedSequence", 1))
				Expect(err).NotTo(HaveOccurred())
				_, err = patchStatus(ctx, k, o, replace("/status/outbox/entries", entries(500, 0)), replace("/status/outbox/persistedSequence", 500))
				Expect(err).NotTo(HaveOccurred())
			})

			It("takes an entry only as a text", func(ctx context.Context) {
				o := withOutbox(ctx, k, outboxOf(0, 1, false))
				for _, entry := range []any{1, []any{}, object{"id": "x"}} {
					_, err := patchStatus(ctx, k, o, object{"op": "add", "path": "/status/outbox/entries/-", "value": entry})
					Expect(err).To(beRefused("status.outbox.entries[1]", "must be of type string"))
				}
				o, err := patchStatus(ctx, k, o, replace("/status/outbox/entries/0", strings.Repeat(`"`, 64<<10)))
				Expect(err).NotTo(HaveOccurred(), "the API server does not read it")
				_, err = patchStatus(ctx, k, o, replace("/status/outbox/entries/0", strings.Repeat("x", 64<<10+1)))
				Expect(err).To(beRefused("status.outbox.entries[0]", "may not be more than 65536 bytes"))
			})
		})
	}

	DescribeTable("refuses, by kubectl edit", func(ctx context.Context, is object, becomes func(object)) {
		k := kinds[0]
		o := withOutbox(ctx, k, is)
		next := copyOf(is)
		becomes(next)
		said, err := edit(ctx, k, o, next)
		Expect(err).To(HaveOccurred())
		Expect(said).To(And(ContainSubstring("status.outbox"), ContainSubstring(broken)))
		got, err := request{verb: http.MethodGet, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o)}.do(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(got["status"]).To(Equal(o["status"]))
	}, breaks)

	It("takes by kubectl edit what the relay may do", func(ctx context.Context) {
		o := withOutbox(ctx, kinds[0], outboxOf(0, 2, false))
		said, err := edit(ctx, kinds[0], o, outboxOf(2, 2, false))
		Expect(err).NotTo(HaveOccurred(), said)
		Expect(said).To(ContainSubstring("edited"))
	})
})
