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

// ErrOversized says that a resource without entries leaves no room for an outbox in one request to etcd. It is not audited and not held: the Writer adds no finalizer, and
// takes off one that was there from the beginning. Retrying cannot help until somebody makes the resource smaller.
var ErrOversized = errors.New("resource too large to audit")

// OversizedManager is the field manager of the request that takes the finalizer off a resource that is too large to audit. An admission policy that keeps the
// finalizer in place knows the request by it. A mark in the resource would need bytes that may not be there.
const OversizedManager = "holdfast-oversized"

// reasonOversized is the reason of the condition and of the Event.
const reasonOversized = "ResourceTooLarge"

// WithRecorder makes the Writer announce, by an Event, a resource that is too large to audit.
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
		d.setBlocked(metav1.ConditionFalse, "RoomLeft", "") // somebody made it smaller
	}
	return nil
}

// refuseOversized lets go of a resource and says so. The finalizer goes first: removing it shrinks the resource, so that works at every size; the condition may not fit.
func (d *Draft) refuseOversized(ctx context.Context, live Object, size, most int) error {
	why := fmt.Sprintf("it has %d bytes as JSON, expected at most %d beside its outbox", size, most)
	refusal := fmt.Errorf("%w: %s: %s; no entry is written and nothing holds it: shorten its annotations, labels or spec, or make a smaller one instead", ErrOversized, entry.SourceOf(live), why)
	held := controllerutil.ContainsFinalizer(live, Finalizer)
	if held {
		before := live.DeepCopyObject().(Object)
		controllerutil.RemoveFinalizer(live, Finalizer)
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := d.writer.client.Patch(ctx, live, patch, client.FieldOwner(OversizedManager)); err != nil {
			return fmt.Errorf("release %s, which is too large to audit: %w", entry.SourceOf(live), err)
		}
		if controllerutil.ContainsFinalizer(live, Finalizer) {
			return fmt.Errorf("release %s, which is too large to audit: the API server took the request, and the finalizer %s is still there; look for an admission webhook or policy that puts it back",
				entry.SourceOf(live), Finalizer)
		}
	}
	if oversized(live) && !held { // it was said before
		return refusal
	}
	refused.WithLabelValues(d.kind).Inc()
	logf.FromContext(ctx).Info("Refused a resource that is too large to audit", "reason", why, "released", held)
	if d.writer.recorder != nil {
		d.writer.recorder.Eventf(live, nil, corev1.EventTypeWarning, reasonOversized, "Refuse", "%s", Bound("Not audited: "+why+". Nothing holds it. Shorten its annotations, labels or spec, or make a smaller one instead.", 1000))
	}
	if gone := live.GetDeletionTimestamp() != nil && len(live.GetFinalizers()) == 0; gone {
		return refusal
	}
	marked := d.writer.Draft(live)
	marked.setBlocked(metav1.ConditionTrue, reasonOversized, "Not audited: "+why+".")
	if err := marked.putUnless(ctx, apiserver.TooLarge); err != nil {
		return err
	}
	return refusal
}

// putUnless writes the status and takes some errors for success.
func (d *Draft) putUnless(ctx context.Context, expected func(error) bool) error {
	if same, err := sameBut(d.base, d.obj); err != nil || same {
		return err
	}
	if err := d.put(ctx, headOf(d.base), false); err != nil && !expected(err) {
		return err
	}
	return nil
}

// explainTooLarge handles a write that was too large for the API server, since others made the resource grow. (It has tried without managed fields by then.) Without an entry
// the resource is let go. A record that has begun waits, as for room in its outbox, until somebody makes the resource smaller.
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
		return fmt.Errorf("%w; the resource itself has %d bytes as JSON: its status was to become too large", err, size)
	}
	full.WithLabelValues(d.kind).Inc()
	blocked := d.writer.Draft(live)
	blocked.setBlocked(metav1.ConditionTrue, reasonOversized, "Holding back the next change: the resource is too large for another entry. Shorten its annotations or labels.")
	return errors.Join(fmt.Errorf("%w: the resource has %d bytes as JSON, and another entry is more than the API server takes; shorten its annotations or labels: %w", ErrFull, size, err),
		blocked.putUnless(ctx, apiserver.TooLarge))
}

// Oversized reports whether a resource was refused as too large to audit. Nothing is done for it until somebody makes it smaller.
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
