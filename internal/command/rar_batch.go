package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
	"github.com/holdfast-dev/holdfast/rar"
)

func (p Program) newRARBatchCommand() *cobra.Command {
	f, w := &rarFlags{program: p}, NewWindow(24*time.Hour)
	var as *form
	var quiet bool
	var narrative string
	cmd := &cobra.Command{
		Use:   "batch [ID...]",
		Short: "Read many reports: of some ids, or of a window",
		Long: `Read the reports of the remediations that are named, at most 500, or else of a window as 'holdfast rar list' has it. With -o json, one JSON object a line comes out: {id, status, report} or
{id, status, problem}; with -o md or html one document of at most 500 reports, a list of them first. How far it has come goes to stderr. With --narrative generate a language model writes the narratives,
which takes the right to narrate; the results come as they are ready, and Ctrl-C cancels the rest.

Exit status: 0 every report was read, 1 some are not there or failed, 2 it could not be done, or not to its end.`,
		Example: `  holdfast rar batch --since 24h -o json > reports.ndjson
  holdfast rar batch --since 24h --outcome failed -o html > failed.html
  holdfast rar batch 4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11 5a1b0c7d-0000-4be0-9f0e-3c1d8a4b2c11`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: f.complete,
		RunE: func(cmd *cobra.Command, ids []string) error {
			c, err := f.client()
			if err != nil {
				return err
			}
			body := map[string]any{"remediation_ids": ids}
			if len(ids) == 0 {
				parameters, err := w.parameters(time.Now())
				if err != nil {
					return err
				}
				body = map[string]any{}
				for name, value := range parameters {
					body[name] = value
				}
			}
			if narrative != "" {
				body["narrative"] = narrative
			}
			p := &batchPrinter{to: cmd.OutOrStdout(), progress: cmd.ErrOrStderr(), as: as.value, of: len(ids)}
			if quiet {
				p.progress = io.Discard
			}
			counts, err := c.Batch(cmd.Context(), f.question(), body, p.line)
			if err != nil {
				return err
			}
			if err := p.document(); err != nil {
				return err
			}
			fmt.Fprintf(p.progress, "%s read, %d not there, %d failed\n", counted(counts.OK, "report"), counts.NotFound, counts.Failed)
			if counts.OK != counts.Total {
				return &ExitError{Code: 1, Err: errors.New("some reports are not there, or failed")}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	f.add(flags)
	w.add(flags)
	as = formFlag(flags, "table", "json", rar.FormatMarkdown, rar.FormatHTML)
	flags.StringVar(&narrative, "narrative", "", "narrative: cached, none or generate (default: cached)")
	flags.BoolVar(&quiet, "quiet", false, "no progress on stderr")
	return p.finish(cmd)
}

// batchPrinter prints the lines of a batch as they come, or a document when all are there.
type batchPrinter struct {
	to, progress io.Writer
	as           string
	of, done     int
	results      []rar.Result
}

// maxDocument is how many reports one document has.
const maxDocument = 500

const everyReports = 50

func (p *batchPrinter) line(text []byte, line *reportsclient.Line) error {
	p.done++
	if p.done%everyReports == 0 {
		if p.of > 0 {
			fmt.Fprintf(p.progress, "%d of %d\n", p.done, p.of)
		} else {
			fmt.Fprintf(p.progress, "%d\n", p.done)
		}
	}
	if p.as == "json" {
		_, err := p.to.Write(append(reportsclient.PrintableJSON(text), '\n'))
		return err
	}
	result := rar.Result{RemediationID: line.ID}
	if line.Problem != nil {
		result.Problem = line.Problem.Title + ": " + line.Problem.Detail
	} else if err := json.Unmarshal(line.Report, &result.Report); err != nil || result.Report == nil {
		return errors.New("the report service's answer is no report")
	}
	if p.as != "table" {
		if p.results = append(p.results, result); len(p.results) > maxDocument {
			return fmt.Errorf("there are more than %d reports: narrow the window, or take -o json", maxDocument)
		}
		return nil
	}
	says := result.Problem
	if result.Report != nil {
		says = result.Report.Summary.OneLine
	}
	_, err := fmt.Fprintf(p.to, "%s  %s\n", plain(line.ID), plain(says))
	return err
}

// document prints what has been read as one document, where that is asked for.
func (p *batchPrinter) document() error {
	if p.as != rar.FormatMarkdown && p.as != rar.FormatHTML {
		return nil
	}
	var text bytes.Buffer
	if err := rar.RenderReports(&text, counted(len(p.results), "report"), p.results, p.as); err != nil {
		return err
	}
	return PrintRendered(p.to, text.Bytes(), p.as, plainHeading)
}
