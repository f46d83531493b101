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
	c := &copier{client: mgr.GetClient(), live: mgr.GetAPIReader()}
	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r)
	return ctrl.NewControllerManagedBy(mgr).For(&backupv1.Backup{}).
		Complete(outbox.AsReconciler(writer, outbox.Reconciler[*backupv1.Backup]{Reconcile: c.reconcile}))
}

// Scheme knows the kinds that the controller needs.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(corev1.AddToScheme(s), backupv1.AddToScheme(s))
}

// copier makes the copies.
type copier struct {
	client client.Client
	live   client.Reader
}

// reconcile copies the source when it has changed.
func (c *copier) reconcile(ctx context.Context, b *backupv1.Backup, draft *outbox.Draft) (ctrl.Result, error) {
	if b.DeletionTimestamp != nil {
		return ctrl.Result{}, save(ctx, b, draft, "Deleted", backupv1.PhaseDeleted) // final: the relay lets go once it is durable
	}
	again := ctrl.Result{RequeueAfter: time.Duration(max(1, b.Spec.EverySeconds)) * time.Second}
	source := &corev1.ConfigMap{}
	err := c.live.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Spec.Source}, source)
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
	if err := draft.Reserve(ctx, 2); err != nil {
		return ctrl.Result{}, err
	}
	// The intent, unless an earlier process left the same one behind.
	if b.Status.Phase != backupv1.PhaseCopying || b.Status.Digest != digest {
		b.Status.Digest = digest
		if err := save(ctx, b, draft, "CopyStarted", backupv1.PhaseCopying); err != nil {
			return ctrl.Result{}, err
		}
	}
	// The effect. Doing it twice is harmless here; where it isn't, look whether it was done before.
	if err := c.copy(ctx, b, source); err != nil {
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

func (c *copier) copy(ctx context.Context, b *backupv1.Backup, source *corev1.ConfigMap) error {
	target := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Spec.Target}}
	err := c.live.Get(ctx, client.ObjectKeyFromObject(target), target)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read the target: %w", err)
	}
	missing := apierrors.IsNotFound(err)
	target.Data, target.BinaryData = source.Data, source.BinaryData
	if missing {
		err = c.client.Create(ctx, target)
	} else {
		err = c.client.Update(ctx, target)
	}
	if err != nil {
		return fmt.Errorf("write the target: %w", err)
	}
	return nil
}
