package relay

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// BenchmarkBatch offers 250 resources with two entries each, and takes them as one batch: what the relay does for a transaction, beside the store.
func BenchmarkBatch(b *testing.B) {
	var all []*v1alpha1.NotificationRequest
	for i := range 250 {
		obj := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "n", UID: types.UID(fmt.Sprintf("u%d", i)), CreationTimestamp: metav1.NewTime(begin)}}
		for range 2 {
			next, _, err := entry.Append(obj.Status.Outbox, entry.SourceOf(obj), entry.Change{
				Kind: entry.KindNotification, Event: "Sent", Phase: "Sent", Record: map[string]any{"subject": "cart is back", "channels": []string{"console"}, "delivery_status": "delivered"},
			}, begin, entry.Salt{}, entry.DefaultLimits())
			if err != nil {
				b.Fatal(err)
			}
			obj.Status.Outbox = next
		}
		all = append(all, obj)
	}
	config := Config{}
	config.setDefaults()
	outcomes := stored(2 * len(all))
	b.ReportAllocs()
	for b.Loop() {
		tr := newTracker(config)
		k := &kindReconciler{kind: "NotificationRequest", tracker: tr, config: config}
		for _, obj := range all {
			tr.observe(k, obj, tr.generation())
		}
		f := tr.dequeue()
		if len(f.items) != len(outcomes) {
			b.Fatalf("%d items in the batch", len(f.items))
		}
		tr.commit(f, outcomes)
	}
}
