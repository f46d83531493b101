package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Bounds of what is read for one report: of the remediation's own rows, which nobody else can add to.
const (
	maxReportRows  = 20_000
	maxReportBytes = 32 << 20
)

// Bounds of what is counted beside them, in each table: rows, and resources and callers that are named.
const (
	maxOtherRows = 10_000
	maxOthers    = 25
)

// ErrTooLarge says that one remediation has more rows of its own than a report takes.
var ErrTooLarge = errors.New("the remediation has more rows than one report takes")

// rowColumns is what report_rows.sql and report_beside.sql give of a row.
func readColumns(rows pgx.Rows, err error, visit func(relation string, columns []byte) error) error {
	if err != nil {
		return err
	}
	n, bytes := 0, 0
	return each(rows, func(rows pgx.Rows) error {
		values := rows.RawValues()
		columns := values[len(values)-1]
		if n, bytes = n+1, bytes+len(columns); n > maxReportRows || bytes > maxReportBytes {
			return ErrTooLarge
		}
		if len(columns) > 0 && columns[0] == 1 { // jsonb in its binary form begins with its version
			columns = columns[1:]
		}
		return visit(string(values[0]), columns)
	})
}

// ReportRows are the rows under a remediation's id that were recorded up to asOf and that the reader may see: of some resources, and of the children that their records name.
func (q *Snapshot) ReportRows(ctx context.Context, id string, uids []string, asOf time.Time) ([]models.Row, error) {
	return q.reportRows(q.ask(ctx, query("report_rows"), slices.Repeat([]string{id}, len(uids)), uids, asOf, nil))
}

// ReportPosted are the rows that were posted under a remediation's id up to asOf: in each table those of the caller who came first. Only who may see everything sees any.
func (q *Snapshot) ReportPosted(ctx context.Context, id string, asOf time.Time) ([]models.Row, error) {
	if !q.readable.Everything {
		return nil, nil
	}
	return q.reportRows(q.ask(ctx, query("report_posted"), id, asOf))
}

func (q *Snapshot) reportRows(rows pgx.Rows, err error) (all []models.Row, _ error) {
	err = readColumns(rows, err, func(relation string, columns []byte) error {
		row, err := models.FromColumns(relation, columns)
		if err == nil && q.readable.Sees(row.Head()) {
			all = append(all, row)
		}
		return err
	})
	return all, err
}

// Other is one row of report_others.sql: a resource, or a caller who posted, with N rows under the id of a remediation in a table. Total is the number of all others' rows in that table; it is
// Cut where more were there than are looked at.
type Other struct {
	ID              string `db:"id"`
	Table           string `db:"relation"`
	SourceNamespace string `db:"source_namespace"`
	SourceName      string `db:"source_name"`
	SourceUID       string `db:"source_uid"`
	RecordedBy      string `db:"recorded_by"`
	N               int64  `db:"n"`
	Total           int64  `db:"total"`
	Cut             bool   `db:"-"`
}

// ReportOthers are those whose rows stand under a remediation's id beside those of its own resources, as of an instant.
func (q *Snapshot) ReportOthers(ctx context.Context, id string, own []string, asOf time.Time) ([]Other, error) {
	all, err := collect[Other](q.ask(ctx, query("report_others"), []string{id}, slices.Repeat([]string{id}, len(own)), own, asOf, maxOtherRows+1, maxOthers, nil))
	for i := range all {
		all[i].Cut = all[i].Total > maxOtherRows
	}
	return all, err
}

// ReportBeside is what stands beside them: rows of other kinds, and dead letters, of some resources. A dead letter that was redriven later than asOf waits, as of then.
func (q *Snapshot) ReportBeside(ctx context.Context, uids []string, asOf time.Time) (resources []*models.ResourceRow, letters []models.DeadLetter, err error) {
	rows, err := q.ask(ctx, query("report_beside"), uids, asOf)
	err = readColumns(rows, err, func(relation string, columns []byte) error {
		if relation == models.TableDeadLetter {
			d, err := models.DeadLetterFromColumns(columns)
			if d.RedrivenAt != nil && d.RedrivenAt.After(asOf) {
				d.RedrivenAt = nil
			}
			if err == nil && q.readable.SeesLetter(&d) {
				letters = append(letters, d)
			}
			return err
		}
		row, err := models.FromColumns(relation, columns)
		if err != nil {
			return err
		}
		if resource, ok := row.(*models.ResourceRow); ok && q.readable.Sees(row.Head()) {
			resources = append(resources, resource)
		}
		return nil
	})
	return resources, letters, err
}

