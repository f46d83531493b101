package command

import (
	"time"

	"github.com/spf13/cobra"
)

func (p Program) newRARTrendsCommand() *cobra.Command {
	f := &rarFlags{program: p}
	w := &windowFlags{since: span(30 * 24 * time.Hour)}
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
			parameters, err := w.parameters(time.Now())
			if err != nil {
				return err
			}
			q := f.question()
			for name, value := range parameters {
				q.Set(name, value)
			}
			q.Set("format", as.value)
			if as.value == "text" {
				q.Set("format", "md")
			}
			text, err := c.Trends(cmd.Context(), q)
			if err != nil {
				return err
			}
			return printRAR(cmd.OutOrStdout(), text, as.value)
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	w.addWindow(flags)
	flags.StringVar(&w.alert, "alert", "", "only this alert")
	flags.StringVar(&w.workflow, "workflow", "", "only remediations that ran this workflow")
	as = formFlag(flags, "text", "md", "json", "html")
	return p.finish(cmd)
}
