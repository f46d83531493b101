package migrations

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"
	"testing/fstest"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

const patience = 30 * time.Second

func TestUp(t *testing.T) {
	g := NewWithT(t)
	db, url := fresh(t, server)
	g.Expect(Check(t.Context(), db)).To(MatchError(ErrMissing))

	var said bytes.Buffer
	g.Expect(Up(t.Context(), url, &said)).To(Succeed())
	g.Expect(lines(&said)).To(ConsistOf(
		HavePrefix("applied 00001_tables.sql in "), HavePrefix("applied 00002_append_only.sql in "), HavePrefix("applied 00003_roles.sql in "), HavePrefix("applied 00004_posted.sql in "),
		Equal("the schema is at version 4")))
	g.Expect(Check(t.Context(), db)).To(Succeed())

	said.Reset()
	g.Expect(Up(t.Context(), url, &said)).To(Succeed(), "again")
	g.Expect(lines(&said)).To(ConsistOf("the schema is at version 4"))
	all, err := Status(t.Context(), url)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all).To(HaveLen(4))
	for _, v := range all {
		g.Expect(v.State).To(Equal(Applied))
		g.Expect(*v.AppliedAt).To(BeTemporally("~", time.Now(), time.Minute))
	}
}

func TestEightAtOnce(t *testing.T) {
	g := NewWithT(t)
	db, url := fresh(t, server)
	together, ctx := errgroup.WithContext(t.Context())
	for range 8 {
		together.Go(func() error { return Up(ctx, url, nil) })
	}
	g.Expect(together.Wait()).To(Succeed())
	g.Expect(Check(t.Context(), db)).To(Succeed())
	var applied int
	g.Expect(db.QueryRowContext(t.Context(), "SELECT count(*) FROM holdfast_migrations WHERE version_id > 0").Scan(&applied)).To(Succeed())
	g.Expect(applied).To(Equal(4))
}

// Roles belong to the server: on a new one, all of these want to make them.
func TestSeveralDatabasesOfANewServerAtOnce(t *testing.T) {
	g := NewWithT(t)
	fromScratch, err := localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = fromScratch.Close() })
	together, ctx := errgroup.WithContext(t.Context())
	for range 6 {
		_, url := fresh(t, fromScratch)
		together.Go(func() error { return Up(ctx, url, nil) })
	}
	g.Expect(together.Wait()).To(Succeed())
}

// The last migration is held up by a role that another transaction is making; the program is killed there.
func TestKilledHalfWay(t *testing.T) {
	g := NewWithT(t)
	alone, err := localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = alone.Close() })
	db, url := fresh(t, alone)

	obstacle, err := db.BeginTx(t.Context(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = obstacle.ExecContext(t.Context(), "CREATE ROLE holdfast_owner NOLOGIN")
	g.Expect(err).NotTo(HaveOccurred())

	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childURL+"="+url)
	g.Expect(child.Start()).To(Succeed())
	g.Eventually(func() (waiting int, err error) {
		err = db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%holdfast_owner%'").Scan(&waiting)
		return waiting, err
	}).WithTimeout(patience).Should(Equal(1))
	g.Expect(child.Process.Kill()).To(Succeed())
	g.Expect(child.Wait()).To(MatchError(ContainSubstring("killed")))

	g.Expect(Check(t.Context(), db)).To(MatchError(And(ContainSubstring("at version 2"), ContainSubstring("00003_roles.sql is pending"), ContainSubstring("`holdfast migrate up`"))))
	g.Expect(Check(t.Context(), db)).To(MatchError(ErrOlder))
	g.Expect(obstacle.Rollback()).To(Succeed())
	var said bytes.Buffer
	g.Expect(Up(t.Context(), url, &said)).To(Succeed())
	g.Expect(lines(&said)).To(HaveLen(3), said.String())
	g.Expect(Check(t.Context(), db)).To(Succeed())
}

func TestAFailedMigrationLeavesNothingBehind(t *testing.T) {
	g := NewWithT(t)
	db, _ := fresh(t, server)
	broken := fstest.MapFS{
		"sql/00001_good.sql": {Data: []byte("-- +goose Up\nCREATE TABLE good (a int);\n")},
		"sql/00002_bad.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE half (a int);\nCREATE TABLE good (a int);\n")},
	}
	var said bytes.Buffer
	g.Expect(up(t.Context(), db, broken, &said)).To(MatchError(And(ContainSubstring("00002_bad.sql failed and was rolled back"), ContainSubstring("42P07"))))
	g.Expect(lines(&said)).To(ConsistOf(HavePrefix("applied 00001_good.sql")))
	var half any
	g.Expect(db.QueryRowContext(t.Context(), "SELECT to_regclass('half')").Scan(&half)).To(Succeed())
	g.Expect(half).To(BeNil())
}

