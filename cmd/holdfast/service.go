package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
)

// endpointFlags are the settings that every service has.
type endpointFlags struct {
	kubeconfig                             string
	address, metricsAddress, healthAddress string
	certFile, keyFile                      string
	plain, noAuth                          bool
	logLevel, logFormat                    string
}

// serviceFlags are the settings of a REST service before the database.
type serviceFlags struct {
	endpointFlags
	databaseURL string
	poolSize    int
	audience    string
}

// add adds the flags. audience is the default of --audience.
func (f *serviceFlags) add(flags *pflag.FlagSet, audience string) {
	f.endpointFlags.add(flags)
	command.AddDatabaseURL(flags, &f.databaseURL)
	flags.IntVar(&f.poolSize, "database-pool-size", 0, "max database connections (0: pool_max_conns of the URL, else the larger of 4 and the number of CPUs)")
	flags.StringVar(&f.audience, "audience", audience, "audience that a caller's token must have")
}

// add adds the flags.
func (f *endpointFlags) add(flags *pflag.FlagSet) {
	command.AddKubeconfig(flags, &f.kubeconfig)
	flags.StringVar(&f.address, "bind-address", "127.0.0.1:8443", "address of the service")
	flags.StringVar(&f.certFile, "tls-cert-file", "", "PEM certificate chain, reloaded on change (default: self-signed, loopback only)")
	flags.StringVar(&f.keyFile, "tls-key-file", "", "PEM private key of --tls-cert-file")
	flags.BoolVar(&f.plain, "insecure-http", false, "plain HTTP instead of HTTPS; loopback only")
	flags.BoolVar(&f.noAuth, "insecure-no-auth", false, "no authentication, every caller may do everything; loopback only")
	flags.StringVar(&f.metricsAddress, "metrics-bind-address", "", "separate address of /metrics, with the same certificate (default: --bind-address; 0: disabled)")
	flags.StringVar(&f.healthAddress, "health-probe-bind-address", "", "additional address of /healthz and /readyz, over plain HTTP (default: none)")
	flags.StringVar(&f.logLevel, "log-level", "info", "log level: debug, info or error")
	flags.StringVar(&f.logFormat, "log-format", "json", "log format: json or text")
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

// validate refuses what would leave the service open, and a service without a database.
func (f *serviceFlags) validate() error {
	if f.databaseURL == "" {
		return errors.New("no database is set: give --database-url (HOLDFAST_DATABASE_URL), as in postgres://user:password@host:5432/holdfast")
	}
	return f.endpointFlags.validate()
}

// validate refuses what would leave the service open.
func (f *endpointFlags) validate() error {
	loopback := serving.Loopback(f.address)
	const open = "%s works on a loopback address only, but --bind-address is %q; %s"
	switch {
	case f.plain && (f.certFile != "" || f.keyFile != ""):
		return errors.New("--insecure-http is set together with --tls-cert-file or --tls-key-file, expected one of the two; unset the other")
	case f.plain && !loopback:
		return fmt.Errorf(open, "--insecure-http", f.address, "give --tls-cert-file and --tls-key-file instead")
	case f.noAuth && !loopback:
		return fmt.Errorf(open, "--insecure-no-auth", f.address, "unset it, or set --bind-address to 127.0.0.1:8443")
	case f.certFile == "" && f.keyFile == "" && !loopback:
		return fmt.Errorf(open, "a self-signed certificate", f.address, "give --tls-cert-file and --tls-key-file")
	}
	if a := f.metricsAddress; (f.plain || f.noAuth) && a != "" && a != "0" && !serving.Loopback(a) {
		return fmt.Errorf("--metrics-bind-address is %q, expected a loopback address because --insecure-http or --insecure-no-auth is set", a)
	}
	return nil
}

// prepare sets the logger, checks the settings, and opens the database, which need not be there.
func (f *serviceFlags) prepare(ctx context.Context, logTo io.Writer, o postgres.Options) (*postgres.Store, error) {
	if err := setLogger(f.logLevel, f.logFormat, logTo); err != nil {
		return nil, err
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	o.PoolSize = f.poolSize
	return postgres.Open(ctx, f.databaseURL, o)
}

// endpoint puts the addresses and the certificate into a service's settings; watch keeps the certificate current until its context ends.
func (f *endpointFlags) endpoint(c *httpapi.Endpoint) (watch func(context.Context) error, err error) {
	c.Address, c.MetricsAddress, c.HealthAddress = f.address, f.metricsAddress, f.healthAddress
	if f.plain {
		return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
	}
	c.TLS, watch, err = serving.TLS(f.certFile, f.keyFile)
	return watch, err
}

// authenticate lets authorizer make what says who may call, and protects the metrics. Without authentication it does neither.
func (f *endpointFlags) authenticate(c *httpapi.Endpoint, authorizer func(*rest.Config) error) error {
	if f.noAuth {
		return nil
	}
	cluster, err := command.RESTConfig(f.kubeconfig)
	if err != nil {
		return err
	}
	if err := authorizer(cluster); err != nil {
		return err
	}
	c.ProtectMetrics, err = serving.Metrics(cluster)
	return err
}

// serve runs a service until ctx ends. unusable is logged if check fails at the start.
func (f *endpointFlags) serve(ctx context.Context, server interface{ Run(context.Context) error }, watch, check func(context.Context) error, unusable string) error {
	ctrl.Log.Info("Starting", "version", versionText(), "authentication", !f.noAuth)
	if err := check(ctx); err != nil && ctx.Err() == nil {
		ctrl.Log.Error(err, unusable)
	}
	together, ctx := errgroup.WithContext(ctx)
	together.Go(func() error { return watch(ctx) })
	together.Go(func() error { return server.Run(ctx) })
	return together.Wait()
}
