package plugin

import (
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/command"
)

func newTrendsCommand(c *cluster) *cobra.Command {
	var (
		in   scope
		from reports
		out  output
	)
	window := command.NewWindow(command.TrendsLength)
	cmd := &cobra.Command{
		Use:   "trends",
		Short: "Show what the remediations of a time have in common",
		Long: `Show outcomes, the time to repair and how it changed, bottlenecks, alerts and targets, recurrence, workflows,
what the AI's confidence was worth, approvals, and deliveries that failed: of the last 30 days unless told
otherwise.

The command reads the report service as report does: with -A, of all namespaces.

Exit status: 0 shown, 2 they could not be read.`,
		Example: `  kubectl holdfast trends -n shop
  kubectl holdfast trends -A --since 2w --alert PodOOMKilled
  kubectl holdfast trends -A --start 2026-11-01T00:00:00Z --end 2026-12-01T00:00:00Z -o json | jq .ai.all`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			namespace, err := c.namespaceOf(in)
			if err != nil {
				return err
			}
			q := url.Values{"format": {renderings[out.format]}}
			if namespace != "" {
				q.Set("namespace", namespace)
			}
			if err := window.Ask(q); err != nil {
				return err
			}
			service, err := from.link(cmd.Context(), c, namespace)
			if err != nil {
				return err
			}
			defer service.close()
			text, err := service.Trends(cmd.Context(), q)
			if err != nil {
				return err
			}
			return c.printRendered(text, out.format)
		},
	}
	in.addFlags(cmd)
	_ = cmd.Flags().MarkHidden("selector") // rows have no labels
	out.addRendered(cmd)
	from.addFlags(cmd)
	window.AddTrends(cmd.Flags())
	return cmd
}

// addRendered adds -o with the formats that the report service renders, too.
func (o *output) addRendered(cmd *cobra.Command, more ...string) {
	o.addFlags(cmd, more...)
	o.formats = slices.Concat(o.formats, []string{formatMarkdown, formatHTML})
	cmd.Flags().Lookup("output").Usage = "output format: " + strings.Join(o.formats, ", ")
}
