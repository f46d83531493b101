package verify

import (
	"fmt"
	"net/url"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

var kinds = []string{entry.KindOrchestration, entry.KindAIDecision, entry.KindExecution, entry.KindNotification, "backups.example.com"}

// trail is five finished records of five entries: cart-1 to cart-5, one of each kind.
func trail(t *testing.T, s *postgres.Store) [][]relay.Item {
	t.Helper()
	var all [][]relay.Item
	for i, kind := range kinds {
		items := history(t, source(i+1), kind, 5, true)
		persist(t, s, items)
		all = append(all, items)
	}
	return all
}

func TestAnIntactTrail(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "prod")
	trail(t, s)
	persist(t, s, history(t, source(6), entry.KindNotification, 250, false)) // more than a page
	report, found := check(t, s, nil, "")
	g.Expect(found).To(BeEmpty())
	g.Expect(report).To(Equal(Report{Verdict: Whole, Intact: true, Chains: 6, Entries: 275, Unfinished: 1, Unchecked: 1, Notes: report.Notes}))
	g.Expect(report.Notes).To(ConsistOf(ContainSubstring("no cluster was given")))
}

func TestAnEmptyTrail(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	report, _ := check(t, s, nil, "")
	g.Expect(report).To(Equal(Report{Verdict: Whole, Intact: true}))
}

func TestTheReadersRoleIsEnough(t *testing.T) {
	g := NewWithT(t)
	s, direct := newStore(t, "")
	trail(t, s)
	execute(t, s, "CREATE ROLE verifier LOGIN PASSWORD 'sesame' IN ROLE holdfast_reader; CREATE ROLE verify_writer LOGIN PASSWORD 'sesame' IN ROLE holdfast_writer")
	u, err := url.Parse(direct)
	g.Expect(err).NotTo(HaveOccurred())
	u.User = url.UserPassword("verifier", "sesame")
	report, _ := check(t, openStore(t, u.String(), ""), nil, "")
	g.Expect(report.Intact).To(BeTrue())
	g.Expect(report.Entries).To(Equal(25))

	u.User = url.UserPassword("verify_writer", "sesame")
	_, err = Run(t.Context(), openStore(t, u.String(), ""), nil, Options{}, func(Finding) {})
	g.Expect(err).To(And(MatchError(relay.ErrSchema), MatchError(ContainSubstring("holdfast_reader"))))
}

// at is the WHERE of an entry of notification_audit, whose record is cart-4.
func at(sequence int) string { return fmt.Sprintf(" WHERE sequence = %d", sequence) }

const rehash = ", entry_hash = sha256(convert_to(replace(entry, 'subject 2', 'subject X'), 'UTF8'))"

