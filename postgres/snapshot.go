package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/holdfast-dev/holdfast/internal/aside"
	"github.com/holdfast-dev/holdfast/relay"
)

//go:embed queries/*.sql
var queryFiles embed.FS

// query is the text of a file of queries/.
func query(name string) string {
	text, err := queryFiles.ReadFile("queries/" + name + ".sql")
	if err != nil {
		panic(err) // every name is a constant, and a test runs each
	}
	return string(text)
}

// Snapshot is the rows at one moment, as far as a reader may see them: one REPEATABLE READ transaction that only reads, with the rights of holdfast_reader. It is for one goroutine.
type Snapshot struct {
	store    *Store
	conn     *pgx.Conn
	readable Readable
	asked    int
}

// Asked counts the queries so far.
func (q *Snapshot) Asked() int { return q.asked }

// beginTimeout bounds the wait for a session and its first answer: a database that is away is noticed at once, and one that is slow has the statements' timeout.
const beginTimeout = 900 * time.Millisecond

// begin opens the transaction. It is one simple query, hence one round trip. Sessions of a pooler in transaction mode keep nothing of it. No plan reads a table
// from end to end: every question has its index, and statistics may be old, as after a restore.
const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;%s
SET LOCAL ROLE holdfast_reader;
SELECT set_config('statement_timeout', '%d', true), set_config('timezone', 'UTC', true), set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true), set_config('jit', 'off', true),
	set_config('enable_seqscan', 'off', true)`

// Snapshot runs fn on the rows as they are now. It works on a hot standby, too. An error of fn comes back as it is; others say what to do. When ctx ends, the query that runs is cancelled.
func (s *Store) Snapshot(ctx context.Context, readable Readable, fn func(context.Context, *Snapshot) error) error {
	var inner error
	for range 2 { // the second time on a new session
		opened, err := s.snapshotOnce(ctx, readable, func(ctx context.Context, snapshot *Snapshot) error {
			inner = fn(ctx, snapshot)
			return inner
		})
		var failed *readError
		switch {
		case err == nil:
			return nil
		case opened && inner != nil && !errors.As(inner, &failed):
			return inner
		case opened || !ofSession(err) || ctx.Err() != nil:
			return fmt.Errorf("read the audit trail: %w", explain(err))
		}
		s.pool.Reset()
	}
	return fmt.Errorf("read the audit trail: %w", explain(errors.New("the database ended each session at once")))
}

func (s *Store) snapshotOnce(ctx context.Context, readable Readable, fn func(context.Context, *Snapshot) error) (opened bool, err error) {
	return s.snapshotOf(ctx, "", readable, fn)
}

// snapshotOf is the snapshot that another session exported under a name; a new one without a name.
func (s *Store) snapshotOf(ctx context.Context, name string, readable Readable, fn func(context.Context, *Snapshot) error) (opened bool, err error) {
	soon, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	session, err := s.db.Conn(soon)
	if err != nil {
		return false, err
	}
	defer session.Close() // a session that is still in a transaction is ended by the pool
	imported := ""
	if name != "" {
		imported = " SET TRANSACTION SNAPSHOT '" + name + "';" // the server made the name, of digits and dashes
	}
	err = session.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		if _, err := conn.Exec(soon, fmt.Sprintf(begin, imported, s.options.StatementTimeout.Milliseconds()), pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		opened = true
		if err := fn(ctx, &Snapshot{store: s, conn: conn, readable: readable}); err != nil {
			(&transaction{conn: conn}).rollBack(ctx)
			return err
		}
		_, err := conn.Exec(ctx, "COMMIT", pgx.QueryExecModeSimpleProtocol)
		return err
	})
	return opened, err
}

// twice runs two functions on the rows of this moment at once, the second one in another session. If no session is free, or the other one leads to another server, they run one after the other.
func (q *Snapshot) twice(ctx context.Context, here, there func(context.Context, *Snapshot) error) error {
	var name string
	if pool := q.store.pool.Stat(); pool.AcquiredConns() < pool.MaxConns() {
		if err := q.conn.QueryRow(ctx, "SELECT pg_export_snapshot()", pgx.QueryExecModeSimpleProtocol).Scan(&name); err != nil {
			return &readError{err}
		}
	}
	if name == "" {
		if err := here(ctx, q); err != nil {
			return err
		}
		return there(ctx, q)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var opened bool
	var failed error
	asked := 0
	wait := aside.Go(func() {
		opened, failed = q.store.snapshotOf(ctx, name, q.readable, func(ctx context.Context, other *Snapshot) error {
			defer func() { asked = other.asked }()
			return there(ctx, other)
		})
	})
	err := here(ctx, q)
	if err != nil {
		cancel()
	}
	wait()
	q.asked += asked
	switch {
	case err != nil:
		return err
	case !opened:
		return there(ctx, q)
	}
	return failed
}

// ask runs a query, restricted to what the reader may see.
func (q *Snapshot) ask(ctx context.Context, text string, arguments ...any) (pgx.Rows, error) {
	text, arguments = q.readable.restrict(text, arguments)
	return q.run(ctx, text, arguments)
}

// run runs a query as it is. Its plan is made for its arguments, as the tests of the plans have it: the statement is not prepared by name.
func (q *Snapshot) run(ctx context.Context, text string, arguments []any) (pgx.Rows, error) {
	q.asked++
	rows, err := q.conn.Query(ctx, text, append([]any{pgx.QueryExecModeCacheDescribe}, arguments...)...)
	if err != nil {
		return nil, &readError{err}
	}
	return rows, nil
}

// each hands the rows to visit, whose error ends it.
func each(rows pgx.Rows, visit func(pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return &readError{err}
	}
	return nil
}

// collect reads rows into structs, as eachOf does.
func collect[T any](rows pgx.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	all := []T{}
	err = eachOf(rows, func(one *T) { all = append(all, *one) })
	return all, err
}

// eachOf reads rows into structs whose fields have the columns' names in the tag db, and hands each to visit. NULL leaves a field as it is.
func eachOf[T any](rows pgx.Rows, visit func(*T)) error {
	var places [][]int
	return each(rows, func(rows pgx.Rows) error {
		if places == nil {
			fields := map[string][]int{}
			for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
				fields[f.Tag.Get("db")] = f.Index
			}
			for _, c := range rows.FieldDescriptions() {
				place, ok := fields[c.Name]
				if !ok {
					return fmt.Errorf("a query has the column %s, for which %s has no field", c.Name, reflect.TypeFor[T]())
				}
				places = append(places, place)
			}
		}
		var one T
		values := make([]any, len(places))
		for i, place := range places { // a pointer to each field's type is nil for NULL; a pointer is one already
			if field := reflect.ValueOf(&one).Elem().FieldByIndex(place); field.Kind() == reflect.Pointer {
				values[i] = field.Addr().Interface()
			} else {
				values[i] = reflect.New(reflect.PointerTo(field.Type())).Interface()
			}
		}
		if err := rows.Scan(values...); err != nil {
			return &readError{err}
		}
		for i, place := range places {
			field, v := reflect.ValueOf(&one).Elem().FieldByIndex(place), reflect.ValueOf(values[i]).Elem()
			if field.Kind() != reflect.Pointer && !v.IsNil() {
				field.Set(v.Elem())
			}
		}
		visit(&one)
		return nil
	})
}

// parameter is the placeholder of the last argument.
func parameter(arguments []any) string { return "$" + strconv.Itoa(len(arguments)) }

// Readable reports whether the database can be read with the rights of a reader: nil, or why not.
func (s *Store) Readable(ctx context.Context) error {
	return s.Snapshot(ctx, Readable{}, func(context.Context, *Snapshot) error { return nil })
}

// TookTooLong reports whether an error is that of a statement which took longer than it may.
func TookTooLong(err error) bool { return sqlState(err) == "57014" }

// NeedsPerson reports whether somebody has to do something about the database before it can be read.
func NeedsPerson(err error) bool { return errors.Is(err, relay.ErrSchema) }
