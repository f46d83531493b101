package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/storageapi"
	"github.com/holdfast-dev/holdfast/postgres"
)

// storageFlags are the settings of `holdfast storage`.
type storageFlags struct {
	kubeconfig, databaseURL string
	poolSize                int
	certFile, keyFile       string
	plain, noAuth           bool
	audience                string
	logLevel, logFormat     string
	config                  storageapi.Config
}

func newStorageCommand() *cobra.Command {
	f := &storageFlags{}
	f.config.Limits = storageapi.DefaultLimits()
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
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := aboveZero(cmd.Flags(), storageLimits...); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	addKubeconfig(flags, &f.kubeconfig)
	addDatabaseURL(flags, &f.databaseURL)
	flags.IntVar(&f.poolSize, "database-pool-size", 0, "max database connections (0: pool_max_conns of the URL, else the larger of 4 and the number of CPUs)")
	flags.StringVar(&f.config.Address, "bind-address", "127.0.0.1:8443", "address of the service")
	flags.StringVar(&f.certFile, "tls-cert-file", "", "PEM certificate chain, reloaded on change (default: self-signed, loopback only)")
	flags.StringVar(&f.keyFile, "tls-key-file", "", "PEM private key of --tls-cert-file")
	flags.BoolVar(&f.plain, "insecure-http", false, "plain HTTP instead of HTTPS; loopback only")
	flags.BoolVar(&f.noAuth, "insecure-no-auth", false, "no authentication, every caller may do everything; loopback only")
	flags.StringVar(&f.audience, "audience", storageapi.DefaultAudience, "audience that a caller's token must have")
	flags.StringVar(&f.config.MetricsAddress, "metrics-bind-address", "", "separate address of /metrics, with the same certificate (default: --bind-address; 0: disabled)")
	flags.StringVar(&f.config.HealthAddress, "health-probe-bind-address", "", "additional address of /healthz and /readyz, over plain HTTP (default: none)")
	l := &f.config.Limits
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
	flags.StringVar(&f.logLevel, "log-level", "info", "log level: debug, info or error")
	flags.StringVar(&f.logFormat, "log-format", "json", "log format: json or text")
	return cmd
}

// storageLimits are the flags that bound what a caller may ask of the service.
var storageLimits = []string{
	"max-body-bytes", "max-records", "max-entries", "caller-requests-per-second", "caller-burst", "max-requests-in-flight", "max-bytes-in-flight", "max-concurrent-writes", "read-timeout", "write-timeout",
}

// aboveZero names the first of the flags, numbers or durations, that is zero or negative.
func aboveZero(flags *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		if value := flags.Lookup(name).Value.String(); strings.HasPrefix(value, "-") || value == "0" || value == "0s" {
			return fmt.Errorf("--%s is %s, expected more than 0", name, value)
		}
	}
	return nil
}

// validate refuses what would leave the service open.
func (f *storageFlags) validate() error {
	loopback := serving.Loopback(f.config.Address)
	const open = "%s works on a loopback address only, but --bind-address is %q; %s"
	switch {
	case f.databaseURL == "":
		return errors.New("no database is set: give --database-url (HOLDFAST_DATABASE_URL), as in postgres://user:password@host:5432/holdfast")
	case f.plain && (f.certFile != "" || f.keyFile != ""):
		return errors.New("--insecure-http is set together with --tls-cert-file or --tls-key-file, expected one of the two; unset the other")
	case f.plain && !loopback:
		return fmt.Errorf(open, "--insecure-http", f.config.Address, "give --tls-cert-file and --tls-key-file instead")
	case f.noAuth && !loopback:
		return fmt.Errorf(open, "--insecure-no-auth", f.config.Address, "unset it, or set --bind-address to 127.0.0.1:8443")
	case f.certFile == "" && f.keyFile == "" && !loopback:
		return fmt.Errorf(open, "a self-signed certificate", f.config.Address, "give --tls-cert-file and --tls-key-file")
	}
	if a := f.config.MetricsAddress; (f.plain || f.noAuth) && a != "" && a != "0" && !serving.Loopback(a) {
		return fmt.Errorf("--metrics-bind-address is %q, expected a loopback address because --insecure-http or --insecure-no-auth is set", a)
	}
	return nil
}

func (f *storageFlags) run(ctx context.Context, logTo io.Writer) error {
	if err := setLogger(f.logLevel, f.logFormat, logTo); err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return err
	}
	if err := f.authenticate(); err != nil {
		return err
	}
	watch := func(ctx context.Context) error { <-ctx.Done(); return nil }
	if !f.plain {
		var err error
		if f.config.TLS, watch, err = storageapi.ServerTLS(f.certFile, f.keyFile); err != nil {
			return err
		}
	}
	s, err := postgres.Open(ctx, f.databaseURL, postgres.Options{PoolSize: f.poolSize})
	if err != nil {
		return err
	}
	defer s.Close()
	f.config.Store, f.config.Log = s, ctrl.Log.WithName("storage")
	f.config.Check = func(ctx context.Context) error { return checkDatabase(ctx, s) }
	server, err := storageapi.New(f.config)
	if err != nil {
		return err
	}
	ctrl.Log.Info("Starting", "version", versionText(), "authentication", !f.noAuth)
	if err := f.config.Check(ctx); err != nil && ctx.Err() == nil {
		ctrl.Log.Error(err, "Audit store is not usable; requests get 503 until it is")
	}
	together, ctx := errgroup.WithContext(ctx)
	together.Go(func() error { return watch(ctx) })
	together.Go(func() error { return server.Run(ctx) })
	return together.Wait()
}

// authenticate says who may post, and who may read the metrics.
func (f *storageFlags) authenticate() error {
	if f.noAuth {
		f.config.Authorizer = storageapi.NoAuth{}
		return nil
	}
	cluster, err := restConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	if f.config.Authorizer, err = storageapi.NewKubernetesAuthorizer(cluster, storageapi.AuthOptions{Audience: f.audience}); err != nil {
		return err
	}
	f.config.ProtectMetrics, err = serving.Metrics(cluster)
	return err
}
