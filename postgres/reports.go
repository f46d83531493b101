package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Bounds of what is read for one report. Anybody who may post can post any number of rows under a remediation's id.
const (
	maxReportRows  = 20_000
	maxReportBytes = 64 << 20
)

// ErrTooLarge says that there is more under one remediation's id than a report takes.
var ErrTooLarge = errors.New("there is more under this remediation id than one report takes")

// size adds up what was read.
type size struct{ rows, bytes int }

// columns hands what report_rows.sql and report_beside.sql give of a row to visit: its table, what it is of, and its columns.
func (n *size) columns(rows pgx.Rows, visit func(relation, of string, columns []byte) error) error {
	return each(rows, func(rows pgx.Rows) error {
		values := rows.RawValues()
		columns := values[len(values)-1]
		if n.rows, n.bytes = n.rows+1, n.bytes+len(columns); n.rows > maxReportRows || n.bytes > maxReportBytes {
			return ErrTooLarge
		}
		if len(columns) > 0 && columns[0] == 1 { // jsonb in its binary form begins with its version
			columns = columns[1:]
		}
		return visit(string(values[0]), string(values[1]), columns)
	})
}

// ReportRows are the rows of the four tables under some remediations' ids that were recorded up to asOf and that the reader may see, by id. The bounds are for all of them: where they
// are exceeded by several, each may still be read alone.
func (q *Snapshot) ReportRows(ctx context.Context, ids []string, asOf time.Time) (map[string][]models.Row, error) {
	all := map[string][]models.Row{}
	read := func(relation, id string, columns []byte) error {
		row, err := models.FromColumns(relation, columns)
		if err != nil {
			return err
		}
		if q.readable.Sees(row.Head()) {
			all[id] = append(all[id], row)
		}
		return nil
	}
	return all, q.pipeline(ctx, batched{query("report_rows"), []any{ids, asOf}, func(rows pgx.Rows) error { return (&size{}).columns(rows, read) }})
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
	Place            int            `db:"place"`
	ID               string         `db:"id"`
	RemediationID    string         `db:"remediation_id"`
	SourceCluster    string         `db:"source_cluster"`
	SourceNamespace  string         `db:"source_namespace"`
	SourceUID        string         `db:"source_uid"`
	Sequence         int64          `db:"sequence"`
	EntryHash        []byte         `db:"entry_hash"`
	SignalReceivedAt outboxapi.Time `db:"signal_received_at"`
}

// Cohort is the row of cohort.sql. Times are in seconds.
type Cohort struct {
	Place     int       `db:"place"`
	N         int64     `db:"n"`
	Success   int64     `db:"success"`
	Mean      *float64  `db:"mean"`
	Quantiles []float64 `db:"p50_p90"`
	NotSlower int64     `db:"not_slower"`
}

// Case is one row of cohort_cases.sql: a remediation that ended, with the last rows of its analysis and its execution.
type Case struct {
	Places           []int           `db:"places"`
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
	Model                   string          `db:"model"`
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

// Place of the entry, for the page after it.
func (e *Entry) Place() EntryPlace { return EntryPlace{e.Sequence, e.Table, e.ID, e.EntryHash} }
