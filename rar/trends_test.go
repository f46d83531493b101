package rar_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/rar"
)

func month(day int) time.Time { return time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC) }

func row(n int) string           { return fmt.Sprintf("01a20000-0000-8000-8000-%012x", n) }
func remediationID(n int) string { return fmt.Sprintf("4f8e0a52-6a3e-4be0-9f0e-%012x", n) }

// trendsOfAMonth is what the queries answer on a month whose last week is still watched.
func trendsOfAMonth() *rar.TrendsInput {
	in := &rar.TrendsInput{
		Start: month(1), End: month(29), AsOf: month(30), Bucket: "day", Everything: true, Filters: rar.TrendFilters{Alert: "PodOOMKilled"}, RemediationIDs: map[string]string{},
		Outcomes: []rar.TrendOutcomeRow{
			{Outcome: "remediated", N: 400, Total: 533, Backwards: 2, Quantiles: []float64{259.5, 419.1}, Example: row(1)}, {Outcome: "failed", N: 80, Total: 533, Backwards: 2, Quantiles: []float64{300, 900}, Example: row(2)},
			{Outcome: "rejected", N: 50, Total: 533, Backwards: 2, Quantiles: []float64{2000, 9000}, Example: row(3)}, {N: 3, Total: 533, Backwards: 2, Example: row(4)},
		},
		Received: []rar.TrendReceivedRow{{Received: 540, Ended: 532}},
		Repairs:  []rar.TrendRepairRow{{N: 400, Quantiles: []float64{259.5, 419.1}}, {Before: true, N: 400, Quantiles: []float64{329.5, 489.1}}},
		Bottlenecks: []rar.TrendBottleneckRow{
			{Phase: "approval_wait", N: 300, Seconds: 61000, Example: row(5)}, {Phase: "ai_analysis", N: 150, Seconds: 21000, Example: row(6)}, {Phase: "workflow_execution", N: 70, Seconds: 18000, Example: row(7)},
			{N: 13},
		},
		Workflows: []rar.TrendWorkflowRow{
			{WorkflowID: "restart-pods", N: 300, Success: 270, Scored: 280, Effectiveness: ptr.To(82.456), Rollbacks: 12, Examples: []string{row(8), row(9)}, Groups: 3, Total: 507},
			{WorkflowID: "scale-out", N: 200, Success: 90, Scored: 200, Effectiveness: ptr.To(55.0), Examples: []string{row(10)}, Groups: 3, Total: 507}, {WorkflowID: "drain-node", N: 7, Success: 7, Groups: 3, Total: 507},
		},
		Deliveries: []rar.TrendDeliveryRow{
			{Channel: ptr.To("slack"), N: 540, Undelivered: 4, CalledOff: 3, Attempts: 600, Failed: 62, Examples: []string{remediationID(60)}, Groups: 2, Total: 550}, {Channel: ptr.To("console"), N: 540, Attempts: 540, Groups: 2, Total: 550},
			{N: 10, Undelivered: 10, Groups: 2, Total: 550},
		},
	}
	for n := range 40 {
		in.RemediationIDs[row(n)] = remediationID(n)
	}
	for i, alert := range []string{"PodOOMKilled", "PodCrashLooping", "<script>alert(1)</script>"} {
		loss := rar.TrendLossRow{N: int64(300 - 100*i), Milliseconds: int64(100_000_000 + 900_000*i), Success: 90, Example: row(20 + i), ByCount: int64(i + 1), ByTime: int64(3 - i), Groups: 40, Total: 533, AllMilliseconds: 400_000_000}
		in.Alerts = append(in.Alerts, rar.TrendAlertRow{Alert: alert, TrendLossRow: loss})
		loss.Example = remediationID(30 + i)
		in.Targets = append(in.Targets, rar.TrendTargetRow{Namespace: "shop", Kind: "Deployment", Name: fmt.Sprintf("cart-%d", i), TrendLossRow: loss})
	}
	for second := range 400 {
		in.Spread = append(in.Spread, rar.TrendSpreadRow{Seconds: float64(60 + second), N: 1}, rar.TrendSpreadRow{Before: true, Seconds: float64(130 + second), N: 1})
	}
	for day := 1; day < 29; day += 2 {
		in.Days = append(in.Days, rar.TrendDayRow{Start: month(day), N: int64(10 + day), Quantiles: []float64{220 + float64(day*37%90), 390 + float64(day*53%80)}})
	}
	for i := range int64(40) {
		in.Held = append(in.Held, rar.TrendHeldRow{Minutes: 20 + i*i*6, Returned: true, N: 1}, rar.TrendHeldRow{Minutes: 1500 + i*200, N: 2})
	}
	in.Held = append(in.Held, rar.TrendHeldRow{Minutes: 10080, N: 280})
	in.Recurrent = []rar.TrendRecurrentRow{{Alert: "PodOOMKilled", N: 240, Back: 31, Censored: 50, Examples: []string{remediationID(40), remediationID(41)}}, {N: 9, Back: 9}}
	for bin := range 10 {
		for i, model := range []string{"model-1", "model-2"} {
			labelled := int64(bin*5) / int64(1+3*i)
			success := labelled * int64(bin) / 12
			confidence := float64(10*bin) + 5
			r := rar.TrendBinRow{Investigator: "holmesgpt", Model: model, Bin: bin, N: labelled + 9, Executed: labelled + 4, Labelled: labelled, Success: success, Confidence: float64(labelled) * confidence,
				Squares: float64(success)*(1-confidence/100)*(1-confidence/100) + float64(labelled-success)*confidence*confidence/1e4}
			if success < labelled {
				r.Examples = []string{remediationID(50 + bin)}
			}
			in.Bins = append(in.Bins, r)
			if i == 0 {
				r.Everyone, r.Investigator, r.Model = true, "", ""
				in.Bins = append(in.Bins, r)
			}
		}
		threshold := int64(50 + 5*bin)
		in.Bands = append(in.Bands, rar.TrendBandRow{Threshold: threshold, N: 30, Labelled: 24, Success: 15 + int64(bin), Seconds: 5000, Rejected: 10 - int64(bin), Examples: []string{remediationID(70 + bin)}})
	}
	in.Approvals = []rar.TrendApprovalRow{{Asked: 300, Approved: 240, Rejected: 50, Expired: 8, Automatic: 180, Quantiles: []float64{165, 2400}}}
	for hour := range 24 {
		if hour != 3 {
			in.Approvals = append(in.Approvals, rar.TrendApprovalRow{Hour: ptr.To(hour), Asked: 12, Approved: 9, Rejected: 2, Quantiles: []float64{float64(60 + 10*hour), float64(600 + 90*hour)}})
		}
	}
	for day := 1; day <= 7; day++ {
		in.Approvals = append(in.Approvals, rar.TrendApprovalRow{Weekday: ptr.To(day), Asked: 42, Approved: 34, Rejected: 7, Expired: 1, Quantiles: []float64{float64(100 * day), float64(900 * day)}})
	}
	return in
}

