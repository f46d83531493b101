package main

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/holdfast-dev/holdfast/outbox"
)

// reconciler changes each ticket's status so many times, one change a reconcile; the event of a change starts the next. With life it then deletes the ticket.
type reconciler struct {
	client  client.Client
	writer  *outbox.Writer // nil: a control
	padding string
	changes int
	life    bool

	open    chan struct{} // closed when the clock starts
	written sync.Map      // by name: changes that a control has written, for a cache that lags behind
	left    atomic.Int64  // tickets that are not yet done
	done    chan struct{} // closed when none is left
}

func (r *reconciler) setUp(mgr ctrl.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).Named("tickets").For(&Ticket{}).WithOptions(controller.Options{MaxConcurrentReconciles: workers}).Complete(r)
}

// Reconcile takes one ticket one change further.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	select {
	case <-r.open:
	case <-ctx.Done():
		return ctrl.Result{}, nil
	}
	t := &Ticket{}
	switch err := r.client.Get(ctx, req.NamespacedName, t); {
	case apierrors.IsNotFound(err):
		r.finish()
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, err
	case r.stale(t) || t.DeletionTimestamp != nil:
		return ctrl.Result{}, nil
	case t.Status.Changes == r.changes && r.life:
		return ctrl.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, t))
	case t.Status.Changes == r.changes:
		return ctrl.Result{}, nil
	}
	if err := r.write(ctx, t); err != nil {
		return ctrl.Result{}, outbox.IgnoreConflict(err)
	}
	if t.Status.Changes == r.changes && !r.life {
		r.finish()
	}
	return ctrl.Result{}, nil
}

func (r *reconciler) write(ctx context.Context, t *Ticket) error {
	if r.writer != nil {
		draft := r.writer.Draft(t)
		r.next(t)
		return draft.Save(ctx, change(string(t.UID), t.Status.Changes, r.life && t.Status.Changes == r.changes))
	}
	r.next(t)
	if err := r.client.Status().Update(ctx, t); err != nil {
		return err
	}
	r.written.Store(t.Name, t.Status.Changes)
	return nil
}

func (r *reconciler) next(t *Ticket) {
	t.Status.Changes++
	t.Status.Phase = phases[t.Status.Changes%len(phases)]
	t.Status.Text = r.padding
}

func (r *reconciler) stale(t *Ticket) bool {
	if r.writer != nil {
		return r.writer.Stale(t)
	}
	n, ok := r.written.Load(t.Name)
	return ok && t.Status.Changes < n.(int)
}

func (r *reconciler) finish() {
	if r.left.Add(-1) == 0 {
		close(r.done)
	}
}

// padding is a text that JSON does not grow.
func padding(n int) string { return strings.Repeat("x", max(0, n)) }
