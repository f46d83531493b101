package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"k8s.io/client-go/util/workqueue"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// restarts bounds how often one Persist starts over at once.
const restarts = 5

// batch is one Persist: what each item is going to be, and what became of it so far.
type batch struct {
	items    []relay.Item
	outcomes []relay.Outcome
	rows     map[string][]record
	letters  []models.DeadLetter
	// server is where it was committed, see transact.
	server string
}

// record is an item that can be projected.
type record struct {
	item   int
	id     [16]byte
	hash   []byte
	values []any
}

// Persist makes the batch durable. See relay.Store, and the package for how it fails.
func (s *Store) Persist(ctx context.Context, items []relay.Item) ([]relay.Outcome, error) {
	if len(items) == 0 {
		return []relay.Outcome{}, nil
	}
	outcomes, _, err := s.PersistIn(ctx, items)
	return outcomes, err
}

// PersistIn is Persist, and also identifies the server by its system identifier and start time. See relay.Identified.
func (s *Store) PersistIn(ctx context.Context, items []relay.Item) ([]relay.Outcome, string, error) {
	if len(items) == 0 {
		server, err := s.ask(ctx)
		if err != nil {
			return nil, "", fmt.Errorf("check the store: %w", explain(err))
		}
		return []relay.Outcome{}, server, nil
	}
	b, err := s.persist(ctx, items, func(context.Context, *transaction, []relay.Outcome) error { return nil })
	if err != nil {
		return nil, "", err
	}
	return b.outcomes, b.server, nil
}

// Preview reports what Persist would do, and does nothing.
func (s *Store) Preview(ctx context.Context, items []relay.Item) ([]relay.Outcome, error) {
	b, err := s.persist(ctx, items, func(context.Context, *transaction, []relay.Outcome) error { return errRollback })
	if err != nil {
		return nil, err
	}
	return b.outcomes, nil
}

// persist is Persist with a last step in the same transaction. If that returns errRollback, nothing stays, and the outcomes are what would have been.
func (s *Store) persist(ctx context.Context, items []relay.Item, last func(context.Context, *transaction, []relay.Outcome) error) (*batch, error) {
	planned := s.plan(items) //nolint:contextcheck // no I/O: half a plan is none
	careful := false
	for attempt := 1; ; attempt++ {
		b := planned.copy()
		err := s.write(ctx, b, careful, last)
		if err == nil || errors.Is(err, errRollback) {
			return b, nil
		}
		switch kind := classify(err); {
		case kind == ofData && !careful:
			careful = true
		case kind == atOnce && attempt <= restarts && ctx.Err() == nil:
		default:
			return nil, fmt.Errorf("persist %d entries: %w", len(items), explain(err))
		}
	}
}

// plan projects the items, without the database.
func (s *Store) plan(items []relay.Item) *batch {
	all := make([]projection, len(items))
	// On all processors, since the database has nothing to do meanwhile. A few rows, as most flushes are, stay in one goroutine.
	workqueue.ParallelizeUntil(context.Background(), runtime.GOMAXPROCS(0), len(items), func(i int) { all[i] = s.project(i, &items[i]) }, workqueue.WithChunkSize(50))
	b := &batch{items: items, outcomes: make([]relay.Outcome, len(items)), rows: map[string][]record{}}
	for i, p := range all {
		switch {
		case items[i].Refused != "":
			b.dead(s, i, relay.DeadLettered, items[i].Refused, "")
		case items[i].Entry.SchemaVersion != entry.SchemaVersion:
			b.outcomes[i] = relay.Outcome{Result: relay.Unsupported}
		case p.err != nil:
			b.dead(s, i, relay.DeadLettered, p.err.Error(), sqlState(p.err))
		default:
			b.rows[p.table] = append(b.rows[p.table], p.row)
		}
	}
	return b
}

// projection is what an item becomes: a row of a table, unless err says why it cannot.
type projection struct {
	table string
	row   record
	err   error
}

// project runs in a goroutine of the pool, which nobody recovers. An entry that makes it panic is a dead letter: it would end each process that tries again.
func (s *Store) project(i int, item *relay.Item) (p projection) {
	defer func() {
		if cause := recover(); cause != nil {
			p = projection{err: fmt.Errorf("making its row panicked: %v", cause)}
			logf.Log.WithName("postgres").Error(p.err, "Entry cannot become a row", "uid", item.Source.UID, "sequence", item.Sequence, "stack", string(debug.Stack()))
		}
	}()
	row, err := RowOf(s.options.Cluster, &item.Entry, item.Text)
	if err != nil {
		return projection{err: err}
	}
	t := s.tables[row.Table()]
	p = projection{table: t.name, row: record{item: i, hash: row.Head().EntryHash}}
	p.row.values, p.err = t.values(row)
	if p.err == nil && !s.redrives {
		p.err = t.check(p.row.values)
	}
	if p.err != nil {
		p.err = fmt.Errorf("%s: %w", t.name, p.err)
		return p
	}
	p.row.id = p.row.values[0].([16]byte) // describe puts id first
	return p
}

// copy is for one attempt, which may fail half-way.
func (b *batch) copy() *batch {
	return &batch{items: b.items, outcomes: slices.Clone(b.outcomes), rows: b.rows, letters: slices.Clone(b.letters)}
}

