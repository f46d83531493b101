package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/internal/apiserver"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// ErrOversized means that a resource without entries leaves no room for an outbox in one request to etcd. It is not audited: the Writer adds no finalizer, and
// removes one that the resource had from its creation. Retrying does not help until somebody makes the resource smaller.
var ErrOversized = errors.New("resource too large to audit")

// OversizedManager is the field manager of the request that removes the finalizer from a resource that is too large to audit. An admission policy that protects the
// finalizer recognises the request by it. A mark in the resource could make it exceed the size limit.
const OversizedManager = "holdfast-oversized"

// reasonOversized is the reason of the condition and of the Event.
const reasonOversized = "ResourceTooLarge"

// WithRecorder makes the Writer emit an Event for a resource that is too large to audit.
func WithRecorder(r events.EventRecorder) Option { return func(w *Writer) { w.recorder = r } }

// measureLive is the size from which on a resource is measured as the API server has it, since caches may leave managed fields out. Smaller ones have managed fields to match.
const measureLive = 64 << 10

// auditable reports, before the first entry and before the finalizer, whether the resource leaves room for a full outbox. A record that has begun is never given up.
func (d *Draft) auditable(ctx context.Context) error {
	if !outboxapi.Get(d.base).IsZero() {
		return nil
	}
	size, err := sizeOf(d.base)
	if err != nil {
		return err
	}
	if size > measureLive {
		live, err := d.readLive(ctx)
		if err != nil {
			return fmt.Errorf("measure the resource: %w", err)
		}
		if live.GetUID() != d.base.GetUID() || !outboxapi.Get(live).IsZero() {
			return apierrors.NewConflict(groupResource(d.obj), d.obj.GetName(), errors.New("it has changed since it was read"))
		}
		if size, err = sizeOf(live); err != nil {
			return err
		}
		if most := d.writer.limits.ResourceBytes(); size > most {
			return d.refuseOversized(ctx, live, size, most)
		}
	}
	if oversized(d.obj) {
		setBlocked(d.obj, metav1.ConditionFalse, "RoomLeft", "") // somebody made it smaller
	}
	return nil
}

// refuseOversized removes the finalizer from a resource and reports it. The finalizer goes first: removing it shrinks the resource, so that works at every size; the condition may not fit.
func (d *Draft) refuseOversized(ctx context.Context, live Object, size, most int) error {
	why := fmt.Sprintf("it has %d bytes as JSON, expected at most %d without its outbox", size, most)
	refusal := fmt.Errorf("%w: %s: %s; no entry is written and no finalizer is set; shorten its annotations, labels or spec, or create a smaller resource", ErrOversized, entry.SourceOf(live), why)
	held := controllerutil.ContainsFinalizer(live, Finalizer)
	if held {
		before := live.DeepCopyObject().(Object)
		controllerutil.RemoveFinalizer(live, Finalizer)
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := d.client.Patch(ctx, live, patch, client.FieldOwner(OversizedManager)); err != nil {
			return fmt.Errorf("release %s, which is too large to audit: %w", entry.SourceOf(live), err)
		}
		if controllerutil.ContainsFinalizer(live, Finalizer) {
			return fmt.Errorf("release %s, which is too large to audit: the API server accepted the request, but the finalizer %s is still set; check for an admission webhook or policy that restores it",
				entry.SourceOf(live), Finalizer)
		}
	}
	if oversized(live) && !held { // it was said before
		return refusal
	}
	refused.WithLabelValues(d.kind).Inc()
	logf.FromContext(ctx).Info("Refused a resource that is too large to audit", "reason", why, "released", held)
	if d.writer.recorder != nil {
		d.writer.recorder.Eventf(live, nil, corev1.EventTypeWarning, reasonOversized, "Refuse", "%s", Bound("Not audited: "+why+". It has no outbox finalizer. Shorten its annotations, labels or spec, or create a smaller resource.", 1000))
	}
	if gone := live.GetDeletionTimestamp() != nil && len(live.GetFinalizers()) == 0; gone {
		return refusal
	}
	if err := d.mark(ctx, live, metav1.ConditionTrue, reasonOversized, "Not audited: "+why+"."); err != nil && !apiserver.TooLarge(err) {
		return err
	}
	return refusal
}

// explainTooLarge handles a write that was too large for the API server, since others made the resource grow. (It has tried without managed fields by then.) Without an entry
// the finalizer is removed. A record that has begun waits, as for room in its outbox, until somebody makes the resource smaller.
func (d *Draft) explainTooLarge(ctx context.Context, err error) error {
	if !apiserver.TooLarge(err) {
		return err
	}
	live, readErr := d.readLive(ctx)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	size, sizeErr := sizeOf(live)
	if sizeErr != nil {
		return errors.Join(err, sizeErr)
	}
	if most := d.writer.limits.ResourceBytes(); outboxapi.Get(live).IsZero() && size > most {
		return d.refuseOversized(ctx, live, size, most)
	} else if outboxapi.Get(live).IsZero() {
		return fmt.Errorf("%w; the resource has %d bytes as JSON, so its new status is too large", err, size)
	}
	full.WithLabelValues(d.kind).Inc()
	refusal := fmt.Errorf("%w: the resource has %d bytes as JSON, and another entry exceeds the limit of the API server; shorten its annotations or labels: %w", ErrFull, size, err)
	markErr := d.mark(ctx, live, metav1.ConditionTrue, reasonOversized, "Changes are paused: the resource is too large for another entry. Shorten its annotations or labels.")
	if apiserver.TooLarge(markErr) {
		return refusal
	}
	return errors.Join(refusal, markErr)
}

// Oversized reports whether a resource was refused as too large to audit. The Writer ignores it until somebody makes it smaller.
func Oversized(o Object) bool { return outboxapi.Get(o).IsZero() && oversized(o) }

func oversized(o Object) bool {
	_, conditions := o.OutboxStatus()
	if conditions == nil {
		return false
	}
	c := meta.FindStatusCondition(*conditions, ConditionBlocked)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == reasonOversized
}

// sizeOf is a resource's size as JSON, as the API server writes it into etcd, metadata and all.
func sizeOf(o Object) (int, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", entry.SourceOf(o), err)
	}
	return len(text), nil
}
