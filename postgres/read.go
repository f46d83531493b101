package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/holdfast-dev/holdfast/models"
)

// Stored is an entry in the database: a row, or a dead letter.
type Stored struct {
	// Table is where it is; models.TableDeadLetter for a dead letter.
	Table           string `bun:"-"`
	ID              string `bun:"id"`
	SourceCluster   string `bun:"source_cluster"`
	SourceNamespace string `bun:"source_namespace"`
	SourceName      string `bun:"source_name"`
	// SourceUID and Sequence are the place in a chain, empty and 0 where they are null: both are, for what was posted over REST. Other combinations no honest writer makes.
	SourceUID   string `bun:"source_uid"`
	Sequence    int64  `bun:"sequence"`
	HasSequence bool   `bun:"has_sequence"`
	EntryHash   []byte `bun:"entry_hash"`
	Entry       string `bun:"entry"`
	// Raw is on its way into Entry.
	Raw []byte `bun:"raw"`
	// Columns is the row as a JSON object, column by column, for Compare. Empty for a dead letter.
	Columns string `bun:"columns"`
	// Kind, Error and Redriven are a dead letter's.
	Kind  string `bun:"kind"`
	Error string `bun:"error"`
	// Redriven reports whether the dead letter is marked as redriven. The time is not read, because it can be any value of PostgreSQL.
	Redriven bool `bun:"redriven"`
}

// DeadLetter reports whether the entry is a dead letter.
func (s *Stored) DeadLetter() bool { return s.Table == models.TableDeadLetter }

// page is the number of rows per table in memory.
const page = 100

// Read calls visit for every entry of one snapshot (one read-only REPEATABLE READ transaction): first the entries of chains, by source_uid and sequence, over all
// tables and the dead letters; then the others. With a uid it reads that chain only. It keeps one page per table in memory.
// visit must not keep the pointer. An error of visit ends Read and is returned unchanged; other errors say what to do.
func (s *Store) Read(ctx context.Context, uid string, visit func(*Stored) error) error {
	if uid != "" {
		var err error
		if uid, err = models.UUID(uid); err != nil {
			return fmt.Errorf("read the entries of %q: %w", uid, err)
		}
	}
	var visited error
	err := s.db.RunInTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, "SELECT set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true), set_config('timezone', 'UTC', true)"); err != nil {
			return err
		}
		visited = readChains(ctx, tx, uid, visit)
		if visited == nil && uid == "" {
			visited = readOthers(ctx, tx, visit)
		}
		return visited
	})
	var failed *readError
	if visited != nil && !errors.As(visited, &failed) {
		return visited
	}
	if err != nil {
		return fmt.Errorf("read the entries: %w", explain(err))
	}
	return nil
}

// readError is an error of the database, not of visit.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// readChains merges the tables, each of which its index on (source_uid, sequence) sorts.
func readChains(ctx context.Context, tx bun.Tx, uid string, visit func(*Stored) error) error {
	where := "source_uid IS NOT NULL AND sequence IS NOT NULL"
	if uid != "" {
		where += fmt.Sprintf(" AND source_uid = '%s'", uid) // a UUID, see Read
	}
	var all []*cursor
	for _, table := range append(models.Tables(), models.TableDeadLetter) {
		c, err := declare(ctx, tx, "chains_", table, where+" ORDER BY source_uid, sequence")
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	for {
		var first *cursor
		for _, c := range all {
			if c.head() != nil && (first == nil || c.head().before(first.head())) {
				first = c
			}
		}
		if first == nil {
			return nil
		}
		if err := visit(first.head()); err != nil {
			return err
		}
		if err := first.next(ctx, tx); err != nil {
			return err
		}
	}
}

func readOthers(ctx context.Context, tx bun.Tx, visit func(*Stored) error) error {
	for _, table := range append(models.Tables(), models.TableDeadLetter) {
		c, err := declare(ctx, tx, "others_", table, "source_uid IS NULL OR sequence IS NULL ORDER BY id")
		if err != nil {
			return err
		}
		for c.head() != nil {
			if err := visit(c.head()); err != nil {
				return err
			}
			if err := c.next(ctx, tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// before orders by place. A uuid's text sorts as its bytes do.
func (s *Stored) before(other *Stored) bool {
	if s.SourceUID != other.SourceUID {
		return s.SourceUID < other.SourceUID
	}
	return s.Sequence < other.Sequence
}

// cursor reads one table, a page at a time.
type cursor struct {
	table, name string
	rows        []Stored
	at          int
}

func declare(ctx context.Context, tx bun.Tx, prefix, table, where string) (*cursor, error) {
	columns := "(to_jsonb(t) - 'entry')::text AS columns"
	entry := "entry"
	if table == models.TableDeadLetter {
		entry = "'' AS entry, coalesce(entry_bytes, convert_to(entry, 'UTF8')) AS raw"
		columns = "kind, error, redriven_at IS NOT NULL AS redriven"
	}
	c := &cursor{table: table, name: prefix + table}
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`DECLARE %s NO SCROLL CURSOR FOR SELECT id::text, coalesce(source_cluster, '') AS source_cluster,
		coalesce(source_namespace, '') AS source_namespace, coalesce(source_name, '') AS source_name, coalesce(source_uid::text, '') AS source_uid,
		coalesce(sequence, 0) AS sequence, sequence IS NOT NULL AS has_sequence, entry_hash, %s, %s FROM %s AS t WHERE %s`, c.name, entry, columns, table, where))
	if err != nil {
		return nil, &readError{fmt.Errorf("%s: %w", table, err)}
	}
	if err := c.fetch(ctx, tx); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *cursor) fetch(ctx context.Context, tx bun.Tx) error {
	c.rows, c.at = nil, 0
	if err := tx.NewRaw(fmt.Sprintf("FETCH %d FROM %s", page, c.name)).Scan(ctx, &c.rows); err != nil {
		return &readError{fmt.Errorf("%s: %w", c.table, err)}
	}
	for i := range c.rows {
		c.rows[i].Table = c.table
		if c.table == models.TableDeadLetter {
			c.rows[i].Entry, c.rows[i].Raw = string(c.rows[i].Raw), nil
		}
	}
	return nil
}

// head is the next row, nil at the end.
func (c *cursor) head() *Stored {
	if c.at >= len(c.rows) {
		return nil
	}
	return &c.rows[c.at]
}

func (c *cursor) next(ctx context.Context, tx bun.Tx) error {
	c.at++
	if c.at < page || len(c.rows) < page {
		return nil
	}
	return c.fetch(ctx, tx)
}