func TestTampering(t *testing.T) {
	for name, c := range map[string]struct {
		statement string
		want      []string
		says      string
	}{
		"the text changed":         {"UPDATE notification_audit SET entry = replace(entry, 'subject 2', 'subject X')" + at(3), []string{"changed cart-4 3"}, "the hash of the entry text is"},
		"the hash changed":         {"UPDATE notification_audit SET entry_hash = sha256('x')" + at(3), []string{"changed cart-4 3"}, "entry_hash is"},
		"the hash removed":         {"UPDATE notification_audit SET entry_hash = NULL" + at(3), []string{"changed cart-4 3"}, "entry_hash is (none)"},
		"text and hash changed":    {"UPDATE notification_audit SET subject = 'subject X', entry = replace(entry, 'subject 2', 'subject X')" + rehash + at(3), []string{"broken cart-4 4"}, "is not the hash of the previous entry"},
		"no JSON any more":         {"UPDATE notification_audit SET entry = 'x', entry_hash = sha256('x')" + at(3), []string{"changed cart-4 3", "broken cart-4 4"}, "cannot be read"},
		"a column changed":         {"UPDATE notification_audit SET subject = 'forged'" + at(3), []string{"column cart-4 3"}, `subject is "forged", but the entry has "subject 2"`},
		"a column emptied":         {"UPDATE notification_audit SET subject = NULL" + at(3), []string{"column cart-4 3"}, `subject is null, but the entry has "subject 2"`},
		"a column filled":          {"UPDATE notification_audit SET failure_reason = 'forged'" + at(3), []string{"column cart-4 3"}, `failure_reason is "forged", but the entry has null`},
		"a time moved":             {"UPDATE notification_audit SET recorded_at = recorded_at + interval '1 microsecond'" + at(3), []string{"column cart-4 3"}, "recorded_at is"},
		"a jsonb changed":          {`UPDATE notification_audit SET channels = '["slack"]'` + at(3), []string{"column cart-4 3"}, `channels is ["slack"], but the entry has ["console"]`},
		"final taken away":         {"UPDATE notification_audit SET final = false" + at(5), []string{"column cart-4 5"}, "final is false, but the entry has true"},
		"somebody else's":          {"UPDATE notification_audit SET recorded_by = 'mallory'" + at(3), []string{"column cart-4 3"}, "recorded_by"},
		"renamed":                  {"UPDATE notification_audit SET source_name = 'cart-4b'", []string{"column cart-4b 1", "column cart-4b 2", "column cart-4b 3", "column cart-4b 4", "column cart-4b 5"}, "source_name"},
		"the previous hash":        {"UPDATE notification_audit SET previous_hash = NULL" + at(3), []string{"column cart-4 3"}, "previous_hash is null"},
		"another id":               {"UPDATE notification_audit SET id = '019ab3c4-0000-8000-8000-000000000001'" + at(3), []string{"reordered cart-4 3"}, "the row has id 019ab3c4"},
		"removed in the middle":    {"DELETE FROM notification_audit WHERE sequence IN (2, 3)", []string{"missing cart-4 2"}, "entries 2 to 3: no row and no dead letter"},
		"removed at the start":     {"DELETE FROM notification_audit" + at(1), []string{"missing cart-4 1"}, "entry 1"},
		"swapped":                  {"UPDATE notification_audit SET sequence = -sequence WHERE sequence IN (2, 3); UPDATE notification_audit SET sequence = 5 + sequence WHERE sequence < 0", []string{"reordered cart-4 2", "reordered cart-4 3", "broken cart-4 2", "broken cart-4 3", "broken cart-4 4"}, "the row is at sequence"},
		"put into another chain":   {"UPDATE notification_audit SET source_uid = '00000009-0000-4000-8000-000000000009'" + at(5), []string{"reordered cart-4 5", "missing cart-4 1"}, "but its entry is sequence 5 of"},
		"copied":                   {"INSERT INTO resource_audit (id, source_uid, source_name, sequence, event, phase, final, recorded_at, schema_version, entry_hash, entry, kind, record) SELECT id, source_uid, source_name, sequence, event, phase, final, recorded_at, schema_version, entry_hash, entry, 'x', '{}' FROM notification_audit" + at(3), []string{"reordered cart-4 3", "doubled cart-4 3", "column cart-4 3"}, "the row is in resource_audit"},
		"taken out of its chain":   {"UPDATE notification_audit SET source_uid = NULL" + at(3), []string{"missing cart-4 3", "reordered cart-4 3"}, "but source_uid is empty"},
		"taken out, and its place": {"UPDATE notification_audit SET source_uid = NULL, sequence = NULL" + at(3), []string{"missing cart-4 3", "changed  0", "reordered cart-4 0"}, "the posted record cannot be read"},
		"below the first":          {"UPDATE notification_audit SET sequence = -1" + at(1), []string{"missing cart-4 1", "reordered cart-4 -1"}, "sequence is -1, expected at least 1"},
		"at nought":                {"UPDATE notification_audit SET sequence = 0" + at(1), []string{"missing cart-4 1", "reordered cart-4 0"}, "sequence is 0, expected at least 1"},
		"a row beside the chain":   {"UPDATE notification_audit SET source_uid = '00000009-0000-4000-8000-000000000009', sequence = -9223372036854775808" + at(5), []string{"reordered cart-4 -9223372036854775808"}, "expected at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s, _ := newStore(t, "prod")
			trail(t, s)
			tamper(t, s, c.statement)
			report, found := check(t, s, nil, "")
			g.Expect(brief(found)).To(ConsistOf(c.want))
			g.Expect(found).To(ContainElement(HaveField("Detail", ContainSubstring(c.says))))
			g.Expect(report.Intact).To(BeFalse())
		})
	}
}

