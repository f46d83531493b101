package dsn

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
)

// forms are places of a password, raw; %s is the password. Each means the hosts of intended.
var forms = []string{
	"postgres://me:%s@db.invalid:5432/audit?sslmode=disable",
	"postgresql://me:%s@db.invalid",
	"postgres://:%s@db.invalid/audit",
	"postgres://me:%s@db.invalid,spare.invalid:5433/audit?sslmode=disable",
	"postgres://me:12%s@db.invalid/audit?sslmode=disable",
	"postgres://me:12/%s@db.invalid/audit?sslmode=disable",
	"postgres://me:12?%s@db.invalid/audit?sslmode=disable",
	"postgres://me:12#%s@db.invalid/audit?sslmode=disable",
	"postgres://me:pw@%s@db.invalid/audit?sslmode=disable",
	"postgres://%s@db.invalid@db.invalid/audit?sslmode=disable",
	"postgres://me:%s@db.invalid:x/audit",
	"postgres://me:%s@db.invalid/audit?sslmode=nonsense",
	"postgres://me:%s@db.invalid/audit?sslrootcert=/no/such/file",
	"postgres://me:%s@/audit",
	"postgres://me@db.invalid/audit?password=%s&sslmode=disable",
	"postgres://me@db.invalid/audit?sslmode=disable&password=%s",
	"postgres://me@db.invalid?password=%s",
	"postgres://db.invalid/audit?user=me&password=%s&target_session_attrs=nonsense",
	"host=db.invalid user=me password=%s dbname=audit sslmode=disable",
	"host=db.invalid user=me dbname=audit sslmode=disable password=%s",
	"password='%s' host=db.invalid user=me dbname=audit sslmode=disable",
	"host=db.invalid port=x password=%s",
	"host='postgres://me:%s@db.invalid/audit'",
	"me:%s@db.invalid/audit",
	"//me:%s@db.invalid/audit",
	"postgres:me:%s@db.invalid/audit",
	"Postgres://me:%s@db.invalid/audit",
	"mysql://me:%s@db.invalid/audit",
	"%s",
	"PGHOST=postgres://me:%s@db.invalid/audit",
	"PGDATABASE=postgres://me:%s@db.invalid/audit",
	"PGSERVICE=postgres://me:%s@db.invalid/audit",
	"PGPASSWORD=%s",
}

var intended = []string{"db.invalid", "spare.invalid"}

// Whatever a password is and wherever it stands: no error has a part of it, and nothing is asked for or dialled but the hosts that were meant.
func TestNoPasswordIsSaidOrSent(t *testing.T) {
	unset(t)
	server := secrets.Refusing(t, false)
	for _, form := range forms {
		t.Run(form, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { keepsQuiet(t, form, server) }) })
	}
}

// A server, or a pooler before it, may repeat what it was sent.
func TestNoPasswordIsSaidByTheServer(t *testing.T) {
	unset(t)
	server := secrets.Refusing(t, true)
	for _, form := range []string{forms[0], "host=db.invalid user=me password=%s sslmode=disable", "PGPASSWORD=%s"} {
		t.Run(form, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { keepsQuiet(t, form, server) }) })
	}
}

func keepsQuiet(t *rapid.T, form string, server net.Addr) {
	password := secrets.Password().Draw(t, "password")
	text := strings.ReplaceAll(form, "%s", password)
	if name, value, ok := strings.Cut(text, "="); ok && strings.HasPrefix(form, "PG") {
		if err := os.Setenv(name, value); err != nil {
			t.Fatal(err)
		}
		defer os.Unsetenv(name)
		text = "postgres://me@db.invalid/audit?sslmode=disable"
		if name == "PGHOST" || name == "PGDATABASE" {
			text = "user=me sslmode=disable"
		}
	}
	said, asked := try(t.Context(), text, server)
	if part := secrets.Leak(said, strings.TrimSpace(password), form, public); part != "" {
		t.Fatalf("%q is said of the password %q: %s", part, password, said)
	}
	for _, host := range asked {
		if !slices.Contains(intended, host) {
			t.Fatalf("%q was asked for, with the password %q in %s", host, password, form)
		}
	}
}

// public is what Parse says of URLs of every kind, whatever their passwords are.
var public = func() string {
	home, _ := os.UserHomeDir() // where the driver looks for its files
	all := "(failed to read service file: " + home + "/.pg_service.conf)\n"
	for _, url := range []string{
		"", "x\ny", "x://", "x", "postgres://u:a@b@h", "postgres://h/#", "postgres://u: @h", "postgres://u:%@h", "postgres://u:%00@h", "postgres://h:x", "postgres://u@/d",
		"postgres://[::1", "postgres://h?x", "postgres://h?password=a&b=c", "postgres://h?sslmode=x", "host=a:b", "user=a://b", "dbname=a://b",
	} {
		_, err := Parse(url)
		all += err.Error() + "\n"
	}
	return all
}()

// try connects, and returns all that is said of it, and the hosts that were asked for.
func try(ctx context.Context, text string, server net.Addr) (said string, asked []string) {
	config, err := Parse(text)
	if err != nil {
		return err.Error(), nil
	}
	config.ConnConfig.LookupFunc = func(_ context.Context, host string) ([]string, error) {
		asked = append(asked, host)
		return []string{server.String()}, nil
	}
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != server.Network() || address != server.String() {
			asked = append(asked, network+" "+address)
		}
		return (&net.Dialer{}).DialContext(ctx, server.Network(), server.String())
	}
	connection, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err == nil {
		_ = connection.Close(ctx)
		return "", asked
	}
	err = Explain(err)
	for ; err != nil; err = errors.Unwrap(err) { // whoever takes it apart
		said += err.Error() + "\n"
	}
	return said, asked
}

// unset forgets the PG* variables of whoever runs the tests.
func unset(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("PGPASSFILE", filepath.Join(t.TempDir(), "none"))
}

// Escaped, each password is what it is, and the host too.
func TestEveryPasswordCanBeWritten(t *testing.T) {
	unset(t)
	rapid.Check(t, func(t *rapid.T) {
		password := secrets.Password().Draw(t, "password")
		userinfo := (&url.URL{Scheme: "postgres", User: url.UserPassword("me", password), Host: "db.invalid", Path: "/audit"}).String()
		query := "postgres://me@db.invalid/audit?password=" + strings.ReplaceAll(url.QueryEscape(password), "+", "%20") + "&application_name=x"
		texts := []string{userinfo, query, strings.Replace(userinfo, "db.invalid", "db.invalid:1,spare.invalid:2", 1)}
		if !strings.ContainsFunc(password, unicode.IsControl) {
			texts = append(texts, "host=db.invalid user=me dbname=audit password='"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password)+"'")
		}
		for _, text := range texts {
			config, err := Parse(" " + text + "\n")
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if c := config.ConnConfig; c.Password != password || c.Host != "db.invalid" || c.User != "me" || c.Database != "audit" {
				t.Fatalf("%s: became the password %q of %s at %s, for %s", text, c.Password, c.User, c.Host, c.Database)
			}
		}
	})
}
