package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/internal/apiserver"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// kindReconciler drains the outboxes of one kind.
type kindReconciler struct {
	client   client.Client
	tracker  *tracker
	config   Config
	recorder events.EventRecorder
	// confirm asks the store whether what it acknowledged still counts; nil where it can only be believed.
	confirm func(context.Context) error
	// kind and apiVersion are those of the resources.
	kind, apiVersion string
	newObject        func() outbox.Object
	queue            atomic.Pointer[queue]
}

// recompute is how soon a patch whose tests failed is worked out anew, beside the event that the newer version brings.
const recompute = time.Second

// Reconcile hands over what is pending, and acknowledges what is durable.
func (k *kindReconciler) Reconcile(ctx context.Context, req reconcile.Request) (ctrl.Result, error) {
	generation := k.tracker.generation()
	obj := k.newObject()
	// It shares memory with the cache, and is only read: most reconciles hand over an entry, and write nothing.
	if err := k.client.Get(ctx, req.NamespacedName, obj, client.UnsafeDisableDeepCopy); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case outboxapi.Get(obj).IsZero():
		return ctrl.Result{}, nil
	case k.tracker.stale(obj):
		// The event of our own write brings the newer version. After a restored etcd there is none.
		return ctrl.Result{RequeueAfter: staleFor}, nil
	case !k.tracker.observe(k, obj, generation):
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	}
	plan := decide(obj, k.tracker.watermark(obj.GetUID()), k.config, k.config.Clock.Now())
	if plan.restore {
		if after := k.tracker.mayRestore(obj, k.config.Clock.Now()); after > 0 {
			return ctrl.Result{RequeueAfter: after}, nil
		}
		return k.restore(ctx, obj.DeepCopyObject().(outbox.Object), plan.watermark)
	}
	if plan.trim || plan.release {
		if again, err := k.acknowledge(ctx, obj, plan); again || err != nil {
			return ctrl.Result{RequeueAfter: recompute}, err // with an error the queue's backoff counts instead
		}
	}
	if again := k.tracker.retryParked(obj); again > 0 && (plan.after == 0 || again < plan.after) {
		plan.after = again
	}
	return ctrl.Result{RequeueAfter: plan.after}, nil
}

// acknowledge releases and trims, once the store has confirmed what that rests on. again is true when what is due must be worked out anew, a moment later. A trim that somebody refuses
// does not stop a release, nor the other way round.
func (k *kindReconciler) acknowledge(ctx context.Context, obj outbox.Object, p plan) (again bool, _ error) {
	if !k.stillDurable(ctx, obj.GetUID(), p.watermark) {
		return true, nil
	}
	obj = obj.DeepCopyObject().(outbox.Object) // patches go on from what the one before left
	var refused error
	if p.release {
		again, refused = k.patch(ctx, obj, "release", p.watermark)
		if again {
			return true, nil
		}
	}
	if p.trim {
		again, err := k.patch(ctx, obj, "trim", p.watermark)
		if again && refused == nil {
			return true, nil
		}
		refused = errors.Join(refused, err)
	}
	return false, refused
}

// stillDurable asks the store before a patch rests on a watermark: the database may have been replaced since, with nothing to write that would have shown it. What a watermark
// does not cover is no longer in the resource.
func (k *kindReconciler) stillDurable(ctx context.Context, uid types.UID, w entry.Watermark) bool {
	if k.confirm == nil || w.Sequence == 0 {
		return true
	}
	if err := k.confirm(ctx); err != nil {
		logf.FromContext(ctx).V(1).Info("Nothing is trimmed or released: the store does not confirm what it acknowledged", "reason", err.Error())
		return false
	}
	return k.tracker.watermark(uid) == w
}

// plan is what is due for one resource.
type plan struct {
	trim    bool
	release bool
	// restore is true when the finalizer was taken away before its time: nothing else is done then.
	restore   bool
	watermark entry.Watermark
	// after is when to look again, zero: when something happens.
	after time.Duration
}

// decide works out what is due. Trims cost an API write each, so an open record is trimmed only when it is above the soft limit or idle; otherwise its
// controller's next status write drops what is durable. A closed one is released at once, and trimmed a little later if it is still there.
func decide(obj outbox.Object, w entry.Watermark, c Config, now time.Time) plan {
	o := outboxapi.Get(obj)
	all := entry.PendingOf(obj.GetUID(), o)
	above := all.Above(w)
	p := plan{watermark: w}
	drained, covered := above.Len() == 0, all.Len()-above.Len()
	switch {
	case o.LastSequence > 0 && (!o.Closed || !drained) && obj.GetDeletionTimestamp() == nil && !controllerutil.ContainsFinalizer(obj, outbox.Finalizer):
		p.restore = true
	case o.Closed && drained:
		p.release = controllerutil.ContainsFinalizer(obj, outbox.Finalizer)
		if covered > 0 && (!p.release || obj.GetDeletionTimestamp() == nil) { // nobody will look at the entries of what is about to vanish
			p.trimOnceIdle(min(closedTrimDelay, c.IdleTrimDelay), now)
		}
	case covered == 0:
	case c.Limits.AboveSoft(o.Entries):
		p.trim = true
	case drained:
		p.trimOnceIdle(c.IdleTrimDelay, now)
	}
	return p
}

