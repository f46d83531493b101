package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/narrator"
	"github.com/holdfast-dev/holdfast/internal/reportsapi"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
)

// reportsFlags are the settings of `holdfast reports`.
type reportsFlags struct {
	serviceFlags
	cluster string
	reviews int
	limits  reportsapi.Limits
	narratorFlags
}

func newReportsCommand() *cobra.Command {
	f := &reportsFlags{limits: reportsapi.DefaultLimits(), narratorFlags: narratorFlags{o: narrator.DefaultOptions()}}
	cmd := &cobra.Command{
		Use:   "reports",
		Short: "Run the Report API: Remediation Analysis Reports over REST",
		Long: `Run the service that makes Remediation Analysis Reports of the rows in the audit trail. It writes nothing: its database login needs to be a member of holdfast_reader only, and may be that
of a hot standby. /docs describes the API, /openapi.json is for programs; /healthz, /readyz and /metrics are on the same address.

A caller needs a token of the cluster, made for the service's audience. They see the rows of the namespaces in which they may get (of lists: list) remediationreports.holdfast.dev, and with that
right in all namespaces every row. Where the database has rows of several clusters, --cluster-name is the one whose namespaces these are.

It serves HTTPS. Without a certificate it makes a self-signed one, on a loopback address only. Plain HTTP and --insecure-no-auth are for loopback only too.
It starts without the database, and answers 503 until the database is there. SIGTERM stops it within 20 seconds, after it has finished the requests that it took.`,
		Example: `  # In a cluster, behind a Service
  holdfast reports --bind-address :8443 --tls-cert-file /tls/tls.crt --tls-key-file /tls/tls.key

  # Beside a local cluster of 'holdfast dev --infra-only'
  export $(cat .dev/env)
  holdfast reports --insecure-http --bind-address 127.0.0.1:8081
  kubectl -n shop create serviceaccount auditor
  kubectl -n shop create rolebinding auditor --clusterrole=holdfast-report-viewer --serviceaccount=shop:auditor
  TOKEN=$(kubectl -n shop create token auditor --audience holdfast-reports)

  # To try it without a cluster
  holdfast reports --insecure-no-auth --insecure-http --bind-address 127.0.0.1:8081 --database-url postgres://me@localhost/holdfast`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := aboveZero(cmd.Flags(), reportsLimits...); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	f.add(flags, reportsapi.DefaultAudience)
	flags.Lookup("database-pool-size").Usage = "max database connections (0: --max-concurrent-reads and three)"
	flags.StringVar(&f.cluster, "cluster-name", "", "--cluster-name of the manager")
	flags.IntVar(&f.reviews, "max-reviews", 200, "max namespaces asked about per request; beyond, callers have to name theirs")
	l := &f.limits
	flags.Float64Var(&l.RequestsPerSecond, "caller-requests-per-second", l.RequestsPerSecond, "max requests per second and caller")
	flags.IntVar(&l.Burst, "caller-burst", l.Burst, "max burst of requests of a caller")
	flags.IntVar(&l.Requests, "max-requests-in-flight", l.Requests, "max concurrent requests; more get 503")
	flags.IntVar(&l.Streams, "max-streams", l.Streams, "max concurrent streams and batches; more get 503")
	flags.IntVar(&l.Reads, "max-concurrent-reads", l.Reads, "max reports or pages read at once; more wait for a second, then get 503")
	flags.DurationVar(&l.ReadTimeout, "read-timeout", l.ReadTimeout, "timeout for reading a report or a page from the database")
	flags.DurationVar(&l.WriteTimeout, "write-timeout", l.WriteTimeout, "timeout of a caller for taking a piece of an answer")
	f.addNarrator(flags)
	return cmd
}

// reportsLimits are the flags that bound what a caller may ask of the service.
var reportsLimits = []string{
	"max-reviews", "caller-requests-per-second", "caller-burst", "max-requests-in-flight", "max-streams", "max-concurrent-reads", "read-timeout", "write-timeout",
	"narrator-call-timeout", "narrator-timeout", "narrator-max-input-tokens", "narrator-max-output-tokens", "narrator-max-concurrent", "narrator-max-tokens-per-day", "narrator-cache-bytes",
}

// collectAt is how much garbage there may be beside what lives, in percent. A report is short-lived: half as many collections are a sixth of the CPU time, for some ten megabytes.
const collectAt = 200

func (f *reportsFlags) run(ctx context.Context, logTo io.Writer) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if f.poolSize == 0 {
		f.poolSize = f.limits.Reads + reportsapi.ReadsAhead + 1 // and the readiness probe
	}
	// The server ends a statement before the caller's patience does: then it is known why.
	s, err := f.prepare(ctx, logTo, postgres.Options{StatementTimeout: f.limits.ReadTimeout - min(time.Second, f.limits.ReadTimeout/10)})
	if err != nil {
		return err
	}
	defer s.Close()
	c := reportsapi.Config{Store: s, Authorizer: reportsapi.NoAuth{}, Limits: f.limits, Log: ctrl.Log.WithName("reports"), Check: func(ctx context.Context) error { return checkReadable(ctx, s) }}
	if err := f.authenticate(&c.Endpoint, func(cluster *rest.Config) (err error) {
		c.Authorizer, err = reportsapi.NewKubernetesAuthorizer(cluster, reportsapi.AccessOptions{Audience: f.audience, Cluster: f.cluster, Reviews: f.reviews})
		return err
	}); err != nil {
		return err
	}
	watch, err := f.endpoint(&c.Endpoint)
	if err != nil {
		return err
	}
	tells, err := f.narrator()
	if err != nil {
		return err
	}
	if tells != nil {
		defer tells.Close()
		c.Narrator = tells
	}
	server, err := reportsapi.New(c)
	if err != nil {
		return err
	}
	defer server.Close()
	return f.serve(ctx, server.Server, watch, c.Check, "Audit trail not readable yet, answering 503")
}

// checkReadable reports why a database cannot be read: the login is no reader's, or its schema does not fit.
func checkReadable(ctx context.Context, s *postgres.Store) error {
	if err := s.Readable(ctx); err != nil {
		return err
	}
	if err := migrations.Check(ctx, s.DB().DB); err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	return nil
}