func (b *batch) dead(s *Store, item int, result relay.Result, reason, sqlState string) {
	d := deadLetterOf(s.options.Cluster, &b.items[item], reason, sqlState)
	b.letters = append(b.letters, d)
	b.outcomes[item] = relay.Outcome{Result: result, Error: d.Error, SQLState: sqlState}
}

// write is one attempt: one transaction.
func (s *Store) write(ctx context.Context, b *batch, careful bool, last func(context.Context, *transaction, []relay.Outcome) error) error {
	server, err := s.transact(ctx, func(ctx context.Context, tx *transaction) error {
		put := s.putAll
		if careful {
			put = s.putCarefully
		}
		done, err := put(ctx, tx, b)
		if err != nil {
			return err
		}
		for _, d := range done {
			if err := s.conclude(ctx, tx, b, d); err != nil {
				return fmt.Errorf("%s: %w", d.table.name, err)
			}
		}
		if err := putDeadLetters(ctx, tx, b.letters); err != nil {
			return err
		}
		if err := s.askPrevious(ctx, tx, b); err != nil {
			return err
		}
		if b.restsOnOthers() {
			if err := ownRecord(ctx, tx); err != nil {
				return err
			}
		}
		return last(ctx, tx, b.outcomes)
	})
	b.server = server
	return err
}

// restsOnOthers reports whether some outcome follows from what another transaction wrote. It says yes too often, which costs a record of the log.
func (b *batch) restsOnOthers() bool {
	return slices.ContainsFunc(b.outcomes, func(o relay.Outcome) bool { return o.Result != relay.Stored })
}

// written is what became of the rows of one table.
type written struct {
	table *table
	rows  []record
	done  inserted
	bad   []refusal
}

// putAll inserts the rows of all tables in one round trip, which opens the transaction too.
func (s *Store) putAll(ctx context.Context, tx *transaction, b *batch) ([]written, error) {
	var all []written
	var inserts []statement
	for _, name := range models.Tables() {
		rows := b.rows[name]
		if len(rows) == 0 {
			continue
		}
		insert, done := s.tables[name].insertOf(rows)
		inserts = append(inserts, insert.named(fmt.Sprintf("%s: insert %d rows", name, len(rows))))
		all = append(all, written{table: s.tables[name], rows: rows, done: done})
	}
	if len(inserts) == 0 {
		return nil, nil
	}
	return all, tx.send(ctx, inserts...)
}

// putCarefully inserts table by table, and finds the rows that are refused.
func (s *Store) putCarefully(ctx context.Context, tx *transaction, b *batch) ([]written, error) {
	var all []written
	for _, name := range models.Tables() {
		if rows := b.rows[name]; len(rows) > 0 {
			done, bad, err := s.tables[name].bisect(ctx, tx, rows)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, written{table: s.tables[name], rows: rows, done: done, bad: bad})
		}
	}
	return all, nil
}

// conclude gives each row its outcome.
func (s *Store) conclude(ctx context.Context, tx *transaction, b *batch, w written) error {
	for _, r := range w.bad {
		b.dead(s, r.record.item, relay.DeadLettered, describeRefusal(w.table, r), sqlState(r.err))
	}
	left := slices.DeleteFunc(slices.Clone(w.rows), func(r record) bool {
		if slices.ContainsFunc(w.bad, func(x refusal) bool { return x.record.item == r.item }) {
			return true
		}
		if !w.done.take(r.id) {
			return false
		}
		b.outcomes[r.item] = relay.Outcome{Result: relay.Stored}
		return true
	})
	return s.resolve(ctx, tx, b, w.table, left)
}

// PlaceTaken is the beginning of the error of a dead letter whose id or sequence another entry has.
const PlaceTaken = "another entry"

// resolve finds what was in the way of rows that were not inserted: themselves, sent before, or other entries. An id that is not there means that the row's
// place, (source_uid, sequence), is taken under another id.
func (s *Store) resolve(ctx context.Context, tx *transaction, b *batch, t *table, left []record) error {
	if len(left) == 0 {
		return nil
	}
	there, err := hashes(ctx, tx, t.lookUp, left)
	if err != nil {
		return fmt.Errorf("look up existing entries: %w", err)
	}
	for _, r := range left {
		hash, ok := there[r.id]
		switch {
		case ok && bytes.Equal(hash, r.hash):
			b.outcomes[r.item] = relay.Outcome{Result: relay.Present}
		case ok:
			b.dead(s, r.item, relay.Conflicting, fmt.Sprintf(PlaceTaken+" has this id, with hash %x", hash), "")
		default:
			e := &b.items[r.item]
			b.dead(s, r.item, relay.Conflicting, fmt.Sprintf(PlaceTaken+", with another id, has sequence %d of %s", e.Sequence, e.Source.UID), "")
		}
	}
	return nil
}

func describeRefusal(t *table, r refusal) string {
	reason := r.err.Error()
	var refused *pgconn.PgError
	if errors.As(r.err, &refused) {
		reason = refused.Message
		for _, more := range []string{refused.Detail, refused.ColumnName} {
			if more != "" && !strings.Contains(reason, more) {
				reason += "; " + more
			}
		}
	}
	if sqlState(r.err) == "22001" {
		reason += ": " + t.tooLong(r.record.values)
	}
	return t.name + ": " + reason
}
