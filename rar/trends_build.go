package rar

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// trendBuilder makes trends.
type trendBuilder struct {
	in     *TrendsInput
	trends *Trends
	ledger *ledger
}

// BuildTrends makes trends of what the queries answered. It reads nothing else: the same input gives the same trends.
func BuildTrends(in *TrendsInput) *Trends {
	b := &trendBuilder{in: in, ledger: newLedger(), trends: &Trends{
		Start: outboxapi.NewTime(in.Start), End: outboxapi.NewTime(in.End), AsOf: outboxapi.NewTime(in.AsOf), Template: Template, Filters: in.Filters, Scope: ScopeNamespaces,
		Findings: []Statement{}, Notes: []Statement{}, Evidence: []Evidence{},
	}}
	if in.Everything {
		b.trends.Scope = ScopeEverything
	}
	b.trends.Filters.Namespaces = append([]string{}, in.Filters.Namespaces...)
	b.outcomes()
	b.repairs()
	b.bottlenecks()
	b.losses()
	b.recurrence()
	b.workflows()
	b.decisions()
	b.thresholds()
	b.approvals()
	b.deliveries()
	b.notes()
	b.findings()
	b.trends.Evidence = append(b.trends.Evidence, b.ledger.entries...)
	return b.trends
}

const (
	basisEnded = "Remediations that ended in the window."
	noName     = "(without a name)"
)

// asked is the ref of a query over the window, by the time that it goes by.
func (b *trendBuilder) asked(table, file, time string) []string {
	text := fmt.Sprintf("%s from %s to %s", time, b.trends.Start, b.trends.End)
	f := &b.in.Filters
	for _, one := range []struct{ name, value string }{{"namespace", strings.Join(f.Namespaces, ", ")}, {"alert", f.Alert}, {"workflow", f.Workflow}} {
		if one.value != "" {
			text += fmt.Sprintf(", %s %s", one.name, one.value)
		}
	}
	return []string{b.ledger.add("query/"+file+"/"+time, func() Evidence { return Evidence{Table: table, Query: "trends_" + file + ".sql: " + text} })}
}

// examples are the remediations of some rows.
func (b *trendBuilder) examples(rows ...string) []string {
	ids := []string{}
	for _, row := range rows {
		if id := b.in.RemediationIDs[row]; id != "" {
			ids = append(ids, id)
		}
	}
	return exampleIDs(ids)
}

func exampleIDs(ids []string) []string {
	all := []string{}
	for _, id := range ids {
		if len(all) < MaxExamples && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// percentiles are p50 and p90, nil if there are none.
func percentiles(both []float64) (p50, p90 *float64) {
	if len(both) != 2 {
		return nil, nil
	}
	return ptr.To(rounded(both[0], 3)), ptr.To(rounded(both[1], 3))
}

func thousandths(milliseconds int64) float64 { return rounded(float64(milliseconds)/1000, 3) }

func (b *trendBuilder) outcomes() {
	t := &b.trends.Outcomes
	*t = OutcomeTrend{Basis: basisEnded, Groups: []OutcomeGroup{}, Refs: join(b.asked(models.TableOrchestration, "outcomes", "completed_at"), b.asked(models.TableOrchestration, "received", "signal_received_at"))}
	var rest int64
	for _, r := range b.in.Outcomes {
		t.N, rest = r.Total, rest-r.N
	}
	if rest += t.N; rest > 0 {
		t.Groups = append(t.Groups, OutcomeGroup{Outcome: outcomeOther, N: rest, Share: share(rest, t.N), Examples: []string{}})
	}
	for _, r := range b.in.Outcomes {
		g := OutcomeGroup{Outcome: cmp.Or(r.Outcome, outcomeUnknown), N: r.N, Share: share(r.N, t.N), Examples: b.examples(r.Example)}
		g.P50, g.P90 = percentiles(r.Quantiles)
		if r.Outcome == outcomeRemediated {
			t.Success = r.N
		}
		t.Groups = append(t.Groups, g)
	}
	slices.SortFunc(t.Groups, func(a, b OutcomeGroup) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Outcome, b.Outcome)) })
	t.Rate, t.Interval = rate(t.Success, t.N), wilson(t.Success, t.N)
	for _, r := range b.in.Received {
		t.Received, t.Open = r.Received, max(0, r.Received-r.Ended)
	}
}

