package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
)

// Program is the program that has the commands.
type Program struct {
	// Name is how people call it: holdfast, or kubectl holdfast.
	Name string
	// Version is recorded in exports, and sent to the report service.
	Version string
	// Prepare fills flags from their variables before a command runs.
	Prepare func(cmd *cobra.Command, args []string) error
	// Kubectl is there in a plugin of kubectl, whose root has kubectl's flags. Without it the commands have flags of their own for the cluster.
	Kubectl Kubectl
}

// Kubectl is the cluster that kubectl's flags and the kubeconfig choose.
type Kubectl interface {
	Config() (*rest.Config, error)
	Namespace() (string, error)
}

// ExitError carries an exit status. Without Err the command has said all that it had to say.
type ExitError struct {
	Code int
	Err  error
}

// Error implements error.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns what Err wraps.
func (e *ExitError) Unwrap() error { return e.Err }

const (
	// exitNotDone is the status of a command that could not do what it was asked, as opposed to having found something.
	exitNotDone = 2
	// exitInterrupted is that of a shell for SIGINT.
	exitInterrupted = 130
)

// finish calls the program by its name in a command's texts, and makes every error of the command, that of its flags and variables too, one with an exit status.
func (p Program) finish(cmd *cobra.Command) *cobra.Command {
	cmd.Long, cmd.Example = p.called(cmd.Long), p.called(cmd.Example)
	status := func(err error) error {
		if err == nil {
			return nil
		}
		if cmd.Context() != nil && cmd.Context().Err() != nil {
			return &ExitError{Code: exitInterrupted, Err: errors.New("interrupted")}
		}
		if _, ok := err.(*ExitError); ok { //nolint:errorlint // only one that the command itself has made
			return err
		}
		return &ExitError{Code: exitNotDone, Err: err}
	}
	run, inherited := cmd.RunE, cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error { return status(inherited(cmd, args)) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return status(run(cmd, args)) }
	cmd.PersistentPreRunE = func(cmd *cobra.Command, args []string) error { return status(p.Prepare(cmd, args)) }
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return status(FlagError(err)) })
	return cmd
}

// called is a text about these commands with the name of the program.
func (p Program) called(text string) string {
	for _, verb := range []string{"verify", "dead-letter", "export", "import", "release", "rar"} {
		text = strings.ReplaceAll(text, "holdfast "+verb, p.Name+" "+verb)
	}
	return text
}

// connection is the cluster that a command works on, and the namespace, "" for all.
type connection struct {
	program                 Program
	kubeconfig, namespace   string
	allNamespaces, rowsOnly bool
}

// addKubeconfig adds --kubeconfig, unless the program has kubectl's.
func (c *connection) addKubeconfig(flags *pflag.FlagSet) {
	if c.program.Kubectl == nil {
		AddKubeconfig(flags, &c.kubeconfig)
	}
}

// config is the cluster's.
func (c *connection) config() (*rest.Config, error) {
	if c.program.Kubectl != nil {
		return c.program.Kubectl.Config()
	}
	return RESTConfig(c.kubeconfig)
}

// chosen is the namespace of the flags; with kubectl's flags, that of the kubeconfig unless all are.
func (c *connection) chosen() (string, error) {
	if c.program.Kubectl == nil || c.allNamespaces {
		return c.namespace, nil
	}
	return c.program.Kubectl.Namespace()
}
