package oracle_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

func TestAWholeTrailIsClean(t *testing.T) {
	f := setup(t, env.Config)
	f.relay()
	closed, again, open := f.create("closed"), f.create("again"), f.create("open")
	f.append(closed, 3, true)
	f.append(again, 2, true)
	f.delete(again)
	f.Eventually(f.gone(again)).Should(BeTrue())
	f.append(f.create("again"), 2, true)
	f.append(open, 1, false)
	f.save(open, false, "yesterday")
	report := f.clean()
	f.Expect(report.Total).To(Equal(oracle.Counts{Kind: "total", Resources: 4, Appended: 9, Rows: 8, DeadLetters: 1}))
	f.Expect(oracle.Missing(ctx, f.database, f.oracle.IDs(f.namespace))).To(BeZero())
	f.Expect(oracle.Missing(ctx, f.database, []string{"5c0f1e2d-0000-4000-8000-000000000001"})).To(Equal(1))
	text := &strings.Builder{}
	f.Expect(report.Write(text)).To(Succeed())
	f.Expect(text.String()).To(MatchRegexp(`NotificationRequest +4 +9 +8 +1( +0){9}\n`))
}

func TestALossThatIsExpectedIsLeftOut(t *testing.T) {
	f := setup(t, env.Config)
	f.relay()
	obj := f.create("behind")
	f.append(obj, 3, true)
	f.clean()
	stored, err := oracle.Stored(ctx, f.database)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(stored).To(ContainElements(f.oracle.IDs(f.namespace)))
	f.Expect(f.oracle.Held(f.namespace)).To(BeEmpty())
	tx, err := f.database.Begin(ctx)
	f.Expect(err).NotTo(HaveOccurred())
	defer func() { f.Expect(tx.Rollback(ctx)).To(Succeed()) }()
	_, err = tx.Exec(ctx, "ALTER TABLE notification_audit DISABLE TRIGGER ALL; DELETE FROM notification_audit WHERE sequence = 2 AND source_uid = '"+string(obj.UID)+"'")
	f.Expect(err).NotTo(HaveOccurred())
	report := f.judge(tx)
	f.Expect(report.Differences).To(ConsistOf(And(HaveField("Class", oracle.Lost), HaveField("ID", f.oracle.IDs(f.namespace)[1]))))
	f.Expect(report.Without(func(oracle.Difference) bool { return false }).Total.Lost).To(Equal(1))
	report = report.Without(func(d oracle.Difference) bool { return d.UID == string(obj.UID) })
	f.Expect(report.Clean()).To(BeTrue())
	f.Expect(report.Total.Lost).To(BeZero())
	f.Expect(report.Kinds).To(ConsistOf(HaveField("Lost", 0)))
	f.Expect(oracle.RowsOf(ctx, tx, string(obj.UID))).To(Equal(2))
}

