package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Reserve checks, before the controller acts, that n more entries (each of any size up to the entry limit) and the closing
// entry fit. If they do not, it sets the condition OutboxBlocked, saves only that, and returns ErrFull. The draft is then spent. Keep the state and act later:
// the relay's next trim starts the reconciler again. Earlier changes of the object are not saved.
//
// It returns ErrTooLarge if n entries do not fit an empty outbox, ErrOversized if the resource leaves no room for an outbox, ErrClosed if the record has ended, and ErrReleased if the
// resource is in deletion without the finalizer.
func (d *Draft) Reserve(ctx context.Context, n int) error {
	if d.failed != nil {
		return d.spent("reserve room in")
	}
	d.failed = d.reserve(ctx, n)
	return d.failed
}

func (d *Draft) reserve(ctx context.Context, n int) error {
	if o := outboxapi.Get(d.base); o != nil && o.Closed {
		return fmt.Errorf("%w: the record of %s ended with entry %d; room for more cannot be reserved", ErrClosed, entry.SourceOf(d.base), o.LastSequence)
	}
	if released(d.base) {
		return fmt.Errorf("%w: %s", ErrReleased, entry.SourceOf(d.base))
	}
	if d.undrained != nil {
		return fmt.Errorf("reserve room in %s: %w", entry.SourceOf(d.base), d.undrained)
	}
	if err := d.auditable(ctx); err != nil {
		return err
	}
	pending := entry.PendingOf(d.obj.GetUID(), outboxapi.Get(d.base)).Above(d.writer.watermark(d.obj.GetUID()))
	err := d.writer.limits.Room(pending.Texts(), n)
	if err == nil {
		setBlocked(d.obj, metav1.ConditionFalse, "RoomLeft", "")
		return nil
	}
	if !errors.Is(err, ErrFull) {
		return err
	}
	full.WithLabelValues(d.kind).Inc()
	assign(d.obj, d.Base()) // no state without its entry
	return errors.Join(err, d.mark(ctx, d.obj, metav1.ConditionTrue, "OutboxFull", blockedMessage))
}

// explainFull sets the condition on the resource as it was read, when an entry that nobody had reserved room for did not fit: the change itself is not saved.
func (d *Draft) explainFull(ctx context.Context, err error) error {
	if !errors.Is(err, ErrFull) {
		return err
	}
	return errors.Join(err, d.mark(ctx, d.Base(), metav1.ConditionTrue, "OutboxFull", blockedMessage))
}

const blockedMessage = "Changes are paused until the audit store accepts pending entries."

// mark saves the condition of a resource as it was read, and nothing else, with a merge patch: fields that the type does not know stay. o is what was saved then.
func (d *Draft) mark(ctx context.Context, o Object, status metav1.ConditionStatus, reason, message string) error {
	m := d.writer.Draft(o)
	setBlocked(o, status, reason, message)
	if same, err := sameBut(m.base, o); err != nil || same {
		return err
	}
	m.write = func(ctx context.Context, wanted Object, _ bool) error {
		from := m.Base()
		adoptMetadata(from, wanted)
		outboxapi.Set(from, outboxapi.Get(wanted))
		return d.client.Status().Patch(ctx, wanted, client.MergeFromWithOptions(from, client.MergeFromWithOptimisticLock{}))
	}
	if err := m.put(ctx, headOf(m.base), false); err != nil {
		return fmt.Errorf("the condition %s: %w", ConditionBlocked, err)
	}
	return nil
}

// setBlocked sets the condition. A resource that was never blocked does not get a False condition. The conditions are copied: a cache may have lent them.
func setBlocked(o Object, status metav1.ConditionStatus, reason, message string) {
	_, conditions := o.OutboxStatus()
	if conditions == nil || status == metav1.ConditionFalse && meta.FindStatusCondition(*conditions, ConditionBlocked) == nil {
		return
	}
	*conditions = slices.Clone(*conditions)
	meta.SetStatusCondition(conditions, metav1.Condition{Type: ConditionBlocked, Status: status, Reason: reason, Message: message, ObservedGeneration: o.GetGeneration()})
}

func groupResource(o client.Object) schema.GroupResource {
	gvk := o.GetObjectKind().GroupVersionKind()
	return schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}
}
