// Package dsn reads database URLs and explains why a database cannot be reached, for everything that connects to PostgreSQL.
//
// Two things hold for all of its errors: they never contain the password, not even of a URL that does not parse, and they say what to do next.
package dsn

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout = 5 * time.Second

	form = "expected postgres://user:password@host:5432/database?sslmode=require, special characters of the password percent-encoded"
)

// ErrInvalid says that a database URL cannot be used. Retrying cannot help.
var ErrInvalid = errors.New("invalid database URL")

// Parse reads a database URL, or libpq's "host=… dbname=…" form; what it leaves out comes from the PG* variables and ~/.pgpass, as with libpq. It does not
// connect. Sessions are in UTC, and a connection that is not there within 5 seconds has failed, unless the URL says otherwise. Errors wrap ErrInvalid.
func Parse(url string) (*pgxpool.Config, error) {
	if strings.TrimSpace(url) == "" {
		return nil, fmt.Errorf("%w: it is empty; give --database-url or HOLDFAST_DATABASE_URL, %s", ErrInvalid, form)
	}
	if scheme, _, ok := strings.Cut(url, "://"); ok && scheme != "postgres" && scheme != "postgresql" {
		return nil, fmt.Errorf("%w: its scheme is not postgres; %s", ErrInvalid, form)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %s; %s", ErrInvalid, reason(err), form)
	}
	connection := config.ConnConfig
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{"application_name": "holdfast", "timezone": "UTC", "standard_conforming_strings": "on"} {
		if _, given := connection.RuntimeParams[name]; !given {
			connection.RuntimeParams[name] = value
		}
	}
	return config, nil
}

var quoted = regexp.MustCompile("\"[^\"]*\"|`[^`]*`|'[^']*'")

// reason is what the parser found, without anything that it quotes: of "postgres://me:se/cret@host" it takes "se" for a port and quotes that.
func reason(err error) string {
	text := err.Error()
	if at := strings.LastIndex(text, "`: "); at >= 0 {
		text = text[at+3:]
	}
	text = quoted.ReplaceAllString(text, "…")
	if strings.ContainsAny(text, "\"`'@") { // quoting that was not closed
		return "it does not parse"
	}
	return text
}

// Explain adds to an error of connecting or logging in what to do about it. Other errors come back as they are.
func Explain(err error) error {
	if advice := advise(err); advice != "" {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}

func advise(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		switch refused.Code {
		case "28P01", "28000":
			return "check user and password in the database URL, and the server's pg_hba.conf"
		case "3D000":
			return "check the name in the database URL, or create the database and run `holdfast migrate up`"
		case "53300":
			return "the server has no connection left: raise max_connections or lower --database-pool-size"
		}
		return ""
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "check the host in the database URL"
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return "check host and port in the database URL, and that PostgreSQL runs there"
	}
	return ""
}