func (b *trendBuilder) repairs() {
	t := &b.trends.MTTR
	start := b.in.Start.Add(b.in.Start.Sub(b.in.End))
	*t = RepairTrend{
		Basis: "Remediations that ended in the window and were remediated; seconds from signal to completion.", Bucket: b.in.Bucket, Buckets: []RepairBucket{},
		Before: RepairBefore{Start: outboxapi.NewTime(start), End: b.trends.Start},
		Refs:   join(b.asked(models.TableOrchestration, "repairs", "completed_at"), b.asked(models.TableOrchestration, "spread", "completed_at"), b.asked(models.TableOrchestration, "days", "completed_at")),
	}
	for _, r := range b.in.Repairs {
		if r.Before {
			t.Before.N = r.N
			t.Before.P50, t.Before.P90 = percentiles(r.Quantiles)
			continue
		}
		t.N = r.N
		t.P50, t.P90 = percentiles(r.Quantiles)
	}
	counts := map[bool]map[float64]int64{true: {}, false: {}}
	for _, r := range b.in.Spread {
		counts[r.Before][r.Seconds] += r.N
	}
	now, before := newSpread(counts[false]), newSpread(counts[true])
	t.ChangeP50 = changeOf(t.P50, t.Before.P50, &now, &before, 0.5)
	t.ChangeP90 = changeOf(t.P90, t.Before.P90, &now, &before, 0.9)
	for _, r := range b.in.Days {
		if len(r.Quantiles) == 2 {
			t.Buckets = append(t.Buckets, RepairBucket{outboxapi.NewTime(r.Start), r.N, rounded(r.Quantiles[0], 3), rounded(r.Quantiles[1], 3)})
		}
	}
	slices.SortFunc(t.Buckets, func(a, b RepairBucket) int { return a.Start.Compare(b.Start.Time) })
}

func changeOf(p, earlier *float64, now, before *spread, q float64) *Change {
	if p == nil || earlier == nil || now.n() == 0 || before.n() == 0 {
		return nil
	}
	c := &Change{Seconds: rounded(*p-*earlier, 3), Interval: changeInterval(now, before, q), Verdict: ChangeUnclear}
	if *earlier > 0 {
		c.Share = ptr.To(rounded(c.Seconds / *earlier, 4))
	}
	switch {
	case now.n() < MinJudged || before.n() < MinJudged:
		c.Verdict = TooFew
	case c.Interval[1] < 0:
		c.Verdict = ChangeShorter
	case c.Interval[0] > 0:
		c.Verdict = ChangeLonger
	}
	c.Text = c.text()
	return c
}

// text says the change and how sure it is.
func (c *Change) text() string {
	said := moreSeconds(c.Seconds) + " than in the window before"
	if c.Seconds == 0 {
		said = "as long as in the window before"
	}
	sure := fmt.Sprintf("95 %%: %s to %s", moreSeconds(c.Interval[0]), moreSeconds(c.Interval[1]))
	switch c.Verdict {
	case TooFew: // the samples of few cases are all alike, so the interval would be too narrow
		return fmt.Sprintf("%s; fewer than %d cases in one of the two, so nothing is concluded.", said, MinJudged)
	case ChangeUnclear:
		return fmt.Sprintf("%s, which may be chance (%s).", said, sure)
	}
	return fmt.Sprintf("%s (%s).", said, sure)
}

func moreSeconds(seconds float64) string {
	switch {
	case seconds > 0:
		return duration(seconds) + " longer"
	case seconds < 0:
		return duration(-seconds) + " shorter"
	}
	return "0s"
}

