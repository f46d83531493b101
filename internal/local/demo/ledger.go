package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/test/oracle"
)

// ledger reads the database, with a connection for each question: the server may have been stopped since the last one.
type ledger struct{ url string }

// connected asks with a connection of its own.
func (l ledger) connected(ctx context.Context, ask func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, l.url)
	if err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	return ask(ctx, connection)
}

func (l ledger) query(ctx context.Context, sql string, args []any, scan func(pgx.Rows) error) error {
	return l.connected(ctx, func(ctx context.Context, connection *pgx.Conn) error {
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
	})
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
	err = l.connected(ctx, func(ctx context.Context, connection *pgx.Conn) (err error) {
		n, err = oracle.Missing(ctx, connection, ids)
		return err
	})
	return n, err
}
