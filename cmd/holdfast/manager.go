package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/operator"
	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/shard"
)

// managerFlags are the settings of `holdfast manager`.
type managerFlags struct {
	kubeconfig                        string
	store                             storeFlags
	investigatorURL, token, tokenFile string
	investigatorModel                 string
	investigatorTimeout               time.Duration
	logLevel, logFormat               string
	shardBy                           string
	config                            operator.Config
}

func newManagerCommand() *cobra.Command {
	f := &managerFlags{config: operator.Config{}}
	f.config.Relay.Limits = entry.DefaultLimits()
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Run the controllers and the relay",
		Long: `Run the controllers (remediation, analysis, workflow, notification) and the relay. The relay
drains the outboxes of their resources into PostgreSQL, or into a Data Storage API. With a Data
Storage API the manager needs no database credentials.

The manager runs without its store. Entries stay in their resources and drain when the store is
back. SIGTERM stops the manager within 20 seconds; it first flushes the entries that it can.`,
		Example: `  # Use the cluster of 'holdfast dev --infra-only'
  export $(cat .dev/env)
  holdfast manager

  # Drain into the Data Storage API of 'holdfast storage' instead of a database
  unset HOLDFAST_DATABASE_URL
  holdfast manager --store-url "$HOLDFAST_STORAGE_URL" --cluster-name east

  # Ask HolmesGPT instead of the built-in rules
  holdfast manager --investigator-url http://holmes.monitoring:5050`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("metrics-secure") { // by its variable neither
				f.config.MetricsSecure = f.secureMetrics()
			}
			return f.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	command.AddKubeconfig(flags, &f.kubeconfig)
	f.store.add(flags)
	flags.StringVar(&f.config.MetricsBindAddress, "metrics-bind-address", "127.0.0.1:8080", "address of /metrics (0: disabled)")
	flags.BoolVar(&f.config.MetricsSecure, "metrics-secure", false, "TLS and bearer tokens for /metrics (default: true, except on loopback without a certificate)")
	flags.StringVar(&f.config.MetricsCertFile, "metrics-cert-file", "", "PEM certificate chain for /metrics, reloaded on change (default: self-signed)")
	flags.StringVar(&f.config.MetricsKeyFile, "metrics-key-file", "", "PEM private key of --metrics-cert-file")
	flags.StringVar(&f.config.HealthProbeBindAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz (0: disabled)")
	flags.BoolVar(&f.config.LeaderElect, "leader-elect", false, "leader election between managers")
	flags.StringVar(&f.config.LeaderElectNamespace, "leader-elect-namespace", "", "namespace of the leader election lease (default: the Pod's namespace)")
	flags.StringVar(&f.config.LeaderElectID, "leader-elect-id", "", "name of the leader election lease, without the shard suffix (default: holdfast-manager and --namespaces)")
	flags.StringSliceVar(&f.config.Namespaces, "namespaces", nil, "namespaces to watch, comma-separated (default: all)")
	flags.IntVar(&f.config.Shard.Total, "total-shards", 1, "number of shards, the same for every manager")
	flags.IntVar(&f.config.Shard.Index, "shard", 0, "shard of this manager, from 0 to --total-shards minus 1")
	flags.StringVar(&f.shardBy, "shard-by", string(shard.ByUID), "sharding key: uid (of the RemediationRequest) or namespace")
	flags.DurationVar(&f.config.CoolDown, "cool-down", 0, "time after a repair during which the same alert starts no other repair of the target (0: none; manifests set 1h)")
	flags.IntVar(&f.config.Workers, "workers", 8, "max concurrent reconciles per kind")
	flags.StringVar(&f.investigatorURL, "investigator-url", "", "URL of HolmesGPT (default: built-in rules instead of HolmesGPT)")
	flags.StringVar(&f.tokenFile, "investigator-token-file", "", "file with the bearer token for HolmesGPT, read for each request")
	flags.StringVar(&f.token, "investigator-token", "", "bearer token for HolmesGPT (prefer env HOLDFAST_INVESTIGATOR_TOKEN)")
	flags.StringVar(&f.investigatorModel, "investigator-model", "", "model that HolmesGPT uses (default: chosen by HolmesGPT)")
	flags.DurationVar(&f.investigatorTimeout, "investigator-timeout", 2*time.Minute, "timeout of a request to HolmesGPT")
	flags.DurationVar(&f.config.Relay.IdleTrimDelay, "idle-trim-delay", 10*time.Second, "idle time after which the relay trims a drained, open outbox")
	flags.IntVar(&f.config.Relay.Limits.EntryBytes, "outbox-entry-bytes", f.config.Relay.Limits.EntryBytes, "max bytes per audit entry")
	flags.IntVar(&f.config.Relay.Limits.SoftBytes, "outbox-soft-bytes", f.config.Relay.Limits.SoftBytes, "pending bytes per resource at which the relay trims immediately")
	flags.IntVar(&f.config.Relay.Limits.HardBytes, "outbox-hard-bytes", f.config.Relay.Limits.HardBytes, "pending bytes per resource at which its controller pauses changes")
	flags.IntVar(&f.config.Relay.Limits.HardEntries, "outbox-hard-entries", f.config.Relay.Limits.HardEntries, "pending entries per resource at which its controller pauses changes")
	flags.StringVar(&f.logLevel, "log-level", "info", "log level: debug, info or error")
	flags.StringVar(&f.logFormat, "log-format", "json", "log format: json or text")
	return cmd
}

// secureMetrics is --metrics-secure where it was not given: plain HTTP stays on the machine.
func (f *managerFlags) secureMetrics() bool {
	return f.config.MetricsCertFile != "" || f.config.MetricsKeyFile != "" || !serving.Loopback(f.config.MetricsBindAddress)
}

func (f *managerFlags) run(ctx context.Context, logTo io.Writer) error {
	if err := setLogger(f.logLevel, f.logFormat, logTo); err != nil {
		return err
	}
	if err := f.config.Relay.Limits.Validate(); err != nil {
		return fmt.Errorf("--outbox-* flags: %w", err)
	}
	f.config.Shard.By = shard.By(f.shardBy)
	if err := checkShard(f.config.Shard); err != nil {
		return err
	}
	err := f.check()
	if err != nil {
		return err
	}
	if f.config.REST, err = command.RESTConfig(f.kubeconfig); err != nil {
		return err
	}
	if f.config.Investigator, err = f.investigator(); err != nil {
		return err
	}
	s, err := f.store.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	f.config.Store, f.config.Check = s.store, s.check
	preflight(ctx, f.config.REST)
	mgr, err := operator.New(f.config)
	if err != nil {
		return err
	}
	ctrl.Log.Info("Starting", "version", versionText(), "investigator", f.investigatorName(), "shard", f.config.Shard.String(), "lease", f.leaseName())
	return mgr.Start(ctx)
}

// preflight logs what the installation lacks. The manager starts nevertheless: it may come.
func preflight(ctx context.Context, cfg *rest.Config) {
	ctx, stop := context.WithTimeout(ctx, preflightTimeout)
	defer stop()
	problems, err := config.Preflight(ctx, cfg, os.Getenv("POD_NAMESPACE"))
	if err != nil {
		ctrl.Log.Info("Skipped the check of the installation", "reason", err.Error())
	}
	for _, problem := range problems {
		ctrl.Log.Error(problem, "Installation is not complete; `kubectl holdfast check` says what to do")
	}
}

const preflightTimeout = 10 * time.Second

// check names a flag whose value would be taken for another one, or would make the manager look after nothing.
func (f *managerFlags) check() error {
	switch {
	case f.config.CoolDown < 0:
		return fmt.Errorf("--cool-down is %s, expected 0 or more", f.config.CoolDown)
	case f.config.Workers < 1:
		return fmt.Errorf("--workers is %d, expected 1 or more", f.config.Workers)
	case f.investigatorTimeout <= 0:
		return fmt.Errorf("--investigator-timeout is %s, expected a positive duration", f.investigatorTimeout)
	}
	for _, name := range f.config.Namespaces {
		if len(validation.IsDNS1123Label(name)) > 0 {
			return fmt.Errorf("--namespaces contains %s, expected comma-separated namespace names, as in shop,checkout", command.Shown(name))
		}
	}
	return nil
}

// checkShard names the flag that is wrong.
func checkShard(s shard.Shard) error {
	if s.Total == 0 { // which is the whole elsewhere, but was asked for here
		return fmt.Errorf("--total-shards is 0: %w", shard.ErrTotal)
	}
	err := s.Validate()
	switch {
	case errors.Is(err, shard.ErrTotal):
		return fmt.Errorf("--total-shards is %w", err)
	case errors.Is(err, shard.ErrIndex):
		return fmt.Errorf("--shard is %w with --total-shards %d", err, s.Total)
	case err != nil:
		return fmt.Errorf("--shard-by is %w", err)
	}
	return nil
}

// leaseName is empty where nobody is elected.
func (f *managerFlags) leaseName() string {
	if !f.config.LeaderElect {
		return ""
	}
	return f.config.Lease()
}

func (f *managerFlags) investigatorName() string {
	if f.config.Investigator == nil {
		return "rules"
	}
	return f.config.Investigator.Name()
}

// setLogger makes controller-runtime's logger: structured, one line an event. Stacks are left out: errors say what was being done, and the stack of an error is that of the loop that logs it.
func setLogger(level, format string, to io.Writer) error {
	var l zapcore.Level
	if err := l.Set(level); err != nil {
		return fmt.Errorf("--log-level is %q, expected debug, info or error", level)
	}
	encoder := zap.JSONEncoder
	switch format {
	case "json":
	case "text":
		encoder = zap.ConsoleEncoder
	default:
		return fmt.Errorf("--log-format is %q, expected json or text", format)
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(to), zap.Level(l), zap.StacktraceLevel(zapcore.PanicLevel), encoder(func(c *zapcore.EncoderConfig) { c.EncodeTime = zapcore.RFC3339NanoTimeEncoder })))
	return nil
}