func (b *trendBuilder) bottlenecks() {
	t := &b.trends.Bottlenecks
	*t = BottleneckTrend{Basis: basisEnded + " The phase that took longest in each, as its own record says.", Groups: []BottleneckGroup{}, Refs: b.asked(models.TableOrchestration, "bottlenecks", "completed_at")}
	var total int64
	known := slices.DeleteFunc(slices.Clone(b.in.Bottlenecks), func(r TrendBottleneckRow) bool { return r.Phase == "" })
	for _, r := range b.in.Bottlenecks {
		if r.Phase == "" {
			t.Unknown += r.N
		}
	}
	for _, r := range known {
		t.N, total = t.N+r.N, total+r.Seconds
	}
	slices.SortFunc(known, func(a, b TrendBottleneckRow) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Phase, b.Phase))
	})
	var before int64
	for _, r := range known[:min(len(known), MaxTrendGroups)] {
		before += r.Seconds
		t.Groups = append(t.Groups, BottleneckGroup{Phase: r.Phase, Name: phaseName(r.Phase), N: r.N, Seconds: float64(r.Seconds), Share: share(r.Seconds, total), Cumulative: share(before, total), Examples: b.examples(r.Example)})
	}
	t.Seconds = float64(total)
}

func (b *trendBuilder) losses() {
	alerts, targets := []lossRow{}, []lossRow{}
	for _, r := range b.in.Alerts {
		alerts = append(alerts, lossRow{LossGroup{Alert: cmp.Or(r.Alert, noName), Examples: b.examples(r.Example)}, r.TrendLossRow})
	}
	for _, r := range b.in.Targets {
		targets = append(targets, lossRow{LossGroup{Target: &TrendTarget{r.Cluster, r.Namespace, r.Kind, r.Name}, Examples: exampleIDs([]string{r.Example})}, r.TrendLossRow})
	}
	b.trends.Alerts = b.loss(alerts, b.asked(models.TableOrchestration, "alerts", "completed_at"))
	b.trends.Targets = b.loss(targets, b.asked(models.TableOrchestration, "targets", "completed_at"))
}

type lossRow struct {
	group LossGroup
	row   TrendLossRow
}

// loss makes both orders of alerts or of targets.
func (b *trendBuilder) loss(all []lossRow, refs []string) LossTrend {
	t := LossTrend{Basis: basisEnded + " Time lost is from signal to completion, whatever the outcome.", ByCount: []LossGroup{}, ByTime: []LossGroup{}, Refs: refs}
	for i := range all {
		g, r := &all[i].group, &all[i].row
		t.Groups, t.N, t.Seconds = r.Groups, r.Total, thousandths(r.AllMilliseconds)
		g.N, g.Share, g.Seconds, g.TimeShare = r.N, share(r.N, t.N), thousandths(r.Milliseconds), share(r.Milliseconds, r.AllMilliseconds)
		g.Success, g.Rate, g.Interval = r.Success, rate(r.Success, r.N), wilson(r.Success, r.N)
	}
	first := func(place func(*TrendLossRow) int64) []LossGroup {
		groups := []LossGroup{}
		slices.SortFunc(all, func(a, b lossRow) int { return cmp.Compare(place(&a.row), place(&b.row)) })
		for _, one := range all[:min(len(all), MaxTrendGroups)] {
			groups = append(groups, one.group)
		}
		return groups
	}
	t.ByCount, t.ByTime = first(func(r *TrendLossRow) int64 { return r.ByCount }), first(func(r *TrendLossRow) int64 { return r.ByTime })
	return t
}

type watchedWindow struct {
	name    string
	minutes int64
}

// watchedFor are the windows of recurrence that are reported.
var watchedFor = []watchedWindow{{"1h", 60}, {"24h", 24 * 60}, {"7d", 7 * 24 * 60}}

// curveStep is the least that a step of the curve goes down, so that it has few steps.
const curveStep = 0.005

