// Command holdfast runs and looks after the audit trail of Kubernetes custom resources.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/command"
)

// version is set by the linker (make build).
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit status. 0 is success, 1 a failure, 130 an interruption; commands document others.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand() //nolint:contextcheck // commands take the context that ExecuteContext gives them
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var exit *command.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.Err != nil {
			fmt.Fprintln(stderr, "holdfast:", exit.Err)
		}
		return exit.Code
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "holdfast: interrupted")
		return 130
	default:
		fmt.Fprintln(stderr, "holdfast:", err)
		return 1
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Audit trail of Kubernetes custom resources, with the resource itself as the durable outbox",
		Long: `Holdfast keeps the audit trail of Kubernetes custom resources. Every state change becomes a
durable row in PostgreSQL. No resource disappears before its rows are stored.

Every flag has an environment variable: --database-url is HOLDFAST_DATABASE_URL, --kubeconfig
is KUBECONFIG. A flag overrides its variable.`,
		Example: `  # Start a cluster on this machine and watch failing workloads being repaired
  holdfast demo

  # Keep such a cluster running and use it
  holdfast dev --state-dir .dev
  export $(cat .dev/env)
  holdfast verify`,
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          command.OnlyCommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return errors.Join(command.CheckProxies(os.LookupEnv), command.FromEnvironment(cmd.Flags(), os.LookupEnv))
		},
	}
	command.ShowUsage(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return command.FlagError(err) })
	root.SetVersionTemplate("holdfast {{.Version}}\n")
	trail := command.Program{Name: "holdfast", Version: versionText(), Prepare: root.PersistentPreRunE}
	root.AddCommand(
		newManagerCommand(),
		newStorageCommand(),
		newReportsCommand(),
		newGatewayCommand(),
		trail.RAR(),
		newMigrateCommand(),
		trail.Verify(),
		trail.DeadLetter(),
		trail.Export(),
		trail.Import(),
		newInitCommand(),
		trail.Release(),
		newDrainCommand(),
		newDevCommand(),
		newDemoCommand(),
	)
	return root
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
