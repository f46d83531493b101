package rar

import (
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Trends is what the remediations of a window show together. Its JSON names are a contract, as those of Report are. Seconds are numbers with at most three decimals. Rates and shares are from
// 0 to 1; confidences are percentages, 0 to 100. Intervals are of 95 %. Lists are empty rather than null; a number that the rows do not give is null.
//
// Every section says its Basis: which rows count, by which time they lie in the window. Its Refs are queries in Evidence. Examples are ids of remediations, at most MaxExamples, whose reports
// show single cases. No section judges fewer than MinJudged cases: its verdict is TooFew.
type Trends struct {
	Start    outboxapi.Time `json:"start"`
	End      outboxapi.Time `json:"end"` // not in the window
	AsOf     outboxapi.Time `json:"as_of"`
	Template string         `json:"template"`
	Filters  TrendFilters   `json:"filters"`
	// Scope is ScopeEverything, or ScopeNamespaces where only rows of the namespaces count that the reader may see.
	Scope string `json:"scope"`
	// Findings are what to read first, at most five sentences.
	Findings []Statement `json:"findings"`
	// Notes say what limits the figures: windows that are not over, too few cases, decisions without a label, times that contradict each other.
	Notes       []Statement     `json:"notes"`
	Outcomes    OutcomeTrend    `json:"outcomes"`
	MTTR        RepairTrend     `json:"mttr"`
	Bottlenecks BottleneckTrend `json:"bottlenecks"`
	Alerts      LossTrend       `json:"alerts"`
	Targets     LossTrend       `json:"targets"`
	Recurrence  RecurrenceTrend `json:"recurrence"`
	Workflows   WorkflowTrend   `json:"workflows"`
	AI          AITrend         `json:"ai"`
	Approvals   ApprovalTrend   `json:"approvals"`
	Thresholds  ThresholdTrend  `json:"thresholds"`
	Deliveries  DeliveryTrend   `json:"deliveries"`
	Evidence    []Evidence      `json:"evidence"`
}

// Bounds of trends.
const (
	// MaxExamples is how many remediations a figure names.
	MaxExamples = 3
	// MinJudged is how many cases a verdict takes.
	MinJudged = 20
	// MaxTrendGroups is how many alerts, targets, workflows, investigators and channels are listed.
	MaxTrendGroups = 20
)

// Scopes of trends.
const (
	ScopeEverything = "everything"
	ScopeNamespaces = "namespaces"
)

// TooFew is the verdict on fewer than MinJudged cases.
const TooFew = "too-few"

// TrendFilters are what the reader asked for; empty is all.
type TrendFilters struct {
	Namespaces []string `json:"namespaces"`
	Alert      string   `json:"alert"`
	Workflow   string   `json:"workflow"`
}

// OutcomeTrend counts remediations by outcome. Success counts those that are remediated.
type OutcomeTrend struct {
	Basis    string         `json:"basis"`
	N        int64          `json:"n"`
	Success  int64          `json:"success"`
	Rate     *float64       `json:"rate"`
	Interval *[2]float64    `json:"interval"` // Wilson
	Groups   []OutcomeGroup `json:"groups"`   // the most first
	// Received counts the signals of the window, Open those of them that did not end within RecurrenceWindow after the window.
	Received int64    `json:"received"`
	Open     int64    `json:"open"`
	Refs     []string `json:"refs"`
}

// OutcomeGroup is one outcome. P50 and P90 are seconds from signal to completion.
type OutcomeGroup struct {
	Outcome  string   `json:"outcome"`
	N        int64    `json:"n"`
	Share    float64  `json:"share"`
	P50      *float64 `json:"p50"`
	P90      *float64 `json:"p90"`
	Examples []string `json:"examples"` // the newest
}

// RepairTrend is the time to repair: seconds from signal to completion of what was remediated.
type RepairTrend struct {
	Basis string   `json:"basis"`
	N     int64    `json:"n"`
	P50   *float64 `json:"p50"`
	P90   *float64 `json:"p90"`
	// Before is the window of the same length before this one.
	Before RepairBefore `json:"before"`
	// ChangeP50 and ChangeP90 are this window minus the one before; null without cases in both.
	ChangeP50 *Change `json:"change_p50"`
	ChangeP90 *Change `json:"change_p90"`
	// Bucket is what one of Buckets covers: day, week or month, in UTC. Buckets without cases are left out.
	Bucket  string         `json:"bucket"`
	Buckets []RepairBucket `json:"buckets"`
	Refs    []string       `json:"refs"`
}

// RepairBefore is the time to repair in the window before.
type RepairBefore struct {
	Start outboxapi.Time `json:"start"`
	End   outboxapi.Time `json:"end"`
	N     int64          `json:"n"`
	P50   *float64       `json:"p50"`
	P90   *float64       `json:"p90"`
}

// Verdicts on a change.
const (
	ChangeShorter = "shorter"
	ChangeLonger  = "longer"
	ChangeUnclear = "unclear" // the interval has 0 in it
)

// Change of a percentile in seconds, negative for shorter. Share is of the value before, null if that is 0. Interval is the bootstrap's, in seconds. Verdict is ChangeShorter, ChangeLonger,
// ChangeUnclear, or TooFew where either window has fewer than MinJudged cases.
type Change struct {
	Seconds  float64    `json:"seconds"`
	Share    *float64   `json:"share"`
	Interval [2]float64 `json:"interval"`
	Verdict  string     `json:"verdict"`
	Text     string     `json:"text"`
}

// RepairBucket is the time to repair of a day, week or month.
type RepairBucket struct {
	Start outboxapi.Time `json:"start"`
	N     int64          `json:"n"`
	P50   float64        `json:"p50"`
	P90   float64        `json:"p90"`
}

// BottleneckTrend is where the time went: the phase that took longest in each remediation, as its own record says.
type BottleneckTrend struct {
	Basis   string            `json:"basis"`
	N       int64             `json:"n"` // remediations whose record names a bottleneck
	Unknown int64             `json:"unknown"`
	Seconds float64           `json:"seconds"`
	Groups  []BottleneckGroup `json:"groups"` // the most seconds first
	Refs    []string          `json:"refs"`
}

// BottleneckGroup is one phase. Share is of all seconds, Cumulative the share of this one and those before it.
type BottleneckGroup struct {
	Phase      string   `json:"phase"`
	Name       string   `json:"name"`
	N          int64    `json:"n"`
	Seconds    float64  `json:"seconds"`
	Share      float64  `json:"share"`
	Cumulative float64  `json:"cumulative"`
	Examples   []string `json:"examples"` // the longest
}

// LossTrend is what the remediations were for, alerts or targets, by count and by time lost: seconds from signal to completion, whatever the outcome. Groups counts all of them; each list
// has the first MaxTrendGroups.
type LossTrend struct {
	Basis   string      `json:"basis"`
	Groups  int64       `json:"groups"`
	N       int64       `json:"n"`
	Seconds float64     `json:"seconds"`
	ByCount []LossGroup `json:"by_count"`
	ByTime  []LossGroup `json:"by_time"`
	Refs    []string    `json:"refs"`
}

// LossGroup is one alert or one target. Share is of all remediations, TimeShare of all seconds.
type LossGroup struct {
	Alert     string       `json:"alert,omitempty"`
	Target    *TrendTarget `json:"target,omitempty"`
	N         int64        `json:"n"`
	Share     float64      `json:"share"`
	Seconds   float64      `json:"seconds"`
	TimeShare float64      `json:"time_share"`
	Success   int64        `json:"success"`
	Rate      *float64     `json:"rate"`
	Interval  *[2]float64  `json:"interval"` // Wilson
	Examples  []string     `json:"examples"` // the longest
}

// TrendTarget is a workload.
type TrendTarget struct {
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
}

// RecurrenceTrend is how long repairs held: from the end of what was remediated until the same fingerprint and target was received again in the same namespace, at most RecurrenceWindow. Those
// whose window is not over are censored: Kaplan and Meier's estimate counts them as long as they were watched.
type RecurrenceTrend struct {
	Basis    string            `json:"basis"`
	N        int64             `json:"n"`
	Returned int64             `json:"returned"`
	Censored int64             `json:"censored"`
	Windows  []RecurrencePoint `json:"windows"` // 1h, 24h, 7d
	// Curve is a step function: Held is the share that held just after After seconds, until the next step. It begins with 0 seconds. Steps of less than half a percent are left out, but for the last
	// one of each window.
	Curve []RecurrenceStep `json:"curve"`
	// Alerts are those that came back most often.
	Alerts []RecurrentAlert `json:"alerts"`
	Refs   []string         `json:"refs"`
}

// RecurrencePoint is what one window shows. Returned counts what came back within it, AtRisk what was still watched at its end. Rate is the estimated share that comes back, Interval
// from Greenwood's variance of log(−log). They are null if nothing was watched that long.
type RecurrencePoint struct {
	Window   string      `json:"window"`
	Seconds  int64       `json:"seconds"`
	Returned int64       `json:"returned"`
	AtRisk   int64       `json:"at_risk"`
	Censored int64       `json:"censored"` // before the window was over
	Rate     *float64    `json:"rate"`
	Interval *[2]float64 `json:"interval"`
}

// RecurrenceStep is one step of the curve.
type RecurrenceStep struct {
	After int64   `json:"after"`
	Held  float64 `json:"held"`
}

// RecurrentAlert is one alert: how many repairs, and how many of them came back within RecurrenceWindow so far.
type RecurrentAlert struct {
	Alert    string   `json:"alert"`
	N        int64    `json:"n"`
	Returned int64    `json:"returned"`
	Censored int64    `json:"censored"`
	Examples []string `json:"examples"` // those that came back soonest
}

// WorkflowTrend is how workflows did. Groups counts all of them; Items has the first MaxTrendGroups, the most executions first.
type WorkflowTrend struct {
	Basis  string          `json:"basis"`
	Groups int64           `json:"groups"`
	N      int64           `json:"n"`
	Items  []WorkflowGroup `json:"items"`
	Refs   []string        `json:"refs"`
}

// WorkflowGroup is one workflow. Effectiveness is the mean score, 0 to 100, of the Scored executions. Rollbacks counts steps that were rolled back in all.
type WorkflowGroup struct {
	WorkflowID    string      `json:"workflow_id"`
	N             int64       `json:"n"`
	Success       int64       `json:"success"`
	Rate          *float64    `json:"rate"`
	Interval      *[2]float64 `json:"interval"` // Wilson
	Effectiveness *float64    `json:"effectiveness"`
	Scored        int64       `json:"scored"`
	Rollbacks     int64       `json:"rollbacks"`
	TooFew        bool        `json:"too_few"`
	Examples      []string    `json:"examples"` // the newest that did not succeed
}

// AITrend is what the confidence of investigators was worth. Label says which decisions count as right. Only decisions that were executed can have one; the rest are outside of every figure but
// Decisions and Executed.
type AITrend struct {
	Basis  string    `json:"basis"`
	Label  string    `json:"label"`
	All    AIGroup   `json:"all"`
	Groups []AIGroup `json:"groups"` // by investigator and model, the most decisions first
	Refs   []string  `json:"refs"`
}

// Verdicts on confidence.
const (
	ConfidenceFits  = "fits"  // the share that was right is compatible with the confidence
	ConfidenceOver  = "over"  // more confident than right
	ConfidenceUnder = "under" // less confident than right
)

// AIGroup is one investigator and model, or all of them. Coverage is Labelled of Decisions. Success counts the labelled ones that were right. Confidence is their mean, in percent. Verdict is
// ConfidenceFits, ConfidenceOver, ConfidenceUnder, or TooFew.
type AIGroup struct {
	Investigator string           `json:"investigator,omitempty"`
	Model        string           `json:"model,omitempty"`
	Decisions    int64            `json:"decisions"`
	Executed     int64            `json:"executed"`
	Labelled     int64            `json:"labelled"`
	Coverage     *float64         `json:"coverage"`
	Success      int64            `json:"success"`
	Rate         *float64         `json:"rate"`
	Interval     *[2]float64      `json:"interval"` // Wilson
	Confidence   *float64         `json:"confidence"`
	Brier        *Brier           `json:"brier"` // null without a label
	Bins         []ReliabilityBin `json:"bins"`  // ten, the lowest first
	Verdict      string           `json:"verdict"`
	Text         string           `json:"text"`
	Examples     []string         `json:"examples"` // the most confident that were wrong
}

// Brier is the mean squared difference between confidence and label: 0 is perfect, 0.25 what always saying 50 % gives. Murphy's parts are of the ten bins: Score = Reliability − Resolution +
// Uncertainty + WithinBins; the last is what the bins leave out, since confidences within a bin differ. Skill is 1 − Score/Uncertainty: what is gained over always saying the share that was right;
// null if all were right or all wrong.
type Brier struct {
	Score       float64  `json:"score"`
	Reliability float64  `json:"reliability"`
	Resolution  float64  `json:"resolution"`
	Uncertainty float64  `json:"uncertainty"`
	WithinBins  float64  `json:"within_bins"`
	Skill       *float64 `json:"skill"`
}

// ReliabilityBin is the decisions with a confidence from From to To percent (To is in the last bin only). Confidence is the mean of the labelled ones, in percent; Observed the share of
// them that was right.
type ReliabilityBin struct {
	From       int         `json:"from"`
	To         int         `json:"to"`
	Decisions  int64       `json:"decisions"`
	N          int64       `json:"n"` // labelled
	Success    int64       `json:"success"`
	Confidence *float64    `json:"confidence"`
	Observed   *float64    `json:"observed"`
	Interval   *[2]float64 `json:"interval"` // Wilson
	Verdict    string      `json:"verdict"`
}

// ApprovalTrend is what asking people took. Asked counts the analyses that asked a person; Decided = Approved + Rejected. P50 and P90 are the seconds until a person decided. Hours and Weekdays
// are those of the question, in UTC: all 24 and all 7.
type ApprovalTrend struct {
	Basis     string         `json:"basis"`
	TimeZone  string         `json:"time_zone"` // UTC
	Asked     int64          `json:"asked"`
	Approved  int64          `json:"approved"`
	Rejected  int64          `json:"rejected"`
	Expired   int64          `json:"expired"`
	Undecided int64          `json:"undecided"` // ended otherwise, as by a cancel
	Automatic int64          `json:"automatic"` // nobody was asked
	Refusal   *float64       `json:"refusal"`   // Rejected of Approved and Rejected
	Interval  *[2]float64    `json:"interval"`  // Wilson
	P50       *float64       `json:"p50"`
	P90       *float64       `json:"p90"`
	Hours     []ApprovalSlot `json:"hours"`
	Weekdays  []ApprovalSlot `json:"weekdays"`
	Refs      []string       `json:"refs"`
}

// ApprovalSlot is an hour of the day (Slot 0 to 23) or a day of the week (1, Monday, to 7).
type ApprovalSlot struct {
	Slot     int      `json:"slot"`
	Name     string   `json:"name"`
	Asked    int64    `json:"asked"`
	Decided  int64    `json:"decided"`
	Rejected int64    `json:"rejected"`
	P50      *float64 `json:"p50"`
	P90      *float64 `json:"p90"`
}

// ThresholdTrend is what automatic approval from a confidence on would have saved, had it been in force: of the analyses that asked a person.
type ThresholdTrend struct {
	Basis string          `json:"basis"`
	Items []ThresholdCase `json:"items"` // 50, 55, … 95
	Refs  []string        `json:"refs"`
}

// ThresholdCase is one threshold. N counts what people approved at that confidence or above, Seconds what was waited for it. Of the Labelled ones, Failed were wrong; Rate is their
// share. Rejected counts what people refused at that confidence or above: it would have been executed, and nobody knows how it would have ended.
type ThresholdCase struct {
	Threshold int         `json:"threshold"`
	N         int64       `json:"n"`
	Seconds   float64     `json:"seconds"`
	Labelled  int64       `json:"labelled"`
	Failed    int64       `json:"failed"`
	Rate      *float64    `json:"rate"`
	Interval  *[2]float64 `json:"interval"` // Wilson
	Rejected  int64       `json:"rejected"`
	TooFew    bool        `json:"too_few"`
	Examples  []string    `json:"examples"` // failed ones, the least confident first
}

// DeliveryTrend is how channels did. Unattempted counts the notifications that ended without an attempt: they are in no channel. Groups counts all channels; Channels has the first MaxTrendGroups, the most failed attempts first.
type DeliveryTrend struct {
	Basis         string            `json:"basis"`
	Notifications int64             `json:"notifications"`
	Unattempted   int64             `json:"unattempted"`
	Groups        int64             `json:"groups"`
	Channels      []DeliveryChannel `json:"channels"`
	Refs          []string          `json:"refs"`
}

// DeliveryChannel is one channel. Undelivered counts the notifications that it took in no attempt; CalledOff are beside these: questions that somebody decided before the channel took them, whose
// broken attempts do not count. Attempts without an answer failed. Rate is Failed of Attempts.
type DeliveryChannel struct {
	Channel       string      `json:"channel"`
	Notifications int64       `json:"notifications"`
	Undelivered   int64       `json:"undelivered"`
	CalledOff     int64       `json:"called_off"`
	Attempts      int64       `json:"attempts"`
	Failed        int64       `json:"failed"`
	Rate          *float64    `json:"rate"`
	Interval      *[2]float64 `json:"interval"` // Wilson
	Examples      []string    `json:"examples"` // the newest with a failed attempt
}
