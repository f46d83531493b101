package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
	"github.com/holdfast-dev/holdfast/rar"
)

// Window are the flags that select remediations.
type Window struct {
	start, end                       string
	since                            Span
	completed                        bool
	outcome, alert, workflow, prefix string
}

// NewWindow is one of a length, unless flags tell another.
func NewWindow(length time.Duration) *Window { return &Window{since: Span(length)} }

// AddTrends adds the flags of trends.
func (w *Window) AddTrends(flags *pflag.FlagSet) {
	w.addWindow(flags)
	flags.StringVar(&w.alert, "alert", "", "only this alert")
	flags.StringVar(&w.workflow, "workflow", "", "only remediations that ran this workflow")
}

// Ask puts the window into a question.
func (w *Window) Ask(q url.Values) error {
	parameters, err := w.parameters(time.Now())
	for name, value := range parameters {
		q.Set(name, value)
	}
	return err
}

// addWindow adds the flags of the window itself.
func (w *Window) addWindow(flags *pflag.FlagSet) {
	flags.StringVar(&w.start, "start", "", "beginning of the window, RFC 3339")
	flags.StringVar(&w.end, "end", "", "end of the window, which is not in it, RFC 3339 (default: now)")
	flags.Var(&w.since, "since", "length of the window, without --start, as in 30d, 2w or 12h")
}

func (w *Window) add(flags *pflag.FlagSet) {
	w.addWindow(flags)
	flags.BoolVar(&w.completed, "completed", false, "window of the completion instead of the signal")
	flags.StringVar(&w.outcome, "outcome", "", "only this outcome")
	flags.StringVar(&w.alert, "alert", "", "only this alert")
	flags.StringVar(&w.workflow, "workflow", "", "only remediations that ran this workflow")
	flags.StringVarP(&w.prefix, "query", "q", "", "only names, fingerprints or ids that begin with this")
}

