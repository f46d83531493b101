//go:build unix

package cluster

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
)

// ask runs a query that gives one text.
func ask(ctx context.Context, t *testing.T, url, query string) string {
	t.Helper()
	g := NewWithT(t)
	connection, err := pgx.Connect(ctx, url)
	g.Expect(err).NotTo(HaveOccurred())
	defer connection.Close(ctx)
	var answer string
	g.Expect(connection.QueryRow(ctx, query).Scan(&answer)).To(Succeed())
	return answer
}

func execSQL(ctx context.Context, t *testing.T, url, statement string) {
	t.Helper()
	g := NewWithT(t)
	connection, err := pgx.Connect(ctx, url)
	g.Expect(err).NotTo(HaveOccurred())
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, statement)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestPostgres(t *testing.T) {
	g := NewWithT(t)
	leaks := goleak.IgnoreCurrent()
	ctx := t.Context()
	dir := t.TempDir()
	p, err := StartPostgres(ctx, PostgresOptions{Dir: dir, Progress: t.Output()})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = p.Close() })
	url := p.URL()

	t.Run("its settings are those that the tests rely on", func(t *testing.T) {
		g := NewWithT(t)
		for query, want := range map[string]string{
			"SELECT current_database()": "holdfast",
			"SHOW is_superuser":         "on",
			"SHOW server_encoding":      "UTF8",
			"SELECT datcollate FROM pg_database WHERE datname='holdfast'": "C",
			"SHOW synchronous_commit":                                     "on",
			"SHOW max_connections":                                        "200",
			"SHOW listen_addresses":                                       "127.0.0.1",
		} {
			g.Expect(ask(ctx, t, url, query)).To(Equal(want), query)
		}
	})

	t.Run("libpq takes the URL too", func(t *testing.T) {
		psql, err := exec.LookPath("psql")
		if err != nil {
			psql = filepath.Join(p.bin, "psql")
		}
		if !executable(psql) {
			t.Skip("no psql on this machine")
		}
		g := NewWithT(t)
		out, err := exec.CommandContext(ctx, psql, url, "-Atc", "SELECT 6*7").CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(out))
		g.Expect(string(out)).To(Equal("42\n"))
	})

	t.Run("a database more", func(t *testing.T) {
		g := NewWithT(t)
		other, err := p.CreateDatabase(ctx, `suite "one"`)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(ask(ctx, t, other, "SELECT current_database()")).To(Equal(`suite "one"`))
		_, err = p.CreateDatabase(ctx, `suite "one"`)
		g.Expect(err).To(MatchError(ContainSubstring("already exists")))
	})

	t.Run("committed rows survive a kill and a stop, at the same address", func(t *testing.T) {
		g := NewWithT(t)
		execSQL(ctx, t, url, "CREATE TABLE kept (what text)")
		for _, end := range []func(context.Context) error{p.Kill, p.Stop} {
			execSQL(ctx, t, url, "INSERT INTO kept VALUES ('x')")
			pid := p.server.cmd.Process.Pid
			g.Expect(p.Start(ctx)).To(MatchError(ContainSubstring("already running")))
			g.Expect(end(ctx)).To(Succeed())
			g.Expect(end(ctx)).To(Succeed())
			g.Expect(gone(pid)).To(BeTrue())
			_, err := pgx.Connect(ctx, url)
			g.Expect(err).To(HaveOccurred())
			g.Expect(p.Start(ctx)).To(Succeed())
			g.Expect(p.URL()).To(Equal(url))
		}
		g.Expect(ask(ctx, t, url, "SELECT count(*)::text FROM kept")).To(Equal("2"))
	})

	t.Run("a port that somebody took is recognised", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(p.Stop(ctx)).To(Succeed())
		thief, err := net.Listen("tcp", loopback(p.port))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(p.Start(ctx)).To(MatchError(errPortTaken))
		g.Expect(thief.Close()).To(Succeed())
		g.Expect(p.Start(ctx)).To(Succeed())
	})

	t.Run("its folder is its own", func(t *testing.T) {
		g := NewWithT(t)
		_, err := StartPostgres(ctx, PostgresOptions{Dir: dir})
		g.Expect(err).To(MatchError(ContainSubstring("in use")))
	})

	t.Run("after Close nothing is left, and it may be called again", func(t *testing.T) {
		g := NewWithT(t)
		pid, data := p.server.cmd.Process.Pid, p.data()
		g.Expect(p.Close()).To(Succeed())
		g.Expect(p.Close()).To(Succeed())
		g.Expect(gone(pid)).To(BeTrue())
		if os.Getuid() == 0 {
			g.Expect(data).NotTo(BeADirectory())
		}
		g.Expect(p.Start(ctx)).To(MatchError(ContainSubstring("closed")))
		g.Expect(goleak.Find(leaks)).To(Succeed())
	})
}
