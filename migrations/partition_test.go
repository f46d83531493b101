package migrations

import (
	"testing"

	. "github.com/onsi/gomega"
)

// A table of the first release becomes the first partition of a range of ids without rewriting a row: see docs/adr/0026-tables-are-not-partitioned.md. Ids begin with a
// resource's creation time, so a range of ids is a range of times, and a resource's rows stay together.
func TestATableCanBecomeThePartitionOfARangeOfIDs(t *testing.T) {
	g := NewWithT(t)
	db, url := migrated(t)
	execute(t, db, `INSERT INTO notification_audit (id, remediation_id, notification_requested_at, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
		SELECT ('019ab3c4-0000-8000-8000-' || lpad(to_hex(g), 12, '0'))::uuid, 'r' || g, now(), md5((g / 4)::text)::uuid, 1 + g % 4, 'Sent', 'Sent', false, now(), 1, repeat('x', 700) FROM generate_series(1, 20000) AS g`)
	writer := connect(t, login(t, db, url, "may_write_partitions", "holdfast_writer"))
	files := func() (all string) {
		t.Helper()
		g.Expect(db.QueryRowContext(t.Context(), `SELECT string_agg(relname || ' ' || pg_relation_filenode(oid) || ' ' || pg_relation_size(oid), ', ' ORDER BY relname) FROM pg_class
			WHERE oid = 'notification_audit_1'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'notification_audit_1'::regclass)`).Scan(&all)).To(Succeed())
		return all
	}

	// The constraint is checked beside running inserts (SHARE UPDATE EXCLUSIVE), and lets ATTACH skip its scan, which would block them. The bound is later than any id that exists.
	const bound = "019ac000-0000-0000-0000-000000000000"
	execute(t, db, "ALTER TABLE notification_audit ADD CONSTRAINT until CHECK (id IS NOT NULL AND id < '"+bound+"') NOT VALID")
	execute(t, db, "ALTER TABLE notification_audit VALIDATE CONSTRAINT until")
	execute(t, db, "ALTER TABLE notification_audit RENAME TO notification_audit_1")
	before := files()
	execute(t, db, attach(bound))
	g.Expect(files()).To(Equal(before), "the same files of the same size, and the primary key's index is taken into the parent's")

	insert := func(id, uid string, sequence int) error {
		_, err := writer.ExecContext(t.Context(), `INSERT INTO notification_audit (id, remediation_id, notification_requested_at, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
			VALUES ($1, 'r', now(), $2, $3, 'Sent', 'Sent', false, now(), 1, '{}') ON CONFLICT DO NOTHING`, id, uid, sequence)
		return err
	}
	count := func(from string) (n int) {
		t.Helper()
		g.Expect(db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+from).Scan(&n)).To(Succeed())
		return n
	}
	const uid = "00000009-0000-4000-8000-000000000009"
	g.Expect(insert("019ab3c4-0000-8000-9000-000000000001", uid, 1)).To(Succeed())
	g.Expect(insert("019ab3c4-0000-8000-9000-000000000001", uid, 1)).To(Succeed(), "again")
	g.Expect(insert("019ab3c4-0000-8000-9000-000000000002", uid, 1)).To(Succeed(), "its place is taken: each partition keeps its index on (source_uid, sequence)")
	g.Expect(insert("019ac000-0000-8000-9000-000000000001", "0000000a-0000-4000-8000-00000000000a", 1)).To(Succeed())
	g.Expect(count("notification_audit_1")).To(Equal(20001))
	g.Expect(count("notification_audit_2")).To(Equal(1))
	g.Expect(count("notification_audit WHERE tx IS NULL")).To(BeZero())
	for _, of := range []string{"notification_audit", "notification_audit_1", "notification_audit_2"} {
		for _, statement := range []string{"UPDATE " + of + " SET event = 'Forged'", "DELETE FROM " + of, "TRUNCATE " + of} {
			_, err := db.ExecContext(t.Context(), statement)
			g.Expect(err).To(And(refusedWith("42501"), MatchError(ContainSubstring("append-only"))), statement)
		}
	}
}

// attach makes the parent, a partition for what comes, and puts both under it. One statement's text is one transaction: others see the table before or after.
func attach(bound string) string {
	return `CREATE TABLE notification_audit (LIKE notification_audit_1 INCLUDING DEFAULTS INCLUDING GENERATED) PARTITION BY RANGE (id);
		ALTER TABLE notification_audit ADD PRIMARY KEY (id);
		ALTER TABLE notification_audit OWNER TO holdfast_owner;
		CREATE TABLE notification_audit_2 (LIKE notification_audit_1 INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING INDEXES);
		ALTER TABLE notification_audit_2 OWNER TO holdfast_owner;
		CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notification_audit FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
		ALTER TABLE notification_audit ENABLE ALWAYS TRIGGER append_only;
		CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notification_audit_2 FOR EACH STATEMENT EXECUTE FUNCTION holdfast_refuse();
		ALTER TABLE notification_audit_2 ENABLE ALWAYS TRIGGER append_only;
		CREATE TRIGGER append_only_row BEFORE UPDATE OR DELETE ON notification_audit_2 FOR EACH ROW EXECUTE FUNCTION holdfast_refuse();
		ALTER TABLE notification_audit_2 ENABLE ALWAYS TRIGGER append_only_row;
		ALTER TABLE notification_audit ATTACH PARTITION notification_audit_1 FOR VALUES FROM (MINVALUE) TO ('` + bound + `');
		ALTER TABLE notification_audit ATTACH PARTITION notification_audit_2 FOR VALUES FROM ('` + bound + `') TO (MAXVALUE);
		DO $$ BEGIN EXECUTE (SELECT format('GRANT INSERT (%s) ON notification_audit TO holdfast_writer', string_agg(quote_ident(attname), ', ')) FROM pg_attribute
			WHERE attrelid = 'notification_audit'::regclass AND attnum > 0 AND attgenerated = '' AND attname NOT IN ('tx', 'created_at')); END $$;
		GRANT SELECT (id, entry_hash) ON notification_audit TO holdfast_writer;
		GRANT SELECT ON notification_audit TO holdfast_reader`
}