// Every damage is done in a transaction that is rolled back, to four resources of three entries each.
func TestDamageInTheTables(t *testing.T) {
	f := setup(t, env.Config)
	f.relay()
	for _, name := range []string{"a", "b", "c"} {
		f.append(f.create(name), 3, true)
	}
	poison := f.create("poison")
	f.append(poison, 1, false)
	f.save(poison, true, "yesterday")
	f.clean()
	for name, c := range map[string]struct {
		damage string
		is     gomegatypes.GomegaMatcher
	}{
		"a row that is missing":           {`DELETE FROM notification_audit WHERE source_name = 'a' AND sequence = 3`, classes(oracle.Lost)},
		"a row in the middle is missing":  {`DELETE FROM notification_audit WHERE source_name = 'a' AND sequence = 2`, classes(oracle.Lost)},
		"a dead letter that is missing":   {`DELETE FROM audit_dead_letter WHERE source_name = 'poison'`, classes(oracle.Lost)},
		"a dead letter without its row":   {`UPDATE audit_dead_letter SET redriven_at = now() WHERE source_name = 'poison'`, classes(oracle.Lost)},
		"a row in another table":          {copyOf("id"), classes(oracle.Doubled)},
		"a row under another id":          {`UPDATE notification_audit SET id = gen_random_uuid() WHERE source_name = 'a' AND sequence = 2`, And(ContainElements(class(oracle.Lost), class(oracle.Doubled)), HaveLen(2))},
		"a row again under another id":    {copyOf("gen_random_uuid()"), classes(oracle.Doubled)},
		"a row of nobody":                 {copyOf("gen_random_uuid()") + `; UPDATE resource_audit SET source_uid = gen_random_uuid(), entry = '{}'`, classes(oracle.Foreign)},
		"a row and a dead letter":         {deadLetterOf, classes(oracle.Doubled)},
		"a column that was changed":       {`UPDATE notification_audit SET subject = 'another' WHERE source_name = 'b' AND sequence = 1`, classes(oracle.Changed)},
		"a time that was changed":         {`UPDATE notification_audit SET recorded_at = recorded_at + interval '1 us' WHERE source_name = 'b' AND sequence = 1`, classes(oracle.Changed)},
		"a column that was filled":        {`UPDATE notification_audit SET failure_reason = 'none' WHERE source_name = 'b' AND sequence = 1`, classes(oracle.Changed)},
		"JSON that was changed":           {`UPDATE notification_audit SET channels = '[]' WHERE source_name = 'b' AND sequence = 1`, classes(oracle.Changed)},
		"a text that was changed":         {`UPDATE notification_audit SET entry = replace(entry, 'naïve', 'naive'), subject = replace(subject, 'naïve', 'naive') WHERE source_name = 'b' AND sequence = 1`, ContainElement(And(class(oracle.Changed), HaveField("Detail", ContainSubstring("naive"))))},
		"a text and its hash":             {`UPDATE notification_audit SET entry = replace(entry, 'naïve', 'naive'), subject = replace(subject, 'naïve', 'naive') WHERE source_name = 'b' AND sequence = 1; ` + rehash, ContainElements(class(oracle.Changed), class(oracle.ChainBreak))},
		"the last text and its hash":      {`UPDATE notification_audit SET entry = replace(entry, 'naïve', 'naive'), subject = replace(subject, 'naïve', 'naive') WHERE source_name = 'b' AND sequence = 3; ` + rehash, ContainElements(class(oracle.Changed), class(oracle.ChainBreak))},
		"a hash":                          {`UPDATE notification_audit SET entry_hash = sha256('x') WHERE source_name = 'b' AND sequence = 1`, ContainElements(class(oracle.Changed), class(oracle.ChainBreak))},
		"the hash before":                 {`UPDATE notification_audit SET previous_hash = sha256('x') WHERE source_name = 'b' AND sequence = 2`, ContainElements(class(oracle.Changed), class(oracle.ChainBreak))},
		"two sequences that are swapped":  {`UPDATE notification_audit SET sequence = 3 - sequence WHERE source_name = 'c' AND sequence < 3`, ContainElements(class(oracle.OutOfOrder), class(oracle.OutOfOrder))},
		"a row that went to another uid":  {`UPDATE notification_audit SET source_uid = gen_random_uuid() WHERE source_name = 'c' AND sequence = 3`, ContainElement(class(oracle.OutOfOrder))},
		"another namespace's claim to it": {`UPDATE notification_audit SET source_namespace = 'elsewhere' WHERE source_name = 'c' AND sequence = 3`, classes(oracle.Lost)},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			transaction, err := f.database.Begin(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			defer func() { g.Expect(transaction.Rollback(ctx)).To(Succeed()) }()
			disarm(g, transaction)
			_, err = transaction.Exec(ctx, strings.ReplaceAll(c.damage, "source_name =", "source_namespace = '"+f.namespace+"' AND source_name ="))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(f.judge(transaction).Differences).To(c.is)
		})
	}
	f.Expect(f.judge(f.database).Differences).To(BeEmpty())
}

// disarm takes away what keeps even a superuser from the damage.
func disarm(g *WithT, transaction pgx.Tx) {
	for _, statement := range []string{
		"ALTER TABLE notification_audit DISABLE TRIGGER ALL", "ALTER TABLE resource_audit DISABLE TRIGGER ALL", "ALTER TABLE audit_dead_letter DISABLE TRIGGER ALL",
		"ALTER TABLE notification_audit DROP CONSTRAINT notification_audit_source_uid_sequence_key",
	} {
		_, err := transaction.Exec(ctx, statement)
		g.Expect(err).NotTo(HaveOccurred())
	}
}

// copyOf puts the second row of a into resource_audit as well, true to what its entry says.
func copyOf(id string) string {
	return `INSERT INTO resource_audit (id, kind, record, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, previous_hash, entry_hash, entry)
		SELECT ` + id + `, 'notification', entry::jsonb->'record', source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, previous_hash, entry_hash, entry
		FROM notification_audit WHERE source_name = 'a' AND sequence = 2`
}

