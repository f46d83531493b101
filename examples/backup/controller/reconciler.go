package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
)

// Setup registers the controller and the relay of its kind with a manager. This is all the wiring there is.
func Setup(mgr ctrl.Manager, store relay.Store) error {
	r, err := relay.Add(mgr, store, relay.Config{}, &backupv1.Backup{})
	if err != nil {
		return err
	}
	return (&Reconciler{
		client: mgr.GetClient(),
		live:   mgr.GetAPIReader(),
		writer: outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r),
	}).SetupWithManager(mgr)
}

// Scheme knows the kinds that the controller needs.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(corev1.AddToScheme(s), backupv1.AddToScheme(s))
}

// Reconciler makes the copies.
type Reconciler struct {
	client client.Client
	live   client.Reader
	writer *outbox.Writer
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).For(&backupv1.Backup{}).Complete(r)
}

// Reconcile copies the source when it has changed.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	b := &backupv1.Backup{}
	if err := r.client.Get(ctx, req.NamespacedName, b); apierrors.IsNotFound(err) {
		r.writer.Forget(b, req.NamespacedName)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("read the backup: %w", err)
	}
	if r.writer.Stale(b) {
		return ctrl.Result{RequeueAfter: outbox.StaleFor}, nil // the cache is behind our own last write
	}
	if b.Status.Outbox != nil && b.Status.Outbox.Closed {
		return ctrl.Result{}, nil
	}
	res, err := r.advance(ctx, b, r.writer.Draft(b))
	switch {
	case errors.Is(err, outbox.ErrReleased), // being deleted without the finalizer: nothing to do any more
		errors.Is(err, outbox.ErrOversized): // too large to audit: only a change of the resource helps
		return ctrl.Result{}, nil
	case errors.Is(err, outbox.ErrFull):
		return ctrl.Result{RequeueAfter: 10 * time.Second}, nil
	}
	return res, outbox.IgnoreConflict(err) // the event of the newer version starts us again
}

func (r *Reconciler) advance(ctx context.Context, b *backupv1.Backup, draft *outbox.Draft) (ctrl.Result, error) {
	if b.DeletionTimestamp != nil {
		return ctrl.Result{}, save(ctx, b, draft, "Deleted", backupv1.PhaseDeleted) // final: the relay lets go once it is durable
	}
	again := ctrl.Result{RequeueAfter: time.Duration(max(1, b.Spec.EverySeconds)) * time.Second}
	source := &corev1.ConfigMap{}
	err := r.live.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Spec.Source}, source)
	if apierrors.IsNotFound(err) {
		if b.Status.Phase == backupv1.PhaseWaiting {
			return again, nil
		}
		return again, save(ctx, b, draft, "SourceMissing", backupv1.PhaseWaiting)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read the source: %w", err)
	}
	digest := digestOf(source)
	if b.Status.Phase == backupv1.PhaseCopied && b.Status.Digest == digest {
		return again, nil
	}

	// Room for the two entries that a copy brings. Without it we wait; the relay's trim starts us again.
	if ok, err := draft.Reserve(ctx, 2); err != nil || !ok {
		return ctrl.Result{RequeueAfter: 10 * time.Second}, err
	}
	// The intent, unless an earlier process left the same one behind.
	if b.Status.Phase != backupv1.PhaseCopying || b.Status.Digest != digest {
		b.Status.Digest = digest
		if err := save(ctx, b, draft, "CopyStarted", backupv1.PhaseCopying); err != nil {
			return ctrl.Result{}, err
		}
	}
	// The effect. Doing it twice is harmless here; where it isn't, look whether it was done before.
	if err := r.copy(ctx, b, source); err != nil {
		return ctrl.Result{}, err
	}
	// The outcome.
	b.Status.Copies++
	b.Status.CopiedTime = outboxapi.NewTimePointer(time.Now())
	return again, save(ctx, b, draft, "CopyCompleted", backupv1.PhaseCopied)
}

// save writes the status and the entry that describes it in one update.
func save(ctx context.Context, b *backupv1.Backup, draft *outbox.Draft, event string, phase backupv1.BackupPhase) error {
	b.Status.Phase = phase
	return draft.Save(ctx, &outbox.Change{
		Kind:   "backups.example.com",
		Event:  event,
		Phase:  string(phase),
		Record: recordOf(b),
		Final:  phase == backupv1.PhaseDeleted,
	})
}

func (r *Reconciler) copy(ctx context.Context, b *backupv1.Backup, source *corev1.ConfigMap) error {
	target := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Spec.Target}}
	err := r.live.Get(ctx, client.ObjectKeyFromObject(target), target)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read the target: %w", err)
	}
	missing := apierrors.IsNotFound(err)
	target.Data, target.BinaryData = source.Data, source.BinaryData
	if missing {
		err = r.client.Create(ctx, target)
	} else {
		err = r.client.Update(ctx, target)
	}
	if err != nil {
		return fmt.Errorf("write the target: %w", err)
	}
	return nil
}
