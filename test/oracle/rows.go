package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Querier is a connection, a pool or a transaction of pgx.
type Querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

const deadLetters = "audit_dead_letter"

var tables = []string{"orchestration_audit", "ai_analysis_audit", "workflow_execution_audit", "notification_audit", "resource_audit", deadLetters}

// stored is a row or a dead letter.
type stored struct {
	table                             string
	id, uid, hash, previousHash, text string
	sequence                          int64
	// columns are all of them, as PostgreSQL writes them in JSON.
	columns map[string]any
}

func (s *stored) letter() bool { return s.table == deadLetters }

// redriven reports whether a dead letter became a row later: then the row counts.
func (s *stored) redriven() bool { return s.letter() && s.columns["redriven_at"] != nil }

// read reads all tables, or what they have of some namespaces. It leaves out rows without a source and without a hash: programs that have no resources post them.
// If a row of a resource came to look like that, its entry would count as lost.
func read(ctx context.Context, db Querier, namespaces []string) ([]stored, error) {
	var all []stored
	for _, table := range tables {
		rows, err := db.Query(ctx, `SELECT to_jsonb(t) FROM `+table+` t
			WHERE ($1::text[] IS NULL OR source_namespace = ANY($1)) AND (source_uid IS NOT NULL OR entry_hash IS NOT NULL)`, namespaces)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
		some, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (stored, error) {
			var raw []byte
			if err := row.Scan(&raw); err != nil {
				return stored{}, err
			}
			return newStored(table, raw)
		})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", table, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// Missing counts the ids that are neither rows nor dead letters.
func Missing(ctx context.Context, db Querier, ids []string) (int, error) {
	parts := make([]string, 0, len(tables))
	for _, table := range tables {
		parts = append(parts, "SELECT id FROM "+table)
	}
	rows, err := db.Query(ctx, "SELECT count(*) FROM unnest($1::uuid[]) AS wanted (id) WHERE id NOT IN ("+strings.Join(parts, " UNION ALL ")+")", ids)
	if err != nil {
		return 0, fmt.Errorf("look for ids: %w", err)
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
}

// Stored are the ids of all rows and dead letters.
func Stored(ctx context.Context, db Querier) ([]string, error) {
	parts := make([]string, 0, len(tables))
	for _, table := range tables {
		parts = append(parts, "SELECT id::text FROM "+table)
	}
	rows, err := db.Query(ctx, strings.Join(parts, " UNION "))
	if err != nil {
		return nil, fmt.Errorf("read ids: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// RowsOf counts what is stored of a resource.
func RowsOf(ctx context.Context, db Querier, uid string) (int, error) {
	parts := make([]string, 0, len(tables))
	for _, table := range tables {
		parts = append(parts, "SELECT source_uid::text AS uid FROM "+table)
	}
	rows, err := db.Query(ctx, "SELECT count(*) FROM ("+strings.Join(parts, " UNION ALL ")+") AS every WHERE uid = $1", uid)
	if err != nil {
		return 0, fmt.Errorf("count the rows of a resource: %w", err)
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
}

func newStored(table string, raw []byte) (stored, error) {
	s := stored{table: table}
	if err := json.Unmarshal(raw, &s.columns); err != nil {
		return stored{}, err
	}
	s.id, s.uid, s.text = s.string("id"), s.string("source_uid"), s.string("entry")
	s.hash, s.previousHash = strings.TrimPrefix(s.string("entry_hash"), `\x`), strings.TrimPrefix(s.string("previous_hash"), `\x`)
	if n, ok := s.columns["sequence"].(float64); ok {
		s.sequence = int64(n)
	}
	return s, nil
}

func (s *stored) string(column string) string {
	text, _ := s.columns[column].(string)
	return text
}

// unprojected are the columns that are not said by the entry.
var unprojected = map[string]bool{
	"entry": true, "entry_hash": true, "created_at": true, "source_cluster": true, "recorded_by": true, "tx": true,
	// of dead letters
	"error": true, "sqlstate": true, "first_attempt": true, "last_attempt": true, "attempts": true, "redriven_at": true,
}

// misprojected names the columns that say something else than the entry beside them.
func (s *stored) misprojected() ([]string, error) {
	var e map[string]any
	if err := json.Unmarshal([]byte(s.text), &e); err != nil {
		return nil, fmt.Errorf("its entry is no JSON object: %w", err)
	}
	source, _ := e["source"].(map[string]any)
	record, _ := e["record"].(map[string]any)
	said := map[string]any{
		"id": e["id"], "kind": e["kind"], "record": e["record"], "sequence": e["sequence"], "event": e["event"], "phase": e["phase"], "final": e["final"],
		"recorded_at": e["recordedTime"], "schema_version": e["schemaVersion"], "traceparent": e["traceparent"], "previous_hash": e["previousHash"],
		"source_namespace": source["namespace"], "source_name": source["name"], "source_uid": source["uid"],
	}
	// The database makes these of the record's parts.
	alert, _ := record["signal_context"].(map[string]any)
	target, _ := record["target"].(map[string]any)
	said["alert_name"], said["target_kind"] = alert["name"], target["kind"]
	var wrong []string
	for column, has := range s.columns {
		want, envelope := said[column]
		if !envelope {
			want = record[column]
		}
		if !unprojected[column] && !same(has, want) {
			wrong = append(wrong, fmt.Sprintf("column %s is %v, the entry says %v", column, has, want))
		}
	}
	return wrong, nil
}

// same compares a column with what an entry says, across the ways to write one value: bytes as hex digits, times in any zone, and NULL for nothing.
func same(column, said any) bool {
	have, isText := column.(string)
	want, wantsText := said.(string)
	switch {
	case column == nil && said == "":
		return true
	case !isText || !wantsText || have == want:
		return reflect.DeepEqual(column, said)
	case strings.HasPrefix(have, `\x`):
		return have == `\x`+want
	}
	a, errA := time.Parse(time.RFC3339Nano, have)
	b, errB := time.Parse(time.RFC3339Nano, want)
	return errA == nil && errB == nil && a.Equal(b)
}