const deadLetterOf = `INSERT INTO audit_dead_letter (id, entry_hash, kind, entry, error, source_namespace, source_name, source_uid, sequence, previous_hash, first_attempt, last_attempt, attempts)
	SELECT id, entry_hash, 'notification', entry, 'none', source_namespace, source_name, source_uid, sequence, previous_hash, now(), now(), 1
	FROM notification_audit WHERE source_name = 'a' AND sequence = 2`

const rehash = `UPDATE notification_audit SET entry_hash = sha256(convert_to(entry, 'UTF8')) WHERE source_name = 'b'`

func class(c oracle.Class) gomegatypes.GomegaMatcher { return HaveField("Class", c) }

// classes matches one difference of the class, and no other.
func classes(c oracle.Class) gomegatypes.GomegaMatcher { return ConsistOf(class(c)) }

func TestDamageInTheResources(t *testing.T) {
	f := setup(t, env.Config)
	f.writer = outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{})

	t.Run("an outbox that is not drained", func(*testing.T) {
		f.append(f.create("undrained"), 1, false)
		f.eventually(And(HaveLen(2), ContainElements(class(oracle.Undrained), class(oracle.Lost))))
	})
	t.Run("an entry that was rewritten", func(*testing.T) {
		obj := f.create("rewritten")
		f.append(obj, 2, false)
		f.edit(obj, func(o *outboxapi.Outbox) {
			o.Entries[0] = outboxapi.Entry(strings.Replace(string(o.Entries[0]), `"event":"`, `"event":"Invented`, 1))
		})
		f.eventually(ContainElement(And(class(oracle.Changed), HaveField("Name", "rewritten"), HaveField("Detail", ContainSubstring("Invented")))))
	})
	t.Run("a head that was rewritten", func(*testing.T) {
		obj := f.create("head")
		f.append(obj, 1, false)
		f.edit(obj, func(o *outboxapi.Outbox) {
			o.SetEntries(append(o.Entries, "no entry"))
			o.LastSequence, o.HeadHash = 2, strings.Repeat("0", 64)
		})
		f.eventually(ContainElement(And(class(oracle.ChainBreak), HaveField("Name", "head"))))
	})
	t.Run("entries in another order", func(*testing.T) {
		obj := f.create("order")
		f.append(obj, 3, false)
		f.edit(obj, func(o *outboxapi.Outbox) { o.Entries[0], o.Entries[1] = o.Entries[1], o.Entries[0] })
		f.eventually(ContainElement(And(class(oracle.OutOfOrder), HaveField("Name", "order"))))
	})
	t.Run("an entry that was taken away", func(*testing.T) {
		obj := f.create("taken")
		f.append(obj, 1, false)
		f.edit(obj, func(o *outboxapi.Outbox) {
			o.SetEntries([]outboxapi.Entry{})
			o.PersistedSequence = 1
		})
		f.eventually(ContainElement(And(class(oracle.Lost), HaveField("Name", "taken"), HaveField("Detail", ContainSubstring("naïve")))))
	})
	t.Run("a resource that went with its entries", func(*testing.T) {
		obj := f.create("stripped")
		f.append(obj, 2, false)
		f.Expect(strip(obj)).To(Succeed())
		f.delete(obj)
		f.eventually(ContainElements(And(class(oracle.Lost), HaveField("Name", "stripped"), HaveField("Sequence", int64(1))), And(class(oracle.Lost), HaveField("Name", "stripped"), HaveField("Sequence", int64(2)))))
		f.Expect(f.judge(f.database).Differences).NotTo(ContainElement(And(class(oracle.Undrained), HaveField("Name", "stripped"))))
	})
	t.Run("a closed record that is held", func(*testing.T) {
		obj := f.create("held")
		f.append(obj, 1, true)
		f.edit(obj, func(o *outboxapi.Outbox) {
			o.SetEntries([]outboxapi.Entry{})
			o.PersistedSequence = 1
		})
		f.eventually(ContainElement(And(class(oracle.Undrained), HaveField("Name", "held"), HaveField("Detail", ContainSubstring("finalizer")))))
	})
}

func (f *fixture) eventually(is gomegatypes.GomegaMatcher) {
	f.t.Helper()
	f.Eventually(func() []oracle.Difference { return f.judge(f.database).Differences }).Should(is)
}