func renderTrends(t *testing.T, trends *rar.Trends, format string) string {
	t.Helper()
	var text bytes.Buffer
	NewWithT(t).Expect(rar.RenderTrends(&text, trends, format)).To(Succeed())
	return text.String()
}

func TestTrendsAreAsTheyWere(t *testing.T) {
	for name, in := range map[string]*rar.TrendsInput{"example": trendsOfAMonth(), "empty": {Start: month(1), End: month(29), AsOf: month(10), Bucket: "day"}} {
		trends := rar.BuildTrends(in)
		for _, format := range rar.TrendFormats() {
			t.Run(name+"."+format, func(t *testing.T) {
				g := NewWithT(t)
				file := filepath.Join("testdata", "trends", name+"."+format)
				got := renderTrends(t, trends, format)
				if *update {
					g.Expect(os.WriteFile(file, []byte(got), 0o644)).To(Succeed())
					return
				}
				want, err := os.ReadFile(file)
				g.Expect(err).NotTo(HaveOccurred(), "write it with -update")
				g.Expect(got).To(Equal(string(want)), "%s differs: look at it, then -update", file)
			})
		}
	}
	NewWithT(t).Expect(rar.RenderTrends(&bytes.Buffer{}, rar.BuildTrends(&rar.TrendsInput{}), "pdf")).To(MatchError(ContainSubstring(`format is "pdf", expected one of ["json" "md" "html"]`)))
}

