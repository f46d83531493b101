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
)

// ConditionedObject is an Object with standard conditions, in which Reserve says that a change waits for room.
type ConditionedObject interface {
	Object
	GetConditions() []metav1.Condition
	SetConditions([]metav1.Condition)
}

// Reserve makes sure, before the controller acts, that the entries its action will bring (at most n, each of any size up to the entry limit) and the
// closing one fit. When they don't, it sets the condition OutboxBlocked, saves that alone, and returns false: keep the
// state, act later. The relay's next trim starts the reconciler again. What the draft's object was changed before is not saved; the draft is spent, as after an error.
// n entries that no outbox could hold are ErrTooLarge. A resource that leaves no room for an outbox is ErrOversized.
func (d *Draft) Reserve(ctx context.Context, n int) (bool, error) {
	if d.spent {
		return false, fmt.Errorf("reserve room in %s: %w", SourceOf(d.obj), ErrSpent)
	}
	ok, err := d.reserve(ctx, n)
	d.spent = !ok
	return ok, err
}

func (d *Draft) reserve(ctx context.Context, n int) (bool, error) {
	if err := d.auditable(ctx); err != nil {
		return false, err
	}
	pending := PendingOf(d.obj.GetUID(), d.base.GetOutbox()).Above(d.writer.watermarks.Watermark(d.obj.GetUID()))
	err := d.writer.limits.room(pending.Texts(), n)
	if err == nil {
		d.setBlocked(metav1.ConditionFalse, "RoomLeft", "")
		return true, nil
	}
	if !errors.Is(err, ErrFull) {
		return false, err
	}
	full.WithLabelValues(d.kind).Inc()
	reflect.ValueOf(d.obj).Elem().Set(reflect.ValueOf(d.base.DeepCopyObject()).Elem()) // no state without its entry
	d.setBlocked(metav1.ConditionTrue, "OutboxFull", blockedMessage)
	return false, d.save(ctx, nil)
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
	obj, ok := d.obj.(ConditionedObject)
	if !ok {
		return
	}
	conditions := obj.GetConditions()
	if status == metav1.ConditionFalse && meta.FindStatusCondition(conditions, ConditionBlocked) == nil {
		return
	}
	meta.SetStatusCondition(&conditions, metav1.Condition{Type: ConditionBlocked, Status: status, Reason: reason, Message: message, ObservedGeneration: obj.GetGeneration()})
	obj.SetConditions(conditions)
}

func groupResource(o client.Object) schema.GroupResource {
	gvk := o.GetObjectKind().GroupVersionKind()
	return schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}
}
