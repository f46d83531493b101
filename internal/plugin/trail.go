package plugin

import (
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/internal/command"
)

// trailCommands are the commands about the trail, which the program holdfast has too. They take kubectl's flags here.
func (c *cluster) trailCommands() []*cobra.Command {
	p := command.Program{Name: c.program, Version: c.version, Kubectl: kubectl{c}, Prepare: fromVariables}
	return []*cobra.Command{p.Verify(), p.DeadLetter(), p.Export(), p.Import(), p.Release()}
}

// kubectl is the cluster of kubectl's flags.
type kubectl struct{ c *cluster }

// Config implements command.Kubectl.
func (k kubectl) Config() (*rest.Config, error) {
	if err := k.c.connect(); err != nil {
		return nil, err
	}
	return k.c.rest, nil
}

// Namespace implements command.Kubectl.
func (k kubectl) Namespace() (string, error) { return k.c.namespace() }

// fromVariables fills --database-url from its variable. Of kubectl's own flags none has one here but --kubeconfig, which kubectl's code reads.
func fromVariables(cmd *cobra.Command, _ []string) error {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	if f := cmd.Flags().Lookup("database-url"); f != nil {
		own.AddFlag(f)
	}
	return errors.Join(command.CheckProxies(os.LookupEnv), command.FromEnvironment(own, os.LookupEnv))
}
