package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
)

// rarFlags say where the report service is, and who asks.
type rarFlags struct {
	program    Program
	url        string
	options    reportsclient.Options
	namespaces []string
}

// RAR makes the command rar.
func (p Program) RAR() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rar",
		Short: "Read Remediation Analysis Reports",
		Long: `Read Remediation Analysis Reports from the report service (HOLDFAST_REPORTS_URL) with a token of its audience (HOLDFAST_REPORTS_TOKEN or HOLDFAST_REPORTS_TOKEN_FILE). What is printed has no
control characters, whatever a record holds.`,
		Args: OnlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.newRARGetCommand(), p.newRARListCommand(), p.newRARBatchCommand(), p.newRARTrendsCommand())
	return cmd
}

func (f *rarFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "reports-url", "", "URL of the report service (variable HOLDFAST_REPORTS_URL)")
	flags.StringVar(&f.options.Token, "reports-token", "", "token for --reports-url (preferably HOLDFAST_REPORTS_TOKEN)")
	flags.StringVar(&f.options.TokenFile, "reports-token-file", "", "file with the token for --reports-url")
	flags.StringVar(&f.options.CAFile, "reports-ca-file", "", "PEM CA bundle for --reports-url (default: system roots)")
	flags.StringSliceVarP(&f.namespaces, "namespace", "n", nil, "only rows of this namespace; repeatable (default: all that you may read)")
}

func (f *rarFlags) client() (*reportsclient.Client, error) {
	if f.url == "" {
		return nil, errors.New("no report service: give --reports-url or HOLDFAST_REPORTS_URL, as in https://reports.example.com")
	}
	o := f.options
	o.UserAgent = "holdfast/" + f.program.Version
	return reportsclient.New(f.url, o)
}

// question is what every question says.
func (f *rarFlags) question() url.Values {
	q := url.Values{}
	for _, name := range f.namespaces {
		q.Add("namespace", name)
	}
	return q
}

// set puts a parameter that is not empty into a question.
func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

// form is the form of what a command prints.
type form struct {
	value string
	words []string
}

// String, Set and Type make it a flag.
func (f *form) String() string { return f.value }
func (f *form) Type() string   { return strings.Join(f.words, "|") }
func (f *form) Set(s string) error {
	if slices.Contains(f.words, s) {
		f.value = s
		return nil
	}
	return fmt.Errorf("output is %q, expected %s", s, strings.Join(f.words, ", "))
}

func formFlag(flags *pflag.FlagSet, words ...string) *form {
	f := &form{value: words[0], words: words}
	flags.VarP(f, "output", "o", "output format: "+strings.Join(words, ", "))
	return f
}

func (p Program) newRARGetCommand() *cobra.Command {
	f := &rarFlags{program: p}
	var asOf, narrative string
	var as *form
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show one report",
		Long: `Show the report of one remediation, by its id: the uid of its RemediationRequest. It is text for a terminal unless --output says otherwise.

Exit status: 0 it was shown, 1 there is none that you may read, 2 it could not be read.`,
		Example: `  holdfast rar get 4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11
  holdfast rar get 4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11 -o html > report.html
  holdfast rar get 4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11 -o json | jq .recommendations`,
		Args:              OneArgument(p.called("the id of a remediation (see `holdfast rar list`)")),
		ValidArgsFunction: f.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			q := f.question()
			q.Set("format", as.value)
			if as.value == FormText {
				q.Set("format", "md")
			}
			set(q, "as_of", asOf)
			set(q, "narrative", narrative)
			text, err := c.Report(cmd.Context(), args[0], q)
			if err != nil {
				return notThere(err)
			}
			return PrintRendered(cmd.OutOrStdout(), text, as.value, plainHeading)
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	as = formFlag(flags, FormText, "md", "json", "html", "svg")
	flags.StringVar(&asOf, "as-of", "", "time of the report, RFC 3339 (default: now)")
	flags.StringVar(&narrative, "narrative", "", "narrative: cached, none or generate (default: cached)")
	return p.finish(cmd)
}

// FormText is the form of a report for a terminal. Others are named as the service names them.
const FormText = "text"

// PrintRendered prints what the service has rendered, so that a terminal takes none of it for a command. bold paints headings of FormText.
func PrintRendered(to io.Writer, text []byte, form string, bold func(string) string) error {
	shown := reportsclient.Printable(string(text))
	switch form {
	case "json":
		shown = string(reportsclient.PrintableJSON(text))
	case FormText:
		shown = reportsclient.Terminal(shown, bold)
	}
	_, err := io.WriteString(to, shown)
	return err
}

func plainHeading(heading string) string { return heading }

// notThere makes a 404 a finding: the exit status is 1.
func notThere(err error) error {
	var answered *reportsclient.Error
	if errors.As(err, &answered) && answered.Status == http.StatusNotFound {
		return &ExitError{Code: 1, Err: err}
	}
	return err
}

// complete offers the ids of the last week's remediations, newest first.
func (f *rarFlags) complete(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	if err := f.program.Prepare(cmd, args); err != nil {
		return nil, none
	}
	c, err := f.client()
	if err != nil {
		return nil, none
	}
	q := f.question()
	now := time.Now().UTC()
	q.Set("start", now.AddDate(0, 0, -7).Format(time.RFC3339))
	q.Set("end", now.AddDate(0, 0, 1).Format(time.RFC3339))
	q.Set("view", "summary")
	rows, _, err := summaries(ctx, c, q)
	if err != nil {
		return nil, none
	}
	var found []cobra.Completion
	for _, r := range rows {
		if uuid.Validate(r.RemediationID) == nil {
			found = append(found, cobra.CompletionWithDesc(r.RemediationID, plain(r.Alert+" on "+r.target())))
		}
	}
	return found, none
}
