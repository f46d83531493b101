package command

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ShowUsage makes the help of a program's commands show a boolean flag as kubectl's plugins do: --watch, without the values that newer versions of pflag print beside it.
func ShowUsage(root *cobra.Command) {
	show := root.UsageFunc()
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		cmd.InheritedFlags() // adds the flags of the commands above
		values := map[*pflag.Flag]pflag.Value{}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" {
				values[f] = f.Value
				f.Value = unlisted{f.Value}
			}
		})
		defer func() {
			for f, value := range values {
				f.Value = value
			}
		}()
		return show(cmd)
	})
}

// unlisted is a boolean value that pflag does not know as one.
type unlisted struct{ pflag.Value }
