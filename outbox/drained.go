package outbox

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// drainer is an optional interface of a Relay that knows which kinds it drains. relay.Relay implements it.
type drainer interface {
	Drains(kind schema.GroupKind) bool
}

// drained returns an error if nobody drains the outboxes of a kind. They would fill up, and then stop the controller, long after the mistake.
func (w *Writer) drained(gvk schema.GroupVersionKind) error {
	if d, ok := w.relay.(drainer); !ok || d.Drains(gvk.GroupKind()) {
		return nil
	}
	return fmt.Errorf("the Writer's relay does not drain %s, so its outboxes would only fill up; add &%s{} to the kinds of relay.Add or relay.New, or use a Writer without a relay if another process drains the kind",
		gvk.GroupKind(), gvk.Kind)
}
