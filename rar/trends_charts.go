package rar

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
)

// chart is a plot in two widths: a page shows the one that fits.
type chart struct {
	Title        string
	Wide, Narrow template.HTML
}

// chartOf draws a plot in both widths. There is none without anything to draw.
func chartOf(id, class, title, description string, draw func(narrow bool) *plot) *chart {
	return &chart{
		title,
		template.HTML(draw(false).inline(id, "wide "+class, title, description)),            //nolint:gosec // plot escapes every text
		template.HTML(draw(true).inline(id+"-narrow", "narrow "+class, title, description)), //nolint:gosec // as above
	}
}

// describeBars says the rows of a chart of shares, for those who do not see it.
func describeBars(bars []bar) string {
	var parts []string
	for _, b := range bars {
		parts = append(parts, b.label+" "+b.note)
	}
	return strings.Join(parts, "; ") + "."
}

func sharesChart(id, title string, bars []bar) *chart {
	if len(bars) == 0 {
		return nil
	}
	return chartOf(id, "", title, describeBars(bars), func(narrow bool) *plot { return sharesPlot(narrow, bars) })
}

func (o *OutcomeTrend) chart() *chart {
	var bars []bar
	for _, g := range o.Groups {
		bars = append(bars, bar{label: outcomeTitle(g.Outcome), note: fmt.Sprintf("%d · %s", g.N, percent(g.Share)), class: outcomeClass(g.Outcome), share: g.Share})
	}
	return sharesChart("outcomes-chart", "Remediations by outcome", bars)
}

func outcomeClass(outcome string) string {
	switch mood(outcome) {
	case "good":
		return "workflow"
	case "bad":
		return "failure"
	}
	return "intake"
}

func (t *BottleneckTrend) chart() *chart {
	var bars []bar
	for _, g := range t.Groups {
		class := phaseClasses[phaseNames[g.Phase]]
		if class == "" {
			class = "intake"
		}
		bars = append(bars, bar{label: g.Name, note: fmt.Sprintf("%s · %s", duration(g.Seconds), percent(g.Share)), class: class, share: g.Share, cumulative: &g.Cumulative})
	}
	return sharesChart("bottlenecks-chart", "Pareto chart of where the time went; the line adds the shares up", bars)
}

func (t *WorkflowTrend) chart() *chart {
	var bars []bar
	for _, g := range t.Items {
		if g.Rate != nil && g.Interval != nil {
			bars = append(bars, bar{label: g.WorkflowID, note: fmt.Sprintf("%d of %d · %s", g.Success, g.N, percent(*g.Rate)), share: *g.Rate, interval: g.Interval, faint: g.TooFew})
		}
	}
	return sharesChart("workflows-chart", "Success of workflows, with 95 % intervals", bars)
}

// chart is the time to repair of each day, week or month.
func (t *RepairTrend) chart() *chart {
	if len(t.Buckets) == 0 {
		return nil
	}
	most := 0.0
	for _, b := range t.Buckets {
		most = max(most, b.P90)
	}
	last := t.Buckets[len(t.Buckets)-1]
	description := fmt.Sprintf("%d %ss from %s to %s. The newest: half of %d repairs took at most %s, nine of ten at most %s.",
		len(t.Buckets), t.Bucket, day(t.Buckets[0].Start.Time), day(last.Start.Time), last.N, duration(last.P50), duration(last.P90))
	return chartOf("mttr-chart", "", "Time to repair over time, p50 and p90", description, func(narrow bool) *plot {
		p := newPlot(narrow, 260)
		step := stepFor(most, tickSteps)
		p.axes(float64(t.Buckets[0].Start.Unix()), max(float64(last.Start.Unix()), float64(t.Buckets[0].Start.Unix()+1)), upTo(most, step))
		p.grid(step, duration)
		p.days(t.Buckets, narrow)
		p.repairs(t, "p90", func(b *RepairBucket) float64 { return b.P90 })
		p.repairs(t, "p50", func(b *RepairBucket) float64 { return b.P50 })
		p.repairsLegend(&last, narrow)
		return p
	})
}

