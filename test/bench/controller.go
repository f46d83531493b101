package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// reconciler changes each ticket's status so many times, one change a reconcile; the event of a change starts the next. With life it then deletes the ticket.
type reconciler struct {
	client  client.Client
	writer  *outbox.Writer // nil: a control
	filling filling
	changes int
	life    bool

	open    chan struct{} // closed when the clock starts
	written sync.Map      // by name: changes that a control has written, for a cache that lags behind
	left    atomic.Int64  // tickets that are not yet done
	done    chan struct{} // closed when none is left
}

func (r *reconciler) setUp(mgr ctrl.Manager, workers int) error {
	// The priority queue puts what changed before what was only listed, and so would finish a few tickets at a time instead of taking all in turns.
	options := controller.Options{MaxConcurrentReconciles: workers, UsePriorityQueue: ptr.To(false)}
	return ctrl.NewControllerManagedBy(mgr).Named("tickets").For(&Ticket{}).WithOptions(options).Complete(r)
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
		return ctrl.Result{}, ignoreConflict(err)
	}
	if t.Status.Changes == r.changes && !r.life {
		r.finish()
	}
	return ctrl.Result{}, nil
}

// ignoreConflict is silent about a conflict: the event of the newer version starts the reconciler again.
func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
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
	if r.writer == nil {
		t.Status.History = r.filling.history(string(t.UID), t.Status.Changes)
		t.Status.Text = r.filling.text
	}
}

func (r *reconciler) stale(t *Ticket) bool {
	if r.writer != nil {
		return r.writer.Stale(t) > 0
	}
	n, ok := r.written.Load(t.Name)
	return ok && t.Status.Changes < n.(int)
}

func (r *reconciler) finish() {
	if r.left.Add(-1) == 0 {
		close(r.done)
	}
}

// filling is what makes a control's status as large as an audited one: as many entries, and a text for the rest of an outbox.
type filling struct {
	entries int
	text    string
	bytes   int // of both
}

// fill works out the filling of so many bytes.
func fill(bytes int) (filling, error) {
	one, err := json.Marshal(filling{entries: 1}.history("6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d", 1))
	if err != nil {
		return filling{}, err
	}
	f := filling{entries: max(0, bytes) / len(one), bytes: max(0, bytes)}
	f.text = strings.Repeat("x", max(0, bytes-f.entries*len(one)))
	return f, nil
}

// asText has the same bytes in one text: no structure that would cost the API server anything.
func (f filling) asText() filling { return filling{text: strings.Repeat("x", f.bytes)} }

// history looks like entries, down to the lengths of ids and hashes, but nothing was hashed for it.
func (f filling) history(uid string, n int) []plainEntry {
	hash := strings.Repeat("0123456789abcdef", 4)
	var all []plainEntry
	for i := range f.entries {
		c := change(uid, n, false)
		record, err := json.Marshal(c.Record)
		if err != nil {
			panic(err) // a record of this program's own
		}
		all = append(all, plainEntry{
			ID: uid, Sequence: int64(n - i + 1), Kind: c.Kind, Event: c.Event, Phase: c.Phase, RecordedTime: outboxapi.NewTime(time.Now()), SchemaVersion: entry.SchemaVersion,
			Salt: "AAAAAAAAAAAAAAAAAAAAAA", Source: map[string]string{"namespace": "shop", "name": "cart", "uid": uid}, Record: record, PreviousHash: hash,
		})
	}
	return all
}
