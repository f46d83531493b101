//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/local/demo"
)

func newDemoCommand() *cobra.Command {
	o := demo.Options{}
	output := ""
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Repair failing workloads on a local cluster, and check their audit trail",
		Long: `Start a local cluster, PostgreSQL, the manager and the storage service, and make workloads fail.
One is repaired automatically. One is repaired after a person approves. One repair is rejected by a
person. One repair fails and is rolled back. The demo stops PostgreSQL and kills the manager on the
way, and a deletion waits for its rows. It also posts records over REST, each twice; each becomes
one row.

An independent witness counts every audit entry. At the end the tables must hold each one exactly
once.

The demo takes about a minute. The first run takes up to ten minutes more to get the servers. It
leaves nothing running, but leaves one report as a page and prints its path. It ignores KUBECONFIG and HOLDFAST_* variables.

Exit status: 0 no entry was lost or stored twice, 1 an entry was lost or stored twice or a step
failed, 130 interrupted.`,
		Example: `  holdfast demo

  # Print a summary as JSON; progress goes to stderr, logs stay in .demo/logs
  holdfast demo -o json --state-dir .demo > summary.json`,
		Args:              command.NoArguments,
		PersistentPreRunE: func(*cobra.Command, []string) error { return command.CheckProxies(os.LookupEnv) }, // no other variable is read
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if err := unsetPostgresVariables(); err != nil {
				return err
			}
			if o.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			stream := os.Stdout
			switch output {
			case "":
				o.Out = cmd.OutOrStdout()
			case "json":
				o.Out, stream = cmd.ErrOrStderr(), os.Stderr
			default:
				return fmt.Errorf("--output is %q, expected json, or nothing for text", output)
			}
			if fd := int(stream.Fd()); o.Out == stream && term.IsTerminal(fd) {
				o.Width, _, _ = term.GetSize(fd)
				o.Colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
			}
			// The libraries' logs would only disturb the output: the demo's own errors say what was waited for.
			ctrl.SetLogger(logr.Discard())
			klog.SetLogger(logr.Discard())
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP) // the terminal was closed
			defer stop()
			summary, err := demo.Run(ctx, o)
			if output == "json" && summary != nil {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				if encodeErr := encoder.Encode(summary); err == nil {
					err = encodeErr
				}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: json prints a summary to stdout and progress to stderr (default: text)")
	cmd.Flags().StringVar(&o.StateDir, "state-dir", "", "directory for logs and data, kept at the end (default: a temporary directory)")
	return cmd
}

// unsetPostgresVariables removes the variables that pgx, like libpq, adds to every address (PGSERVICE, PGOPTIONS, …): the servers that dev and demo start are
// their own, and what the user has set is for another one.
func unsetPostgresVariables() error {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "PG") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unset the variable %s: %w", name, err)
		}
	}
	return nil
}
