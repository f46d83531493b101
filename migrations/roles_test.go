package migrations

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

const insertOne = `INSERT INTO notification_audit (id, remediation_id, notification_requested_at, event, phase, final, recorded_at, schema_version, entry)
	VALUES (gen_random_uuid(), 'r', now(), 'Posted', '', false, now(), 1, '{}')`

const insertDead = `INSERT INTO audit_dead_letter (id, entry_hash, kind, entry, error, first_attempt, last_attempt, attempts)
	VALUES (gen_random_uuid(), '\x01', 'execution', '{}', 'bad', now(), now(), 1)`

func refusedWith(code string) types.GomegaMatcher {
	return WithTransform(func(err error) string {
		var refused *pgconn.PgError
		if errors.As(err, &refused) {
			return refused.Code
		}
		return ""
	}, Equal(code))
}

var auditTables = []string{"orchestration_audit", "ai_analysis_audit", "workflow_execution_audit", "notification_audit", "resource_audit"}

func TestRowsAreImmutableForASuperuserToo(t *testing.T) {
	db, _ := migrated(t)
	execute(t, db, insertOne)
	execute(t, db, insertDead)
	for _, role := range []string{"origin", "replica"} {
		conn, err := db.Conn(t.Context())
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { _ = conn.Close() })
		_, err = conn.ExecContext(t.Context(), "SET session_replication_role = "+role)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		for _, table := range auditTables {
			for _, statement := range []string{"UPDATE " + table + " SET event = 'Forged'", "DELETE FROM " + table, "TRUNCATE " + table} {
				t.Run(role+" "+statement, func(t *testing.T) {
					g := NewWithT(t)
					_, err := conn.ExecContext(t.Context(), statement)
					g.Expect(err).To(And(refusedWith("42501"), MatchError(ContainSubstring("append-only"))))
				})
			}
		}
		for _, statement := range []string{"UPDATE audit_dead_letter SET entry = 'forged'", "UPDATE audit_dead_letter SET error = '', attempts = 2", "DELETE FROM audit_dead_letter", "TRUNCATE audit_dead_letter"} {
			t.Run(role+" "+statement, func(t *testing.T) {
				_, err := conn.ExecContext(t.Context(), statement)
				NewWithT(t).Expect(err).To(refusedWith("42501"))
			})
		}
		_, err = conn.ExecContext(t.Context(), "UPDATE audit_dead_letter SET last_attempt = now(), attempts = attempts + 1, redriven_at = now()")
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
}

// Without the statement's trigger, the row's still refuses: logical replication fires no other.
func TestTheRowTriggerHoldsByItself(t *testing.T) {
	g := NewWithT(t)
	db, _ := migrated(t)
	execute(t, db, insertOne)
	execute(t, db, "ALTER TABLE notification_audit DISABLE TRIGGER append_only")
	_, err := db.ExecContext(t.Context(), "UPDATE notification_audit SET event = 'Forged'")
	g.Expect(err).To(refusedWith("42501"))
}

// namingDefaults name what the writer may not: a row says itself when, and in which transaction, it was made. Naming the default counts as naming.
var namingDefaults = []string{
	strings.NewReplacer("(id, ", "(tx, id, ", "VALUES (", "VALUES ('3', ").Replace(insertOne),
	strings.NewReplacer("(id, ", "(tx, id, ", "VALUES (", "VALUES (DEFAULT, ").Replace(insertOne),
	strings.NewReplacer("(id, ", "(created_at, id, ", "VALUES (", "VALUES (now(), ").Replace(insertOne),
	strings.NewReplacer("(id, ", "(tx, id, ", "VALUES (", "VALUES ('3', ").Replace(insertDead),
	insertDead + " ON CONFLICT (id, entry_hash) DO UPDATE SET tx = '3'",
	"COPY notification_audit FROM STDIN", "COPY notification_audit (id, tx) FROM STDIN",
}