func TestOlderNewerLost(t *testing.T) {
	t.Run("older", func(t *testing.T) {
		g := NewWithT(t)
		db, url := fresh(t, server)
		first, err := files.ReadFile("sql/00001_tables.sql")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(up(t.Context(), db, fstest.MapFS{"sql/00001_tables.sql": {Data: first}}, os.Stderr)).To(Succeed())
		g.Expect(Check(t.Context(), db)).To(MatchError(And(ContainSubstring("at version 1"), ContainSubstring("00002_append_only.sql is pending"))))
		g.Expect(Up(t.Context(), url, nil)).To(Succeed())
		g.Expect(Check(t.Context(), db)).To(Succeed())
	})
	t.Run("newer", func(t *testing.T) {
		g := NewWithT(t)
		db, url := migrated(t)
		execute(t, db, "INSERT INTO holdfast_migrations (version_id, is_applied) VALUES (99, true)")
		g.Expect(Check(t.Context(), db)).To(MatchError(ErrNewer))
		g.Expect(Check(t.Context(), db)).To(MatchError(ContainSubstring("it is at version 99, this release supports 4; run a release that supports version 99")))
		g.Expect(Up(t.Context(), url, nil)).To(MatchError(ErrNewer))
		all, err := Status(t.Context(), url)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(all[len(all)-1]).To(And(HaveField("Version", BeEquivalentTo(99)), HaveField("State", Unknown)))
	})
	t.Run("a development version's", func(t *testing.T) {
		for statement, lacks := range map[string]string{
			"ALTER TABLE orchestration_audit DROP COLUMN tx; ALTER TABLE audit_dead_letter DROP COLUMN tx": "audit_dead_letter.tx, orchestration_audit.tx",
			"ALTER TABLE orchestration_audit DROP COLUMN children, DROP COLUMN requested_by":               "orchestration_audit.children, orchestration_audit.requested_by",
			"ALTER TABLE notification_audit DROP COLUMN purpose":                                           "notification_audit.purpose",
		} {
			g := NewWithT(t)
			db, url := migrated(t)
			execute(t, db, statement)
			for _, err := range []error{Check(t.Context(), db), Up(t.Context(), url, nil)} {
				g.Expect(err).To(MatchError(ErrDevelopment), statement)
				g.Expect(err).To(MatchError(And(ContainSubstring("has no "+lacks+","), ContainSubstring("create a new database"))))
			}
		}
	})
	t.Run("a table is lost", func(t *testing.T) {
		g := NewWithT(t)
		db, _ := migrated(t)
		execute(t, db, "DROP TABLE notification_audit, resource_audit")
		g.Expect(Check(t.Context(), db)).To(MatchError(ErrMissing))
		g.Expect(Check(t.Context(), db)).To(MatchError(ContainSubstring("lacks notification_audit, resource_audit although")))
	})
}

// What the check asks for is read from the first migration's text.
func TestTheFirstReleasesColumnsAreThoseThatItsMigrationMakes(t *testing.T) {
	g := NewWithT(t)
	db, _ := migrated(t)
	rows, err := db.QueryContext(t.Context(), `SELECT relname || '.' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
		WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ 'audit' AND attnum > 0 AND NOT attisdropped`)
	g.Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	var made []string
	for rows.Next() {
		var name string
		g.Expect(rows.Scan(&name)).To(Succeed())
		made = append(made, name)
	}
	g.Expect(rows.Err()).NotTo(HaveOccurred())
	g.Expect(firstColumns()).To(ConsistOf(made))
}

func TestAWrongURLSaysWhatToDo(t *testing.T) {
	_, url := fresh(t, server)
	user := login(t, connect(t, url), url, "wrong_url")
	at := user[len("postgres://wrong_url:sesame"):]
	for name, c := range map[string]struct{ url, says string }{
		"password": {"postgres://wrong_url:opensesame" + at, "check user and password"},
		"database": {user + "&dbname=nowhere", "run `holdfast migrate up`"},
		"port":     {"postgres://wrong_url:opensesame@127.0.0.1:1/db?sslmode=disable", "check host and port"},
		"host":     {"postgres://wrong_url:opensesame@database.invalid/db?sslmode=disable", "check the host"},
		"scheme":   {"mysql://wrong_url:opensesame@127.0.0.1/db", "expected postgres://"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			g.Expect(Up(ctx, c.url, nil)).To(MatchError(And(ContainSubstring(c.says), Not(ContainSubstring("sesame")))))
			_, err := Status(ctx, c.url)
			g.Expect(err).To(MatchError(ContainSubstring(c.says)))
		})
	}
}
