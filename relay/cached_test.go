package relay

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// pointed is a kind whose status is a pointer.
type pointed struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Status *outboxapi.Status `json:"status,omitempty"`
}

func (p *pointed) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	if p.Status == nil {
		p.Status = &outboxapi.Status{}
	}
	return p.Status, nil
}

func (p *pointed) DeepCopyObject() runtime.Object {
	return &pointed{TypeMeta: p.TypeMeta, ObjectMeta: *p.ObjectMeta.DeepCopy(), Status: p.Status.DeepCopy()}
}

func TestTheWatcherWritesNothingIntoTheCache(t *testing.T) {
	g := NewWithT(t)
	w := &watcher{kind: &kindReconciler{tracker: newTracker(Config{})}}
	cached := &pointed{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1"}}
	other := &pointed{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "2"}}
	w.Create(t.Context(), event.TypedCreateEvent[outbox.Object]{Object: cached}, nil)
	w.Update(t.Context(), event.TypedUpdateEvent[outbox.Object]{ObjectOld: other, ObjectNew: cached}, nil)
	w.Delete(t.Context(), event.TypedDeleteEvent[outbox.Object]{Object: cached}, nil)
	g.Expect(cached.Status).To(BeNil())
	g.Expect(other.Status).To(BeNil())
}
