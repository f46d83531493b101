package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/scaffold"
)

// initFlags are the settings of `holdfast init`.
type initFlags struct {
	options scaffold.Options
	write   bool
}

func newInitCommand() *cobra.Command {
	f := &initFlags{}
	cmd := &cobra.Command{
		Use:   "init KIND",
		Short: "Give a kind of a kubebuilder project an outbox",
		Long: `Print, as a patch, the lines that give a kind of your own an audit trail: the field and the marker in its types file, the rights of its controller, the wiring in main.go, and
a function that says what the trail keeps. --write changes the files instead. Files keep their form; what is there already is left alone, so that a second run changes nothing.

The project has the shape that kubebuilder gives it. What has another shape is refused, with the place and what was expected there: docs/embedding.md shows how to do it by hand.
Where a function makes the reconciler from the manager, the lines for that place are printed as a note. Run the command once for each kind: they share a relay.

Exit status: 0 done, or nothing to do; 1 the project cannot be changed.`,
		Example: `  # What would change?
  holdfast init Release

  # Change it, and generate what depends on it
  holdfast init Release --write
  go get github.com/holdfast-dev/holdfast@latest && go mod tidy && make manifests generate

  # In another folder; the kind has several versions, and v2 is the one that is stored
  holdfast init Release --dir ~/src/release-operator --api api/v2 | git -C ~/src/release-operator apply`,
		Args: command.OneArgument("the kind, as in Release"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.options.Kind = args[0]
			return f.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.options.Dir, "dir", ".", "folder of the project's go.mod")
	flags.StringVar(&f.options.API, "api", "", "folder of the kind's types below --dir, where several versions have it")
	flags.BoolVarP(&f.write, "write", "w", false, "change the files instead of printing a patch")
	return cmd
}

func (f *initFlags) run(to, messages io.Writer) error {
	plan, err := scaffold.Make(f.options)
	if err != nil {
		return err
	}
	// After the rest: what is left to do must not scroll away.
	defer func() {
		for _, note := range plan.Notes {
			fmt.Fprintf(messages, "\nNote: %s\n", note)
		}
	}()
	if len(plan.Files) == 0 {
		fmt.Fprintf(messages, "Nothing to change in the files of kind %s.\n", f.options.Kind)
		return nil
	}
	if !f.write {
		patch, err := plan.Patch()
		if err != nil {
			return err
		}
		_, err = io.WriteString(to, patch)
		return err
	}
	if err := plan.Write(); err != nil {
		return err
	}
	for _, file := range plan.Files {
		fmt.Fprintf(to, "%s\n", file.Name)
	}
	fmt.Fprintf(messages, "Now run: go get github.com/holdfast-dev/holdfast@latest && go mod tidy && make manifests generate\nThen say in %s what the audit trail keeps.\n", plan.Adapter)
	return nil
}
