package demo

import (
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// position is where an entry stands: a resource and a sequence.
type position struct {
	uid      string
	sequence int64
}

// seen is an entry as it stood in a resource.
type seen struct {
	kind, id, hash, previousHash string
}

// witness writes down every entry that was committed to the API server. It reads the resources as they are, without any code of the outbox.
type witness struct {
	mu        sync.Mutex
	entries   map[position]seen
	last      map[string]int64  // uid → lastSequence, also of entries that were gone before they were seen
	resources map[string]string // uid → kind
	// changed are positions that were seen with two contents: somebody wrote history anew.
	changed map[position]bool
}

func newWitness() *witness {
	return &witness{entries: map[position]seen{}, last: map[string]int64{}, resources: map[string]string{}, changed: map[position]bool{}}
}

// observe is an observer.
func (w *witness) observe(k kind, object *unstructured.Unstructured, _ bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	uid := string(object.GetUID())
	w.resources[uid] = k.name
	last, _, _ := unstructured.NestedInt64(object.Object, "status", "outbox", "lastSequence")
	w.last[uid] = max(w.last[uid], last)
	for _, e := range entriesOf(object) {
		at := position{uid, e.sequence}
		now := seen{k.name, e.text("id"), e.text("hash"), e.text("previousHash")}
		if before, ok := w.entries[at]; ok && before != now {
			w.changed[at] = true
			continue
		}
		w.entries[at] = now
	}
}

// count is how many entries were appended so far.
func (w *witness) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := 0
	for _, last := range w.last {
		sum += int(last)
	}
	return sum
}

// ids are those of all entries seen so far.
func (w *witness) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, len(w.entries))
	for _, e := range w.entries {
		ids = append(ids, e.id)
	}
	return ids
}

// entry is one element of status.outbox.entries.
type entry struct {
	sequence int64
	fields   map[string]any
}

func (e entry) text(field string) string {
	s, _, _ := unstructured.NestedString(e.fields, field)
	return s
}

func (e entry) record() record {
	r, _, _ := unstructured.NestedMap(e.fields, "record")
	return r
}

func entriesOf(object *unstructured.Unstructured) []entry {
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "outbox", "entries")
	entries := make([]entry, 0, len(list))
	for _, item := range list {
		fields, ok := item.(map[string]any)
		if !ok {
			continue
		}
		sequence, _, _ := unstructured.NestedInt64(fields, "sequence")
		entries = append(entries, entry{sequence, fields})
	}
	return entries
}
