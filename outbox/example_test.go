package outbox_test

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
)

// A controller of an audited kind: it gets each resource with a draft, and returns the errors of the draft as they are.
func ExampleAsReconciler() {
	var mgr ctrl.Manager   // ctrl.NewManager
	var store relay.Store  // postgres.Open, or outboxtest.Store in tests
	var act func() error   // what the controller does to the world
	var record func() any  // the audit record, complete as of now
	var lastEvent = "Done" // a long-lived kind ends its record when it is deleted

	setup := func() error {
		r, err := relay.Add(mgr, store, relay.Config{}, &backupv1.Backup{})
		if err != nil {
			return err
		}
		writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r)
		reconcile := func(ctx context.Context, b *backupv1.Backup, draft *outbox.Draft) (ctrl.Result, error) {
			if b.DeletionTimestamp != nil {
				return ctrl.Result{}, draft.Save(ctx, &outbox.Change{Kind: "backups.example.com", Event: "Deleted", Record: record(), Final: true})
			}
			if err := draft.Reserve(ctx, 2); err != nil { // room for two entries, before acting
				return ctrl.Result{}, err
			}
			b.Status.Phase = backupv1.PhaseCopying
			if err := draft.Save(ctx, &outbox.Change{Kind: "backups.example.com", Event: "Started", Record: record()}); err != nil { // the intent
				return ctrl.Result{}, err
			}
			if err := act(); err != nil {
				return ctrl.Result{}, err
			}
			b.Status.Phase = backupv1.PhaseCopied
			return ctrl.Result{}, draft.Save(ctx, &outbox.Change{Kind: "backups.example.com", Event: lastEvent, Record: record()})
		}
		return ctrl.NewControllerManagedBy(mgr).For(&backupv1.Backup{}).Complete(outbox.AsReconciler(writer, outbox.Reconciler[*backupv1.Backup]{Reconcile: reconcile}))
	}
	_ = setup
}

// A controller that exists, with Status().Update and Status().Patch in many places: it gets another client, and stays as it is.
func ExampleWriter_Client() {
	var writer *outbox.Writer
	describe := func(before, after outbox.Object) *outbox.Change {
		was, is := before.(*backupv1.Backup).Status.Phase, after.(*backupv1.Backup).Status.Phase
		switch {
		case after.GetDeletionTimestamp() != nil:
			return &outbox.Change{Kind: "backups.example.com", Event: "Deleted", Phase: string(is), Final: true}
		case was == is:
			return nil // a write that the trail does not need
		}
		return &outbox.Change{Kind: "backups.example.com", Event: "PhaseChanged", Phase: string(is)} // its record is the spec and the status
	}
	connect := func() client.Client { return writer.Client(describe) }
	_ = connect
}

// A text that comes from outside is bounded where it comes in. What is cut has a digest.
func ExampleBound() {
	fmt.Println(outbox.Bound("the pod was killed: out of memory", 100))
	fmt.Println(len(outbox.Bound(fmt.Sprintf("%1000s", "a long answer"), 200)))
	// Output:
	// the pod was killed: out of memory
	// 200
}
