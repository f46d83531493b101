package relay

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// of makes a notification one of a namespace, by its number.
func of(namespace string, i int) notificationOption {
	return func(obj *v1alpha1.NotificationRequest, _ *bool) {
		obj.Namespace, obj.Name, obj.UID = namespace, fmt.Sprintf("n%d", i), types.UID(fmt.Sprintf("%s-%d", namespace, i))
	}
}

// sent counts the items of a batch by namespace.
func sent(b batch) map[string]int {
	n := map[string]int{}
	for _, item := range b.items {
		n[item.Source.Namespace]++
	}
	return n
}

func TestANamespaceWithMuchToSendDelaysNoOther(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	for i := range 50 {
		tr.observe(k, withEntries(t, 100, of("busy", i)), tr.generation())
	}
	tr.observe(k, withEntries(t, 1, of("quiet", 0)), tr.generation())
	b := tr.dequeue()
	g.Expect(sent(b)).To(Equal(map[string]int{"busy": 999, "quiet": 1}))

	// Nor does one whose entries the store refuses again and again.
	tr.requeue(b, false)
	for i := range 2 {
		tr.observe(k, withEntries(t, 300, of("late", i)), tr.generation())
	}
	b = tr.dequeue()
	g.Expect(sent(b)).To(And(HaveKeyWithValue("quiet", 1), HaveKeyWithValue("late", BeNumerically("~", 500, 1))))
	tr.commit(b, stored(len(b.items)))
	g.Expect(sent(tr.dequeue())).To(HaveKeyWithValue("late", BeNumerically("~", 100, 1)))
}

// One entry a turn is one too many where there are more namespaces than a batch has room: the next batch begins with those that had no turn.
func TestEveryNamespaceHasItsTurn(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{BatchRows: 3})
	for i := range 5 {
		tr.observe(k, withEntries(t, 4, of(string(rune('a'+i)), 0)), tr.generation())
	}
	all := map[string]int{}
	for range 5 {
		b := tr.dequeue()
		for namespace, n := range sent(b) {
			all[namespace] += n
		}
		tr.commit(b, stored(len(b.items)))
	}
	g.Expect(all).To(Equal(map[string]int{"a": 3, "b": 3, "c": 3, "d": 3, "e": 3}))
}

// large is an outbox of n entries of 64 KiB each. Nobody reads them before they are sent.
func large(n int) notificationOption {
	return func(obj *v1alpha1.NotificationRequest, _ *bool) {
		obj.Status.Outbox = &outboxapi.Outbox{Entries: slices.Repeat([]outboxapi.Entry{outboxapi.Entry(strings.Repeat("x", 64<<10))}, n), LastSequence: int64(n)}
	}
}

func TestOrphansAreBoundedByBytes(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{})
	dropped := testutil.ToFloat64(orphanedEntries.WithLabelValues("dropped"))
	const each, share = 8 * 64 << 10, 16 << 20
	for i := range 100 {
		tr.orphan(t.Context(), k, withEntries(t, 0, of("busy", i), large(8)))
	}
	g.Expect(tr.orphans.all.bytes).To(Equal(share), "a quarter")
	g.Expect(testutil.ToFloat64(orphanedEntries.WithLabelValues("dropped")) - dropped).To(BeEquivalentTo((100 - share/each) * 8))
	g.Expect(tr.resources).To(HaveLen(share / each))
	g.Expect(tr.queue.size).To(Equal(share/each), "the queue keeps nothing of those that were dropped")

	tr.orphan(t.Context(), k, withEntries(t, 0, of("quiet", 0), large(8)))
	g.Expect(tr.resources).To(HaveKey(types.UID("quiet-0")))

	for namespace := range 10 {
		for i := range 100 {
			tr.orphan(t.Context(), k, withEntries(t, 0, of(fmt.Sprintf("busy%d", namespace), i), large(8)))
		}
	}
	g.Expect(tr.orphans.all.bytes).To(Equal(64<<20), "all of them together")

	for b := tr.dequeue(); len(b.items) > 0; b = tr.dequeue() {
		tr.commit(b, stored(len(b.items)))
	}
	g.Expect(tr.orphans.all).To(BeZero(), "the room is free again")
	g.Expect(tr.orphans.in).To(BeEmpty())
	g.Expect(tr.resources).To(BeEmpty())
}

func TestOrphansAreBoundedByCount(t *testing.T) {
	g := NewWithT(t)
	tr, k := tracking(Config{MaxOrphaned: 12})
	for i := range 3 {
		tr.orphan(t.Context(), k, withEntries(t, 2, of("busy", i)))
	}
	g.Expect(tr.orphans.all.entries).To(Equal(2), "a quarter for one namespace")
	for i := range 10 {
		tr.orphan(t.Context(), k, withEntries(t, 2, of(fmt.Sprintf("n%d", i), 0)))
	}
	g.Expect(tr.orphans.all.entries).To(Equal(12))
	g.Expect(tr.resources).To(HaveLen(6))
}
