package rar

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// TrendFormats are the formats in which trends are written.
func TrendFormats() []string { return []string{FormatJSON, FormatMarkdown, FormatHTML} }

// RenderTrends writes trends in one of the TrendFormats. Trends have the same bytes each time.
func RenderTrends(w io.Writer, t *Trends, format string) error {
	switch format {
	case FormatJSON:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(t); err != nil {
			return fmt.Errorf("trends as JSON: %w", err)
		}
		_, err := w.Write(b.Bytes())
		return err
	case FormatHTML:
		return RenderTrendsPage(w, t, nil)
	case FormatMarkdown:
		m := &markdown{}
		m.trends(t)
		_, err := io.WriteString(w, m.String())
		return err
	}
	return fmt.Errorf("format is %.40q, expected one of %q", format, TrendFormats())
}

func (m *markdown) trends(t *Trends) {
	m.line("# Trends from %s to %s\n", moment(t.Start), moment(t.End))
	var filters []string
	for _, f := range []struct{ name, value string }{{"namespace", strings.Join(t.Filters.Namespaces, ", ")}, {"alert", t.Filters.Alert}, {"workflow", t.Filters.Workflow}} {
		if f.value != "" {
			filters = append(filters, f.name+" "+md(f.value))
		}
	}
	if len(filters) > 0 {
		m.line("Only %s.\n", strings.Join(filters, "; "))
	}
	m.statements("In short", t.Brief())
	m.statements("What to read first", t.Findings)
	m.statements("What limits these figures", t.Notes)
	m.trendOutcomes(t)
	m.trendTimes(t)
	m.trendLosses("Alerts", "Alert", &t.Alerts)
	m.trendLosses("Targets", "Target", &t.Targets)
	m.trendRecurrence(&t.Recurrence)
	m.trendWorkflows(&t.Workflows)
	m.trendAI(&t.AI)
	m.trendApprovals(&t.Approvals, &t.Thresholds)
	m.trendDeliveries(&t.Deliveries)
	m.section("Where this comes from")
	m.table("", "Table", "Query")
	for _, e := range t.Evidence {
		m.row(e.Ref, md(e.Table), md(e.Query))
	}
	m.line("\nAs of %s.", moment(t.AsOf))
}

func (m *markdown) statements(title string, all []Statement) {
	if len(all) == 0 {
		return
	}
	m.section(title)
	for _, s := range all {
		m.line("- %s%s", md(s.Text), cite(s.Refs))
	}
}

// examples writes ids of remediations.
func examples(ids []string) string {
	var all []string
	for _, id := range ids {
		all = append(all, code(id))
	}
	return strings.Join(all, " ")
}

func outOf(part, whole int64, rate *float64, interval *[2]float64) string {
	if rate == nil {
		return "–"
	}
	return md(fmt.Sprintf("%d of %d, %s (%s)", part, whole, percent(*rate), between(interval)))
}

func (m *markdown) basis(text string, refs []string) { m.line("%s%s\n", md(text), cite(refs)) }

func (m *markdown) trendOutcomes(t *Trends) {
	o := &t.Outcomes
	m.section("Outcomes")
	m.basis(o.Basis, o.Refs)
	m.line("Remediated: %s. Received: %d, of these without an end within 7 days after the window: %d.\n", outOf(o.Success, o.N, o.Rate, o.Interval), o.Received, o.Open)
	if o.N == 0 {
		return
	}
	m.table("Outcome", "Count", "Share", "Time p50", "Time p90", "Newest")
	for _, g := range o.Groups {
		m.row(md(g.Outcome), fmt.Sprint(g.N), md(percent(g.Share)), optional(g.P50), optional(g.P90), examples(g.Examples))
	}
}

