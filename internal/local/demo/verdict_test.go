package demo

import (
	"fmt"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
)

// history is a resource with n entries, as an object of the API server, and the rows that they must become.
func history(k kind, uid string, n int) (*unstructured.Unstructured, []stored) {
	var entries []any
	var rows []stored
	previous := ""
	for sequence := int64(1); sequence <= int64(n); sequence++ {
		id, hash := fmt.Sprintf("id-%s-%d", uid, sequence), fmt.Sprintf("hash-%s-%d", uid, sequence)
		entries = append(entries, map[string]any{"id": id, "sequence": sequence, "hash": hash, "previousHash": previous})
		rows = append(rows, stored{position: position{uid, sequence}, kind: k.name, id: id, hash: hash, previousHash: previous, textHash: hash})
		previous = hash
	}
	return carrier(uid, int64(n), entries...), rows
}

func carrier(uid string, last int64, entries ...any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"uid": uid, "name": uid, "namespace": namespace},
		"status":   map[string]any{"outbox": map[string]any{"lastSequence": last, "entries": entries}},
	}}
}

func TestVerdictIsCleanWhenEveryEntryIsARowOnce(t *testing.T) {
	g := NewWithT(t)
	w := newWitness()
	var rows []stored
	for i, k := range kinds {
		object, its := history(k, fmt.Sprint("uid", i), i+1)
		w.observe(k, object, false)
		rows = append(rows, its...)
	}
	v := w.judge(rows)
	g.Expect(v.Clean()).To(BeTrue(), "%v", v)
	g.Expect(v.Total).To(Equal(Count{Kind: "total", Resources: 4, Appended: 10, Rows: 10}))
	g.Expect(v.Kinds[2]).To(Equal(Count{Kind: "WorkflowExecution", Resources: 1, Appended: 3, Rows: 3}))
}

func TestVerdictNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name          string
		change        func(rows []stored) []stored
		lost, doubled int
		fault         string
	}{
		{"a row is missing", func(r []stored) []stored { return r[:2] }, 1, 0, ""},
		{"a row is there twice", func(r []stored) []stored { return append(r, r[2]) }, 0, 1, ""},
		{"an entry has two ids", func(r []stored) []stored {
			again := r[2]
			again.id = "other"
			return append(r, again)
		}, 0, 1, "id other"},
		{"a row has another hash", func(r []stored) []stored { r[2].hash, r[2].textHash = "forged", "forged"; return r }, 0, 0, "hash forged in the database"},
		{"a row has another text", func(r []stored) []stored { r[1].textHash = "forged"; return r }, 0, 0, "the stored text has the hash forged"},
		{"the chain is broken", func(r []stored) []stored { r[1].previousHash = "forged"; return r }, 0, 0, `previous_hash is "forged"`},
		{"a row that nobody appended", func(r []stored) []stored {
			return append(r, stored{position: position{"uid", 4}, kind: kinds[0].name, id: "id4", previousHash: "hash-uid-3"})
		}, 0, 0, "entry 4 of uid: a row that nobody appended"},
		{"a row of a resource that never was", func(r []stored) []stored {
			return append(r, stored{position: position{"ghost", 1}, kind: kinds[0].name, id: "ghost"})
		}, 0, 0, "entry 1 of ghost: a row that nobody appended"},
		{"a row in a table that nobody writes to", func(r []stored) []stored {
			return append(r, stored{position: position{"ghost", 1}, kind: "resource_audit"})
		}, 0, 0, "stored for resource_audit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWitness()
			object, rows := history(kinds[0], "uid", 3)
			w.observe(kinds[0], object, false)
			v := w.judge(c.change(rows))
			g.Expect(v.Clean()).To(BeFalse())
			g.Expect(v.Total.Lost).To(Equal(c.lost), "lost")
			g.Expect(v.Total.Doubled).To(Equal(c.doubled), "doubled")
			if c.fault != "" {
				g.Expect(v.Faults).To(ContainElement(ContainSubstring(c.fault)))
			}
		})
	}
}

func TestDeadLetterIsNoLoss(t *testing.T) {
	g := NewWithT(t)
	w := newWitness()
	object, rows := history(kinds[1], "uid", 2)
	w.observe(kinds[1], object, false)
	rows[1].deadLetter = true
	v := w.judge(rows)
	g.Expect(v.Clean()).To(BeTrue(), "%v", v.Faults)
	g.Expect(v.Total).To(Equal(Count{Kind: "total", Resources: 1, Appended: 2, Rows: 1, DeadLetters: 1}))
}

func TestEntryThatTheWitnessMissedIsLostAllTheSame(t *testing.T) {
	g := NewWithT(t)
	w := newWitness()
	w.observe(kinds[0], carrier("uid", 2), false) // both entries were trimmed before the first look
	g.Expect(w.count()).To(Equal(2))
	g.Expect(w.judge(nil).Total.Lost).To(Equal(2))
	_, rows := history(kinds[0], "uid", 2)
	g.Expect(w.judge(rows).Faults).To(ContainElement(ContainSubstring("the witness has not seen")))
}

func TestWitnessRemembersWhatWasTrimmedAndNoticesWhatWasRewritten(t *testing.T) {
	g := NewWithT(t)
	w := newWitness()
	object, rows := history(kinds[0], "uid", 3)
	w.observe(kinds[0], object, false)
	w.observe(kinds[0], carrier("uid", 3), true)
	g.Expect(w.ids()).To(ConsistOf("id-uid-1", "id-uid-2", "id-uid-3"))
	g.Expect(w.judge(rows).Clean()).To(BeTrue())
	w.observe(kinds[0], carrier("uid", 3, map[string]any{"id": "id-uid-3", "sequence": int64(3), "hash": "forged", "previousHash": "hash-uid-2"}), false)
	g.Expect(w.judge(rows).Faults).To(ContainElement(ContainSubstring("entry 3 of uid: its content changed")))
}

// Whatever is dropped and doubled, in whatever order the database answers: the verdict counts it.
func TestVerdictCountsWhatIsLostAndDoubled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWitness()
		var answer []stored
		lost, doubled := 0, 0
		for i := range rapid.IntRange(1, 6).Draw(t, "resources") {
			k := rapid.SampledFrom(kinds).Draw(t, "kind")
			object, rows := history(k, fmt.Sprint("uid", i), rapid.IntRange(0, 8).Draw(t, "entries"))
			w.observe(k, object, false)
			for _, row := range rows {
				copies := rapid.SampledFrom([]int{1, 1, 1, 0, 2, 3}).Draw(t, "copies")
				lost += max(0, 1-copies)
				doubled += max(0, copies-1)
				answer = append(answer, slices.Repeat([]stored{row}, copies)...)
			}
		}
		answer = rapid.Permutation(answer).Draw(t, "order")
		v := w.judge(answer)
		if v.Total.Lost != lost || v.Total.Doubled != doubled || v.Clean() != (lost+doubled == 0) {
			t.Fatalf("lost %d, doubled %d, clean %v; expected %d and %d", v.Total.Lost, v.Total.Doubled, v.Clean(), lost, doubled)
		}
	})
}
