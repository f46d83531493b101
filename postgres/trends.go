package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
)

// Trend selects what trends are of. What is empty does not count.
type Trend struct {
	// Start and End are the window, half-open. Each query says of which time.
	Start, End time.Time
	// AsOf is until when something may have come back.
	AsOf time.Time
	// Namespaces, Alert and Workflow are asked for.
	Namespaces      []string
	Alert, Workflow string
	// Bucket is day, week or month.
	Bucket string
	// Patience is how long after the window what was received in it may have ended.
	Patience time.Duration
	// Groups is how many outcomes, alerts, targets, workflows, models and channels are read.
	Groups int
}

// TrendRows is what the queries of trends answer. RemediationIDs has the remediation of each row that is an example.
type TrendRows struct {
	Outcomes       []TrendOutcome
	Received       []TrendReceived
	Repairs        []TrendRepair
	Spread         []TrendSpread
	Days           []TrendDay
	Bottlenecks    []TrendBottleneck
	Alerts         []TrendAlert
	Targets        []TrendTarget
	Held           []TrendHeld
	Recurrent      []TrendRecurrent
	Workflows      []TrendWorkflow
	Bins           []TrendBin
	Bands          []TrendBand
	Approvals      []TrendApproval
	Deliveries     []TrendDelivery
	RemediationIDs map[string]string
}

// TrendOutcome is one row of trends_outcomes.sql. Total and Backwards are of all outcomes. Quantiles are p50 and p90 in seconds; nil without a time.
type TrendOutcome struct {
	Outcome   string    `db:"outcome"`
	N         int64     `db:"n"`
	Total     int64     `db:"total"`
	Backwards int64     `db:"backwards"`
	Quantiles []float64 `db:"p50_p90"`
	Example   string    `db:"example"`
}

// TrendReceived is the row of trends_received.sql.
type TrendReceived struct {
	Received int64 `db:"received"`
	Ended    int64 `db:"ended"`
}

// TrendRepair is one row of trends_repairs.sql.
type TrendRepair struct {
	Before    bool      `db:"before"`
	N         int64     `db:"n"`
	Quantiles []float64 `db:"p50_p90"`
}

// TrendSpread is one row of trends_spread.sql.
type TrendSpread struct {
	Before  bool    `db:"before"`
	Seconds float64 `db:"seconds"`
	N       int64   `db:"n"`
}

// TrendDay is one row of trends_days.sql.
type TrendDay struct {
	Start     time.Time `db:"start"`
	N         int64     `db:"n"`
	Quantiles []float64 `db:"p50_p90"`
}

// TrendBottleneck is one row of trends_bottlenecks.sql.
type TrendBottleneck struct {
	Phase   string `db:"bottleneck_phase"`
	N       int64  `db:"n"`
	Seconds int64  `db:"seconds"`
	Example string `db:"example"`
}

// TrendLoss is what alerts and targets have in common. ByCount and ByTime are places, from 1 on; Groups, Total and AllMilliseconds are of all. Example is a row of alerts, a remediation of targets.
type TrendLoss struct {
	N               int64  `db:"n"`
	Milliseconds    int64  `db:"milliseconds"`
	Success         int64  `db:"success"`
	Example         string `db:"example"`
	ByCount         int64  `db:"by_count"`
	ByTime          int64  `db:"by_time"`
	Groups          int64  `db:"groups"`
	Total           int64  `db:"total"`
	AllMilliseconds int64  `db:"all_milliseconds"`
}

// TrendAlert is one row of trends_alerts.sql.
type TrendAlert struct {
	Alert string `db:"alert_name"`
	TrendLoss
}

// TrendTarget is one row of trends_targets.sql.
type TrendTarget struct {
	Cluster   string `db:"source_cluster"`
	Namespace string `db:"source_namespace"`
	Kind      string `db:"kind"`
	Name      string `db:"name"`
	TrendLoss
}

// TrendHeld is a part held of trends_decisions.sql: N that returned, or were watched no longer, after so many minutes.
type TrendHeld struct {
	Minutes  int64 `json:"minutes"`
	Returned bool  `json:"returned"`
	N        int64 `json:"n"`
}

// TrendRecurrent is a part alert of trends_decisions.sql: how many of N came back.
type TrendRecurrent struct {
	Alert    string   `json:"alert_name"`
	N        int64    `json:"n"`
	Back     int64    `json:"back"`
	Censored int64    `json:"censored"`
	Examples []string `json:"examples"`
}

// TrendWorkflow is one row of trends_workflows.sql.
type TrendWorkflow struct {
	WorkflowID    string   `db:"workflow_id"`
	N             int64    `db:"n"`
	Success       int64    `db:"success"`
	Scored        int64    `db:"scored"`
	Effectiveness *float64 `db:"effectiveness"`
	Rollbacks     int64    `db:"rollbacks"`
	Examples      []string `db:"examples"`
	Groups        int64    `db:"groups"`
	Total         int64    `db:"total"`
}

