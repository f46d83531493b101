package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/internal/reportsclient"
)

// reported is the result of report --since.
type reported struct {
	Items []json.RawMessage `json:"items"`
}

// reportRow is what the table shows of a summary.
type reportRow struct {
	RemediationID string   `json:"remediation_id"`
	Name          string   `json:"name"`
	Namespace     string   `json:"namespace"`
	Alert         string   `json:"alert"`
	Status        string   `json:"status"`
	Outcome       string   `json:"outcome"`
	TotalSeconds  *float64 `json:"total_seconds"`
	Bottleneck    string   `json:"bottleneck"`
}

func (r *reported) text(p *page) {
	if len(r.Items) == 0 {
		p.line("No remediations found that the token may read.")
		return
	}
	header := []string{"NAMESPACE", "NAME", "ALERT", "OUTCOME", "TOOK", "ID"}
	if p.wide {
		header = append(header, "STATUS", "BOTTLENECK")
	}
	rows := make([][]string, len(r.Items))
	for i, item := range r.Items {
		var row reportRow
		_ = json.Unmarshal(item, &row) // what is of another shape is left empty
		took := ""
		if row.TotalSeconds != nil {
			took = short(time.Duration(*row.TotalSeconds * float64(time.Second)))
		}
		rows[i] = []string{row.Namespace, row.Name, row.Alert, row.Outcome, took, row.RemediationID}
		if p.wide {
			rows[i] = append(rows[i], row.Status, row.Bottleneck)
		}
	}
	p.table(header, rows)
}

func (r *reported) names() []string {
	names := make([]string, len(r.Items))
	for i, item := range r.Items {
		var row reportRow
		_ = json.Unmarshal(item, &row) // what is of another shape is left empty
		names[i] = row.RemediationID
	}
	return names
}

func newReportCommand(c *cluster) *cobra.Command {
	var (
		in    scope
		from  reports
		since command.Span
		limit int
	)
	out := output{}
	cmd := &cobra.Command{
		Use:   "report [REQUEST] [--since DURATION]",
		Short: "Show the report of a remediation, or list the remediations of a time",
		Long: `Show the Remediation Analysis Report of a RemediationRequest, by its name or its uid, also of one that is
gone. With --since, list the remediations whose signal was received since then.

The command reads the report service of the cluster by a port-forward, or the one at --reports-url, with a
token of the account holdfast-reader of the namespace; with -A, of the namespace of Holdfast.

Exit status: 0 shown, 1 there is no such report that you may read, 2 it could not be read.`,
		Example: `  kubectl holdfast report cart-crash -n shop
  kubectl holdfast report --since 24h -A
  kubectl holdfast report cart-crash -n shop -o html > report.html`,
		Args:              atMostOne,
		ValidArgsFunction: c.completeOwn(requests),
		RunE: func(cmd *cobra.Command, args []string) error {
			one := len(args) == 1
			switch {
			case since < 0:
				return fmt.Errorf("--since is %s, expected a time above 0", time.Duration(since))
			case one && since > 0:
				return errors.New("got the name of a request and --since, expected one of them: a name for one report, --since for a list")
			case !one && since == 0:
				return errors.New("got neither the name of a request nor --since, expected one of them, as in report cart-crash or report --since 24h")
			case !one && (out.format == formatMarkdown || out.format == formatHTML):
				return fmt.Errorf("--output is %q with --since, expected table, wide, json, yaml or name", out.format)
			case one && (out.format == formatWide || out.format == formatName):
				return fmt.Errorf("--output is %q with a request, expected table, json, yaml, %s or %s", out.format, formatMarkdown, formatHTML)
			case limit < 1:
				return fmt.Errorf("--limit is %d, expected 1 or more", limit)
			}
			if err := out.check(); err != nil {
				return err
			}
			namespace, err := c.namespaceOf(in)
			if err != nil {
				return err
			}
			if err := c.connect(); err != nil {
				return err
			}
			service, err := from.link(cmd.Context(), c, namespace)
			if err != nil {
				return err
			}
			defer service.close()
			if one {
				return c.report(cmd, service.Client, namespace, args[0], out.format)
			}
			return c.reportList(cmd, service.Client, namespace, time.Duration(since), limit, &out)
		},
	}
	in.addFlags(cmd)
	_ = cmd.Flags().MarkHidden("selector") // rows have no labels
	out.addRendered(cmd, formatWide, formatName)
	from.addFlags(cmd)
	cmd.Flags().Var(&since, "since", "list remediations since, as in 24h, 30d or 2w")
	cmd.Flags().IntVar(&limit, "limit", 100, "max remediations of --since")
	return cmd
}

// Formats of reports.
const (
	formatMarkdown = "md"
	formatHTML     = "html"
)

// report prints one report. The service renders it; JSON and YAML are its data.
func (c *cluster) report(cmd *cobra.Command, client *reportsclient.Client, namespace, name, format string) error {
	_, name, found := strings.Cut("/"+name[strings.LastIndex(name, "/")+1:], "/")
	if !found || name == "" {
		return errors.New("the argument is empty, expected the name or the uid of a request")
	}
	uid, err := c.uidOf(cmd.Context(), client, namespace, name)
	if err != nil {
		return err
	}
	text, err := client.Report(cmd.Context(), uid, url.Values{"format": {renderings[format]}})
	var answered *reportsclient.Error
	switch {
	case errors.As(err, &answered) && answered.Status == http.StatusNotFound:
		return &command.ExitError{Code: exitFound, Err: err}
	case err != nil:
		return err
	}
	return c.printRendered(text, format)
}

// renderings are what the service is asked for, by format: JSON and YAML are its data.
var renderings = map[string]string{formatTable: "md", formatMarkdown: "md", formatJSON: "json", formatYAML: "json", formatHTML: "html"}

// printRendered prints what the service has rendered.
func (c *cluster) printRendered(text []byte, format string) error {
	if format == formatYAML {
		converted, err := yaml.JSONToYAML(text)
		if err != nil {
			return errors.New("the report service's answer is no JSON")
		}
		text = converted
	}
	if format == formatTable {
		format = command.FormText
	}
	p := &page{colour: colourful(c.streams.Out)}
	if err := command.PrintRendered(c.streams.Out, text, format, func(heading string) string { return p.paint("1", heading) }); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func (c *cluster) reportList(cmd *cobra.Command, client *reportsclient.Client, namespace string, since time.Duration, limit int, out *output) error {
	now := time.Now().UTC()
	q := url.Values{"view": {"summary"}, "start": {now.Add(-since).Format(time.RFC3339)}, "end": {now.Add(time.Minute).Format(time.RFC3339)}}
	if namespace != "" {
		q.Set("namespace", namespace)
	}
	r := &reported{Items: []json.RawMessage{}}
	for len(r.Items) < limit {
		q.Set("limit", strconv.Itoa(min(entriesAtOnce, limit-len(r.Items))))
		page, err := client.List(cmd.Context(), q)
		if err != nil {
			return err
		}
		r.Items = slices.Concat(r.Items, page.Items)
		if page.Next == nil {
			break
		}
		q.Set("next", *page.Next)
	}
	return out.print(c.streams.Out, r)
}

// atMostOne asks for at most one argument.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return fmt.Errorf("%q takes one request at most, got %s", cmd.CommandPath(), counted(len(args), "argument"))
}
