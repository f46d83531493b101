package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/reportsclient"
)

// Exit statuses.
const (
	exitFound       = 1
	exitUnknown     = 2
	exitTimeout     = 124
	exitInterrupted = 130
)

// ExitStatus is what a program ends with after the error of a command of this package.
func ExitStatus(err error) int {
	var exit *command.ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return exitUnknown
}

// found is the exit status of a command whose output says what it found.
func found(something bool) error {
	if something {
		return &command.ExitError{Code: exitFound}
	}
	return nil
}

// Program is the command line's surroundings.
type Program struct {
	// Outboxes makes it `kubectl outbox`, which has only the verbs about outboxes.
	Outboxes bool
	Version  string
	Streams  genericiooptions.IOStreams
}

func (p Program) name() string {
	if p.Outboxes {
		return "kubectl outbox"
	}
	return "kubectl holdfast"
}

// Run runs a command line and returns the exit status.
func (p Program) Run(ctx context.Context, args []string) int {
	// client-go logs what a command reports as its error.
	klog.SetLogger(klog.Logger{})
	root := p.Command() //nolint:contextcheck // commands take the context that ExecuteContext gives them
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit *command.ExitError
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		fmt.Fprintf(p.Streams.ErrOut, "%s: interrupted\n", p.name())
		return exitInterrupted
	case errors.As(err, &exit):
		if exit.Err != nil {
			fmt.Fprintf(p.Streams.ErrOut, "%s: %s\n", p.name(), reportsclient.Printable(explained(exit.Err).Error()))
		}
		return exit.Code
	default:
		fmt.Fprintf(p.Streams.ErrOut, "%s: %s\n", p.name(), reportsclient.Printable(explained(err).Error()))
		return exitUnknown
	}
}

// Command makes the root command.
func (p Program) Command() *cobra.Command {
	c := &cluster{config: genericclioptions.NewConfigFlags(true), streams: p.Streams, program: p.name(), version: versionOf(p.Version)}
	root := &cobra.Command{
		Use:   "kubectl-holdfast",
		Short: "See, explain and decide what the audit trail of custom resources waits for",
		Long: `See, explain and decide what the audit trail of custom resources waits for.

KIND is what kubectl takes: a plural, a singular or a short name, with or without its group.
The commands that read the cluster need no database and no Holdfast service.

Exit status: 0 fine, 1 found something, 2 could not tell, 124 timeout, 130 interrupted.`,
		Example: `  # What waits, and why
  kubectl holdfast status
  kubectl holdfast list --pending -A
  kubectl holdfast explain rr/cart-crash -n shop

  # Decide
  kubectl holdfast approvals -A
  kubectl holdfast approve cart-crash-analysis -n shop --reason 'known bad release'`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: p.name()},
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          aVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	if p.Outboxes {
		root.Use = "kubectl-outbox"
		root.Example = `  kubectl outbox list --pending -A
  kubectl outbox entries rr/cart-crash -n shop`
	}
	command.ShowUsage(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return command.FlagError(err) })
	root.SetIn(p.Streams.In)
	root.SetOut(p.Streams.Out)
	root.SetErr(p.Streams.ErrOut)
	c.config.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&c.system, "system-namespace", defaultSystem, "namespace of Holdfast's managers and services")
	_ = root.RegisterFlagCompletionFunc("namespace", c.completeNamespaces)
	root.AddCommand(newListCommand(c), newEntriesCommand(c), newStatusCommand(c), newExplainCommand(c), newWaitCommand(c), newDrainCommand(c), newVersionCommand(c), newConsoleCommand(c))
	root.AddCommand(c.trailCommands()...)
	if !p.Outboxes {
		root.AddCommand(newTreeCommand(c), newApprovalsCommand(c), newDecideCommand(c, v1alpha1.VerdictApproved), newDecideCommand(c, v1alpha1.VerdictRejected), newCancelCommand(c),
			newCheckCommand(c), newBundleCommand(c), newHistoryCommand(c), newReportCommand(c), newTrendsCommand(c))
	}
	return root
}

// aVerb refuses what is no command.
func aVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q; did you mean %q? (see %s --help)", args[0], near[0], cmd.DisplayName())
	}
	return fmt.Errorf("unknown command %q; see %s --help", args[0], cmd.DisplayName())
}

// Main is the whole program.
func Main(ctx context.Context, outboxes bool, version string) int {
	sparingly()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	return Program{Outboxes: outboxes, Version: version, Streams: streams}.Run(ctx, os.Args[1:])
}

// Most commands end before they have made 32 MiB of garbage, so the collector does not begin earlier; what reads many resources stays near 128 MiB. Whoever says otherwise in the environment
// has it so.
const (
	garbageFirst = 32 << 20
	memoryLimit  = 128 << 20
)

// sparingly makes the collector run less often. It belongs to the program: others that import the package may run for long.
func sparingly() {
	const least = 4 << 20 // the heap at which the first collection begins, with 100 %
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(100 * garbageFirst / least)
		debug.SetMemoryLimit(memoryLimit)
	}
}
