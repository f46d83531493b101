package migrations

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// childURL makes this test's program run one migration and end, so that a test can kill it.
const childURL = "HOLDFAST_TEST_MIGRATE"

var server *localcluster.Postgres

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := Up(context.Background(), url, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = localcluster.StartPostgres(context.Background(), localcluster.PostgresOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Close()
	return m.Run()
}

var databases atomic.Int32

// fresh makes a database of the test's own.
func fresh(t *testing.T, on *localcluster.Postgres) (*sql.DB, string) {
	t.Helper()
	g := NewWithT(t)
	url, err := on.CreateDatabase(t.Context(), fmt.Sprintf("migrations_%d", databases.Add(1)))
	g.Expect(err).NotTo(HaveOccurred())
	return connect(t, url), url
}

func connect(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := open(url)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func migrated(t *testing.T) (*sql.DB, string) {
	t.Helper()
	db, url := fresh(t, server)
	NewWithT(t).Expect(Up(t.Context(), url, os.Stderr)).To(Succeed())
	return db, url
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement)
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), statement)
}

// login makes a user of the server and returns its URL to the same database.
func login(t *testing.T, db *sql.DB, url, name string, memberOf ...string) string {
	t.Helper()
	execute(t, db, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'sesame'", name))
	for _, role := range memberOf {
		execute(t, db, fmt.Sprintf("GRANT %s TO %s", role, name))
	}
	at := strings.LastIndex(url, "@")
	return "postgres://" + name + ":sesame" + url[at:]
}

func lines(b *bytes.Buffer) []string { return strings.Split(strings.TrimSpace(b.String()), "\n") }