// Whatever column of whatever row is changed, to whatever other value, it is found, and so is the row.
func TestNoColumnCanBeChangedUnseen(t *testing.T) {
	s, _ := newStore(t, "prod")
	histories := trail(t, s)
	tamper(t, s, "SELECT 1")
	var columns []struct{ Table, Name, Type string }
	NewWithT(t).Expect(s.DB().NewRaw(`SELECT table_name AS "table", column_name AS name, data_type AS type FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name LIKE '%\_audit' AND is_generated = 'NEVER' AND column_name NOT IN ('created_at', 'source_cluster', 'tx') ORDER BY 1, 2`).Scan(t.Context(), &columns)).To(Succeed())
	NewWithT(t).Expect(len(columns)).To(BeNumerically(">", 100))
	other := map[string]string{
		"uuid": "gen_random_uuid()", "character varying": "coalesce(%s, '') || 'x'", "text": "coalesce(%s, '') || 'x'", "integer": "coalesce(%s, 0) + 1", "bigint": "coalesce(%s, 0) + 1000",
		"smallint": "coalesce(%s, 0) + 1", "double precision": "coalesce(%s, 0) + 0.5", "boolean": "NOT coalesce(%s, false)", "bytea": "sha256(coalesce(%s, ''))",
		"timestamp with time zone": "coalesce(%s, now()) - interval '1 hour'", "jsonb": `coalesce(%s, 'null') || '["x"]'`,
	}
	rapid.Check(t, func(rt *rapid.T) {
		g := NewWithT(rt)
		column := rapid.SampledFrom(columns).Draw(rt, "column")
		history := histories[0]
		for i, table := range models.Tables() {
			if table == column.Table {
				history = histories[i]
			}
		}
		item := rapid.SampledFrom(history).Draw(rt, "entry")
		expression := other[column.Type]
		if expression != "gen_random_uuid()" {
			expression = fmt.Sprintf(expression, column.Name)
		}
		tx, err := s.DB().BeginTx(t.Context(), nil)
		g.Expect(err).NotTo(HaveOccurred())
		defer func() { _ = tx.Rollback() }()
		_, err = tx.ExecContext(t.Context(), "CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM "+column.Table+" WHERE id = '"+item.ID+"'")
		g.Expect(err).NotTo(HaveOccurred())
		result, err := tx.ExecContext(t.Context(), "UPDATE "+column.Table+" SET "+column.Name+" = "+expression+" WHERE id = '"+item.ID+"'")
		g.Expect(err).NotTo(HaveOccurred())
		n, err := result.RowsAffected()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n).To(BeEquivalentTo(1))
		g.Expect(tx.Commit()).To(Succeed())

		var found []Finding
		_, err = Run(t.Context(), s, nil, Options{}, func(f Finding) { found = append(found, f) })
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found).NotTo(BeEmpty(), "%s of %s", column.Name, column.Table)

		// Put it back: the entry's text tells which row it was.
		execute(t, s, "DELETE FROM "+column.Table+" WHERE id = '"+item.ID+"' OR entry_hash = '\\x"+item.Hash+"' OR (source_uid = '"+string(item.Source.UID)+"' AND sequence = "+fmt.Sprint(item.Sequence)+")")
		_, err = s.Persist(t.Context(), []relay.Item{item})
		g.Expect(err).NotTo(HaveOccurred())
		found = nil
		_, err = Run(t.Context(), s, nil, Options{}, func(f Finding) { found = append(found, f) })
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found).To(BeEmpty())
	})
}

func TestDeadLettersStandInTheirChain(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	items := history(t, source(1), entry.KindNotification, 5, true)
	items[1].Refused = "for the test"
	items[4].Refused = "for the test"
	persist(t, s, items)
	report, found := check(t, s, nil, "")
	g.Expect(found).To(BeEmpty())
	g.Expect(report.DeadLetters).To(Equal(2))
	g.Expect(report.Entries).To(Equal(3))
	g.Expect(report.Unfinished).To(BeZero(), "the dead letter is final")

	redrive(t, s)
	report, found = check(t, s, nil, "")
	g.Expect(found).To(BeEmpty())
	g.Expect(report.DeadLetters).To(BeZero())
	g.Expect(report.Entries).To(Equal(5))

	tamper(t, s, "DELETE FROM notification_audit WHERE sequence = 2; UPDATE audit_dead_letter SET entry = replace(entry, 'subject 4', 'subject X') WHERE sequence = 5")
	_, found = check(t, s, nil, "")
	g.Expect(brief(found)).To(ConsistOf("missing cart-1 2", "changed cart-1 5"))
	g.Expect(found).To(ContainElement(HaveField("Detail", ContainSubstring("is marked as redriven, but its row is missing"))))
}

