// Package dsn reads database URLs and explains why a database cannot be reached, for everything that connects to PostgreSQL.
//
// # Invariants
//
//   - No error has a part of the password, not even of a URL that does not parse, and none holds the configuration, which has it.
//   - A URL that can be read in two ways is refused before a name is looked up: the part of the password behind an @ would be sent to DNS.
//   - Errors say what to do next.
package dsn

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

const (
	connectTimeout = 5 * time.Second

	from = "--database-url or HOLDFAST_DATABASE_URL"
	form = "expected postgres://user:password@host:5432/database?sslmode=require with special characters in the password percent-encoded"
)

// ErrInvalid says that a database URL cannot be used. Retrying cannot help.
var ErrInvalid = errors.New("invalid database URL")

// Parse reads a database URL, or libpq's "host=… dbname=…" form, without the blanks and newlines around it; what it leaves out comes from the PG* variables, the
// service file and ~/.pgpass, as with libpq, and is read again for each connection. It does not connect. Sessions are in UTC and speak UTF-8, a database of another encoding
// is refused when it is connected to (ErrEncoding), and a connection that is not there within 5 seconds has failed, unless the URL says otherwise. Where it names several
// hosts, sessions are with one that takes writes (target_session_attrs=read-write), unless it says otherwise. Errors wrap ErrInvalid.
func Parse(url string) (*pgxpool.Config, error) {
	text, err := credential.Trim(url)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if text == "" {
		return nil, fmt.Errorf("%w: it is empty; set %s, %s", ErrInvalid, from, form)
	}
	given, err := read(text)
	if err != nil {
		return nil, invalid(err.Error())
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, invalid(reason(err, given.passwords))
	}
	if err := check(config, given); err != nil {
		return nil, err
	}
	connection := config.ConnConfig
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = connectTimeout
	}
	if severalHosts(connection) && !slices.Contains(given.names, "target_session_attrs") && os.Getenv("PGTARGETSESSIONATTRS") == "" && connection.ValidateConnect == nil {
		connection.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if err := prepare(config, text, given); err != nil {
		return nil, err
	}
	return config, nil
}

// severalHosts reports whether there is more than one server to try. A fallback of the same one is without TLS.
func severalHosts(c *pgx.ConnConfig) bool {
	return slices.ContainsFunc(c.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.Host != c.Host || f.Port != c.Port })
}

func invalid(why string) error { return fmt.Errorf("%w (%s): %s; %s", ErrInvalid, from, why, form) }

var quoted = regexp.MustCompile("\"[^\"]*\"|`[^`]*`|'[^']*'")

// reason is what the driver's parser found, without anything that it quotes, and without any of the secrets.
func reason(err error, secrets []string) string {
	const unknown = "it cannot be parsed"
	text := err.Error()
	if at := strings.LastIndex(text, "`: "); at >= 0 {
		text = text[at+3:]
	}
	text = quoted.ReplaceAllString(text, "…")
	// Quoting that was not closed, a URL in a place of something else, the text of a key in the place of its file.
	if strings.ContainsAny(text, "\"`'@") || strings.Contains(text, "://") || strings.ContainsFunc(text, unicode.IsControl) {
		return unknown
	}
	for _, s := range secrets {
		if credential.Repeats(text, s) {
			return unknown
		}
	}
	return text
}

// check looks at what the URL, the PG* variables and files came to: a URL may be in the place of a name there too. It takes the newline off a password that
// was made with echo.
func check(config *pgxpool.Config, given settings) error {
	c := config.ConnConfig
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		if !validHost(host) {
			return fmt.Errorf("%w: the host in %s, PGHOST or the service file is not valid, expected a name such as db.example.com, an IP address or a socket directory", ErrInvalid, from)
		}
	}
	for _, named := range [][2]string{{"user", c.User}, {"database", c.Database}} {
		if what, name := named[0], named[1]; strings.Contains(name, "://") || strings.Contains(name, "password=") || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("%w: the %s in %s, PG%s or the service file is not valid, expected only a name, without URL or settings", ErrInvalid, what, from, strings.ToUpper(what))
		}
	}
	if given.login {
		return nil
	}
	c.Password = strings.Trim(c.Password, "\r\n")
	if strings.ContainsFunc(c.Password, unicode.IsControl) {
		where := "the service file or the password file"
		if os.Getenv("PGPASSWORD") != "" {
			where = "PGPASSWORD"
		}
		return fmt.Errorf("%w: the password in %s contains a newline or another control character, expected one line", ErrInvalid, where)
	}
	return nil
}

func validHost(host string) bool {
	if strings.HasPrefix(host, "/") {
		return !strings.ContainsFunc(host, unicode.IsControl)
	}
	return credential.ValidHost(host)
}
