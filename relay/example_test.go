package relay_test

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
)

// With a manager: the relay runs while the manager leads.
func ExampleAdd() {
	var mgr ctrl.Manager
	var store relay.Store // postgres.Open
	setup := func() (*outbox.Writer, error) {
		r, err := relay.Add(mgr, store, relay.Config{}, &backupv1.Backup{})
		if err != nil {
			return nil, err
		}
		return r.Writer(), nil
	}
	_ = setup
}

// Without a manager: a program of client-go alone, with informers and workqueues of its own.
func ExampleNew() {
	var config *rest.Config
	var scheme *runtime.Scheme // knows the kinds
	var store relay.Store      // postgres.Open
	run := func(ctx context.Context, controller func(context.Context, *outbox.Writer) error) error {
		r, err := relay.New(config, scheme, store, relay.Config{}, &backupv1.Backup{})
		if err != nil {
			return err
		}
		return r.Run(ctx, func(ctx context.Context) error { return controller(ctx, r.Writer()) })
	}
	_ = run
}

// What a store says of an entry decides whether it may leave its resource. An outcome that nobody set is never durable.
func ExampleOutcome_Durable() {
	for _, r := range []relay.Result{relay.Unknown, relay.Stored, relay.Present, relay.DeadLettered, relay.Unsupported} {
		fmt.Println(relay.Outcome{Result: r}.Durable())
	}
	// Output:
	// false
	// true
	// true
	// true
	// false
}
