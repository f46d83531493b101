package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// transaction is one that may write, on the driver's connection below bun. It takes two round trips where others take four: BEGIN, the settings and the first statements
// travel together, COMMIT follows. All of them are in one pipeline, so a pooler in transaction mode keeps them on one session of the server, and the settings are local to it.
type transaction struct {
	conn    *pgx.Conn
	timeout string // statement_timeout, in milliseconds
	// at is how far it came. It is open from working on.
	at     stage
	server string
}

// statement is one of a transaction. read takes its rows; nil if it has none that matter.
type statement struct {
	sql       string
	arguments []any
	read      func(pgx.Rows) error
	// doing begins its error, where several travel together; may be empty.
	doing string
}

func (s statement) named(doing string) statement {
	s.doing = doing
	return s
}

// run is the whole transaction: fn, then COMMIT. If either fails, nothing stays.
func (t *transaction) run(ctx context.Context, fn func(context.Context, *transaction) error) error {
	err := fn(ctx, t)
	if err == nil {
		err = t.commit(ctx)
	}
	if err != nil {
		delete(t.conn.PgConn().CustomData(), describedThere) // the driver forgets descriptions after some errors
		t.rollBack(ctx)
		return err
	}
	return replicated(t.conn)
}

func (t *transaction) commit(ctx context.Context) error {
	if t.at < working { // fn had nothing to send, and whoever asked still wants to know whether the server takes writes
		if err := t.send(ctx); err != nil {
			return err
		}
	}
	tag, err := t.conn.Exec(ctx, "COMMIT")
	if err == nil && tag.String() == "ROLLBACK" { // the answer to COMMIT of a transaction that had failed
		return pgx.ErrTxCommitRollback
	}
	return err
}

// rollBackPatience bounds the wait for the answer to ROLLBACK. It does not end with the caller's context, since the session is good for others if it succeeds.
const rollBackPatience = 5 * time.Second

func (t *transaction) rollBack(ctx context.Context) {
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollBackPatience)
	defer cancel()
	_, _ = t.conn.Exec(ctx, "ROLLBACK") // if it fails, the pool ends the session
}

// send runs statements in one round trip, and opens the transaction with the first of them. When one fails, the server passes over those after it.
//
// What a session has not run yet it has to describe first, before the batch is sent. That waits for locks of the table, and must not do so before the settings bound it: so the
// transaction is opened by itself then.
func (t *transaction) send(ctx context.Context, all ...statement) error {
	if t.at == working && len(all) == 1 {
		return t.sendOne(ctx, all[0])
	}
	if t.at < working && !t.described(all) {
		if err := t.sendBatch(ctx, nil); err != nil {
			return err
		}
	}
	if err := t.sendBatch(ctx, all); err != nil {
		return err
	}
	t.describe(all)
	return nil
}

// describedThere is where a session keeps which statements it has described.
const describedThere = "holdfast: described"

func (t *transaction) described(all []statement) bool {
	known, _ := t.conn.PgConn().CustomData()[describedThere].(map[string]bool)
	return !slices.ContainsFunc(all, func(s statement) bool { return !known[s.sql] })
}

func (t *transaction) describe(all []statement) {
	known, ok := t.conn.PgConn().CustomData()[describedThere].(map[string]bool)
	if !ok {
		known = map[string]bool{}
		t.conn.PgConn().CustomData()[describedThere] = known
	}
	for _, s := range all {
		known[s.sql] = true
	}
}

// sendBatch opens the transaction unless it is, and runs statements, in one pipeline.
func (t *transaction) sendBatch(ctx context.Context, all []statement) (err error) {
	batch := &pgx.Batch{}
	if t.at < working {
		batch.Queue("BEGIN")
		batch.Queue(settings, t.timeout)
	}
	for _, s := range all {
		batch.Queue(s.sql, s.arguments...)
	}
	answers := t.conn.SendBatch(ctx, batch)
	defer func() {
		if closed := answers.Close(); err == nil {
			err = closed
		}
		_ = answers.Close() // before pgx 5.8 the first one leaves the connection busy where rows ended with an error; elsewhere the second does nothing
	}()
	if t.at < working {
		if err := t.opened(answers); err != nil {
			return fmt.Errorf("begin the transaction: %w", err)
		}
	}
	for _, s := range all {
		rows, err := answers.Query()
		if err := s.take(rows, err); err != nil && s.doing != "" {
			return fmt.Errorf("%s: %w", s.doing, err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) sendOne(ctx context.Context, s statement) error {
	if s.read == nil {
		_, err := t.conn.Exec(ctx, s.sql, s.arguments...)
		return err
	}
	rows, err := t.conn.Query(ctx, s.sql, s.arguments...)
	return s.take(rows, err)
}

// opened takes the answers to BEGIN and the settings. A server that is read-only says so there, before it refuses the statements that came with them.
func (t *transaction) opened(answers pgx.BatchResults) error {
	if _, err := answers.Exec(); err != nil {
		return err
	}
	var timeout, commit *string
	var readOnly bool
	if err := answers.QueryRow().Scan(&timeout, &commit, &t.server, &readOnly); err != nil {
		return err
	}
	if err := takesWrites(readOnly); err != nil {
		return err
	}
	t.at = working
	return nil
}

func (s statement) take(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	if s.read != nil {
		if err := s.read(rows); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// try runs statements in a savepoint, in one round trip. If one fails, what they did is undone, in a second, and the transaction goes on.
func (t *transaction) try(ctx context.Context, all ...statement) error {
	around := append([]statement{{sql: "SAVEPOINT holdfast"}}, all...)
	if err := t.send(ctx, append(around, statement{sql: "RELEASE SAVEPOINT holdfast"})...); err != nil {
		return errors.Join(err, t.undo(ctx))
	}
	return nil
}

// tryOut is try, and undoes what it did in any case.
func (t *transaction) tryOut(ctx context.Context, all ...statement) error {
	err := t.send(ctx, append([]statement{{sql: "SAVEPOINT holdfast"}}, all...)...)
	return errors.Join(err, t.undo(ctx))
}

// undo goes back to the savepoint. It is one simple query: a transaction that has failed takes no statement that was not described before.
func (t *transaction) undo(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT holdfast; RELEASE SAVEPOINT holdfast", pgx.QueryExecModeSimpleProtocol)
	return err
}