// repairsLegend says which line is which: beside their ends, or above the plot if that is narrow.
func (p *plot) repairsLegend(last *RepairBucket, narrow bool) {
	const p50, p90 = "p50", "p90" // without values: those of the last day would be taken for those of the window
	if narrow {
		p.dot("p50dot", p.left+3, 8, 3, p50)
		p.text(p.left+12, 12, "note", "start", p50, 100)
		p.dot("p90dot", p.left+123, 8, 3, p90)
		p.text(p.left+132, 12, "detail", "start", p90, 100)
		return
	}
	const apart = 14 // else the labels would be on each other
	lower := min(max(p.y(last.P50), p.y(last.P90)+apart), p.bottom) + 4
	p.text(p.right+12, lower, "note", "start", p50, 80)
	p.text(p.right+12, min(p.y(last.P90)+4, lower-apart), "detail", "start", p90, 80)
}

func day(t time.Time) string { return t.UTC().Format("2 Jan") }

// days labels the horizontal axis.
func (p *plot) days(buckets []RepairBucket, narrow bool) {
	most := 8
	if narrow {
		most = 4
	}
	every := max(1, (len(buckets)+most-1)/most)
	free := p.left
	for i := 0; i < len(buckets); i += every {
		at := buckets[i].Start
		if x := p.x(float64(at.Unix())); x >= free {
			p.under(x, day(at.Time))
			free = x + 56
		}
	}
}

// repairs draws one percentile. The line has a gap where there are no cases.
func (p *plot) repairs(t *RepairTrend, class string, value func(*RepairBucket) float64) {
	gap := map[string]time.Duration{"day": 36 * time.Hour, "week": 10 * 24 * time.Hour, "month": 45 * 24 * time.Hour}[t.Bucket]
	var points [][2]float64
	flush := func() {
		if len(points) > 1 {
			p.path(class, points)
		}
		points = nil
	}
	for i := range t.Buckets {
		b := &t.Buckets[i]
		if i > 0 && b.Start.Time.Sub(t.Buckets[i-1].Start.Time) > gap {
			flush()
		}
		points = append(points, [2]float64{p.x(float64(b.Start.Unix())), p.y(value(b))})
	}
	flush()
	for i := range t.Buckets {
		b := &t.Buckets[i]
		p.dot(class+"dot", p.x(float64(b.Start.Unix())), p.y(value(b)), 3, fmt.Sprintf("%s: %s %s, %s", day(b.Start.Time), class, duration(value(b)), plural(b.N, "repair", "repairs")))
	}
}

// chart is the share of repairs that held, over the time since their end.
func (t *RecurrenceTrend) chart() *chart {
	if len(t.Curve) < 2 {
		return nil
	}
	end := t.Curve[len(t.Curve)-1]
	if n := len(t.Windows); n > 0 {
		end.After = max(end.After, t.Windows[n-1].Seconds)
	}
	description := fmt.Sprintf("A curve that goes down with each repair that did not hold. %s after the end, %s of the repairs are estimated to hold.", duration(float64(end.After)), percent(end.Held))
	return chartOf("recurrence-chart", "", "Share of repairs that held, by the time since their end (Kaplan–Meier)", description, func(narrow bool) *plot {
		p := newPlot(narrow, 240)
		p.axes(0, float64(end.After), 1)
		p.grid(.25, percent)
		step := stepFor(float64(end.After), tickSteps)
		for at := 0.0; at <= float64(end.After); at += step {
			p.under(p.x(at), duration(at))
		}
		var points [][2]float64
		for _, s := range t.Curve {
			if n := len(points); n > 0 {
				points = append(points, [2]float64{p.x(float64(s.After)), points[n-1][1]})
			}
			points = append(points, [2]float64{p.x(float64(s.After)), p.y(s.Held)})
		}
		points = append(points, [2]float64{p.right, p.y(end.Held)})
		p.path("p50", points)
		if !narrow {
			p.text(p.right+12, p.y(end.Held)+4, "note", "start", percent(end.Held)+" held", 80)
		}
		return p
	})
}