// TrendBin is a part bin of trends_decisions.sql: ten percent of confidence of an investigator and model, or of everyone. Confidence is a sum in percent, Squares one of squared differences.
type TrendBin struct {
	Everyone     bool     `json:"everyone"`
	Investigator string   `json:"investigator"`
	Model        string   `json:"model"`
	Bin          int      `json:"bin"`
	N            int64    `json:"n"`
	Executed     int64    `json:"executed"`
	Labelled     int64    `json:"labelled"`
	Success      int64    `json:"success"`
	Confidence   float64  `json:"confidence"`
	Squares      float64  `json:"squares"`
	Examples     []string `json:"examples"`
}

// TrendBand is a part band of trends_decisions.sql: what people were asked about, of a confidence from Threshold up to the next.
type TrendBand struct {
	Threshold int64    `json:"threshold"`
	N         int64    `json:"n"`
	Labelled  int64    `json:"labelled"`
	Success   int64    `json:"success"`
	Seconds   int64    `json:"seconds"`
	Rejected  int64    `json:"rejected"`
	Examples  []string `json:"examples"`
}

// TrendApproval is one row of trends_approvals.sql: of a weekday, of an hour, or of all.
type TrendApproval struct {
	Weekday   *int      `db:"weekday"`
	Hour      *int      `db:"hour"`
	Asked     int64     `db:"asked"`
	Approved  int64     `db:"approved"`
	Rejected  int64     `db:"rejected"`
	Expired   int64     `db:"expired"`
	Automatic int64     `db:"automatic"`
	Quantiles []float64 `db:"p50_p90"`
}

// TrendDelivery is one row of trends_deliveries.sql. Channel is nil for notifications without an attempt, and that row is beside the first channels. CalledOff are not among the Undelivered.
type TrendDelivery struct {
	Channel     *string  `db:"channel"`
	N           int64    `db:"n"`
	Undelivered int64    `db:"undelivered"`
	CalledOff   int64    `db:"called_off"`
	Attempts    int64    `db:"attempts"`
	Failed      int64    `db:"failed"`
	Examples    []string `db:"examples"`
	Groups      int64    `db:"groups"`
	Total       int64    `db:"total"`
}

// trendSettings are for a month of remediations: sorts in memory, and no nested loops. What a reader may see, and what a filter leaves, is estimated as a few rows, and a nested loop over two
// months is quadratic. Pages cost little, since most are in memory: else the planner reads every row of each resource in their order, instead of the last one. No parallel workers: two sessions ask already,
// and on two processors a worker takes from the other session what it gives to its own.
// Settings are of the transaction: sessions of a pooler keep nothing of them.
const trendSettings = "SELECT set_config('work_mem', '64MB', true), set_config('enable_nestloop', 'off', true), set_config('random_page_cost', '0.1', true), set_config('seq_page_cost', '0.1', true)," +
	" set_config('max_parallel_workers_per_gather', '0', true)"

// Trends asks every query of trends. trends_decisions takes nearly as long as all the others, so it runs beside them, in another session on the same snapshot.
func (q *Snapshot) Trends(ctx context.Context, t Trend) (*TrendRows, error) {
	all := &TrendRows{}
	before := t.Start.Add(t.Start.Sub(t.End))
	ask := func(questions ...func(context.Context, *Snapshot) error) func(context.Context, *Snapshot) error {
		return func(ctx context.Context, q *Snapshot) error {
			if _, err := q.conn.Exec(ctx, trendSettings, pgx.QueryExecModeSimpleProtocol); err != nil {
				return &readError{err}
			}
			for _, one := range questions {
				if err := one(ctx, q); err != nil {
					return err
				}
			}
			return nil
		}
	}
	err := q.twice(ctx, ask(
		trend(t, &all.Outcomes, "trends_outcomes", t.Groups),
		trend(t, &all.Received, "trends_received", t.End.Add(t.Patience)),
		trend(t, &all.Repairs, "trends_repairs", before),
		trend(t, &all.Spread, "trends_spread", before),
		trend(t, &all.Days, "trends_days", t.Bucket),
		trend(t, &all.Bottlenecks, "trends_bottlenecks"),
		trend(t, &all.Alerts, "trends_alerts", t.Groups),
		trend(t, &all.Targets, "trends_targets", t.Groups),
		trend(t, &all.Workflows, "trends_workflows", t.Groups),
		trend(t, &all.Approvals, "trends_approvals"),
		trend(t, &all.Deliveries, "trends_deliveries", t.Groups),
	), ask(func(ctx context.Context, q *Snapshot) error { return q.trendDecisions(ctx, t, all) }))
	if err != nil {
		return nil, err
	}
	return all, q.trendExamples(ctx, all)
}

