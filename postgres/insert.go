package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// inserted counts the rows of a statement that are new. A batch may hold an id twice: the first is new, the second met it.
type inserted map[[16]byte]int

func (i inserted) take(id [16]byte) bool {
	if i[id] == 0 {
		return false
	}
	i[id]--
	return true
}

// refusal is a row that the database refused.
type refusal struct {
	record record
	err    error
}

// put inserts rows in one statement.
func (t *table) put(ctx context.Context, tx *transaction, rows []record) (inserted, error) {
	insert, done := t.insertOf(rows)
	if err := tx.send(ctx, insert); err != nil {
		return nil, fmt.Errorf("insert %d rows: %w", len(rows), err)
	}
	return done, nil
}

// insertOf is the statement that inserts rows, and what it fills. It binds past bun (see the package).
func (t *table) insertOf(rows []record) (statement, inserted) {
	arrays := make([]any, len(t.columns))
	for c := range t.columns {
		array := make([]any, len(rows))
		for r := range rows {
			array[r] = rows[r].values[c]
		}
		arrays[c] = array
	}
	done := inserted{}
	var id [16]byte
	return statement{sql: t.insert, arguments: arrays, read: func(answer pgx.Rows) error {
		_, err := pgx.ForEachRow(answer, []any{&id}, func() error {
			done[id]++
			return nil
		})
		return err
	}}, done
}

// bisect inserts what the table takes and returns what it refuses for its data. If it refuses everything, the canary shows whether it is the rows' fault; if not,
// that is an error, and nothing is refused.
func (t *table) bisect(ctx context.Context, tx *transaction, rows []record) (inserted, []refusal, error) {
	done, bad, err := t.halve(ctx, tx, rows)
	if err != nil || len(bad) < len(rows) {
		return done, bad, err
	}
	if err := t.probe(ctx, tx); err != nil {
		if classify(err) == ofData {
			err = &schemaError{err: fmt.Errorf("refuses every row, a known good one too: %w", err), advice: "no entry is dead-lettered for it; see `holdfast migrate status`, and look for constraints or triggers that Holdfast did not make"}
		}
		return nil, nil, err
	}
	return done, bad, nil
}

func (t *table) halve(ctx context.Context, tx *transaction, rows []record) (inserted, []refusal, error) {
	var done inserted
	err := tx.savepoint(ctx, func(ctx context.Context) (err error) {
		done, err = t.put(ctx, tx, rows)
		return err
	})
	switch {
	case err == nil:
		return done, nil, nil
	case classify(err) != ofData:
		return nil, nil, err
	case len(rows) == 1:
		return nil, []refusal{{record: rows[0], err: err}}, nil
	}
	done, bad, err := t.halve(ctx, tx, rows[:len(rows)/2])
	if err != nil {
		return nil, nil, err
	}
	more, worse, err := t.halve(ctx, tx, rows[len(rows)/2:])
	if err != nil {
		return nil, nil, err
	}
	all := inserted{}
	for _, part := range []inserted{done, more} {
		for id, n := range part {
			all[id] += n
		}
	}
	return all, append(bad, worse...), nil
}

var errRollback = errors.New("rolled back on purpose")

// probe inserts the canary and rolls it back.
func (t *table) probe(ctx context.Context, tx *transaction) error {
	err := tx.savepoint(ctx, func(ctx context.Context) error {
		if _, err := t.put(ctx, tx, []record{{values: t.canary()}}); err != nil {
			return err
		}
		return errRollback
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	return err
}

// hashes reads which of the ids are there, and with which hash (nil for a row that was posted over REST).
func hashes(ctx context.Context, tx *transaction, lookUp string, of []record) (map[[16]byte][]byte, error) {
	ids := make([]any, len(of))
	for i := range of {
		ids[i] = of[i].id
	}
	found := map[[16]byte][]byte{}
	err := tx.send(ctx, statement{sql: lookUp, arguments: []any{ids}, read: func(rows pgx.Rows) error {
		var id [16]byte
		var hash []byte
		_, err := pgx.ForEachRow(rows, []any{&id, &hash}, func() error {
			found[id] = slices.Clone(hash)
			return nil
		})
		return err
	}})
	return found, err
}
