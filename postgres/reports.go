package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Bounds of what is read for one report: of the remediation's own rows, which nobody else can add to. Several that are read together have less, and whoever exceeds that is read alone.
const (
	maxReportRows    = 20_000
	maxReportBytes   = 32 << 20
	maxTogetherBytes = 4 << 20
)

// Bounds of what is counted beside them, in each table: rows, and resources and callers that are named.
const (
	maxOtherRows = 10_000
	maxOthers    = 25
)

// maxPosted is how many rows of a table are looked at under the id of a remediation that names no resources, beside reports of it.
const maxPosted = 50

// ErrTooLarge says that one remediation has more rows of its own than a report takes.
var ErrTooLarge = errors.New("the remediation has more rows than one report takes")

// ErrUnreadable says that a row has what no row of this release has. Whoever reads several remediations reads the others.
var ErrUnreadable = errors.New("a row cannot be read")

// size adds up what was read, up to a bound of bytes.
type size struct{ rows, bytes, most int }

// newSize is for so many reports.
func newSize(reports int) *size {
	if reports == 1 {
		return &size{most: maxReportBytes}
	}
	return &size{most: maxTogetherBytes}
}

// columns hands what report_rows.sql and report_beside.sql give of a row to visit: its table, what it is of, and its columns.
func (n *size) columns(rows pgx.Rows, visit func(relation, of string, columns []byte) error) error {
	return each(rows, func(rows pgx.Rows) error {
		values := rows.RawValues()
		columns := values[len(values)-1]
		if n.rows, n.bytes = n.rows+1, n.bytes+len(columns); n.rows > maxReportRows || n.bytes > n.most {
			return ErrTooLarge
		}
		if len(columns) > 0 && columns[0] == 1 { // jsonb in its binary form begins with its version
			columns = columns[1:]
		}
		return visit(string(values[0]), string(values[1]), columns)
	})
}

// Under is what stands under the id of a remediation.
type Under struct {
	// Rows are those of the remediation's own resources.
	Rows []models.Row
	// Others are whose other rows stand there. They are not known where the id is Crowded: then Beside counts them.
	Others  []Other
	Crowded bool
}

// maxUnder is how many rows of a table are read by their remediation's id: more than nearly every remediation has.
const maxUnder = 100

// ReportRows are the rows of the four tables that some remediations have of their own, as of an instant, by id: those of resources that are known, and of the children that their records
// name. Beside these it says who else has rows there. What the reader may not see is left out. The bounds are for all of them: where they are exceeded by several, each may still be read alone.
func (q *Snapshot) ReportRows(ctx context.Context, known []Known, asOf time.Time) (map[string]*Under, error) {
	var ids []string
	var uids []*string
	for _, k := range known {
		if len(k.UIDs) == 0 { // what stands under the id is of others
			ids, uids = append(ids, k.ID), append(uids, nil)
		}
		for i := range k.UIDs {
			ids, uids = append(ids, k.ID), append(uids, &k.UIDs[i])
		}
	}
	all := map[string]*Under{}
	read := func(relation, id string, columns []byte) error {
		u := all[id]
		if u == nil {
			u = &Under{}
			all[id] = u
		}
		switch relation {
		case "crowded":
			u.Crowded = true
			return nil
		case "other":
			return add(&u.Others, columns)
		}
		return q.add(&u.Rows, relation, columns)
	}
	n := newSize(len(known))
	return all, q.pipeline(ctx, batched{query("report_rows"), []any{ids, uids, asOf, maxUnder, maxOthers, nil}, func(rows pgx.Rows) error { return n.columns(rows, read) }})
}

// add makes a row from its columns and adds it, unless the reader may not see it.
func (q *Snapshot) add(all *[]models.Row, relation string, columns []byte) error {
	row, err := readable(relation, columns)
	if err == nil && q.readable.Sees(row.Head()) {
		*all = append(*all, row)
	}
	return err
}

func readable(relation string, columns []byte) (models.Row, error) {
	row, err := models.FromColumns(relation, columns)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return row, nil
}