func trend[T any](t Trend, into *[]T, file string, more ...any) func(context.Context, *Snapshot) error {
	return func(ctx context.Context, q *Snapshot) (err error) {
		text, arguments := t.narrow(query(file), append([]any{t.Start, t.End, nil}, more...))
		*into, err = collect[T](q.ask(ctx, text, arguments...))
		return err
	}
}

// trendDecisions reads the parts of trends_decisions.sql.
func (q *Snapshot) trendDecisions(ctx context.Context, t Trend, all *TrendRows) error {
	var parts []struct {
		Part    string          `db:"part"`
		Columns json.RawMessage `db:"columns"`
	}
	if err := trend(t, &parts, "trends_decisions", t.AsOf, t.Groups)(ctx, q); err != nil {
		return err
	}
	for _, p := range parts {
		var err error
		switch p.Part {
		case "bin":
			err = add(&all.Bins, p.Columns)
		case "band":
			err = add(&all.Bands, p.Columns)
		case "held":
			err = add(&all.Held, p.Columns)
		case "alert":
			err = add(&all.Recurrent, p.Columns)
		}
		if err != nil {
			return fmt.Errorf("part %s of trends_decisions: %w", p.Part, err)
		}
	}
	return nil
}

func add[T any](all *[]T, columns []byte) error {
	var one T
	err := json.Unmarshal(columns, &one)
	*all = append(*all, one)
	return err
}

// trendExamples reads of which remediations the examples are that an index named.
func (q *Snapshot) trendExamples(ctx context.Context, all *TrendRows) error {
	requests, executions := []string{}, []string{} // arrays without elements, not NULL
	for _, r := range all.Outcomes {
		requests = append(requests, r.Example)
	}
	for _, r := range all.Bottlenecks {
		requests = append(requests, r.Example)
	}
	for _, r := range all.Alerts {
		requests = append(requests, r.Example)
	}
	for _, r := range all.Workflows {
		executions = append(executions, r.Examples...)
	}
	type example struct {
		ID            string `db:"id"`
		RemediationID string `db:"remediation_id"`
	}
	found, err := collect[example](q.ask(ctx, query("trends_examples"), requests, executions, nil))
	all.RemediationIDs = map[string]string{}
	for _, e := range found {
		all.RemediationIDs[e.ID] = e.RemediationID
	}
	return err
}

// narrow adds the filters to each condition on what the reader may see. In the files of trends the alias says what a row is: f a request that ended, r its first row, a an analysis,
// w an execution, n a notification. s is a signal that may be one that came back: it counts whatever became of it.
func (t *Trend) narrow(text string, arguments []any) (string, []any) {
	argument := func(value any) string {
		arguments = append(arguments, value)
		return parameter(arguments)
	}
	var namespaces, alert, workflow string
	if len(t.Namespaces) > 0 {
		namespaces = argument(t.Namespaces)
	}
	if t.Alert != "" {
		alert = argument(t.Alert)
	}
	if t.Workflow != "" {
		workflow = argument(t.Workflow)
	}
	text = readableRows.ReplaceAllStringFunc(text, func(readable string) string {
		of, _, _ := strings.Cut(readable, ".")
		if of == "s" {
			return readable
		}
		all := []string{readable}
		if namespaces != "" {
			all = append(all, of+".source_namespace = ANY(CAST("+namespaces+" AS text[]))") // not as readableRows has it, which says what may be seen
		}
		switch {
		case alert == "":
		case of == "f" || of == "r":
			all = append(all, of+".alert_name = left("+alert+"::text, 255)")
		default:
			all = append(all, beside(of, models.TableOrchestration, "x.alert_name = left("+alert+"::text, 255)"))
		}
		switch {
		case workflow == "":
		case of == "w":
			all = append(all, "w.workflow_id = "+workflow+"::text")
		default:
			all = append(all, beside(of, models.TableExecution, "x.workflow_id = "+workflow+"::text"))
		}
		return strings.Join(all, " AND ")
	})
	return text, arguments
}

// beside says that a remediation has a row in another table, in its own namespace: strangers may post some under its id.
func beside(of, table, condition string) string {
	return fmt.Sprintf(`EXISTS (SELECT FROM %[2]s AS x WHERE x.remediation_id = %[1]s.remediation_id AND (x.sequence = 1 OR x.sequence IS NULL) AND %[3]s
		AND x.source_namespace IS NOT DISTINCT FROM %[1]s.source_namespace AND x.source_cluster IS NOT DISTINCT FROM %[1]s.source_cluster)`, of, table, condition)
}
