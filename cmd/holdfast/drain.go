package main

import (
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/plugin"
)

func newDrainCommand() *cobra.Command {
	cmd := plugin.NewDrainCommand(versionText())
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		klog.SetLogger(klog.Logger{}) // client-go logs what the command reports as its error
		err := run(cmd, args)
		if err == nil {
			return nil
		}
		return &command.ExitError{Code: plugin.ExitStatus(err), Err: err}
	}
	return cmd
}
