package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
)

// PostOutcome is the result of one posted row.
type PostOutcome int

const (
	// PostUnknown is the zero value: nobody said what became of the row.
	PostUnknown PostOutcome = iota
	// Posted: the row is new.
	Posted
	// PostedBefore: a row with this id and the same entry was there.
	PostedBefore
)

// NotPostedError lists the rows that prevent the others from being stored. Nothing was stored, and a retry with the same rows fails too.
type NotPostedError struct {
	// Conflicts are rows whose id or (source_uid, sequence) another entry has. Refused are rows that the database refuses.
	Conflicts, Refused []Misfit
}

// Misfit is the index of a row, and what is wrong with it.
type Misfit struct {
	Index  int
	Reason string
}

func (e *NotPostedError) Error() string {
	var parts []string
	for _, m := range slices.Concat(e.Conflicts, e.Refused) {
		parts = append(parts, fmt.Sprintf("row %d: %s", m.Index, m.Reason))
	}
	return strings.Join(parts, "; ")
}

// Post stores rows of one table in one transaction, all or none. A row whose id exists with the same entry counts as stored. A nil error means that COMMIT was acknowledged.
//
// Errors: NotPostedError if some rows are bad; an error that wraps relay.ErrSchema if a person must fix the database. After any other error, which may be temporary, the
// rows may or may not be stored; post them again.
func (s *Store) Post(ctx context.Context, rows []models.Row) ([]PostOutcome, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	t, records, err := s.preparePost(rows)
	if err != nil {
		return nil, err
	}
	careful := false
	for attempt := 1; ; attempt++ {
		outcomes, err := s.post(ctx, t, rows, records, careful)
		var bad *NotPostedError
		switch {
		case err == nil:
			return outcomes, nil
		case errors.As(err, &bad):
			return nil, s.refuse(ctx, bad)
		}
		switch kind := classify(err); {
		case kind == ofData && !careful:
			careful = true
		case kind == atOnce && attempt <= restarts && ctx.Err() == nil:
		default:
			return nil, fmt.Errorf("post %d rows to %s: %w", len(rows), t.name, explain(err))
		}
	}
}

// refuse answers that rows are bad, which is final: whoever posted them gives them up. A row that is in the way must be as durable as that.
func (s *Store) refuse(ctx context.Context, bad *NotPostedError) error {
	if len(bad.Conflicts) > 0 {
		if err := s.confirm(ctx); err != nil {
			return fmt.Errorf("wait for concurrent inserts of the same rows: %w", explain(err))
		}
	}
	return bad
}

func (s *Store) preparePost(rows []models.Row) (*table, []record, error) {
	t := s.tables[rows[0].Table()]
	bad := &NotPostedError{}
	records := make([]record, len(rows))
	for i, row := range rows {
		if row.Table() != t.name {
			return nil, nil, fmt.Errorf("post %d rows: row %d is of %s, the first of %s", len(rows), i, row.Table(), t.name)
		}
		values, err := t.values(row)
		if err != nil {
			bad.Refused = append(bad.Refused, Misfit{Index: i, Reason: err.Error()})
			continue
		}
		records[i] = record{item: i, id: values[0].([16]byte), hash: row.Head().EntryHash, values: values} // describe puts id first
	}
	if len(bad.Refused) > 0 {
		return nil, nil, bad
	}
	// One order for all writers: two that post the same ids cannot deadlock. Of two rows with one id, the first is the one that is stored.
	slices.SortStableFunc(records, func(a, b record) int { return slices.Compare(a.id[:], b.id[:]) })
	return t, records, nil
}

// post is one attempt: one transaction.
func (s *Store) post(ctx context.Context, t *table, rows []models.Row, records []record, careful bool) ([]PostOutcome, error) {
	outcomes := make([]PostOutcome, len(rows))
	_, err := s.transact(ctx, func(ctx context.Context, tx *transaction) error {
		if careful {
			return s.refusals(ctx, tx, t, records)
		}
		done, err := t.put(ctx, tx, records)
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(slices.Clone(records), func(r record) bool {
			if !done.take(r.id) {
				return false
			}
			outcomes[r.item] = Posted
			return true
		})
		if len(left) == 0 {
			return nil
		}
		if err := t.samePosts(ctx, tx, rows, left, outcomes); err != nil {
			return err
		}
		return ownRecord(ctx, tx)
	})
	return outcomes, err
}

// refusals finds the rows that the database does not take. The transaction comes to nothing either way: if it takes all of them by now, the next attempt shows.
func (s *Store) refusals(ctx context.Context, tx *transaction, t *table, records []record) error {
	_, refused, err := t.bisect(ctx, tx, records)
	if err != nil {
		return err
	}
	bad := &NotPostedError{}
	for _, r := range refused {
		bad.Refused = append(bad.Refused, Misfit{Index: r.record.item, Reason: describeRefusal(t, r)})
	}
	if len(bad.Refused) == 0 {
		return errors.New("the database refused a batch, but none of its rows when tried one by one")
	}
	slices.SortFunc(bad.Refused, func(a, b Misfit) int { return a.Index - b.Index })
	return bad
}

// samePosts compares the rows that were not inserted with those that were in the way. The function compares with the owner's rights: the writer may not read entries.
func (t *table) samePosts(ctx context.Context, tx *transaction, rows []models.Row, left []record, outcomes []PostOutcome) error {
	ids, entries := make([]any, len(left)), make([]any, len(left))
	for i, r := range left {
		ids[i], entries[i] = r.id, rows[r.item].Head().Entry
	}
	same := map[int64]bool{}
	err := tx.send(ctx, statement{sql: "SELECT place, same FROM holdfast_same_entry($1, $2::uuid[], $3::text[])", arguments: []any{t.name, ids, entries}, read: func(answer pgx.Rows) error {
		var place int64
		var is bool
		_, err := pgx.ForEachRow(answer, []any{&place, &is}, func() error {
			same[place] = is
			return nil
		})
		return err
	}})
	if err != nil {
		return fmt.Errorf("look up existing rows: %w", err)
	}
	bad := &NotPostedError{}
	for i, r := range left {
		is, there := same[int64(i+1)]
		switch {
		case is:
			outcomes[r.item] = PostedBefore
		case there:
			bad.Conflicts = append(bad.Conflicts, Misfit{Index: r.item, Reason: "a different record has this id"})
		default:
			head := rows[r.item].Head()
			bad.Conflicts = append(bad.Conflicts, Misfit{Index: r.item, Reason: fmt.Sprintf("another entry, with another id, has sequence %d of %s", head.Sequence, head.SourceUID)})
		}
	}
	if len(bad.Conflicts) > 0 {
		slices.SortFunc(bad.Conflicts, func(a, b Misfit) int { return a.Index - b.Index })
		return bad
	}
	return nil
}
