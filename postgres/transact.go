package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// where is the server, and whether it is read-only. It is named by the system identifier and the moment at which the server's process started. That moment is another one after each restart, on each standby and after
// each restore in place, so no two servers that can take writes one after the other have the same. The timeline would add nothing, since a primary's does not change while its
// process lives, and what pg_control_checkpoint says of it lags behind a promotion.
const where = `(SELECT system_identifier FROM pg_control_system()) || '/' || extract(epoch FROM pg_postmaster_start_time()), current_setting('transaction_read_only')::boolean`

// settings of the transaction, and where it is. A cluster that is set to wait for its standbys to apply (remote_apply) keeps that: it is more than on.
const settings = `SELECT set_config('statement_timeout', $1, true),
	CASE WHEN current_setting('synchronous_commit') <> 'remote_apply' THEN set_config('synchronous_commit', 'on', true) END, ` + where

// transact runs one transaction that may write, and names the server that it was on. An error of the session's rather than of the statement's closes the pool's other
// sessions too: they lead to the same server, which may be the wrong one by now, though its sockets live.
func (s *Store) transact(ctx context.Context, fn func(context.Context, *transaction) error) (server string, err error) {
	server, stage, err := s.transactOnce(ctx, fn)
	if !ofSession(err) {
		return server, err
	}
	s.pool.Reset()
	if stage == begun && ctx.Err() == nil { // nothing was done, and the next session is a new one
		server, _, err = s.transactOnce(ctx, fn)
	}
	return server, err
}

// stage is how far a transaction came.
type stage int

const (
	connecting stage = iota
	// begun: on a session of the pool, which may have ended while it was idle.
	begun
	// working: what it does may be done.
	working
)

func (s *Store) transactOnce(ctx context.Context, fn func(context.Context, *transaction) error) (server string, at stage, err error) {
	session, err := s.db.Conn(ctx)
	if err != nil {
		return "", connecting, err
	}
	defer session.Close() // a session that is still in a transaction is ended by the pool
	t := &transaction{timeout: fmt.Sprint(s.options.StatementTimeout.Milliseconds()), at: begun}
	err = session.Raw(func(driver any) error {
		t.conn = driver.(*stdlib.Conn).Conn()
		return t.run(ctx, fn)
	})
	if err != nil {
		return "", t.at, err
	}
	return t.server, t.at, nil
}

func takesWrites(readOnly bool) error {
	if readOnly {
		return &pgconn.PgError{Severity: "ERROR", Code: readOnlyState, Message: "the server is read-only"}
	}
	return nil
}

// ask names the server, without a transaction. Its error is that of a server that takes no writes, too.
func (s *Store) ask(ctx context.Context) (server string, err error) {
	for range 2 { // the second time on a new session
		var readOnly bool
		if err = s.db.QueryRowContext(ctx, "SELECT "+where).Scan(&server, &readOnly); err == nil {
			err = takesWrites(readOnly)
		}
		if !ofSession(err) || ctx.Err() != nil {
			break
		}
		s.pool.Reset()
	}
	return server, err
}

// ownRecord writes to the log (WAL) in a transaction whose outcome rests on what others wrote. COMMIT waits for standbys only up to the transaction's own records: without
// one it is answered at once, though what it saw may be on this server alone, since a COMMIT whose wait is given up is visible all the same.
func ownRecord(ctx context.Context, tx *transaction) error {
	if err := tx.send(ctx, statement{sql: "SELECT pg_logical_emit_message(true, 'holdfast', ''::text)"}); err != nil {
		return fmt.Errorf("write to the WAL: %w", err)
	}
	return nil
}

// confirm waits until all that is visible now is as durable as a COMMIT of ours.
func (s *Store) confirm(ctx context.Context) error {
	_, err := s.transact(ctx, ownRecord)
	return err
}

// Writable returns nil if the database accepts writes, and otherwise why not. It writes nothing.
func (s *Store) Writable(ctx context.Context) error {
	if _, err := s.ask(ctx); err != nil {
		return fmt.Errorf("reach the store: %w", explain(err))
	}
	return nil
}

const (
	readOnlyState = "25006"
	// givenUp is where a session keeps that the wait of a COMMIT was given up.
	givenUp = "holdfast: wait given up"
)

// noteGivenUp looks for the warning of a COMMIT whose wait for a standby somebody cancelled, as pg_cancel_backend does. The COMMIT succeeds all the same. The text is in the
// server's language; the name of the C function is not.
func noteGivenUp(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		c.CustomData()[givenUp] = n.Message
	}
}

// replicated is nil unless the wait of the last COMMIT was given up.
func replicated(c *pgx.Conn) error {
	said := c.PgConn().CustomData()
	message, found := said[givenUp]
	if !found {
		return nil
	}
	delete(said, givenUp)
	return fmt.Errorf("the server committed without waiting for its synchronous standby: %v", message)
}

// ofSession reports whether an error says that the session is what is wrong: the next one, on a new connection, may be better off.
func ofSession(err error) bool {
	if code := sqlState(err); code != "" {
		switch {
		case code == readOnlyState,
			strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"), // the connection; a server that stops, starts, or has dropped the database
			code == "26000", code == "42P05", code == "0A000", // prepared statements that are gone, somebody else's, or older than the tables
			strings.HasPrefix(code, "XX"):
			return true
		}
		return false
	}
	if pgconn.SafeToRetry(err) && !errors.Is(err, context.Canceled) { // the session had ended before anything was sent
		return true
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}