func TestTheRowSaysItselfWhenItWasMade(t *testing.T) {
	g := NewWithT(t)
	db, url := migrated(t)
	writer := connect(t, login(t, db, url, "may_insert", "holdfast_writer"))
	execute(t, writer, insertOne)
	execute(t, writer, insertDead)
	var made bool
	g.Expect(db.QueryRowContext(t.Context(), `SELECT bool_and(tx = xmin::text::xid8) FROM (SELECT tx, xmin FROM notification_audit UNION ALL SELECT tx, xmin FROM audit_dead_letter) AS r`).Scan(&made)).To(Succeed())
	g.Expect(made).To(BeTrue(), "tx is the transaction that made the row")
	execute(t, writer, "UPDATE audit_dead_letter SET attempts = 2")
	_, err := db.ExecContext(t.Context(), "UPDATE audit_dead_letter SET tx = pg_current_xact_id()")
	g.Expect(err).To(refusedWith("42501"), "not even for the owner")
}

func TestTheWriterMayDoNoMoreThanItNeeds(t *testing.T) {
	db, url := migrated(t)
	writer := connect(t, login(t, db, url, "may_write", "holdfast_writer"))
	for _, allowed := range []string{
		insertOne + " ON CONFLICT DO NOTHING RETURNING id", insertDead,
		"SELECT id, entry_hash FROM notification_audit", "SELECT * FROM audit_dead_letter", "SELECT * FROM holdfast_migrations",
		"UPDATE audit_dead_letter SET last_attempt = now(), attempts = 2, redriven_at = now()",
		"SELECT pg_logical_emit_message(true, 'holdfast', ''::text)", "SELECT system_identifier, pg_postmaster_start_time() FROM pg_control_system()",
	} {
		execute(t, writer, allowed)
	}
	NewWithT(t).Expect(Check(t.Context(), writer)).To(Succeed())
	forbidden := []string{
		"UPDATE audit_dead_letter SET entry = ''", "DELETE FROM audit_dead_letter", "TRUNCATE audit_dead_letter",
		"DELETE FROM holdfast_migrations", "INSERT INTO holdfast_migrations (version_id, is_applied) VALUES (9, true)",
		"ALTER TABLE notification_audit DISABLE TRIGGER ALL", "DROP TABLE notification_audit", "CREATE TABLE more (a int)", "SET session_replication_role = replica",
		"SET ROLE holdfast_owner", "SET ROLE holdfast_reader", "ALTER TABLE notification_audit OWNER TO CURRENT_USER",
		"CREATE OR REPLACE FUNCTION holdfast_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "DROP FUNCTION holdfast_refuse() CASCADE",
		insertOne + " RETURNING entry", insertOne + " ON CONFLICT (id) DO UPDATE SET event = ''", "COPY notification_audit TO STDOUT",
	}
	for _, table := range auditTables {
		forbidden = append(forbidden, "SELECT entry FROM "+table, "SELECT source_uid, sequence FROM "+table, "SELECT * FROM "+table,
			"UPDATE "+table+" SET event = ''", "DELETE FROM "+table, "TRUNCATE "+table)
	}
	for _, statement := range append(forbidden, namingDefaults...) {
		t.Run(statement, func(t *testing.T) {
			_, err := writer.ExecContext(t.Context(), statement)
			NewWithT(t).Expect(err).To(refusedWith("42501"))
		})
	}
}

func TestTheReaderReadsAndNothingElse(t *testing.T) {
	db, url := migrated(t)
	readerURL := login(t, db, url, "may_read", "holdfast_reader")
	reader := connect(t, readerURL)
	NewWithT(t).Expect(Check(t.Context(), reader)).To(Succeed())
	_, err := Status(t.Context(), readerURL)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, table := range append(auditTables, "audit_dead_letter", "holdfast_migrations") {
		execute(t, reader, "SELECT * FROM "+table)
		column := map[string]string{"audit_dead_letter": "attempts = 9", "holdfast_migrations": "is_applied = false"}[table]
		if column == "" {
			column = "event = ''"
		}
		for _, statement := range []string{"DELETE FROM " + table, "TRUNCATE " + table, "INSERT INTO " + table + " (id) SELECT id FROM " + table, "UPDATE " + table + " SET " + column} {
			t.Run(statement, func(t *testing.T) {
				_, err := reader.ExecContext(t.Context(), statement)
				NewWithT(t).Expect(err).To(refusedWith("42501"))
			})
		}
	}
	for _, statement := range []string{"SET ROLE holdfast_owner", "SET ROLE holdfast_writer", "ALTER TABLE notification_audit DISABLE TRIGGER ALL", insertOne, insertDead, "CREATE TABLE more (a int)"} {
		t.Run(statement, func(t *testing.T) {
			_, err := reader.ExecContext(t.Context(), statement)
			NewWithT(t).Expect(err).To(refusedWith("42501"))
		})
	}
}

