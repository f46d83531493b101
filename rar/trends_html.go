package rar

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

//go:embed trends.gohtml
var trendsText string

var trendsTemplate = template.Must(ParsePage(trendsText))

// trendsPage is what the template shows. Trends is cleaned.
type trendsPage struct {
	Shell
	Trends   *Trends
	Filtered string
	Figures  []figure

	Outcomes, Repairs, Bottlenecks, Recurrence, Workflows, Approvals *chart

	Everyone      investigator
	Investigators []investigator
	Slots         []slots
}

// investigator is one, or all, with the diagram.
type investigator struct {
	AIGroup
	Name    string
	Diagram *chart
	Wrong   []Link
}

type slots struct {
	Label string
	Slots []ApprovalSlot
}

// losses is a table of alerts or targets.
type losses struct {
	What, Label string
	Rows        []loss
}

type loss struct {
	LossGroup
	Name  string
	Links []Link
}

// RenderTrendsPage writes trends as a page of a site, or as a file if there is none.
func RenderTrendsPage(w io.Writer, t *Trends, s *Site) error {
	clean := cleanedValue(reflect.ValueOf(t)).Interface().(*Trends)
	p := trendsPage{
		Shell: Shell{Title: "Trends, " + day(t.Start.Time) + " to " + day(t.End.Time), Site: s}, Trends: clean, Filtered: clean.Filters.text(), Figures: clean.figures(),
		Outcomes: clean.Outcomes.chart(), Repairs: clean.MTTR.chart(), Bottlenecks: clean.Bottlenecks.chart(), Recurrence: clean.Recurrence.chart(), Workflows: clean.Workflows.chart(),
		Approvals: clean.Approvals.chart(),
		Slots:     []slots{{"Hour (UTC)", clean.Approvals.Hours}, {"Weekday (UTC)", clean.Approvals.Weekdays}},
	}
	p.Everyone = p.investigator(&clean.AI.All, "reliability-chart")
	for i := range clean.AI.Groups {
		p.Investigators = append(p.Investigators, p.investigator(&clean.AI.Groups[i], "reliability-chart-"+strconv.Itoa(i+1)))
	}
	var b bytes.Buffer
	if err := trendsTemplate.Execute(&b, &p); err != nil {
		return fmt.Errorf("trends as HTML: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p *trendsPage) investigator(g *AIGroup, id string) investigator {
	name := cmp.Or(strings.TrimSpace(line(g.Investigator, maxBrief)+" "+line(g.Model, maxBrief)), noName)
	return investigator{AIGroup: *g, Name: name, Diagram: g.chart(id), Wrong: p.Links(g.Examples)}
}

// Links are the reports of examples. A file has no links: it names the first one in full.
func (p *trendsPage) Links(ids []string) []Link {
	if p.Site == nil {
		ids = ids[:min(len(ids), 1)]
	}
	var all []Link
	for _, id := range ids {
		text := line(id, maxBrief)
		if p.Site != nil && uuid.Validate(id) == nil {
			text = text[:8]
		}
		all = append(all, Link{Text: text, URL: p.Link(id)})
	}
	return all
}

// Losses is a table of groups.
func (p *trendsPage) Losses(what, label string, groups []LossGroup) losses {
	l := losses{What: what, Label: label}
	for _, g := range groups {
		name := line(g.Alert, maxBrief)
		if t := g.Target; t != nil {
			name = line(strings.Trim(t.Cluster+"/"+t.Namespace+"/"+t.Name, "/")+" ("+t.Kind+")", maxBrief)
		}
		l.Rows = append(l.Rows, loss{g, cmp.Or(name, "–"), p.Links(g.Examples)})
	}
	return l
}

// Empty reports whether there is nothing to show.
func (t *Trends) Empty() bool {
	return t.Outcomes.N+t.Outcomes.Received+t.Workflows.N+t.AI.All.Decisions+t.Approvals.Asked+t.Approvals.Automatic+t.Deliveries.Notifications == 0
}

// text says what was asked for, "" if that is everything.
func (f *TrendFilters) text() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+line(value, maxBrief))
		}
	}
	add("namespaces", strings.Join(f.Namespaces, ", "))
	add("alert", f.Alert)
	add("workflow", f.Workflow)
	return strings.Join(parts, "; ")
}

// figures are what a person looks for first.
func (t *Trends) figures() []figure {
	share := func(p *float64) string {
		if p == nil {
			return "–"
		}
		return percent(*p)
	}
	remediated := ""
	if t.Outcomes.Rate != nil {
		remediated = share(t.Outcomes.Rate) + " remediated"
	}
	all := []figure{
		{"Remediations", number(float64(t.Outcomes.N)), remediated},
		{"Time to repair, p50", optional(t.MTTR.P50), change(t.MTTR.ChangeP50)},
		{"Time to repair, p90", optional(t.MTTR.P90), change(t.MTTR.ChangeP90)},
	}
	if g := t.AI.All; g.Confidence != nil {
		all = append(all, figure{"AI's recommendations", share(g.Rate) + " right", fmt.Sprintf("of %d with a label%s; mean confidence %s", g.Labelled, few(g.Verdict == TooFew), percent(*g.Confidence/100))})
	}
	if a := t.Approvals; a.Asked > 0 {
		all = append(all, figure{"Wait for a person, p50", optional(a.P50), "of " + plural(a.Approved+a.Rejected, "decision", "decisions")})
	}
	for _, w := range t.Recurrence.Windows {
		if w.Window == "24h" {
			all = append(all, figure{"Came back within 24\u00a0h", share(w.Rate), "of " + plural(t.Recurrence.N, "repair", "repairs") + few(t.Recurrence.N < MinJudged)})
		}
	}
	return all
}

// change of a percentile in few words. A change that may be chance says so.
func change(c *Change) string {
	if c == nil {
		return ""
	}
	switch c.Verdict {
	case ChangeShorter:
		return duration(-c.Seconds) + " shorter than before"
	case ChangeLonger:
		return duration(c.Seconds) + " longer than before"
	case TooFew:
		return "too few to compare"
	}
	return "no clear change"
}

// judgements are verdicts on confidence, as people read them.
var judgements = map[string]string{ConfidenceFits: "as right as confident", ConfidenceOver: "more confident than right", ConfidenceUnder: "less confident than right", TooFew: "too few to judge"}
