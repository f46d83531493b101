package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// entriesOf makes n entries as a relay has them, ten a resource.
func entriesOf(n int, change func(uid string, n int) *entry.Change) ([]relay.Item, error) {
	items := make([]relay.Item, 0, n)
	for len(items) < n {
		s := entry.Source{Namespace: "shop", Name: "cart", UID: types.UID(uuid.NewString()), Created: time.Now()}
		var o *outboxapi.Outbox
		for i := range min(10, n-len(items)) {
			next, _, err := entry.Append(o, s, *change(string(s.UID), i), time.Now(), entry.Salt{}, entry.DefaultLimits())
			if err != nil {
				return nil, err
			}
			o = next
		}
		items = append(items, relay.NewItems(s, "Ticket", entry.PendingOf(s.UID, o))...)
	}
	return items, nil
}

func orchestrations(uid string, n int) *entry.Change { return change(uid, n, false) }

// persistRate is entries a second through the store's Persist, one batch after the other.
func persistRate(ctx context.Context, s *postgres.Store, items []relay.Item, batch int) (float64, error) {
	start := time.Now()
	for at := 0; at < len(items); at += batch {
		if _, err := s.Persist(ctx, items[at:min(at+batch, len(items))]); err != nil {
			return 0, err
		}
	}
	return float64(len(items)) / time.Since(start).Seconds(), nil
}

// control writes rows that are ready-made, as plainly as PostgreSQL's driver can: nothing is projected, hashed, compared or counted, and a row that is there
// already is an error.
type control struct {
	connection *pgx.Conn
	table      string
	columns    []string
	types      []string
	model      []any // the values of one row
	id, uid    int
}

// newControl takes a row of the table as its model.
func newControl(ctx context.Context, url, table string) (*control, error) {
	c := &control{table: table}
	var err error
	if c.connection, err = pgx.Connect(ctx, url); err != nil {
		return nil, err
	}
	rows, err := c.connection.Query(ctx, `SELECT column_name, CASE WHEN data_type = 'jsonb' THEN 'jsonb' WHEN data_type = 'uuid' THEN 'uuid' ELSE data_type END
		FROM information_schema.columns WHERE table_name = $1 AND column_name NOT IN ('created_at', 'tx') AND is_generated = 'NEVER' ORDER BY ordinal_position`, table)
	if err != nil {
		return nil, err
	}
	var selected []string
	var name, typ string
	_, err = pgx.ForEachRow(rows, []any{&name, &typ}, func() error {
		switch name {
		case "id":
			c.id = len(c.columns)
		case "source_uid":
			c.uid = len(c.columns)
		}
		c.columns, c.types = append(c.columns, name), append(c.types, typ)
		if typ == "jsonb" {
			name += "::text"
		}
		selected = append(selected, name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := c.connection.Query(ctx, fmt.Sprintf("SELECT %s FROM %s ORDER BY id DESC LIMIT 1", strings.Join(selected, ", "), table))
	if err != nil {
		return nil, err
	}
	c.model, err = pgx.CollectExactlyOneRow(found, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	return c, err
}

// row is the model under another id.
func (c *control) row() []any {
	v := append([]any(nil), c.model...)
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	v[c.id], v[c.uid] = [16]byte(id), [16]byte(uuid.New())
	return v
}

// rate is rows a second, by one of the ways, one transaction a batch.
func (c *control) rate(ctx context.Context, rows, batch int, way func(context.Context, pgx.Tx, [][]any) error) (float64, error) {
	var batches [][][]any
	for at := 0; at < rows; at += batch {
		var all [][]any
		for range min(batch, rows-at) {
			all = append(all, c.row())
		}
		batches = append(batches, all)
	}
	start := time.Now()
	for _, all := range batches {
		if err := pgx.BeginFunc(ctx, c.connection, func(tx pgx.Tx) error { return way(ctx, tx, all) }); err != nil {
			return 0, err
		}
	}
	return float64(rows) / time.Since(start).Seconds(), nil
}

// multiRow is INSERT … VALUES (…), (…), …
func (c *control) multiRow(ctx context.Context, tx pgx.Tx, rows [][]any) error {
	var sql strings.Builder
	fmt.Fprintf(&sql, "INSERT INTO %s (%s) VALUES ", c.table, strings.Join(c.columns, ", "))
	arguments := make([]any, 0, len(rows)*len(c.columns))
	for i, row := range rows {
		sql.WriteString(map[bool]string{true: "(", false: ", ("}[i == 0])
		for j := range row {
			if j > 0 {
				sql.WriteString(", ")
			}
			fmt.Fprintf(&sql, "$%d", len(arguments)+j+1)
		}
		sql.WriteString(")")
		arguments = append(arguments, row...)
	}
	_, err := tx.Exec(ctx, sql.String(), arguments...)
	return err
}

// unnest is INSERT … SELECT FROM unnest($1, $2, …), an array a column.
func (c *control) unnest(ctx context.Context, tx pgx.Tx, rows [][]any) error {
	arrays, casts, selected := make([]any, len(c.columns)), make([]string, len(c.columns)), make([]string, len(c.columns))
	for j, name := range c.columns {
		array := make([]any, len(rows))
		for i := range rows {
			array[i] = rows[i][j]
		}
		arrays[j], casts[j], selected[j] = array, fmt.Sprintf("$%d::%s[]", j+1, c.types[j]), name
		if c.types[j] == "jsonb" {
			casts[j], selected[j] = fmt.Sprintf("$%d::text[]", j+1), name+"::jsonb"
		}
	}
	names := strings.Join(c.columns, ", ")
	_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS r(%s)", c.table, names, strings.Join(selected, ", "), strings.Join(casts, ", "), names), arrays...)
	return err
}

// copyFrom is COPY … FROM STDIN BINARY.
func (c *control) copyFrom(ctx context.Context, tx pgx.Tx, rows [][]any) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{c.table}, c.columns, pgx.CopyFromRows(rows))
	return err
}