// chart is the reliability diagram: how often decisions of a confidence were right.
func (g *AIGroup) chart(id string) *chart {
	var shown []ReliabilityBin
	most := int64(1)
	for _, b := range g.Bins {
		if b.Confidence != nil && b.Observed != nil {
			shown = append(shown, b)
			most = max(most, b.N)
		}
	}
	if len(shown) == 0 {
		return nil
	}
	var parts []string
	for _, b := range shown {
		parts = append(parts, fmt.Sprintf("confidence %d to %d %%: %d of %d right", b.From, b.To, b.Success, b.N))
	}
	return chartOf(id, "square", "Reliability diagram: confidence, and the share that was right", strings.Join(parts, "; ")+".", func(narrow bool) *plot {
		p := newPlot(narrow, 480)
		p.width, p.left, p.right, p.bottom = 520, 60, 500, 410
		if narrow {
			p.width, p.left, p.right, p.height, p.bottom = 340, 46, 330, 380, 310
		}
		p.axes(0, 100, 100)
		p.grid(20, func(v float64) string { return number(v) + " %" })
		for v := 0.0; v <= 100; v += 20 {
			p.line("grid", p.x(v), p.top, p.x(v), p.bottom)
			p.under(p.x(v), number(v)+" %")
		}
		p.text((p.left+p.right)/2, p.bottom+62, "detail", "middle", "confidence of the recommendation", 300)
		p.text(p.left-8, p.bottom+39, "tick", "end", "n =", 40)
		p.text(p.left, p.top-9, "detail", "start", "share that was right", 300)
		p.line("ideal", p.x(0), p.y(0), p.x(100), p.y(100))
		p.text(p.x(4), p.y(92), "detail", "start", "less confident than right", 200)
		p.text(p.x(97), p.y(5), "detail", "end", "more confident than right", 200)
		for _, b := range shown {
			p.reliability(&b, most)
		}
		return p
	})
}

// reliability draws a bin: its point, and its number of decisions under the diagram.
func (p *plot) reliability(b *ReliabilityBin, most int64) {
	x, y := p.x(*b.Confidence), p.y(*b.Observed*100)
	class := "dot"
	if b.Verdict == TooFew {
		class = "dot few"
	}
	if i := b.Interval; i != nil {
		p.line("whisker", x, p.y(i[0]*100), x, p.y(i[1]*100))
	}
	radius := 4 + 6*math.Sqrt(float64(b.N)/float64(most))
	p.dot(class, x, y, radius, fmt.Sprintf("Confidence %d to %d %%: %d of %d right, %s", b.From, b.To, b.Success, b.N, percent(*b.Observed)))
	p.text(p.x(float64(b.From+b.To)/2), p.bottom+39, "tick", "middle", fmt.Sprint(b.N), 60)
}

// chart is the wait for a person, by the hour of the question.
func (t *ApprovalTrend) chart() *chart {
	most, asked := 0.0, int64(0)
	for _, h := range t.Hours {
		asked += h.Asked
		if h.P50 != nil {
			most = max(most, *h.P50)
		}
	}
	if most == 0 || len(t.Hours) == 0 {
		return nil
	}
	slowest := slices.MaxFunc(t.Hours, func(a, b ApprovalSlot) int {
		return int(math.Copysign(1, orZero(a.P50)-orZero(b.P50)))
	})
	description := fmt.Sprintf("%d questions. The longest wait is that of the hour %s, %s.", asked, slowest.Name, duration(orZero(slowest.P50)))
	return chartOf("approvals-chart", "", fmt.Sprintf("Median wait for a decision, by the hour of the question (UTC); hollow: fewer than %d decisions", MinJudged), description, func(narrow bool) *plot {
		p := newPlot(narrow, 220)
		step := stepFor(most, tickSteps)
		p.axes(0, float64(len(t.Hours)), upTo(most, step))
		p.grid(step, duration)
		width := (p.right - p.left) / float64(len(t.Hours))
		for i, h := range t.Hours {
			x := p.x(float64(i))
			if h.P50 != nil {
				class := "approval"
				if h.Decided < MinJudged {
					class += " few"
				}
				p.rect(class, x+width*.15, p.y(*h.P50), width*.7, max(1, p.bottom-p.y(*h.P50)), fmt.Sprintf("%s: %s, %s", h.Name, duration(*h.P50), plural(h.Decided, "decision", "decisions")))
			}
			if i%6 == 0 {
				p.under(x+width/2, h.Name)
			}
		}
		return p
	})
}

func orZero(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}