func TestALoginWithoutRights(t *testing.T) {
	g := NewWithT(t)
	db, url := migrated(t)
	stranger := connect(t, login(t, db, url, "stranger"))
	g.Expect(Check(t.Context(), stranger)).To(MatchError(ContainSubstring("make the database login a member of holdfast_writer or holdfast_reader")))
}

// On a server of its own, since the roles must not exist at first.
func TestMigratingWithoutCREATEROLE(t *testing.T) {
	g := NewWithT(t)
	alone, err := localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = alone.Close() })
	db, url := fresh(t, alone)
	migrator := login(t, db, url, "migrator")
	execute(t, db, "GRANT CREATE ON SCHEMA public TO migrator")

	err = Up(t.Context(), migrator, os.Stderr)
	g.Expect(err).To(MatchError(And(ContainSubstring("role holdfast_owner does not exist, and migrator may not create it"), ContainSubstring("CREATE ROLE holdfast_owner NOLOGIN; "))))

	execute(t, db, "CREATE ROLE holdfast_owner NOLOGIN; CREATE ROLE holdfast_writer NOLOGIN; CREATE ROLE holdfast_reader NOLOGIN")
	err = Up(t.Context(), migrator, os.Stderr)
	g.Expect(err).To(MatchError(ContainSubstring("As a superuser run: GRANT holdfast_owner TO migrator;")))

	execute(t, db, "GRANT holdfast_owner TO migrator; GRANT CREATE ON SCHEMA public TO holdfast_owner")
	g.Expect(Up(t.Context(), migrator, os.Stderr)).To(Succeed())
	g.Expect(Up(t.Context(), migrator, os.Stderr)).To(Succeed(), "again")
	g.Expect(Check(t.Context(), connect(t, migrator))).To(Succeed())
}

// A schema of its own, through the URL's search path.
func TestAnotherSchema(t *testing.T) {
	g := NewWithT(t)
	db, url := fresh(t, server)
	execute(t, db, "CREATE SCHEMA audit")
	g.Expect(Up(t.Context(), url+"&search_path=audit", nil)).To(Succeed())
	g.Expect(Check(t.Context(), connect(t, url+"&search_path=audit"))).To(Succeed())
	g.Expect(Check(t.Context(), db)).To(MatchError(ErrMissing))
}

func TestTheWriterComparesWhatItMayNotRead(t *testing.T) {
	g := NewWithT(t)
	db, url := migrated(t)
	const id = "019ab3c4-0000-7000-8000-000000000001"
	execute(t, db, "INSERT INTO notification_audit (id, remediation_id, notification_requested_at, event, phase, final, recorded_at, schema_version, entry) VALUES ('"+id+"', 'r', now(), 'Posted', '', false, now(), 1, '{\"a\":1}')")
	writer := connect(t, login(t, db, url, "may_compare", "holdfast_writer"))
	execute(t, writer, "CREATE TEMPORARY TABLE notification_audit (id uuid, entry text); INSERT INTO notification_audit VALUES ('"+id+"', 'forged')")
	var answers string
	g.Expect(writer.QueryRowContext(t.Context(), `SELECT string_agg(place || ' ' || same, ', ' ORDER BY place) FROM holdfast_same_entry('notification_audit', $1, $2)`,
		[]string{id, id, "019ab3c4-0000-7000-8000-000000000002"}, []string{`{"a":1}`, "forged", ""}).Scan(&answers)).To(Succeed())
	g.Expect(answers).To(Equal("1 true, 2 false"), "of the real table, and nothing of an id that is not there")

	for _, table := range []string{"resource_audit", "audit_dead_letter", "pg_authid", `notification_audit"; DROP TABLE x; --`} {
		_, err := writer.ExecContext(t.Context(), "SELECT * FROM holdfast_same_entry($1, '{}', '{}')", table)
		g.Expect(err).To(refusedWith("22023"), table)
	}
	stranger := connect(t, login(t, db, url, "may_not_compare"))
	_, err := stranger.ExecContext(t.Context(), "SELECT * FROM holdfast_same_entry('notification_audit', '{}', '{}')")
	g.Expect(err).To(refusedWith("42501"))
}
