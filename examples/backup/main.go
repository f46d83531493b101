// Command backup is an operator that has nothing to do with remediation and keeps an audit trail with Holdfast's outbox and relay.
//
//	backup --kubeconfig=… --database-url=postgres://…
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/holdfast-dev/holdfast/examples/backup/controller"
	"github.com/holdfast-dev/holdfast/postgres"
)

func main() {
	// --kubeconfig is registered by controller-runtime.
	database := flag.String("database-url", "", "`URL` of a PostgreSQL that 'holdfast migrate up' has migrated (default $HOLDFAST_DATABASE_URL)")
	metrics := flag.String("metrics-bind-address", "0", "where to serve metrics; 0 serves none")
	flag.Parse()
	if *database == "" { // not the flag's default: help prints those, and this one has a password
		*database = os.Getenv("HOLDFAST_DATABASE_URL")
	}
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler(), *database, *metrics); err != nil {
		fmt.Fprintln(os.Stderr, "backup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, database, metrics string) error {
	if database == "" {
		return fmt.Errorf("--database-url is empty, expected the URL of a migrated PostgreSQL")
	}
	scheme, err := controller.Scheme()
	if err != nil {
		return err
	}
	cluster, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: metrics}})
	if err != nil {
		return err
	}
	s, err := postgres.Open(ctx, database, postgres.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := controller.Setup(mgr, s); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