func (b *trendBuilder) recurrence() {
	t := &b.trends.Recurrence
	*t = RecurrenceTrend{
		Basis: "Remediations that ended in the window and were remediated, until the same fingerprint and target was received again in the same namespace, within 7 days. Rows without a namespace do not count.",
		Curve: []RecurrenceStep{}, Windows: []RecurrencePoint{}, Alerts: []RecurrentAlert{}, Refs: b.asked(models.TableOrchestration, "decisions", "completed_at"),
	}
	week := int64(RecurrenceWindow / time.Minute)
	var all []watched
	for _, r := range b.in.Recurrent {
		t.Alerts = append(t.Alerts, RecurrentAlert{Alert: cmp.Or(r.Alert, noName), N: r.N, Returned: r.Back, Censored: r.Censored, Examples: exampleIDs(r.Examples)})
	}
	for _, r := range b.in.Held {
		t.N += r.N
		switch {
		case r.Returned:
			t.Returned += r.N
			all = append(all, watched{r.Minutes, r.N, 0})
			continue
		case r.Minutes < week:
			t.Censored += r.N
		}
		all = append(all, watched{r.Minutes, 0, r.N})
	}
	slices.SortFunc(t.Alerts, func(a, b RecurrentAlert) int {
		return cmp.Or(cmp.Compare(b.Returned, a.Returned), cmp.Compare(a.N, b.N), cmp.Compare(a.Alert, b.Alert))
	})
	steps := kaplanMeier(all)
	for _, w := range watchedFor {
		s, known := survivalAt(steps, w.minutes)
		p := RecurrencePoint{Window: w.name, Seconds: w.minutes * 60, Returned: s.returned, AtRisk: s.atRisk, Censored: s.withdrawn}
		if known {
			p.Rate, p.Interval = ptr.To(rounded(1-s.held, 4)), s.interval()
		}
		t.Windows = append(t.Windows, p)
	}
	t.Curve = curve(steps)
}

// curve leaves out small steps, but for the last one of each window: the curve says there what the window says.
func curve(steps []survival) []RecurrenceStep {
	all := []RecurrenceStep{{0, 1}}
	for i, s := range steps[1:] {
		step := RecurrenceStep{s.time * 60, rounded(s.held, 4)}
		last := all[len(all)-1]
		if step.Held < last.Held && (last.Held-step.Held >= curveStep || lastWithin(steps[1:], i)) {
			all = append(all, step)
		}
	}
	return all
}

// lastWithin reports whether the step is the last one within one of watchedFor.
func lastWithin(steps []survival, i int) bool {
	if i+1 == len(steps) {
		return true
	}
	return slices.ContainsFunc(watchedFor, func(w watchedWindow) bool { return steps[i].time <= w.minutes && steps[i+1].time > w.minutes })
}

func (b *trendBuilder) workflows() {
	t := &b.trends.Workflows
	*t = WorkflowTrend{Basis: "Executions that began in the window and ended.", Items: []WorkflowGroup{}, Refs: b.asked(models.TableExecution, "workflows", "execution_started_at")}
	for _, r := range b.in.Workflows {
		t.Groups, t.N = r.Groups, r.Total
		g := WorkflowGroup{WorkflowID: r.WorkflowID, N: r.N, Success: r.Success, Rate: rate(r.Success, r.N), Interval: wilson(r.Success, r.N), Scored: r.Scored, Rollbacks: r.Rollbacks,
			TooFew: r.N < MinJudged, Examples: b.examples(r.Examples...)}
		if r.Effectiveness != nil {
			g.Effectiveness = ptr.To(rounded(*r.Effectiveness, 2))
		}
		t.Items = append(t.Items, g)
	}
	slices.SortFunc(t.Items, func(a, b WorkflowGroup) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.WorkflowID, b.WorkflowID))
	})
}

func (b *trendBuilder) deliveries() {
	t := &b.trends.Deliveries
	*t = DeliveryTrend{Basis: "Notifications that were requested in the window and ended.", Channels: []DeliveryChannel{}, Refs: b.asked(models.TableNotification, "deliveries", "notification_requested_at")}
	for _, r := range b.in.Deliveries {
		t.Notifications, t.Groups = r.Total, r.Groups
		if r.Channel == nil {
			t.Unattempted = r.N
			continue
		}
		t.Channels = append(t.Channels, DeliveryChannel{Channel: *r.Channel, Notifications: r.N, Undelivered: r.Undelivered, CalledOff: r.CalledOff, Attempts: r.Attempts, Failed: r.Failed, Rate: rate(r.Failed, r.Attempts),
			Interval: wilson(r.Failed, r.Attempts), Examples: exampleIDs(r.Examples)})
	}
	slices.SortFunc(t.Channels, func(a, b DeliveryChannel) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Channel, b.Channel))
	})
	t.Channels = t.Channels[:min(len(t.Channels), MaxTrendGroups)]
}