// ReportPosted are the rows that were posted under a remediation's id up to asOf: in each table those of the caller who came first. Only who may see everything sees any.
func (q *Snapshot) ReportPosted(ctx context.Context, id string, asOf time.Time) ([]models.Row, error) {
	if !q.readable.Everything {
		return nil, nil
	}
	var all []models.Row
	n := newSize(1)
	read := func(relation, _ string, columns []byte) error { return q.add(&all, relation, columns) }
	return all, q.pipeline(ctx, batched{query("report_posted"), []any{id, asOf}, func(rows pgx.Rows) error { return n.columns(rows, read) }})
}

// Known is the id of a remediation with the uids that are known to be those of its resources.
type Known struct {
	ID   string
	UIDs []string
}

// pairs are the two as columns.
func pairs(all []Known) (ids, uids []string) {
	for _, k := range all {
		for _, uid := range k.UIDs {
			ids, uids = append(ids, k.ID), append(uids, uid)
		}
	}
	return ids, uids
}

// Other is a resource, or a caller who posted, with N rows under the id of a remediation in a table. Total is the number of all others' rows in that table; it is
// Cut where more were there than are looked at.
type Other struct {
	ID              string `db:"id" json:"id"`
	Table           string `db:"relation" json:"relation"`
	SourceNamespace string `db:"source_namespace" json:"source_namespace"`
	SourceName      string `db:"source_name" json:"source_name"`
	SourceUID       string `db:"source_uid" json:"source_uid"`
	RecordedBy      string `db:"recorded_by" json:"recorded_by"`
	N               int64  `db:"n" json:"n"`
	Total           int64  `db:"total" json:"total"`
	Cut             bool   `db:"-" json:"-"`
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
	all := []Entry{}
	err := q.EachEntry(ctx, uid, after, limit, func(e *Entry) { all = append(all, *e) })
	return all, err
}

// EachEntry hands each of Entries to visit as it comes.
func (q *Snapshot) EachEntry(ctx context.Context, uid string, after *EntryPlace, limit int, visit func(*Entry)) error {
	if after == nil {
		after = &firstPlace
	}
	rows, err := q.ask(ctx, query("resource_entries"), uid, after.Sequence, limit, after.Table, after.ID, append([]byte{}, after.Hash...))
	if err != nil {
		return err
	}
	first, none := true, false
	return eachOf(rows, func(e *Entry) {
		ok := q.readable.Sees(&models.Envelope{SourceCluster: e.SourceCluster, SourceNamespace: e.SourceNamespace, SourceUID: uid, Sequence: e.Sequence,
			RecordedAt: timeOf(e.RecordedAt), CreatedAt: timeOf(e.CreatedAt)})
		none, first = none || first && !ok, false
		if ok && !none {
			visit(e)
		}
	})
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

// Deliveries is one row of cohort_deliveries.sql: how a channel did. Of N deliveries Failed had an attempt that failed, and Lost none that succeeded.
type Deliveries struct {
	Place   int    `db:"place"`
	Channel string `db:"channel"`
	N       int64  `db:"n"`
	Failed  int64  `db:"failed"`
	Lost    int64  `db:"lost"`
}

// Channels are those of a report that failed, and the ids of the rows of its cases.
type Channels struct{ Cases, Channels []string }

// Deliveries says how channels did in the cases of some reports, as of an instant. A place is an index of all.
func (q *Snapshot) Deliveries(ctx context.Context, all []Channels, asOf time.Time) ([]Deliveries, error) {
	var ofCases, ofChannels []int
	var cases, channels []string
	for i, one := range all {
		ofCases, cases = append(ofCases, slices.Repeat([]int{i}, len(one.Cases))...), append(cases, one.Cases...)
		ofChannels, channels = append(ofChannels, slices.Repeat([]int{i}, len(one.Channels))...), append(channels, one.Channels...)
	}
	if len(cases) == 0 {
		return nil, nil
	}
	return collect[Deliveries](q.ask(ctx, query("cohort_deliveries"), ofCases, cases, ofChannels, channels, asOf, maxPosted, nil))
}

// Place of the entry, for the page after it.
func (e *Entry) Place() EntryPlace { return EntryPlace{e.Sequence, e.Table, e.ID, e.EntryHash} }