// parameters are those of a list; what they say is checked by the service.
func (w *Window) parameters(now time.Time) (map[string]string, error) {
	if w.since <= 0 {
		return nil, fmt.Errorf("--since is %s, expected more than 0", &w.since)
	}
	end := w.end
	if end == "" {
		end = now.UTC().Add(time.Second).Format(time.RFC3339) // what was received this second is in it
	}
	start := w.start
	if start == "" {
		at, err := time.Parse(time.RFC3339, end)
		if err != nil {
			return nil, fmt.Errorf("--end is %s, expected RFC 3339, as in 2026-11-23T04:05:06Z", Shown(w.end))
		}
		start = at.Add(-time.Duration(w.since)).UTC().Format(time.RFC3339)
	}
	all := map[string]string{"start": start, "end": end, "outcome": w.outcome, "alert": w.alert, "workflow": w.workflow, "q": w.prefix}
	if w.completed {
		all["time"] = "completed"
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all, nil
}

// listRow is a summary as the service writes it.
type listRow struct {
	RemediationID string `json:"remediation_id"`
	Namespace     string `json:"namespace"`
	Name          string `json:"name"`
	Alert         string `json:"alert"`
	Severity      string `json:"severity"`
	Target        *struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"target"`
	ReceivedAt   string   `json:"received_at"`
	Phase        string   `json:"phase"`
	Outcome      string   `json:"outcome"`
	TotalSeconds *float64 `json:"total_seconds"`
	Bottleneck   string   `json:"bottleneck"`
}

func (r *listRow) target() string {
	if r.Target == nil {
		return "-"
	}
	return r.Target.Kind + "/" + r.Target.Name
}

// took is how long it took; what is open has taken nothing yet.
func (r *listRow) took() string {
	if r.TotalSeconds == nil {
		return "-"
	}
	return time.Duration(*r.TotalSeconds * float64(time.Second)).Round(time.Second).String()
}

// summaries reads one page.
func summaries(ctx context.Context, c *reportsclient.Client, q url.Values) (rows []listRow, next string, err error) {
	page, err := c.List(ctx, q)
	if err != nil {
		return nil, "", err
	}
	for _, item := range page.Items {
		var row listRow
		if err := json.Unmarshal(item, &row); err != nil {
			return nil, "", fmt.Errorf("the report service's answer is no list of summaries")
		}
		rows = append(rows, row)
	}
	if page.Next != nil {
		next = *page.Next
	}
	return rows, next, nil
}

func (p Program) newRARListCommand() *cobra.Command {
	f, w := &rarFlags{program: p}, NewWindow(24*time.Hour)
	var as *form
	var wide bool
	limit := 100
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List remediations of a window, newest first",
		Long: `List the remediations whose signal was received (with --completed: that ended) in a window, newest first: those of the last 24 hours unless told otherwise.

Exit status: 0 they were listed, 2 they could not be.`,
		Example: `  holdfast rar list
  holdfast rar list --since 168h --outcome failed --wide
  holdfast rar list --since 7d -o html > week.html
  holdfast rar list --start 2026-11-01T00:00:00Z --end 2026-12-01T00:00:00Z -n shop -o json | jq -r '.[].remediation_id'`,
		Args: NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return fmt.Errorf("--limit is %d, expected 1 or more", limit)
			}
			c, err := f.client()
			if err != nil {
				return err
			}
			q := f.question()
			q.Set("view", "summary")
			if err := w.Ask(q); err != nil {
				return err
			}
			return printList(cmd, c, q, limit, as.value, wide)
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	w.add(flags)
	as = formFlag(flags, "table", "json", rar.FormatMarkdown, rar.FormatHTML)
	flags.BoolVarP(&wide, "wide", "w", false, "more columns: severity, name, bottleneck")
	flags.IntVar(&limit, "limit", limit, "max remediations")
	return p.finish(cmd)
}

// printList prints pages until the limit is reached.
func printList(cmd *cobra.Command, c *reportsclient.Client, q url.Values, limit int, as string, wide bool) error {
	var items []json.RawMessage
	more := true
	for more && len(items) < limit {
		q.Set("limit", fmt.Sprint(min(500, limit-len(items))))
		page, err := c.List(cmd.Context(), q)
		if err != nil {
			return err
		}
		items = append(items, page.Items...)
		if more = page.Next != nil; more {
			q.Set("next", *page.Next)
		}
	}
	to := cmd.OutOrStdout()
	if as == "json" {
		text, err := json.MarshalIndent(append([]json.RawMessage{}, items...), "", "  ")
		if err == nil {
			_, err = to.Write(append(reportsclient.PrintableJSON(text), '\n'))
		}
		return err
	}
	if as == rar.FormatMarkdown || as == rar.FormatHTML {
		if err := renderList(to, q, items, as); err != nil {
			return err
		}
	} else if len(items) > 0 {
		if err := printTable(to, items, wide); err != nil {
			return err
		}
	}
	if len(items) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "No remediation in this window that you may read; --since widens it, and --completed asks for those that ended in it.\n")
	}
	if more {
		fmt.Fprintf(cmd.ErrOrStderr(), "There are more than %d; see --limit.\n", limit)
	}
	return nil
}

// renderList writes a list as a document.
func renderList(to io.Writer, q url.Values, items []json.RawMessage, as string) error {
	lines := make([]rar.Line, len(items))
	for i, item := range items {
		var r listRow
		if json.Unmarshal(item, &r) != nil || json.Unmarshal(item, &lines[i]) != nil {
			return fmt.Errorf("the report service's answer is no list of summaries")
		}
		lines[i].Target, lines[i].Outcome = r.target(), cmp.Or(r.Outcome, "open")
	}
	var text bytes.Buffer
	if err := rar.RenderList(&text, fmt.Sprintf("Remediations from %s to %s", q.Get("start"), q.Get("end")), lines, as); err != nil {
		return err
	}
	return PrintRendered(to, text.Bytes(), as, plainHeading)
}

func printTable(to io.Writer, items []json.RawMessage, wide bool) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	columns := []string{"RECEIVED", "NAMESPACE", "ALERT", "TARGET", "OUTCOME", "TIME", "ID"}
	if wide {
		columns = []string{"RECEIVED", "NAMESPACE", "NAME", "ALERT", "SEVERITY", "TARGET", "PHASE", "OUTCOME", "TIME", "BOTTLENECK", "ID"}
	}
	fmt.Fprintln(table, strings.Join(columns, "\t"))
	for _, item := range items {
		var r listRow
		if err := json.Unmarshal(item, &r); err != nil {
			return fmt.Errorf("the report service's answer is no list of summaries")
		}
		outcome := r.Outcome
		if outcome == "" {
			outcome = "open"
		}
		cells := []string{r.ReceivedAt, r.Namespace, r.Alert, r.target(), outcome, r.took(), r.RemediationID}
		if wide {
			cells = []string{r.ReceivedAt, r.Namespace, r.Name, r.Alert, r.Severity, r.target(), r.Phase, outcome, r.took(), r.Bottleneck, r.RemediationID}
		}
		for i, cell := range cells {
			if cells[i] = plain(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}
