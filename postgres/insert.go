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
	done, bad, err := t.separate(ctx, tx, rows)
	if err != nil || len(bad) < len(rows) {
		return done, bad, err
	}
	if err := t.probe(ctx, tx); err != nil {
		if classify(err) == ofData {
			err = &schemaError{err: fmt.Errorf("the table refuses every row, even a known good one: %w", err), advice: "no entry is dead-lettered; check `holdfast migrate status`, and look for constraints or triggers that are not part of the Holdfast schema"}
		}
		return nil, nil, err
	}
	return done, bad, nil
}

// maxHalved is how many refused rows are looked for by halving. Halves find a few among many; where many are bad, one row after the other takes fewer statements.
const maxHalved = 16

// separate inserts groups of rows, and divides each that is refused, until the rows that are bad stand alone.
func (t *table) separate(ctx context.Context, tx *transaction, rows []record) (inserted, []refusal, error) {
	all, bad := inserted{}, []refusal(nil)
	for groups := [][]record{rows}; len(groups) > 0; {
		group := groups[0]
		groups = groups[1:]
		insert, done := t.insertOf(group)
		err := tx.try(ctx, insert)
		switch {
		case err == nil:
			for id, n := range done {
				all[id] += n
			}
		case classify(err) != ofData:
			return nil, nil, err
		case len(group) == 1:
			bad = append(bad, refusal{record: group[0], err: err})
		default:
			size := (len(group) + 1) / 2
			if len(bad) >= maxHalved {
				size = 1
			}
			groups = append(slices.Collect(slices.Chunk(group, size)), groups...)
		}
	}
	return all, bad, nil
}

var errRollback = errors.New("rolled back on purpose")

// probe inserts the canary, and takes it back.
func (t *table) probe(ctx context.Context, tx *transaction) error {
	insert, _ := t.insertOf([]record{{values: t.canary()}})
	return tx.tryOut(ctx, insert)
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