func redrive(t *testing.T, s *postgres.Store) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(s.DeadLetters(t.Context(), postgres.Letters{}, func(d models.DeadLetter) error {
		outcome, err := s.Redrive(t.Context(), d, false)
		g.Expect(outcome.Result).To(Equal(relay.Stored))
		return err
	})).To(Succeed())
}

// A restored etcd appends another history from some point on. Its entries are dead letters; later ones have free places again.
func TestAFork(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	first := history(t, source(1), entry.KindNotification, 4, false)
	persist(t, s, first)
	var o *outboxapi.Outbox
	for i := range 5 {
		r := record(entry.KindNotification, i).(models.Notification)
		if i >= 2 {
			r.Subject = "another history"
		}
		next, _, err := entry.Append(o, source(1), entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Working", Record: r, Final: i == 4}, first[min(i, 3)].Entry.RecordedTime.Time, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		o = next
	}
	persist(t, s, relay.NewItems(source(1), "", entry.PendingOf(source(1).UID, o)))
	_, found := check(t, s, nil, "")
	g.Expect(brief(found)).To(Equal([]string{"forked cart-1 3", "forked cart-1 4"}))
}

func TestAnEntryAfterTheEnd(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	items := history(t, source(1), entry.KindNotification, 2, true)
	after := items[1]
	e := &after.Entry
	e.Sequence, e.ID, e.PreviousHash, e.Final = 3, entry.ID(source(1).UID, start, 3), after.Hash, false
	text, err := e.Encode()
	g.Expect(err).NotTo(HaveOccurred())
	after.Sequence, after.Hash, after.Text = 3, entry.Hash(text), text
	after.Check()
	persist(t, s, append(items, after))
	_, found := check(t, s, nil, "")
	g.Expect(brief(found)).To(Equal([]string{"after-final cart-1 3"}))
}

func TestPostedRows(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	posted := `{"remediation_id":"r","notification_requested_at":"2026-11-23T04:05:06Z","channels":["slack"],"id":"x"}`
	execute(t, s, `INSERT INTO notification_audit (id, remediation_id, notification_requested_at, channels, event, phase, final, recorded_at, recorded_by, schema_version, entry)
		SELECT gen_random_uuid(), 'r', '2026-11-23T04:05:06Z', '["slack"]', 'Posted', '', false, now(), 'jane', 1, '`+posted+`' FROM generate_series(1, 150)`)
	report, found := check(t, s, nil, "")
	g.Expect(found).To(BeEmpty())
	g.Expect(report).To(And(HaveField("Posted", 150), HaveField("Entries", 0), HaveField("Chains", 0)))
	tamper(t, s, "UPDATE notification_audit SET remediation_id = 'forged' WHERE id = (SELECT max(id::text)::uuid FROM notification_audit)")
	_, found = check(t, s, nil, "")
	g.Expect(found).To(ConsistOf(And(HaveField("Problem", Column), HaveField("Detail", ContainSubstring(`remediation_id is "forged"`)))))
}

// The first and the last years that a store takes are no finding. Others become dead letters.
func TestAncientTimesAreNoFinding(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	for i, year := range []string{"0002", "9998"} {
		item := history(t, source(i+1), entry.KindNotification, 1, true)[0]
		item.Entry.Record = []byte(`{"notification_requested_at":"` + year + `-03-01T00:00:01.000001Z","remediation_id":"r"}`)
		text, err := item.Entry.Encode()
		g.Expect(err).NotTo(HaveOccurred())
		item.Text, item.Hash = text, entry.Hash(text)
		persist(t, s, []relay.Item{item})
		_, found := check(t, s, nil, "")
		g.Expect(found).To(BeEmpty(), year)
	}
}
