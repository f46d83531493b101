package dsn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrEncoding says that a database does not keep texts as UTF-8. Retrying cannot help.
var ErrEncoding = errors.New("the database encoding is not UTF8")

// encoding is what both ends of each session speak. A login or a database can have another default (ALTER ROLE … SET client_encoding): texts would be stored as something else, and read
// back as something else again by a login with yet another.
const encoding = "UTF8"

// utf8Names are how clients write it.
var utf8Names = []string{"utf8", "utf-8", "unicode"}

// prepare sets what every session has, and what each new connection reads or checks again.
func prepare(config *pgxpool.Config, text string, given settings) error {
	connection := config.ConnConfig
	for name, value := range map[string]string{"application_name": "holdfast", "timezone": "UTC", "standard_conforming_strings": "on"} {
		if _, given := connection.RuntimeParams[name]; !given {
			connection.RuntimeParams[name] = value
		}
	}
	if is, set := connection.RuntimeParams["client_encoding"]; set && !isUTF8(is) {
		return invalid(fmt.Sprintf("client_encoding is %q, expected %s or nothing", is, encoding))
	}
	connection.RuntimeParams["client_encoding"] = encoding
	switch mode := connection.DefaultQueryExecMode; mode {
	case pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec:
		return invalid("default_query_exec_mode is not supported, expected cache_statement, cache_describe or describe_exec (behind a pooler in transaction mode: cache_describe)")
	}
	connection.AfterConnect = func(_ context.Context, c *pgconn.PgConn) error { return checkEncoding(c) }
	if !given.login {
		config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { return renewPassword(c, text) }
	}
	return nil
}

func isUTF8(name string) bool {
	for _, known := range utf8Names {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

func checkEncoding(c *pgconn.PgConn) error {
	if is := c.ParameterStatus("server_encoding"); is != "" && is != encoding {
		return fmt.Errorf("%w: it is %s; create a database with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 and use that", ErrEncoding, is)
	}
	return nil
}

// renewPassword reads the password anew that the URL leaves to the PG* variables, the service file and the passfile: it may have been changed since the last connection.
func renewPassword(c *pgx.ConnConfig, text string) error {
	again, err := pgx.ParseConfig(text)
	if err != nil {
		return fmt.Errorf("reload the password: %s", reason(err, nil))
	}
	c.Password = strings.Trim(again.Password, "\r\n")
	return nil
}

// Pooled reports whether something between the client and the server shares the server's connections: it gives out process ids of its own. c is the driver's connection.
func Pooled(ctx context.Context, c *pgx.Conn) (bool, error) {
	var pid uint32
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		return false, err
	}
	return pid != c.PgConn().PID(), nil
}
