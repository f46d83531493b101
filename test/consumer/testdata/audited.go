package main

import (
	"context"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// Backup is an audited kind.
type Backup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Status BackupStatus `json:"status,omitempty"`
}

// BackupStatus has the outbox.
type BackupStatus struct {
	outboxapi.Status `json:",inline"`

	Phase string `json:"phase,omitempty"`
}

// OutboxStatus is where the outbox is.
func (b *Backup) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &b.Status.Status, nil
}

// DeepCopyObject implements runtime.Object.
func (b *Backup) DeepCopyObject() runtime.Object {
	out := &Backup{TypeMeta: b.TypeMeta, Status: b.Status}
	b.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	b.Status.Status.DeepCopyInto(&out.Status.Status)
	return out
}

func setup(ctx context.Context, mgr ctrl.Manager, _ client.Object) error {
	mgr.GetScheme().AddKnownTypes(schema.GroupVersion{Group: "example.com", Version: "v1"}, &Backup{})
	url := os.Getenv("DATABASE_URL")
	if err := migrations.Up(ctx, url, os.Stderr); err != nil {
		return err
	}
	store, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	recorder, err := recorderOf(ctx, mgr)
	if err != nil {
		return err
	}
	r, err := relay.Add(mgr, store, relay.Config{Recorder: recorder}, &Backup{})
	if err != nil {
		return err
	}
	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r, outbox.WithRecorder(recorder))
	return ctrl.NewControllerManagedBy(mgr).For(&Backup{}).Complete(outbox.AsReconciler(writer, outbox.Reconciler[*Backup]{Reconcile: reconcile}))
}

func reconcile(ctx context.Context, b *Backup, draft *outbox.Draft) (ctrl.Result, error) {
	if err := draft.Reserve(ctx, 1); err != nil {
		return ctrl.Result{}, err
	}
	b.Status.Phase = "Copied"
	return ctrl.Result{}, draft.Save(ctx, &outbox.Change{
		Kind: "backups.example.com", Event: "Copied", Phase: b.Status.Phase, Record: map[string]string{"phase": b.Status.Phase}, Final: true,
	})
}

// recorderOf makes a recorder where the manager has none: Manager.GetEventRecorder came with controller-runtime 0.23.
func recorderOf(ctx context.Context, mgr ctrl.Manager) (events.EventRecorder, error) {
	clients, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, err
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: clients.EventsV1()})
	return broadcaster.NewRecorder(mgr.GetScheme(), "backup"), broadcaster.StartRecordingToSinkWithContext(ctx)
}
