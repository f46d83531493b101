package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/storageapi"
	"github.com/holdfast-dev/holdfast/postgres"
)

// storageFlags are the settings of `holdfast storage`.
type storageFlags struct {
	serviceFlags
	limits storageapi.Limits
}

func newStorageCommand() *cobra.Command {
	f := &storageFlags{limits: storageapi.DefaultLimits()}
	cmd := &cobra.Command{
		Use:   "storage",
		Short: "Run the Data Storage API, which stores audit records sent over REST",
		Long: `Run the Data Storage API. It stores audit records from programs that have no outbox, and entries
from relays. A caller needs a Kubernetes token for the audience of the service, and the permission
to create auditrecords.holdfast.dev.

The same address serves /docs, /openapi.json, /healthz, /readyz and /metrics. The service uses
HTTPS. Three settings work on a loopback address only: no certificate (the service then creates a
self-signed one), --insecure-http, and --insecure-no-auth.

The service starts without the database and answers 503 until the database is available. SIGTERM
stops it within 20 seconds, after it finishes the requests in flight.`,
		Example: `  # In a cluster, behind a Service
  holdfast storage --bind-address :8443 --tls-cert-file /tls/tls.crt --tls-key-file /tls/tls.key

  # Use the cluster of 'holdfast dev --infra-only'
  export $(cat .dev/env)
  holdfast storage --insecure-http --bind-address 127.0.0.1:8080
  kubectl create serviceaccount recorder
  kubectl create clusterrolebinding recorder --clusterrole=holdfast-recorder --serviceaccount=default:recorder
  TOKEN=$(kubectl create token recorder --audience holdfast-storage)

  # Without a cluster, to try it
  holdfast storage --insecure-no-auth --insecure-http --bind-address 127.0.0.1:8080 --database-url postgres://me@localhost/holdfast`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := aboveZero(cmd.Flags(), storageLimits...); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	f.add(flags, storageapi.DefaultAudience)
	l := &f.limits
	flags.Int64Var(&l.BodyBytes, "max-body-bytes", l.BodyBytes, "max bytes per request body")
	flags.IntVar(&l.Records, "max-records", l.Records, "max records per request")
	flags.IntVar(&l.Entries, "max-entries", l.Entries, "max entries per request of a relay")
	flags.Float64Var(&l.RequestsPerSecond, "caller-requests-per-second", l.RequestsPerSecond, "max requests per second per caller, except relays")
	flags.IntVar(&l.Burst, "caller-burst", l.Burst, "max burst of requests per caller, except relays")
	flags.IntVar(&l.Requests, "max-requests-in-flight", l.Requests, "max concurrent requests; beyond it the answer is 503")
	flags.Int64Var(&l.BytesInFlight, "max-bytes-in-flight", l.BytesInFlight, "max bytes of all request bodies in memory; beyond it the answer is 503")
	flags.IntVar(&l.Writes, "max-concurrent-writes", l.Writes, "max concurrent transactions; beyond it a request waits one second, then the answer is 503")
	flags.DurationVar(&l.ReadTimeout, "read-timeout", l.ReadTimeout, "timeout for reading a request body")
	flags.DurationVar(&l.WriteTimeout, "write-timeout", l.WriteTimeout, "timeout of a transaction")
	return cmd
}

// storageLimits are the flags that bound what a caller may ask of the service.
var storageLimits = []string{
	"max-body-bytes", "max-records", "max-entries", "caller-requests-per-second", "caller-burst", "max-requests-in-flight", "max-bytes-in-flight", "max-concurrent-writes", "read-timeout", "write-timeout",
}

func (f *storageFlags) run(ctx context.Context, logTo io.Writer) error {
	s, err := f.prepare(ctx, logTo, postgres.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	c := storageapi.Config{Store: s, Authorizer: storageapi.NoAuth{}, Limits: f.limits, Log: ctrl.Log.WithName("storage"), Check: func(ctx context.Context) error { return checkDatabase(ctx, s) }}
	if err := f.authenticate(&c.Endpoint, func(cluster *rest.Config) (err error) {
		c.Authorizer, err = storageapi.NewKubernetesAuthorizer(cluster, storageapi.AuthOptions{Audience: f.audience})
		return err
	}); err != nil {
		return err
	}
	watch, err := f.endpoint(&c.Endpoint)
	if err != nil {
		return err
	}
	server, err := storageapi.New(c)
	if err != nil {
		return err
	}
	return f.serve(ctx, server.Server, watch, c.Check, "Audit store is not usable; requests get 503 until it is")
}