// Entry is one row of resource_entries.sql: an entry of a resource with its text.
type Entry struct {
	Table           string    `json:"table" db:"relation"`
	ID              string    `json:"id" db:"id"`
	SourceCluster   string    `json:"source_cluster,omitempty" db:"source_cluster"`
	SourceNamespace string    `json:"source_namespace,omitempty" db:"source_namespace"`
	SourceName      string    `json:"source_name,omitempty" db:"source_name"`
	Sequence        int64     `json:"sequence" db:"sequence"`
	Event           string    `json:"event" db:"event"`
	Phase           string    `json:"phase" db:"phase"`
	Final           bool      `json:"final" db:"final"`
	RecordedAt      time.Time `json:"recorded_at" db:"recorded_at"`
	CreatedAt       time.Time `json:"created_at" db:"created_at"`
	EntryHash       HexBytes  `json:"entry_hash" db:"entry_hash"`
	Entry           string    `json:"entry" db:"entry"`
}

// EntryPlace is where a page of entries begins: after this one. The zero value is the beginning.
type EntryPlace struct {
	Sequence int64  `json:"s"`
	Table    string `json:"t"`
	ID       string `json:"i"`
	Hash     []byte `json:"h"`
}

// HexBytes are written in JSON as hex digits.
type HexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b HexBytes) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", []byte(b)), nil }

// firstPlace comes before every entry: a forged row may say 0 or less.
var firstPlace = EntryPlace{Sequence: -1 << 63, ID: "00000000-0000-0000-0000-000000000000", Hash: []byte{}}

// Entries is a page of the entries of a resource in the order of their sequence, after a place; nil is the beginning. A resource whose first entry on the page the reader may not see has none.
func (q *Snapshot) Entries(ctx context.Context, uid string, after *EntryPlace, limit int) ([]Entry, error) {
	if after == nil {
		after = &firstPlace
	}
	all, err := collect[Entry](q.ask(ctx, query("resource_entries"), uid, after.Sequence, limit, after.Table, after.ID, append([]byte{}, after.Hash...)))
	visible := all[:0]
	for i, e := range all {
		ok := q.readable.Sees(&models.Envelope{SourceCluster: e.SourceCluster, SourceNamespace: e.SourceNamespace, SourceUID: uid, Sequence: e.Sequence,
			RecordedAt: timeOf(e.RecordedAt), CreatedAt: timeOf(e.CreatedAt)})
		if i == 0 && !ok {
			return nil, err
		}
		if ok {
			visible = append(visible, e)
		}
	}
	return visible, err
}

// Resource is a uid that a name has had.
type Resource struct {
	Kind          string    `json:"kind" db:"kind"`
	UID           string    `json:"uid" db:"source_uid"`
	SourceCluster string    `json:"source_cluster,omitempty" db:"source_cluster"`
	First         time.Time `json:"first" db:"first"`
	Last          time.Time `json:"last" db:"last"`
	Sequence      int64     `json:"sequence" db:"sequence"`
	Final         bool      `json:"final" db:"final"`
	Created       time.Time `json:"-" db:"created"`
}

// Resources are the uids that a name has had, newest first; namespace is empty for a kind that is in none, kind for all kinds.
func (q *Snapshot) Resources(ctx context.Context, kind, namespace, name string) ([]Resource, error) {
	text, arguments := query("resource_uids"), []any{kind, namespace, name}
	if namespace == "" {
		text, arguments = query("resource_uids_cluster"), []any{kind, name}
	}
	all, err := collect[Resource](q.ask(ctx, text, arguments...))
	visible := []Resource{}
	for _, r := range all {
		if q.readable.Sees(&models.Envelope{SourceCluster: r.SourceCluster, SourceNamespace: namespace, SourceUID: r.UID, Sequence: r.Sequence, RecordedAt: timeOf(r.First), CreatedAt: timeOf(r.Created)}) {
			visible = append(visible, r)
		}
	}
	return visible, err
}

// Recurrence is one row of recurrence.sql.
type Recurrence struct {
	ID               string         `db:"id"`
	RemediationID    string         `db:"remediation_id"`
	SourceCluster    string         `db:"source_cluster"`
	SourceNamespace  string         `db:"source_namespace"`
	SourceUID        string         `db:"source_uid"`
	Sequence         int64          `db:"sequence"`
	EntryHash        []byte         `db:"entry_hash"`
	SignalReceivedAt outboxapi.Time `db:"signal_received_at"`
}

// Recurrences are the remediations of a fingerprint and target that were received after one instant, up to another.
func (q *Snapshot) Recurrences(ctx context.Context, fingerprint string, target json.RawMessage, after, to time.Time) ([]Recurrence, error) {
	return collect[Recurrence](q.ask(ctx, query("recurrence"), fingerprint, target, after, to, nil))
}

