package postgres_test

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// The store of a relay.
func ExampleOpen() {
	var mgr ctrl.Manager
	run := func(ctx context.Context, url string) error {
		store, err := postgres.Open(ctx, url, postgres.Options{})
		if err != nil {
			return err
		}
		defer store.Close()
		if _, err := relay.Add(mgr, store, relay.Config{}, &backupv1.Backup{}); err != nil {
			return err
		}
		return mgr.Start(ctx)
	}
	_ = run
}