// closedTrimDelay leaves a closed record to whoever deletes it as soon as it has ended: it then vanishes without a trim.
const closedTrimDelay = time.Second

// trimOnceIdle counts from the commit, not from recordedTime: a controller's clock that was ahead, or was set back since, would keep the outbox full for as long.
func (p *plan) trimOnceIdle(period time.Duration, now time.Time) {
	left := min(period-now.Sub(p.watermark.Time), period)
	p.trim, p.after = left <= 0, max(0, left)
}

// restore puts the finalizer back that somebody took away while entries wait or the record is open, and says so: whoever replaces resources as a whole should know what they drop.
func (k *kindReconciler) restore(ctx context.Context, obj outbox.Object, w entry.Watermark) (ctrl.Result, error) {
	before := obj.GetResourceVersion()
	again, err := k.patch(ctx, obj, "restore", w)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case again:
		return ctrl.Result{RequeueAfter: recompute}, nil
	case obj.GetResourceVersion() == before: // it is gone by now
		return ctrl.Result{}, nil
	case !controllerutil.ContainsFinalizer(obj, outbox.Finalizer):
		return ctrl.Result{}, fmt.Errorf("restore %s: the API server took the request, and the finalizer %s is not there; look for an admission webhook or policy that removes it", entry.SourceOf(obj), outbox.Finalizer)
	}
	note := "The finalizer " + outbox.Finalizer + " was removed although the audit record is open. It is there again. Look for what replaces this resource as a whole, or patches its finalizers"
	if outboxapi.Get(obj).Closed {
		note = "The finalizer " + outbox.Finalizer + " is there again: the audit record has entries that the store has not confirmed. It goes when the store has them"
	}
	k.recorder.Eventf(obj, nil, corev1.EventTypeWarning, "FinalizerRestored", "Restore", "%s", note)
	logf.FromContext(ctx).Info("Restored the finalizer of a record that is not drained", "closed", outboxapi.Get(obj).Closed)
	return ctrl.Result{}, nil
}

// patch applies one JSON patch. again is true when its tests failed: somebody changed the resource, so what is due must be worked out anew.
func (k *kindReconciler) patch(ctx context.Context, obj outbox.Object, op string, w entry.Watermark) (again bool, _ error) {
	patch, err := patchFor(op, obj, w)
	if err != nil {
		return false, err
	}
	patched := k.newObject() // decoding into a used object would keep fields that are gone
	patched.SetNamespace(obj.GetNamespace())
	patched.SetName(obj.GetName())
	if op == "trim" {
		err = k.client.Status().Patch(ctx, patched, patch)
	} else {
		err = k.client.Patch(ctx, patched, patch)
	}
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case apiserver.FailedTest(err) || apierrors.IsConflict(err):
		logf.FromContext(ctx).V(1).Info("The resource changed before the patch", "op", op, "answer", err.Error())
		return true, nil
	case err != nil:
		return false, fmt.Errorf("%s %s: %w", op, entry.SourceOf(obj), err)
	}
	apiWrites.WithLabelValues(op).Inc()
	k.tracker.wrote(patched)
	obj.SetResourceVersion(patched.GetResourceVersion())
	outboxapi.Set(obj, outboxapi.Get(patched))
	obj.SetFinalizers(patched.GetFinalizers())
	return false, nil
}

// setQueue lets the flusher start this reconciler after a commit, without a channel that could fill up.
func (k *kindReconciler) setQueue(_ context.Context, q queue) error {
	k.queue.Store(&q)
	return nil
}

func (k *kindReconciler) triggerAfter(key client.ObjectKey, after time.Duration) {
	if q := k.queue.Load(); q != nil {
		(*q).AddAfter(reconcile.Request{NamespacedName: key}, after)
	}
}

// watcher is the event handler: it queues resources, and notices those that vanish with entries that are not durable.
type watcher struct{ kind *kindReconciler }

// Create queues the resource.
func (w *watcher) Create(_ context.Context, e event.TypedCreateEvent[outbox.Object], q queue) {
	w.add(e.Object, q)
}

// Update queues the resource. After a relist a resource that was deleted and made again under its name comes as one update with another uid.
func (w *watcher) Update(ctx context.Context, e event.TypedUpdateEvent[outbox.Object], q queue) {
	if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
		w.kind.tracker.orphan(ctx, w.kind, e.ObjectOld)
	}
	w.add(e.ObjectNew, q)
}

// Delete keeps what the resource had not drained.
func (w *watcher) Delete(ctx context.Context, e event.TypedDeleteEvent[outbox.Object], _ queue) {
	w.kind.tracker.orphan(ctx, w.kind, e.Object)
}

// Generic is not used.
func (w *watcher) Generic(_ context.Context, e event.TypedGenericEvent[outbox.Object], q queue) {
	w.add(e.Object, q)
}

func (w *watcher) add(obj outbox.Object, q queue) {
	if !outboxapi.Get(obj).IsZero() {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
	}
}
