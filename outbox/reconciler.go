package outbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/internal/kindcheck"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

const (
	// blockedRetry is how soon a resource is reconciled again after its outbox had no room, beside the event that the relay's trim brings.
	blockedRetry = 10 * time.Second
	// conflictRetry is how soon a resource is reconciled again after a conflict of another write than its draft's, for which no event may come.
	conflictRetry = time.Second
)

// Reconciler is what a controller does with the resources of an audited kind.
type Reconciler[T Object] struct {
	// Reconcile moves a resource forward: it changes the status of obj and saves it with the draft. It is called while the resource can have entries.
	Reconcile func(ctx context.Context, obj T, draft *Draft) (reconcile.Result, error)
	// Closed is called instead once the resource can have none any more: its record is closed, or it is being deleted without the outbox's finalizer. A controller with a finalizer
	// of its own removes it here. Optional.
	Closed func(ctx context.Context, obj T) (reconcile.Result, error)
	// Gone is called when the resource does not exist any more. Optional.
	Gone func(ctx context.Context, key client.ObjectKey) error
}

// AsReconciler makes a reconciler for a manager or a workqueue. It reads the resource with the Writer's client, waits while the cache is behind the Writer's own last write, and
// begins a draft. The errors that r's functions return end as follows:
//
//   - A conflict of the draft is silent: the event of the newer version starts the reconciler again. Any other conflict is tried again after a second.
//   - ErrFull is tried again after ten seconds, or as soon as the relay has trimmed.
//   - ErrReleased and ErrOversized are silent: only a change of the resource helps.
//   - All others are returned, and tried again with the queue's backoff.
//
// An error of the draft counts even if Reconcile returned nil: what it meant to save was not saved.
//
// AsReconciler panics if r has no Reconcile, or if T does not keep its outbox at status.outbox: a program that does so cannot work.
func AsReconciler[T Object](w *Writer, r Reconciler[T]) reconcile.Reconciler {
	var prototype T
	if err := kindcheck.Check(prototype); err != nil {
		panic(fmt.Sprintf("outbox.AsReconciler: %v", err))
	}
	if r.Reconcile == nil {
		panic(fmt.Sprintf("outbox.AsReconciler: Reconcile of %T is nil", prototype))
	}
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		obj := reflect.New(reflect.TypeFor[T]().Elem()).Interface().(T)
		err := w.client.Get(ctx, req.NamespacedName, obj)
		switch {
		case apierrors.IsNotFound(err) && r.Gone != nil:
			return reconcile.Result{}, r.Gone(ctx, req.NamespacedName)
		case apierrors.IsNotFound(err):
			return reconcile.Result{}, nil
		case err != nil:
			return reconcile.Result{}, fmt.Errorf("read %s: %w", req.NamespacedName, err)
		}
		if wait := w.Stale(obj); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		if ended(obj) {
			if r.Closed == nil {
				return reconcile.Result{}, nil
			}
			result, err := r.Closed(ctx, obj)
			return conclude(result, err, false)
		}
		draft := w.Draft(obj)
		result, err := r.Reconcile(ctx, obj, draft)
		if err == nil {
			err = draft.failed
		}
		return conclude(result, err, draft.failed != nil)
	})
}

// ended reports whether a resource can have no entries any more.
func ended(obj Object) bool {
	if o := outboxapi.Get(obj); o != nil && o.Closed {
		return true
	}
	return released(obj)
}

// conclude ends a reconcile. ofDraft is true if the draft failed.
func conclude(result reconcile.Result, err error, ofDraft bool) (reconcile.Result, error) {
	switch {
	case err == nil, apierrors.IsConflict(err) && ofDraft:
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
