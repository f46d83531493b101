package outbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Reserve makes sure, before the controller acts, that the entries its action will bring (at most n, each of any size up to the entry limit) and the
// closing one fit. When they do not, the error is ErrFull: Reserve has set the condition OutboxBlocked and saved that alone, and the draft is spent. Keep the state and act later.
// The relay's next trim starts the reconciler again. What the object was changed before is not saved.
//
// n entries that no outbox could hold are ErrTooLarge. A resource that leaves no room for an outbox is ErrOversized.
func (d *Draft) Reserve(ctx context.Context, n int) error {
	if d.failed != nil {
		return d.spent("reserve room in")
	}
	d.failed = d.reserve(ctx, n)
	return d.failed
}

func (d *Draft) reserve(ctx context.Context, n int) error {
	if err := d.auditable(ctx); err != nil {
		return err
	}
	pending := entry.PendingOf(d.obj.GetUID(), outboxapi.Get(d.base)).Above(d.writer.watermark(d.obj.GetUID()))
	err := d.writer.limits.Room(pending.Texts(), n)
	if err == nil {
		d.setBlocked(metav1.ConditionFalse, "RoomLeft", "")
		return nil
	}
	if !errors.Is(err, ErrFull) {
		return err
	}
	full.WithLabelValues(d.kind).Inc()
	reflect.ValueOf(d.obj).Elem().Set(reflect.ValueOf(d.Base()).Elem()) // no state without its entry
	d.setBlocked(metav1.ConditionTrue, "OutboxFull", blockedMessage)
	if saveErr := d.save(ctx, nil); saveErr != nil {
		return fmt.Errorf("%w; save the condition %s: %w", err, ConditionBlocked, saveErr)
	}
	return err
}

// explainFull sets the condition on the resource as it was read, when an entry that nobody had reserved room for did not fit: the change itself is not saved.
func (d *Draft) explainFull(ctx context.Context, err error) error {
	if !errors.Is(err, ErrFull) {
		return err
	}
	blocked := d.writer.Draft(d.base.DeepCopyObject().(Object))
	blocked.setBlocked(metav1.ConditionTrue, "OutboxFull", blockedMessage)
	return errors.Join(err, blocked.Save(ctx, nil))
}

const blockedMessage = "Holding back the next change until the store has taken pending entries."

// setBlocked touches the condition only when it has something to say: a resource that was never blocked does not carry it.
func (d *Draft) setBlocked(status metav1.ConditionStatus, reason, message string) {
	_, conditions := d.obj.OutboxStatus()
	if conditions == nil || status == metav1.ConditionFalse && meta.FindStatusCondition(*conditions, ConditionBlocked) == nil {
		return
	}
	meta.SetStatusCondition(conditions, metav1.Condition{Type: ConditionBlocked, Status: status, Reason: reason, Message: message, ObservedGeneration: d.obj.GetGeneration()})
}

func groupResource(o client.Object) schema.GroupResource {
	gvk := o.GetObjectKind().GroupVersionKind()
	return schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}
}
