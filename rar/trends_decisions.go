package rar

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
)

const (
	basisAnalyses = "Analyses that began in the window, ended, and have a confidence."
	labelText     = "Right: the remediation succeeded, the post-conditions passed, and the same fingerprint and target did not come back within 24 hours of the end. Wrong: one of these is not so. " +
		"Only executed actions have a label. There is none if somebody cancelled, if nothing was checked afterwards, and while the 24 hours are not over."
)

func (b *trendBuilder) decisions() {
	t := &b.trends.AI
	*t = AITrend{Basis: basisAnalyses, Label: labelText, Groups: []AIGroup{}, Refs: b.asked(models.TableAIAnalysis, "decisions", "investigation_started_at")}
	type who struct {
		everyone            bool
		investigator, model string
	}
	rows := map[who][]TrendBinRow{{everyone: true}: nil}
	for _, r := range b.in.Bins {
		key := who{investigator: r.Investigator, model: r.Model}
		if r.Everyone {
			key = who{everyone: true}
		}
		rows[key] = append(rows[key], r)
	}
	for key, bins := range rows {
		g := aiGroup(bins)
		g.Investigator, g.Model = key.investigator, key.model
		if key.everyone {
			t.All = g
			continue
		}
		t.Groups = append(t.Groups, g)
	}
	slices.SortFunc(t.Groups, func(a, b AIGroup) int {
		return cmp.Or(cmp.Compare(b.Decisions, a.Decisions), cmp.Compare(a.Investigator, b.Investigator), cmp.Compare(a.Model, b.Model))
	})
	t.Groups = t.Groups[:min(len(t.Groups), MaxTrendGroups)]
}

// aiGroup adds up the bins of one investigator and model.
func aiGroup(rows []TrendBinRow) AIGroup {
	var g AIGroup
	var examples []string
	var confidence float64
	bins := make([]binned, 10)
	for bin := range bins {
		g.Bins = append(g.Bins, ReliabilityBin{From: 10 * bin, To: 10*bin + 10, Verdict: TooFew})
	}
	slices.SortFunc(rows, func(a, b TrendBinRow) int { return cmp.Compare(b.Bin, a.Bin) })
	for _, r := range rows {
		if r.Bin < 0 || r.Bin >= len(bins) {
			continue
		}
		bins[r.Bin] = binned{n: r.Labelled, success: r.Success, confidence: r.Confidence / 100, squares: r.Squares}
		g.Decisions, g.Executed, g.Labelled, g.Success = g.Decisions+r.N, g.Executed+r.Executed, g.Labelled+r.Labelled, g.Success+r.Success
		confidence += r.Confidence
		examples = append(examples, r.Examples...)
		bin := &g.Bins[r.Bin]
		bin.Decisions, bin.N, bin.Success, bin.Observed, bin.Interval = r.N, r.Labelled, r.Success, rate(r.Success, r.Labelled), wilson(r.Success, r.Labelled)
		bin.Confidence = meanConfidence(r.Confidence, r.Labelled)
		bin.Verdict = confidenceVerdict(bin.Confidence, bin.Interval, bin.N)
	}
	g.Coverage, g.Rate, g.Interval = rate(g.Labelled, g.Decisions), rate(g.Success, g.Labelled), wilson(g.Success, g.Labelled)
	g.Confidence, g.Brier = meanConfidence(confidence, g.Labelled), brier(bins)
	g.Verdict = confidenceVerdict(g.Confidence, g.Interval, g.Labelled)
	g.Examples, g.Text = exampleIDs(examples), g.text()
	return g
}

func meanConfidence(sum float64, n int64) *float64 {
	if n == 0 {
		return nil
	}
	return ptr.To(rounded(sum/float64(n), 3))
}

// confidenceVerdict compares a mean confidence with the interval of the share that was right.
func confidenceVerdict(confidence *float64, interval *[2]float64, n int64) string {
	if n < MinJudged || confidence == nil || interval == nil {
		return TooFew
	}
	return compareConfidence(*confidence, interval)
}