func (m *markdown) trendTimes(t *Trends) {
	r := &t.MTTR
	m.section("Time to repair")
	m.basis(r.Basis, r.Refs)
	m.table("", "Repairs", "p50", "p90")
	m.row("This window", fmt.Sprint(r.N), optional(r.P50), optional(r.P90))
	m.row("Window before", fmt.Sprint(r.Before.N), optional(r.Before.P50), optional(r.Before.P90))
	m.line("")
	for _, c := range []struct {
		name   string
		change *Change
	}{{"p50", r.ChangeP50}, {"p90", r.ChangeP90}} {
		if c.change != nil {
			m.line("- %s: %s", c.name, md(c.change.Text))
		}
	}
	b := &t.Bottlenecks
	m.section("Bottlenecks")
	m.basis(b.Basis, b.Refs)
	m.table("Phase", "Remediations", "Time", "Share", "Cumulative", "Longest")
	for _, g := range b.Groups {
		m.row(md(g.Name), fmt.Sprint(g.N), duration(g.Seconds), md(percent(g.Share)), md(percent(g.Cumulative)), examples(g.Examples))
	}
}

func (m *markdown) trendLosses(title, of string, l *LossTrend) {
	m.section(title)
	m.basis(l.Basis, l.Refs)
	for _, order := range []struct {
		name   string
		groups []LossGroup
	}{{"By count", l.ByCount}, {"By time lost", l.ByTime}} {
		m.line("\n%s: %d of %d.\n", order.name, len(order.groups), l.Groups)
		m.table(of, "Count", "Of all", "Time lost", "Of the time", "Remediated", "Longest")
		for _, g := range order.groups {
			name := g.Alert
			if g.Target != nil {
				name = g.Target.text()
			}
			m.row(md(name), fmt.Sprint(g.N), md(percent(g.Share)), duration(g.Seconds), md(percent(g.TimeShare)), outOf(g.Success, g.N, g.Rate, g.Interval), examples(g.Examples))
		}
	}
}

func (t *TrendTarget) text() string {
	return cmp.Or(strings.Trim(strings.Join([]string{t.Cluster, t.Namespace, t.Kind, t.Name}, "/"), "/"), "an unknown target")
}

func (m *markdown) trendRecurrence(r *RecurrenceTrend) {
	m.section("Recurrence")
	m.basis(r.Basis, r.Refs)
	m.table("Within", "Came back", "Still watched then", "Censored before", "Share that comes back")
	for _, w := range r.Windows {
		estimate := "–"
		if w.Rate != nil {
			estimate = md(fmt.Sprintf("%s (%s)", percent(*w.Rate), between(w.Interval)))
		}
		m.row(w.Window, fmt.Sprint(w.Returned), fmt.Sprint(w.AtRisk), fmt.Sprint(w.Censored), estimate)
	}
	if len(r.Alerts) == 0 {
		return
	}
	m.line("")
	m.table("Alert", "Repairs", "Came back", "Censored", "Soonest")
	for _, a := range r.Alerts {
		m.row(md(a.Alert), fmt.Sprint(a.N), fmt.Sprint(a.Returned), fmt.Sprint(a.Censored), examples(a.Examples))
	}
}

func (m *markdown) trendWorkflows(w *WorkflowTrend) {
	m.section("Workflows")
	m.basis(w.Basis, w.Refs)
	m.line("%d of %d.\n", len(w.Items), w.Groups)
	m.table("Workflow", "Success", "Effectiveness", "Rollbacks", "Newest that failed")
	for _, g := range w.Items {
		effectiveness := "–"
		if g.Effectiveness != nil {
			effectiveness = fmt.Sprintf("%s of 100 (%d scored)", number(*g.Effectiveness), g.Scored)
		}
		m.row(md(g.WorkflowID), outOf(g.Success, g.N, g.Rate, g.Interval)+few(g.TooFew), md(effectiveness), fmt.Sprint(g.Rollbacks), examples(g.Examples))
	}
}

func few(tooFew bool) string {
	if tooFew {
		return ", too few to judge"
	}
	return ""
}

