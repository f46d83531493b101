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

	"github.com/holdfast-dev/holdfast/internal/local/demo"
)

func newDemoCommand() *cobra.Command {
	o := demo.Options{}
	output := ""
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch failing workloads being repaired, and their audit trail survive everything",
		Long: `Start a local cluster, PostgreSQL, the manager and the storage service, and let workloads fail. One is repaired automatically, one when a person approves, one not at all because
a person rejects it; the repair of one fails and is rolled back. In the middle PostgreSQL is stopped and the manager killed; a deletion waits for its rows. Records of
programs that have no resources are posted, each twice, and are one row each.
An independent witness counts every audit entry, and at the end the tables must hold each of them exactly once.

It takes about a minute, and up to ten minutes more the first time, to get the servers. Nothing of it remains. KUBECONFIG and HOLDFAST_* of the environment are ignored.

The exit status is 0 when nothing was lost and nothing is there twice, 1 when something was or when a step failed, and 130 after an interruption.`,
		Example: `  holdfast demo
  holdfast demo -o json --state-dir .demo > summary.json   # the progress goes to stderr, the logs stay in .demo/logs`,
		Args:              noArguments,
		PersistentPreRunE: func(*cobra.Command, []string) error { return checkProxies(os.LookupEnv) }, // no other variable is read
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
				return fmt.Errorf("--output is %q, expected json or nothing", output)
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
	cmd.Flags().StringVarP(&output, "output", "o", "", "output format: json for a summary on stdout, with the progress on stderr")
	cmd.Flags().StringVar(&o.StateDir, "state-dir", "", "folder for logs and data, kept at the end (default: a temporary one)")
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
			return fmt.Errorf("ignore the variable %s: %w", name, err)
		}
	}
	return nil
}