// compareConfidence is what an interval of the share that was right says of a mean confidence in percent.
func compareConfidence(confidence float64, interval *[2]float64) string {
	switch {
	case confidence/100 > interval[1]:
		return ConfidenceOver
	case confidence/100 < interval[0]:
		return ConfidenceUnder
	}
	return ConfidenceFits
}

var confidenceWords = map[string]string{
	ConfidenceFits: "the confidence fits", ConfidenceOver: "it is more confident than right", ConfidenceUnder: "it is less confident than right",
	TooFew: fmt.Sprintf("fewer than %d, so nothing is concluded", MinJudged),
}

func (g *AIGroup) text() string {
	if g.Labelled == 0 {
		return fmt.Sprintf("None of %s has a label.", plural(g.Decisions, "decision", "decisions"))
	}
	return fmt.Sprintf("%d of %s right (%s; %s), at a mean confidence of %s %%: %s.", g.Success, plural(g.Labelled, "decision with a label was", "decisions with a label were"), percent(*g.Rate), between(g.Interval),
		number(rounded(*g.Confidence, 1)), confidenceWords[g.Verdict])
}

// between writes an interval of shares.
func between(i *[2]float64) string {
	if i == nil {
		return "no interval"
	}
	return "95 %: " + interval(*i)
}

// thresholds add up the bands from each threshold on.
func (b *trendBuilder) thresholds() {
	t := &b.trends.Thresholds
	*t = ThresholdTrend{Basis: "Analyses that began in the window, ended, and asked a person.", Items: []ThresholdCase{}, Refs: b.trends.AI.Refs}
	bands := slices.Clone(b.in.Bands)
	slices.SortFunc(bands, func(a, b TrendBandRow) int { return cmp.Compare(a.Threshold, b.Threshold) })
	for threshold := 50; threshold <= 95; threshold += 5 {
		c := ThresholdCase{Threshold: threshold}
		var examples []string
		for _, r := range bands {
			if r.Threshold < int64(threshold) {
				continue
			}
			c.N, c.Seconds, c.Labelled, c.Failed, c.Rejected = c.N+r.N, c.Seconds+float64(r.Seconds), c.Labelled+r.Labelled, c.Failed+r.Labelled-r.Success, c.Rejected+r.Rejected
			examples = append(examples, r.Examples...)
		}
		c.Rate, c.Interval, c.TooFew, c.Examples = rate(c.Failed, c.Labelled), wilson(c.Failed, c.Labelled), c.Labelled < MinJudged, exampleIDs(examples)
		t.Items = append(t.Items, c)
	}
}

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

func (b *trendBuilder) approvals() {
	t := &b.trends.Approvals
	*t = ApprovalTrend{
		Basis: "Analyses that began in the window and ended. Hours and weekdays are those of the question, in UTC.", TimeZone: "UTC",
		Refs: b.asked(models.TableAIAnalysis, "approvals", "investigation_started_at"),
	}
	for hour := range 24 {
		t.Hours = append(t.Hours, ApprovalSlot{Slot: hour, Name: fmt.Sprintf("%02d:00", hour)})
	}
	for i, name := range weekdays {
		t.Weekdays = append(t.Weekdays, ApprovalSlot{Slot: i + 1, Name: name})
	}
	for _, r := range b.in.Approvals {
		var slot *ApprovalSlot
		switch {
		case r.Hour != nil && *r.Hour >= 0 && *r.Hour < len(t.Hours):
			slot = &t.Hours[*r.Hour]
		case r.Weekday != nil && *r.Weekday >= 1 && *r.Weekday <= len(t.Weekdays):
			slot = &t.Weekdays[*r.Weekday-1]
		default:
			t.Asked, t.Approved, t.Rejected, t.Expired, t.Automatic = r.Asked, r.Approved, r.Rejected, r.Expired, r.Automatic
			t.P50, t.P90 = percentiles(r.Quantiles)
			continue
		}
		slot.Asked, slot.Decided, slot.Rejected = r.Asked, r.Approved+r.Rejected, r.Rejected
		slot.P50, slot.P90 = percentiles(r.Quantiles)
	}
	decided := t.Approved + t.Rejected
	t.Undecided = t.Asked - decided - t.Expired
	t.Refusal, t.Interval = rate(t.Rejected, decided), wilson(t.Rejected, decided)
}
