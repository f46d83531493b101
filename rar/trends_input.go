package rar

import "time"

// TrendsInput is all that trends are made of: the answers of the queries trends_*.sql in postgres/queries. The order of the lists does not matter.
type TrendsInput struct {
	Start, End, AsOf time.Time
	Filters          TrendFilters
	// Everything says that the reader may see every row.
	Everything bool
	// Bucket is what a row of Days covers: TrendBucket of the window.
	Bucket string

	Outcomes    []TrendOutcomeRow
	Received    []TrendReceivedRow
	Repairs     []TrendRepairRow
	Spread      []TrendSpreadRow
	Days        []TrendDayRow
	Bottlenecks []TrendBottleneckRow
	Alerts      []TrendAlertRow
	Targets     []TrendTargetRow
	Held        []TrendHeldRow
	Recurrent   []TrendRecurrentRow
	Workflows   []TrendWorkflowRow
	Bins        []TrendBinRow
	Bands       []TrendBandRow
	Approvals   []TrendApprovalRow
	Deliveries  []TrendDeliveryRow
	// RemediationIDs has the remediation of each row that is an example of outcomes, bottlenecks, alerts or workflows.
	RemediationIDs map[string]string
}

// TrendBucket is what the buckets of a window's time to repair cover: a hundred of them at most.
func TrendBucket(start, end time.Time) string {
	switch days := end.Sub(start).Hours() / 24; {
	case days <= 98:
		return "day"
	case days <= 98*7:
		return "week"
	}
	return "month"
}

// TrendOutcomeRow is one row of trends_outcomes.sql. Total is of all outcomes, and so is Backwards, which counts those that end before their signal. Quantiles, here and below, are p50 and p90 in seconds, or nil.
type TrendOutcomeRow struct {
	Outcome   string
	N         int64
	Total     int64
	Backwards int64
	Quantiles []float64
	Example   string
}

// TrendReceivedRow is the row of trends_received.sql.
type TrendReceivedRow struct{ Received, Ended int64 }

// TrendRepairRow is one row of trends_repairs.sql.
type TrendRepairRow struct {
	Before    bool
	N         int64
	Quantiles []float64
}

// TrendSpreadRow is one row of trends_spread.sql.
type TrendSpreadRow struct {
	Before  bool
	Seconds float64
	N       int64
}

// TrendDayRow is one row of trends_days.sql.
type TrendDayRow struct {
	Start     time.Time
	N         int64
	Quantiles []float64
}

// TrendBottleneckRow is one row of trends_bottlenecks.sql.
type TrendBottleneckRow struct {
	Phase   string
	N       int64
	Seconds int64
	Example string
}

// TrendLossRow is what alerts and targets have in common. ByCount and ByTime are places, from 1 on; Groups, Total and AllMilliseconds are of all. Example is a row of alerts, a remediation of targets.
type TrendLossRow struct {
	N               int64
	Milliseconds    int64
	Success         int64
	Example         string
	ByCount         int64
	ByTime          int64
	Groups          int64
	Total           int64
	AllMilliseconds int64
}

// TrendAlertRow is one row of trends_alerts.sql.
type TrendAlertRow struct {
	Alert string
	TrendLossRow
}

// TrendTargetRow is one row of trends_targets.sql.
type TrendTargetRow struct {
	Cluster   string
	Namespace string
	Kind      string
	Name      string
	TrendLossRow
}

// TrendHeldRow is a part held of trends_decisions.sql: N that returned, or were watched no longer, after so many minutes.
type TrendHeldRow struct {
	Minutes  int64
	Returned bool
	N        int64
}

// TrendRecurrentRow is a part alert of trends_decisions.sql: how many of N came back.
type TrendRecurrentRow struct {
	Alert    string
	N        int64
	Back     int64
	Censored int64
	Examples []string
}

// TrendWorkflowRow is one row of trends_workflows.sql. Groups and Total are of all.
type TrendWorkflowRow struct {
	WorkflowID    string
	N             int64
	Success       int64
	Scored        int64
	Effectiveness *float64
	Rollbacks     int64
	Examples      []string
	Groups        int64
	Total         int64
}

// TrendBinRow is a part bin of trends_decisions.sql: ten percent of confidence of an investigator and model, or of Everyone. Confidence is the sum of the labelled ones in percent, Squares that of
// the squared differences between confidence (0 to 1) and label.
type TrendBinRow struct {
	Everyone     bool
	Investigator string
	Model        string
	Bin          int
	N            int64
	Executed     int64
	Labelled     int64
	Success      int64
	Confidence   float64
	Squares      float64
	Examples     []string
}

// TrendBandRow is a part band of trends_decisions.sql: what people were asked about, of a confidence from Threshold up to the next.
type TrendBandRow struct {
	Threshold int64
	N         int64
	Labelled  int64
	Success   int64
	Seconds   int64
	Rejected  int64
	Examples  []string
}

// TrendApprovalRow is one row of trends_approvals.sql: of a Weekday, of an Hour, or of all.
type TrendApprovalRow struct {
	Weekday   *int
	Hour      *int
	Asked     int64
	Approved  int64
	Rejected  int64
	Expired   int64
	Automatic int64
	Quantiles []float64
}

// TrendDeliveryRow is one row of trends_deliveries.sql. Channel is nil for notifications without an attempt. Groups and Total are of all.
type TrendDeliveryRow struct {
	Channel     *string
	N           int64
	Undelivered int64
	CalledOff   int64
	Attempts    int64
	Failed      int64
	Examples    []string
	Groups      int64
	Total       int64
}
