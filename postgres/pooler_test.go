package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/dsn"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// loginTo makes a member of the writer's role with its own defaults, and returns the database's URL for it.
func loginTo(t *testing.T, database, name, password string, settings ...string) *url.URL {
	t.Helper()
	g := NewWithT(t)
	admin, err := pgx.Connect(t.Context(), database)
	g.Expect(err).NotTo(HaveOccurred())
	defer admin.Close(context.WithoutCancel(t.Context()))
	for _, statement := range append([]string{
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password), "GRANT holdfast_writer, holdfast_reader TO " + name,
	}, settings...) {
		_, err := admin.Exec(t.Context(), statement)
		g.Expect(err).NotTo(HaveOccurred(), statement)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if again, err := pgx.Connect(ctx, database); err == nil {
			_, _ = again.Exec(ctx, "DROP ROLE "+name)
			_ = again.Close(ctx)
		}
	})
	u, err := url.Parse(database)
	g.Expect(err).NotTo(HaveOccurred())
	u.User = url.UserPassword(name, password)
	return u
}

// A login with another default would store something else than was hashed, and read something else than was stored.
func TestALoginOfAnotherEncodingWritesAndReadsTheSameTexts(t *testing.T) {
	g := NewWithT(t)
	database := database(t)
	latin := loginTo(t, database, "latin", "sesame", "ALTER ROLE latin SET client_encoding = 'LATIN1'")
	s := open(t, latin.String())
	item := told(t, "déjà vu — 日本 🚀")
	g.Expect(persist(t, s, []relay.Item{item})).To(HaveExactElements(HaveField("Result", relay.Stored)))
	for _, reader := range []*Store{s, open(t, database)} {
		var entry string
		var hash []byte
		g.Expect(reader.DB().QueryRowContext(t.Context(), "SELECT entry, entry_hash FROM notification_audit").Scan(&entry, &hash)).To(Succeed())
		sum := sha256.Sum256([]byte(entry))
		g.Expect(hash).To(Equal(sum[:]))
		g.Expect(entry).To(Equal(string(item.Text)))
	}
}

func TestADatabaseOfAnotherEncodingIsRefused(t *testing.T) {
	for _, encoding := range []string{"LATIN1", "EUC_JP", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) {
			g := NewWithT(t)
			admin, err := pgx.Connect(t.Context(), server.URL())
			g.Expect(err).NotTo(HaveOccurred())
			defer admin.Close(context.WithoutCancel(t.Context()))
			name := fmt.Sprintf("other_%d", databases.Add(1))
			_, err = admin.Exec(t.Context(), fmt.Sprintf("CREATE DATABASE %s ENCODING '%s' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", name, encoding))
			g.Expect(err).NotTo(HaveOccurred())
			u, err := url.Parse(server.URL())
			g.Expect(err).NotTo(HaveOccurred())
			u.Path = "/" + name

			is := And(MatchError(dsn.ErrEncoding), MatchError(ContainSubstring("it is "+encoding)), MatchError(ContainSubstring("ENCODING 'UTF8'")))
			g.Expect(migrations.Up(t.Context(), u.String(), nil)).To(is)
			_, err = open(t, u.String()).Persist(t.Context(), []relay.Item{told(t, "x")})
			g.Expect(err).To(And(is, MatchError(relay.ErrSchema)))
		})
	}
}

func TestAPasswordThatIsChangedInItsFile(t *testing.T) {
	g := NewWithT(t)
	database := database(t)
	u := loginTo(t, database, "rotated", "first")
	file := filepath.Join(t.TempDir(), "pgpass")
	remember := func(password string) {
		g.Expect(os.WriteFile(file, fmt.Appendf(nil, "%s:%s:*:rotated:%s\n", u.Hostname(), u.Port(), password), 0o600)).To(Succeed())
	}
	remember("first")
	t.Setenv("PGPASSFILE", file)
	u.User = url.User("rotated")
	s := open(t, u.String())
	g.Expect(s.Ping(t.Context())).To(Succeed())

	admin := open(t, database)
	execute := func(statement string) {
		_, err := admin.DB().ExecContext(t.Context(), statement)
		g.Expect(err).NotTo(HaveOccurred())
	}
	execute("ALTER ROLE rotated PASSWORD 'second'")
	execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'")
	g.Eventually(func() error { return s.Ping(t.Context()) }, patience).Should(MatchError(ContainSubstring("password")), "the file has the old one")
	remember("second")
	g.Eventually(func() error { return s.Ping(t.Context()) }, patience).Should(Succeed())
	g.Expect(persist(t, s, []relay.Item{told(t, "x")})).To(HaveLen(1))
}

func TestModesThatSendNoArraysAreRefused(t *testing.T) {
	for _, mode := range []string{"simple_protocol", "exec"} {
		_, err := Open(t.Context(), "postgres://me@host/db?default_query_exec_mode="+mode, Options{})
		NewWithT(t).Expect(err).To(And(MatchError(dsn.ErrInvalid), MatchError(ContainSubstring("cache_describe"))))
	}
}

// pooler runs PgBouncer in transaction mode before the server.
func pooler(t *testing.T, database string) string {
	t.Helper()
	g := NewWithT(t)
	p, err := localcluster.StartPooler(t.Context(), database)
	if errors.Is(err, localcluster.ErrNoPooler) {
		t.Skipf("NOT TRIED: %v", err)
	}
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(p.Close()).To(Succeed()) })
	return p.URL(database)
}

func TestBehindAPoolerInTransactionMode(t *testing.T) {
	g := NewWithT(t)
	direct := database(t)
	through := pooler(t, direct)
	g.Expect(migrations.Up(t.Context(), through, nil)).To(MatchError(migrations.ErrPooler), "its lock would stay")
	g.Expect(migrations.Up(t.Context(), direct, nil)).To(Succeed())

	s := open(t, through+"&default_query_exec_mode=cache_describe")
	for i := range 20 {
		g.Expect(persist(t, s, []relay.Item{told(t, fmt.Sprint("text ", i))})).To(HaveExactElements(HaveField("Result", relay.Stored)))
	}

	// Prepared statements stay on the connection that made them, and the next transaction may be on another.
	wrong := open(t, through)
	g.Eventually(func() error {
		_, err := wrong.Persist(t.Context(), []relay.Item{told(t, "x")})
		if err == nil {
			_, err = open(t, through).Persist(t.Context(), []relay.Item{told(t, "y")})
		}
		return err
	}, patience).Should(And(MatchError(ContainSubstring("a connection pooler")), MatchError(ContainSubstring("default_query_exec_mode=cache_describe")), Not(MatchError(relay.ErrSchema))))
}

// told is the only entry of a resource of its own.
func told(t *testing.T, subject string) relay.Item {
	t.Helper()
	return history(t, newSource(), entry.KindNotification, 1, func(int) any {
		record := notification()
		record.Subject = subject
		return record
	})[0]
}