// The order in which a database returns rows changes no byte.
func TestTheOrderOfTrendRowsDoesNotMatter(t *testing.T) {
	want := renderTrends(t, rar.BuildTrends(trendsOfAMonth()), rar.FormatJSON)
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		in := trendsOfAMonth()
		shuffle(random, in.Outcomes)
		shuffle(random, in.Spread)
		shuffle(random, in.Days)
		shuffle(random, in.Bottlenecks)
		shuffle(random, in.Alerts)
		shuffle(random, in.Targets)
		shuffle(random, in.Held)
		shuffle(random, in.Recurrent)
		shuffle(random, in.Workflows)
		shuffle(random, in.Bins)
		shuffle(random, in.Bands)
		shuffle(random, in.Approvals)
		shuffle(random, in.Deliveries)
		NewWithT(t).Expect(renderTrends(t, rar.BuildTrends(in), rar.FormatJSON)).To(Equal(want))
	}
}

func shuffle[T any](random *rand.Rand, all []T) {
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
}

// What a reader relies on: lists are never null, every section cites a query that is there, and what adds up does.
func TestTrendsAddUp(t *testing.T) {
	for _, in := range []*rar.TrendsInput{trendsOfAMonth(), {Start: month(1), End: month(2)}} {
		g := NewWithT(t)
		trends := rar.BuildTrends(in)
		text := renderTrends(t, trends, rar.FormatJSON)
		var all map[string]any
		g.Expect(json.Unmarshal([]byte(text), &all)).To(Succeed())
		for _, name := range []string{"groups", "buckets", "by_count", "by_time", "windows", "curve", "alerts", "items", "bins", "hours", "weekdays", "channels", "examples", "refs", "notes", "findings", "namespaces"} {
			g.Expect(text).NotTo(ContainSubstring(fmt.Sprintf("%q: null", name)))
		}
		known := map[string]bool{}
		for _, e := range trends.Evidence {
			known[e.Ref] = true
			g.Expect(e.Query).To(MatchRegexp(`^trends_[a-z]+\.sql: [a-z_]+ from .* to `))
		}
		for name, section := range all {
			if of, ok := section.(map[string]any); ok && name != "filters" {
				g.Expect(of["refs"]).NotTo(BeEmpty(), name)
				for _, ref := range of["refs"].([]any) {
					g.Expect(known).To(HaveKey(ref), name)
				}
				g.Expect(of["basis"]).NotTo(BeEmpty(), name)
			}
		}
		g.Expect(trends.AI.All.Bins).To(HaveLen(10))
		g.Expect(trends.Approvals.Hours).To(HaveLen(24))
		g.Expect(trends.Thresholds.Items).To(HaveLen(10))
		g.Expect(len(trends.Findings)).To(BeNumerically("<=", 5))
		for i, c := range trends.Thresholds.Items[1:] {
			g.Expect(c.N).To(BeNumerically("<=", trends.Thresholds.Items[i].N), "a higher threshold takes no more")
		}
		for i, step := range trends.Recurrence.Curve[1:] {
			g.Expect(step.Held).To(BeNumerically("<", trends.Recurrence.Curve[i].Held))
		}
		var n int64
		for _, b := range trends.AI.All.Bins {
			n += b.N
		}
		g.Expect(n).To(Equal(trends.AI.All.Labelled))
	}
}

// What the database left out is counted as other, and the groups add up.
func TestOutcomesBeyondTheFirstAreOther(t *testing.T) {
	g := NewWithT(t)
	in := trendsOfAMonth()
	in.Outcomes = in.Outcomes[:2]
	outcomes := rar.BuildTrends(in).Outcomes
	g.Expect(outcomes.N).To(BeEquivalentTo(533))
	g.Expect(outcomes.Groups).To(HaveExactElements(HaveField("Outcome", "remediated"), HaveField("Outcome", "failed"), And(HaveField("Outcome", "other"), HaveField("N", BeEquivalentTo(53)))))
}

