package dsn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

// Explain adds to an error of connecting or logging in what to do about it, and takes the password out of it. Other errors come back as they are.
func Explain(err error) error {
	err = clean(err)
	if advice := Advice(err); advice != "" {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}

const readOnly = "the server is a standby, or default_transaction_read_only is on; list all hosts in the database URL with target_session_attrs=read-write, or use an address of the primary"

// Advice is what to do about an error of connecting or logging in; "" of another one.
func Advice(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "28P01", "28000":
			return "check user and password in the database URL, and pg_hba.conf on the server"
		case "3D000":
			return "check the database name in the database URL, or create the database and run `holdfast migrate up`"
		case "53300":
			return "the server is out of connections; raise max_connections or lower --database-pool-size"
		case "42P05", "26000":
			return "a connection pooler breaks prepared statements; add default_query_exec_mode=cache_describe to the database URL, or let the pooler track them (PgBouncer 1.21: max_prepared_statements)"
		case "25006":
			return readOnly
		case "57P01", "57P02", "57P03":
			return "the server is starting, stopping or failing over"
		}
		return ""
	}
	if err != nil && strings.Contains(err.Error(), "read only connection") { // the driver's, of target_session_attrs; pgx 5.7 has no variable for it
		return readOnly
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "check the host in the database URL"
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return "check host and port in the database URL, and that PostgreSQL is running there"
	}
	return ""
}

// Connector makes connections whose errors are without the password, as those of Explain, for database/sql.
func Connector(c driver.Connector) driver.Connector { return connector{c} }

type connector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	connection, err := c.Connector.Connect(ctx)
	return connection, clean(err)
}

// connectError is one of the driver's without the configuration that it holds.
type connectError struct {
	text  string
	cause error
}

func (e *connectError) Error() string { return e.text }
func (e *connectError) Unwrap() error { return e.cause }

// clean takes the configuration out of an error of connecting, and what a server said if it repeats a part of the password: one that asks for the password in clear has it,
// and a pooler may quote it.
func clean(err error) error {
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		return err
	}
	c := failed.Config
	public := []string{c.User, c.Database, c.Host, serverWords}
	for _, f := range c.Fallbacks {
		public = append(public, f.Host)
	}
	for _, refused := range refusals(failed.Unwrap()) {
		for _, said := range []string{refused.Severity, refused.Message, refused.Detail, refused.Hint, refused.Where} {
			if credential.Repeats(said, c.Password, public...) {
				unsaid := &pgconn.PgError{Severity: "FATAL", Code: refused.Code, Message: "message omitted because it contains part of the password; see the log of the server"}
				return &connectError{text: fmt.Sprintf("failed to connect to `user=%s database=%s`: %s", c.User, c.Database, unsaid), cause: unsaid}
			}
		}
	}
	return &connectError{text: err.Error(), cause: failed.Unwrap()}
}

// refusals are all that servers said: several hosts may have been tried.
func refusals(err error) []*pgconn.PgError {
	switch e := err.(type) { //nolint:errorlint // the tree is walked here
	case *pgconn.PgError:
		return []*pgconn.PgError{e}
	case interface{ Unwrap() []error }:
		var all []*pgconn.PgError
		for _, each := range e.Unwrap() {
			all = append(all, refusals(each)...)
		}
		return all
	case interface{ Unwrap() error }:
		return refusals(e.Unwrap())
	}
	return nil
}

// serverWords are what PostgreSQL says of logins that it refuses. A password with three of these letters is no reason to leave them out.
const serverWords = `FATAL ERROR PANIC password authentication failed for user SCRAM MD5 LDAP PAM GSSAPI peer certificate ident no pg_hba.conf entry for host
	connection matches line of configuration file rejects replication no encryption SSL encryption SSL on SSL off database role does not exist is not permitted to log in
	permission denied for User does not have CONNECT privilege sorry, too many clients already remaining connection slots are reserved for roles with the attribute
	SUPERUSER privileges of the the database system is starting up is shutting down is in recovery mode is not accepting connections not yet Consistent recovery state
	has not been yet reached Hot standby mode is disabled terminating connection due to administrator command unrecognized configuration parameter invalid value for
	parameter unsupported frontend protocol canceling statement timeout cannot connect to invalid dropping`
