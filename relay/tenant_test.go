package relay

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
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
