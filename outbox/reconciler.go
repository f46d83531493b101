package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/internal/kindcheck"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

const (
	// blockedRetry is how soon a resource is reconciled again after its outbox had no room, beside the event that the relay's trim brings.
	blockedRetry = 10 * time.Second
	// conflictRetry is how soon a resource is reconciled again after a conflict. Its event starts it sooner, if there is one: a predicate such as GenerationChangedPredicate drops that of a status.
	conflictRetry = time.Second
)

// Reconciler has the functions of a controller for the resources of an audited kind.
type Reconciler[T Object] struct {
	// Reconcile changes the status of obj and saves it with the draft. It is called while the resource can have entries.
	Reconcile func(ctx context.Context, obj T, draft *Draft) (reconcile.Result, error)
	// Closed is called instead when the resource can have no more entries: its record is closed, or it is in deletion without the outbox's finalizer. A controller with its own finalizer
	// removes it here. Optional.
	Closed func(ctx context.Context, obj T) (reconcile.Result, error)
	// Gone is called when the resource no longer exists. Optional.
	Gone func(ctx context.Context, key client.ObjectKey) error
}

// AsReconciler returns a reconciler for a manager or a workqueue. It reads the resource with the Writer's client, waits while the cache is older than the Writer's own last write, and
// creates a draft. It handles errors of r's functions as follows:
//
//   - A conflict is not reported, and retried after a second: a predicate may filter the event of the newer version.
//   - ErrFull is retried after ten seconds, or when the relay has trimmed.
//   - ErrReleased and ErrOversized are not reported: only a change of the resource helps.
//   - All other errors are returned, and retried with the queue's backoff.
//
// An error of the draft counts even if Reconcile returned nil, because the status was not saved.
//
// AsReconciler panics if r has no Reconcile function, if T does not keep its outbox at status.outbox, or if the Writer's relay does not drain T.
func AsReconciler[T Object](w *Writer, r Reconciler[T]) reconcile.Reconciler {
	var prototype T
	if err := kindcheck.Check(prototype); err != nil {
		panic(fmt.Sprintf("outbox.AsReconciler: %v", err))
	}
	if r.Reconcile == nil {
		panic(fmt.Sprintf("outbox.AsReconciler: Reconcile of %T is nil", prototype))
	}
	if gvk, err := apiutil.GVKForObject(newLike(prototype), w.client.Scheme()); err == nil {
		if err := w.drained(gvk); err != nil {
			panic(fmt.Sprintf("outbox.AsReconciler: %v", err))
		}
	}
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		read := newLike(prototype).(T)
		err := w.client.Get(ctx, req.NamespacedName, read)
		switch {
		case apierrors.IsNotFound(err) && r.Gone != nil:
			return reconcile.Result{}, r.Gone(ctx, req.NamespacedName)
		case apierrors.IsNotFound(err):
			return reconcile.Result{}, nil
		case err != nil:
			return reconcile.Result{}, fmt.Errorf("read %s: %w", req.NamespacedName, err)
		}
		if wait := w.Stale(read); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		if ended(read) && r.Closed == nil {
			return reconcile.Result{}, nil
		}
		obj := read.DeepCopyObject().(T) // a cache with UnsafeDisableDeepCopy lends what is read
		if ended(read) {
			result, err := r.Closed(ctx, obj)
			return conclude(result, err)
		}
		draft := w.draft(obj, read)
		result, err := r.Reconcile(ctx, obj, draft)
		if err == nil {
			err = draft.failed
		}
		return conclude(result, err)
	})
}

// ended reports whether a resource can have no entries any more.
func ended(obj Object) bool {
	if o := outboxapi.Get(obj); o != nil && o.Closed {
		return true
	}
	return released(obj)
}

// conclude ends a reconcile.
func conclude(result reconcile.Result, err error) (reconcile.Result, error) {
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, ErrReleased), errors.Is(err, ErrOversized):
		return reconcile.Result{}, nil
	case errors.Is(err, ErrFull):
		return reconcile.Result{RequeueAfter: blockedRetry}, nil
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: conflictRetry}, nil
	}
	return reconcile.Result{}, err
}