func (m *markdown) trendAI(a *AITrend) {
	m.section("AI: confidence and truth")
	m.basis(a.Basis, a.Refs)
	m.line("%s\n", a.Label)
	m.line("%s\n", md(a.All.Text))
	m.table("Investigator", "Decisions", "Executed", "With a label", "Right", "Mean confidence", "Brier", "Skill", "Verdict", "Confident and wrong")
	for i, g := range append([]AIGroup{a.All}, a.Groups...) {
		name := "All"
		if i > 0 {
			name = cmp.Or(strings.TrimSpace(g.Investigator+" "+g.Model), noName)
		}
		confidence, score, skill := "–", "–", "–"
		if g.Confidence != nil {
			confidence = number(rounded(*g.Confidence, 1)) + " %"
		}
		if g.Brier != nil {
			score = number(g.Brier.Score)
			if g.Brier.Skill != nil {
				skill = number(*g.Brier.Skill)
			}
		}
		m.row(md(name), fmt.Sprint(g.Decisions), fmt.Sprint(g.Executed), fmt.Sprint(g.Labelled), outOf(g.Success, g.Labelled, g.Rate, g.Interval), md(confidence), md(score), md(skill), g.Verdict, examples(g.Examples))
	}
	if b := a.All.Brier; b != nil {
		m.line("\nBrier score %s = reliability %s − resolution %s + uncertainty %s + within bins %s.\n", number(b.Score), number(b.Reliability), number(b.Resolution), number(b.Uncertainty), md(number(b.WithinBins)))
	}
	m.line("")
	m.table("Confidence", "Decisions", "Mean", "Right", "Verdict")
	for _, bin := range a.All.Bins {
		mean := "–"
		if bin.Confidence != nil {
			mean = number(rounded(*bin.Confidence, 1)) + " %"
		}
		m.row(fmt.Sprintf("%d to %d %%", bin.From, bin.To), fmt.Sprint(bin.Decisions), md(mean), outOf(bin.Success, bin.N, bin.Observed, bin.Interval), bin.Verdict)
	}
}

func (m *markdown) trendApprovals(a *ApprovalTrend, t *ThresholdTrend) {
	m.section("Approvals")
	m.basis(a.Basis, a.Refs)
	m.line("Asked: %d. Approved: %d. Expired: %d. Undecided: %d. Automatic: %d. Refused: %s. Wait: p50 %s, p90 %s.\n", a.Asked, a.Approved, a.Expired, a.Undecided, a.Automatic,
		outOf(a.Rejected, a.Approved+a.Rejected, a.Refusal, a.Interval), optional(a.P50), optional(a.P90))
	for _, slots := range []struct {
		name string
		all  []ApprovalSlot
	}{{"Weekday (UTC)", a.Weekdays}, {"Hour (UTC)", a.Hours}} {
		m.table(slots.name, "Asked", "Refused", "Wait p50", "Wait p90")
		for _, s := range slots.all {
			if s.Asked > 0 {
				m.row(s.Name, fmt.Sprint(s.Asked), fmt.Sprintf("%d of %d", s.Rejected, s.Decided), optional(s.P50), optional(s.P90))
			}
		}
		m.line("")
	}
	m.line("What automatic approval from a confidence on would have saved. %s%s\n", md(t.Basis), cite(t.Refs))
	m.table("From", "Approved by people", "Wait saved", "Failed, of those with a label", "Rejected by people", "Failed, for example")
	for _, c := range t.Items {
		m.row(fmt.Sprintf("%d %%", c.Threshold), fmt.Sprint(c.N), duration(c.Seconds), outOf(c.Failed, c.Labelled, c.Rate, c.Interval)+few(c.TooFew), fmt.Sprint(c.Rejected), examples(c.Examples))
	}
}

func (m *markdown) trendDeliveries(d *DeliveryTrend) {
	m.section("Deliveries")
	m.basis(d.Basis, d.Refs)
	m.line("%s; %d of %d channels.\n", plural(d.Notifications, "notification", "notifications"), len(d.Channels), d.Groups)
	m.table("Channel", "Notifications", "Undelivered", "Called off", "Failed attempts", "Newest with a failure")
	for _, c := range d.Channels {
		m.row(md(c.Channel), fmt.Sprint(c.Notifications), fmt.Sprint(c.Undelivered), fmt.Sprint(c.CalledOff), outOf(c.Failed, c.Attempts, c.Rate, c.Interval), examples(c.Examples))
	}
}
