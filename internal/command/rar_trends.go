package command

import (
	"time"

	"github.com/spf13/cobra"
)

// TrendsLength is the length of a window unless it is told.
const TrendsLength = 30 * 24 * time.Hour

func (p Program) newRARTrendsCommand() *cobra.Command {
	f := &rarFlags{program: p}
	w := NewWindow(TrendsLength)
	var as *form
	cmd := &cobra.Command{
		Use:   "trends",
		Short: "Show what the remediations of a window have in common",
		Long: `Show outcomes, the time to repair and how it changed, bottlenecks, alerts and targets, recurrence, workflows, what the AI's confidence was worth, approvals, and deliveries that failed: of
the last 30 days unless told otherwise.

Exit status: 0 they were shown, 2 they could not be.`,
		Example: `  holdfast rar trends --since 30d
  holdfast rar trends --since 2w -n shop --alert PodOOMKilled
  holdfast rar trends --start 2026-11-01T00:00:00Z --end 2026-12-01T00:00:00Z -o json | jq .ai.all`,
		Args: NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			q := f.question()
			if err := w.Ask(q); err != nil {
				return err
			}
			q.Set("format", as.value)
			if as.value == FormText {
				q.Set("format", "md")
			}
			text, err := c.Trends(cmd.Context(), q)
			if err != nil {
				return err
			}
			return PrintRendered(cmd.OutOrStdout(), text, as.value, plainHeading)
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	w.AddTrends(flags)
	as = formFlag(flags, FormText, "md", "json", "html")
	return p.finish(cmd)
}
