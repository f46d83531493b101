package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-dev/holdfast/internal/dsn"
	"github.com/holdfast-dev/holdfast/relay"
)

// failure is what an error says about trying again.
type failure int

const (
	// transient: the same may work later.
	transient failure = iota
	// ofData: one row is to blame.
	ofData
	// atOnce: another transaction was in the way; start over now.
	atOnce
	// ofSchema: nothing works until a person has fixed the database.
	ofSchema
)

// classify goes by SQLSTATE (https://www.postgresql.org/docs/15/errcodes-appendix.html). What has none, or is not listed, is transient: a wrong guess there
// costs a retry, elsewhere an entry.
func classify(err error) failure {
	if errors.Is(err, dsn.ErrEncoding) {
		return ofSchema
	}
	code := sqlState(err)
	if len(code) != 5 {
		return transient
	}
	switch class := code[:2]; {
	case ofSession(err):
		return transient
	case class == "22", class == "23", class == "54", code == "42601": // 54: a limit of the server's, such as how deep JSON may nest
		return ofData
	case class == "40":
		return atOnce
	case class == "42", class == "3F", class == "3D", class == "28":
		return ofSchema
	}
	return transient
}

func sqlState(err error) string {
	if bad := (*valueError)(nil); errors.As(err, &bad) {
		return bad.sqlState
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// schemaError is an error that needs a person. It is relay.ErrSchema without repeating its text.
type schemaError struct {
	err    error
	advice string
}

func (e *schemaError) Error() string        { return e.err.Error() + "; " + e.advice }
func (e *schemaError) Unwrap() error        { return e.err }
func (e *schemaError) Is(target error) bool { return target == relay.ErrSchema }

// explain adds to an error what to do about it.
func explain(err error) error {
	if err == nil || classify(err) != ofSchema {
		return dsn.Explain(err)
	}
	if advice := dsn.Advice(err); advice != "" {
		return &schemaError{err: err, advice: advice}
	}
	if errors.Is(err, dsn.ErrEncoding) {
		return &schemaError{err: err, advice: "entries stay in their resources"}
	}
	if sqlState(err) == "42501" {
		return &schemaError{err: err, advice: "the database login lacks a right; make it a member of holdfast_writer to write, or holdfast_reader to read (GRANT holdfast_writer TO …)"}
	}
	return &schemaError{err: err, advice: "the tables do not match this release; check `holdfast migrate status`, and run `holdfast migrate up`"}
}
