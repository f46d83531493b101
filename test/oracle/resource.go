package oracle

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// finalizer is what holds a resource until its entries are durable.
const finalizer = "holdfast.dev/outbox"

// resource is what was seen of one uid.
type resource struct {
	kind, namespace, name, uid string
	created                    time.Time
	entries                    map[int64]entry

	// The newest revision.
	version  string
	last     int64
	head     string
	pending  int64
	listed   int // entries in it
	closed   bool
	deleting bool
	blocked  bool // by the finalizer
	gone     bool

	// wrong is what the revisions themselves show: history that changed, a chain that does not hold.
	wrong []Difference
}

func newResource(object *unstructured.Unstructured) *resource {
	return &resource{
		kind: object.GetKind(), namespace: object.GetNamespace(), name: object.GetName(), uid: string(object.GetUID()),
		created: object.GetCreationTimestamp().Time, entries: map[int64]entry{},
	}
}

// observe takes a revision that is newer than all before.
func (r *resource) observe(object *unstructured.Unstructured) {
	last, _, _ := unstructured.NestedInt64(object.Object, "status", "outbox", "lastSequence")
	head, _, _ := unstructured.NestedString(object.Object, "status", "outbox", "headHash")
	if last < r.last || last == r.last && head != r.head {
		r.differ(Changed, last, "the resource went from entry %d (%s) to entry %d (%s)", r.last, r.head, last, head)
	}
	entries, err := entriesOf(object)
	if err != nil {
		r.differ(Changed, 0, "status.outbox can't be read: %v", err)
	}
	for i, e := range entries {
		if want := last - int64(len(entries)-1-i); e.sequence != want {
			r.differ(OutOfOrder, e.sequence, "entry %d is at place %d of %d of an outbox whose last is %d", e.sequence, i+1, len(entries), last)
		}
		r.note(e)
	}
	if n := len(entries); n > 0 && entries[n-1].hash != head {
		r.differ(ChainBreak, last, "headHash is %q, the newest entry has %q", head, entries[n-1].hash)
	}
	r.version, r.last, r.head, r.listed = object.GetResourceVersion(), max(r.last, last), head, len(entries)
	r.pending, _, _ = unstructured.NestedInt64(object.Object, "status", "outbox", "pending")
	r.closed, _, _ = unstructured.NestedBool(object.Object, "status", "outbox", "closed")
	r.deleting = object.GetDeletionTimestamp() != nil
	r.blocked = slices.Contains(object.GetFinalizers(), finalizer)
}

// note records one entry, which must be as it was when it was observed before.
func (r *resource) note(e entry) {
	before, known := r.entries[e.sequence]
	switch {
	case known && before == e:
		return
	case known:
		r.differ(Changed, e.sequence, "it changed in the resource after it was appended, from hash %s and text %s to hash %s and text %s", before.hash, before.text, e.hash, e.text)
		return
	}
	r.entries[e.sequence] = e
	if e.fault != "" {
		r.differ(Changed, e.sequence, "%s: %s", e.fault, e.text)
	}
	if want := r.id(e.sequence); e.id != want {
		r.differ(Changed, e.sequence, "the resource says id %s, expected %s", e.id, want)
	}
	if previous, ok := r.entries[e.sequence-1]; (ok || e.sequence == 1) && previous.hash != e.previousHash {
		r.differ(ChainBreak, e.sequence, "previousHash is %q in the resource, the entry before has %q", e.previousHash, previous.hash)
	}
}

func (r *resource) id(sequence int64) string { return idOf(r.uid, r.created, sequence) }

func (r *resource) differ(what Class, sequence int64, format string, arguments ...any) {
	r.wrong = append(r.wrong, r.difference(what, sequence, format, arguments...))
}

func (r *resource) difference(what Class, sequence int64, format string, arguments ...any) Difference {
	return Difference{Class: what, Kind: r.kind, Namespace: r.namespace, Name: r.name, UID: r.uid, Sequence: sequence, ID: r.id(sequence), Detail: fmt.Sprintf(format, arguments...)}
}

// undrained says what a resource that is there still waits for, "" for nothing.
func (r *resource) undrained() string {
	switch {
	case r.gone:
		return ""
	case r.pending != 0 || r.listed != 0:
		return fmt.Sprintf("%d entries are pending (%d are in it) up to sequence %d", r.pending, r.listed, r.last)
	case r.closed && r.blocked:
		return "its record is closed and drained, but the finalizer is there"
	case r.closed && r.deleting:
		return "it is closed, drained and deleted, but not gone"
	}
	return ""
}
