package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ledger reads the database, with a connection for each question: the server may have been stopped since the last one.
type ledger struct{ url string }

func (l ledger) query(ctx context.Context, sql string, args []any, scan func(pgx.Rows) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	rows, err := connection.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read the database's answer: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the database's answer: %w", err)
	}
	return nil
}

// table runs a query whose columns are all text, and returns the rows under the titles.
func (l ledger) table(ctx context.Context, titles []string, sql string, args ...any) ([][]string, error) {
	table := [][]string{titles}
	err := l.query(ctx, sql, args, func(r pgx.Rows) error {
		cells := make([]*string, len(titles))
		into := make([]any, len(titles))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := r.Scan(into...); err != nil {
			return err
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = "–"
			if c != nil && *c != "" {
				row[i] = *c
			}
		}
		table = append(table, row)
		return nil
	})
	return table, err
}

// missing counts the ids that are neither rows nor dead letters.
func (l ledger) missing(ctx context.Context, ids []string) (n int, err error) {
	var parts []string
	for _, k := range kinds {
		parts = append(parts, "SELECT id FROM "+k.table)
	}
	parts = append(parts, "SELECT id FROM resource_audit", "SELECT id FROM audit_dead_letter")
	sql := "SELECT count(*) FROM unnest($1::uuid[]) AS wanted (id) WHERE id NOT IN (" + strings.Join(parts, " UNION ALL ") + ")"
	err = l.query(ctx, sql, []any{ids}, func(r pgx.Rows) error { return r.Scan(&n) })
	return n, err
}

// everything reads all rows of resources, and the dead letters that were not redriven. Posted rows have no source_uid: the witness saw no entry to hold against them.
// PostgreSQL hashes the stored texts itself.
func (l ledger) everything(ctx context.Context) ([]stored, error) {
	const columns = `source_uid::text, COALESCE(sequence, 0), id::text, COALESCE(encode(entry_hash, 'hex'), ''), COALESCE(encode(previous_hash, 'hex'), ''),
		encode(sha256(convert_to(entry, 'UTF8')), 'hex')`
	var parts []string
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("SELECT '%s', false, %s FROM %s WHERE source_uid IS NOT NULL", k.name, columns, k.table))
	}
	parts = append(parts,
		fmt.Sprintf("SELECT 'resource_audit', false, %s FROM resource_audit", columns),
		fmt.Sprintf("SELECT %s, true, %s FROM audit_dead_letter WHERE redriven_at IS NULL", deadLetterKind(), columns))
	var all []stored
	err := l.query(ctx, strings.Join(parts, " UNION ALL "), nil, func(r pgx.Rows) error {
		var s stored
		var uid *string
		if err := r.Scan(&s.kind, &s.deadLetter, &uid, &s.sequence, &s.id, &s.hash, &s.previousHash, &s.textHash); err != nil {
			return err
		}
		if uid != nil {
			s.uid = *uid
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

// deadLetterKind is the SQL for the kind of resource that an entry's kind belongs to.
func deadLetterKind() string {
	return `CASE kind WHEN 'orchestration' THEN 'RemediationRequest' WHEN 'ai-decision' THEN 'AIAnalysis'
		WHEN 'execution' THEN 'WorkflowExecution' WHEN 'notification' THEN 'NotificationRequest' ELSE kind END`
}