// Cohort is the row of cohort.sql. Times are in seconds.
type Cohort struct {
	N         int64     `db:"n"`
	Success   int64     `db:"success"`
	Mean      *float64  `db:"mean"`
	Quantiles []float64 `db:"p50_p90"`
	NotSlower int64     `db:"not_slower"`
}

// Cohort counts what ended in the 30 days before a signal, of the same alert and kind of target; seconds is how long this one took.
func (q *Snapshot) Cohort(ctx context.Context, alert, kind string, received time.Time, seconds float64) (Cohort, error) {
	all, err := collect[Cohort](q.ask(ctx, query("cohort"), alert, kind, received, seconds, nil))
	if err != nil || len(all) == 0 {
		return Cohort{}, err
	}
	return all[0], nil
}

// Case is one row of cohort_cases.sql: a remediation that ended, with the last rows of its analysis and its execution.
type Case struct {
	ID               string          `db:"id"`
	RemediationID    string          `db:"remediation_id"`
	SourceUID        string          `db:"source_uid"`
	Sequence         int64           `db:"sequence"`
	EntryHash        []byte          `db:"entry_hash"`
	Outcome          string          `db:"outcome"`
	SignalReceivedAt outboxapi.Time  `db:"signal_received_at"`
	CompletedAt      outboxapi.Time  `db:"completed_at"`
	CameBackAt       *outboxapi.Time `db:"came_back_at"`

	AnalysisID              string          `db:"analysis_id"`
	AnalysisSourceUID       string          `db:"analysis_source_uid"`
	AnalysisSequence        int64           `db:"analysis_sequence"`
	AnalysisEntryHash       []byte          `db:"analysis_entry_hash"`
	Investigator            string          `db:"investigator"`
	RecommendedAction       string          `db:"recommended_action"`
	ActionConfidence        *float64        `db:"action_confidence"`
	InvestigationSeconds    *float64        `db:"investigation_seconds"`
	ApprovalStatus          string          `db:"approval_status"`
	ApprovalRequestedAt     *outboxapi.Time `db:"approval_requested_at"`
	ApprovalDurationSeconds *int64          `db:"approval_duration_seconds"`

	ExecutionID          string `db:"execution_id"`
	ExecutionSourceUID   string `db:"execution_source_uid"`
	ExecutionSequence    int64  `db:"execution_sequence"`
	ExecutionEntryHash   []byte `db:"execution_entry_hash"`
	WorkflowID           string `db:"workflow_id"`
	ExecutionOutcome     string `db:"execution_outcome"`
	ExecutionSeconds     *int64 `db:"execution_seconds"`
	RetriesPerformed     *int64 `db:"retries_performed"`
	PostConditionsPassed *bool  `db:"post_conditions_passed"`
}

// Cases are the newest remediations of an alert and kind of target that were received and ended in a window, as of an instant.
func (q *Snapshot) Cases(ctx context.Context, alert, kind string, start, end time.Time, limit int, asOf time.Time) ([]Case, error) {
	return collect[Case](q.ask(ctx, query("cohort_cases"), alert, kind, start, end, limit, nil, asOf))
}

// Deliveries is one row of cohort_deliveries.sql: how a channel did. Of N deliveries Failed had an attempt that failed, and Lost none that succeeded.
type Deliveries struct {
	Channel string `db:"channel"`
	N       int64  `db:"n"`
	Failed  int64  `db:"failed"`
	Lost    int64  `db:"lost"`
}

// maxCaseNotifications is how many rows of notifications are looked at of each remediation.
const maxCaseNotifications = 50

// Deliveries says how some channels did in the remediations whose rows have these ids, as of an instant.
func (q *Snapshot) Deliveries(ctx context.Context, cases, channels []string, asOf time.Time) ([]Deliveries, error) {
	return collect[Deliveries](q.ask(ctx, query("cohort_deliveries"), cases, channels, asOf, maxCaseNotifications, nil))
}

// CalibrationBin is one row of trends_ai.sql.
type CalibrationBin struct {
	Investigator string   `db:"investigator"`
	Model        string   `db:"model"`
	Bin          int      `db:"bin"`
	N            int64    `db:"n"`
	Labelled     int64    `db:"labelled"`
	Success      int64    `db:"success"`
	Confidence   *float64 `db:"confidence"`
	Brier        *float64 `db:"brier"`
}

// Calibration is how confident investigators were in a window, and how often they were right as of an instant.
func (q *Snapshot) Calibration(ctx context.Context, start, end, asOf time.Time) ([]CalibrationBin, error) {
	return collect[CalibrationBin](q.ask(ctx, query("trends_ai"), start, end, nil, asOf))
}

// Place of the entry, for the page after it.
func (e *Entry) Place() EntryPlace { return EntryPlace{e.Sequence, e.Table, e.ID, e.EntryHash} }