// Below twenty cases there is no verdict, whatever they show.
func TestFewCasesGiveNoVerdict(t *testing.T) {
	for labelled, want := range map[int64]string{19: rar.TooFew, 20: rar.ConfidenceOver} {
		g := NewWithT(t)
		in := &rar.TrendsInput{Start: month(1), End: month(29), AsOf: month(30), Bins: []rar.TrendBinRow{{Everyone: true, Bin: 9, N: 50, Executed: 30, Labelled: labelled, Confidence: 95 * float64(labelled), Squares: 0.9 * float64(labelled)}}}
		for i := range labelled {
			in.Spread = append(in.Spread, rar.TrendSpreadRow{Seconds: 60 + float64(i), N: 1}, rar.TrendSpreadRow{Seconds: 600 + float64(i), N: 1, Before: true})
		}
		in.Repairs = []rar.TrendRepairRow{{N: labelled, Quantiles: []float64{70, 75}}, {N: labelled, Before: true, Quantiles: []float64{610, 615}}}
		trends := rar.BuildTrends(in)
		g.Expect(trends.AI.All.Verdict).To(Equal(want))
		g.Expect(trends.AI.All.Bins[9].Verdict).To(Equal(want))
		g.Expect(trends.AI.All.Text).To(ContainSubstring(fmt.Sprintf("0 of %d decisions", labelled)))
		g.Expect(strings.Contains(trends.MTTR.ChangeP50.Text, "95 %")).To(Equal(want != rar.TooFew), "an interval of few samples is too narrow to be told")
		g.Expect(trends.MTTR.ChangeP50.Verdict).To(Equal(map[string]string{rar.TooFew: rar.TooFew, rar.ConfidenceOver: rar.ChangeShorter}[want]))
		if want == rar.TooFew {
			g.Expect(trends.Findings).To(BeEmpty())
		} else {
			g.Expect(trends.Findings).NotTo(BeEmpty())
		}
	}
}

// What is told in short adds up, and no name is taken for all of them.
func TestTrendsInShort(t *testing.T) {
	g := NewWithT(t)
	in := &rar.TrendsInput{Start: month(1), End: month(29), AsOf: month(30), Bins: []rar.TrendBinRow{{Everyone: true, Bin: 9, N: 3}, {Bin: 9, N: 3}}, Spread: []rar.TrendSpreadRow{{Seconds: 60, N: 1}, {Seconds: 60, N: 1, Before: true}},
		Repairs: []rar.TrendRepairRow{{N: 1, Quantiles: []float64{60, 60}}, {N: 1, Before: true, Quantiles: []float64{60, 60}}}, Approvals: []rar.TrendApprovalRow{{Asked: 9, Approved: 2, Rejected: 1, Expired: 6, Quantiles: []float64{60, 90}}}}
	for i := range 8 {
		in.Outcomes = append(in.Outcomes, rar.TrendOutcomeRow{Outcome: fmt.Sprintf("outcome-%d", i), N: int64(10 - i), Total: 52})
	}
	text := renderTrends(t, rar.BuildTrends(in), rar.FormatMarkdown)
	g.Expect(text).To(ContainSubstring("5 outcome-5, 7 otherwise."))
	g.Expect(text).To(ContainSubstring("People were asked 9 times, approved 2 and refused 1; half of these decisions took 1m or less."))
	g.Expect(text).To(ContainSubstring("p50: as long as in the window before;"))
	g.Expect(text).To(And(MatchRegexp(`\n\| All \| 3 `), MatchRegexp(`\n\| \(without a name\) \| 3 `)))
	g.Expect(text).To(ContainSubstring("and while the 24 hours are not over.\n"), "the definition of a label is whole")
}

// Names of alerts, targets, workflows, models and channels are other people's: in Markdown none of them opens a link, a heading or a cell.
func TestTrendsWithHostileNames(t *testing.T) {
	named := func(name string) string {
		in := trendsOfAMonth()
		in.Filters = rar.TrendFilters{Namespaces: []string{name}, Alert: name, Workflow: name}
		in.Outcomes[0].Outcome, in.Bottlenecks[0].Phase, in.Alerts[0].Alert, in.Targets[0].Name, in.Recurrent[0].Alert = name, name, name, name, name
		in.Workflows[1].WorkflowID, in.Bins[0].Model, in.Deliveries[0].Channel, in.RemediationIDs[row(1)] = name, name, ptr.To(name), name
		return renderTrends(t, rar.BuildTrends(in), rar.FormatMarkdown)
	}
	plain := blocks(named("plain"))
	for _, name := range hostileNames {
		g := NewWithT(t)
		text := named(name)
		g.Expect(blocks(text)).To(Equal(plain), name)
		g.Expect(text).NotTo(MatchRegexp(`\x{202e}|\x1b`))
	}
}

var hostileNames = []string{"a|b <img src=x onerror=alert(1)>\n# [x](http://evil.example) `code` \u202e\x1b[31m", "\n\n| a | b |\n| - | - |", "https://evil.example", "- x\n1. y\n> z", "```", "**b** _i_ ~~s~~ @somebody"}
