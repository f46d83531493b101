package rar

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"regexp"
	"strings"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Line is a remediation in a list. Its JSON is that of the Report API, as far as it has these members.
type Line struct {
	RemediationID string         `json:"remediation_id"`
	Namespace     string         `json:"namespace"`
	Alert         string         `json:"alert"`
	Outcome       string         `json:"outcome"`
	ReceivedAt    outboxapi.Time `json:"received_at"`
	// Seconds are those from the signal to the completion; nil while it is open.
	Seconds *float64 `json:"total_seconds"`
	// Target is a kind and a name.
	Target string `json:"-"`
	// Problem is why there is no report.
	Problem string `json:"-"`
	// Anchor is that of the report in the same document; empty without one.
	Anchor string `json:"-"`
}

// Result is a report of an id, or the problem because of which there is none.
type Result struct {
	RemediationID string
	Report        *Report
	Problem       string
}

// RenderList writes a list of remediations as Markdown or as an HTML file.
func RenderList(w io.Writer, title string, lines []Line, format string) error {
	return renderSeveral(w, title, lines, nil, format)
}

// RenderReports writes several reports as one document, Markdown or an HTML file: a list of them, then each as Render writes it. In HTML anchors begin with the place of their report.
func RenderReports(w io.Writer, title string, results []Result, format string) error {
	lines := make([]Line, len(results))
	for i, r := range results {
		if lines[i] = (Line{RemediationID: r.RemediationID, Problem: r.Problem}); r.Report != nil {
			s := &r.Report.Summary
			lines[i] = Line{RemediationID: r.RemediationID, Namespace: s.Target.Namespace, Alert: s.Alert, Target: strings.Trim(s.Target.Kind+"/"+s.Target.Name, "/"), Outcome: s.Outcome, ReceivedAt: s.ReceivedAt, Seconds: s.TotalSeconds,
				Anchor: fmt.Sprintf("r%d", i+1)}
		}
	}
	return renderSeveral(w, title, lines, results, format)
}

func renderSeveral(w io.Writer, title string, lines []Line, results []Result, format string) error {
	var text bytes.Buffer
	var err error
	switch format {
	case FormatMarkdown:
		err = severalMarkdown(&text, title, lines, results)
	case FormatHTML:
		err = severalHTML(&text, title, lines, results)
	default:
		err = fmt.Errorf("format is %.40q, expected one of %q", format, []string{FormatMarkdown, FormatHTML})
	}
	if err != nil {
		return err
	}
	_, err = w.Write(text.Bytes())
	return err
}

func severalMarkdown(to *bytes.Buffer, title string, lines []Line, results []Result) error {
	fmt.Fprintf(to, "# %s\n\n", md(title))
	if len(lines) == 0 {
		to.WriteString("There is none.\n")
		return nil
	}
	to.WriteString("| Received | Namespace | Alert | Target | Outcome | Took | Remediation |\n|---|---|---|---|---|---|---|\n")
	for i := range lines {
		l := &lines[i]
		fmt.Fprintf(to, "| %s | %s | %s | %s | %s | %s | %s |\n", md(l.Received()), md(cmp.Or(l.Namespace, "–")), md(cmp.Or(l.Alert, "–")), md(cmp.Or(l.Target, "–")), md(l.Ended()), l.Took(), code(l.RemediationID))
	}
	for _, r := range results {
		if r.Report == nil {
			continue
		}
		to.WriteString("\n---\n\n")
		if err := Render(to, r.Report, FormatMarkdown); err != nil {
			return err
		}
	}
	return nil
}

//go:embed several.gohtml
var severalText string

var severalTemplate = template.Must(ParsePage(severalText))

// anchors are the attributes that name an anchor of a document.
var anchors = regexp.MustCompile(` (id|aria-labelledby|aria-describedby)="[^"]*"| href="#[^"]*"`)

// anchored puts an anchor before each of some ids.
func anchored(ids, anchor string) string {
	all := strings.Fields(ids)
	for i, id := range all {
		rest, hash := strings.CutPrefix(id, "#")
		if all[i] = anchor + "-" + rest; hash {
			all[i] = "#" + all[i]
		}
	}
	return strings.Join(all, " ")
}

type severalPage struct {
	Shell
	Lines   []Line
	Reports []template.HTML
}

func severalHTML(to *bytes.Buffer, title string, lines []Line, results []Result) error {
	p := severalPage{Shell: Shell{Title: line(title, 120)}, Lines: lines}
	for i, r := range results {
		if r.Report == nil {
			continue
		}
		var whole strings.Builder
		if err := Render(&whole, r.Report, FormatHTML); err != nil {
			return err
		}
		// The templates write quotes and angle brackets of texts as entities, so that these are the documents' own.
		_, body, _ := strings.Cut(whole.String(), `<main id="content">`)
		body, _, _ = strings.Cut(body, "</main>")
		anchor := lines[i].Anchor
		body = anchors.ReplaceAllStringFunc(body, func(attribute string) string {
			name, ids, _ := strings.Cut(attribute, `"`)
			return name + `"` + anchored(ids, anchor)
		})
		p.Reports = append(p.Reports, template.HTML(`<article id="`+anchor+`">`+body+"</article>")) //nolint:gosec // the template of a report escapes what it shows
	}
	if err := severalTemplate.Execute(to, &p); err != nil {
		return fmt.Errorf("%d reports as HTML: %w", len(p.Reports), err)
	}
	return nil
}

// Received is when the signal was received.
func (l *Line) Received() string { return momentOr(l.ReceivedAt) }

// Ended is how it ended, or why there is no report.
func (l *Line) Ended() string {
	if l.Problem != "" {
		return line(l.Problem, maxInline)
	}
	return outcomeTitle(l.Outcome)
}

// Took is how long it took.
func (l *Line) Took() string {
	if l.Seconds == nil {
		return "–"
	}
	return duration(*l.Seconds)
}

// Mood colours the outcome.
func (l *Line) Mood() string {
	if l.Problem != "" {
		return "bad"
	}
	return mood(l.Outcome)
}
