package postgres

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
)

// ask runs one file of queries/ and gives its rows by column.
func ask(t *testing.T, c *pgx.Conn, name string, arguments ...any) []map[string]any {
	t.Helper()
	g := NewWithT(t)
	text, err := os.ReadFile("queries/" + name + ".sql")
	g.Expect(err).NotTo(HaveOccurred())
	for n := len(arguments); n > 0 && !strings.Contains(string(text), fmt.Sprintf("$%d", n)); n-- {
		arguments = arguments[:n-1]
	}
	rows, err := c.Query(t.Context(), string(text), append([]any{pgx.QueryExecModeCacheDescribe}, arguments...)...)
	g.Expect(err).NotTo(HaveOccurred())
	answers, err := pgx.CollectRows(rows, pgx.RowToMap)
	g.Expect(err).NotTo(HaveOccurred())
	return answers
}

func filled(t *testing.T, statements ...string) *pgx.Conn {
	t.Helper()
	g := NewWithT(t)
	c, err := pgx.Connect(t.Context(), database(t))
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	for _, statement := range statements {
		_, err = c.Exec(t.Context(), statement)
		g.Expect(err).NotTo(HaveOccurred(), statement)
	}
	return c
}

// One place of a chain may have a row and several dead letters: a restored etcd counts its sequences again.
func TestPagesOfAResourceLoseNoEntryOfOneSequence(t *testing.T) {
	g := NewWithT(t)
	const uid = "7b1f3f52-9d0e-4a7c-8e7b-1f0d6b1c9a10"
	c := filled(t, fmt.Sprintf(`INSERT INTO notification_audit (id, remediation_id, notification_requested_at, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry_hash, entry)
			SELECT gen_random_uuid(), 'r', now(), '%s', s, 'Changed', 'Sending', false, now(), 1, sha256(s::text::bytea), 'row' FROM generate_series(-1, 5) AS s`, uid),
		fmt.Sprintf(`INSERT INTO audit_dead_letter (id, entry_hash, kind, entry, error, source_uid, sequence, first_attempt, last_attempt, attempts)
			SELECT i.id, sha256((s + d)::text::bytea), 'notification', 'dead', 'forked', '%s', s, now(), now(), 1
			FROM generate_series(2, 4) AS s, (VALUES (gen_random_uuid(), 100), (gen_random_uuid(), 200), ('00000000-0000-8000-8000-000000000001', 300), ('00000000-0000-8000-8000-000000000001', 400)) AS i(id, d)`, uid))
	for _, size := range []int{1, 2, 3, 100} {
		t.Run(fmt.Sprintf("pages of %d", size), func(t *testing.T) {
			g := NewWithT(t)
			read := map[string]bool{}
			sequence, relation, id, hash := int64(math.MinInt64), "", uuid.Nil.String(), []byte{}
			for {
				rows := ask(t, c, "resource_entries", uid, sequence, size, relation, id, hash)
				g.Expect(len(rows)).To(BeNumerically("<=", size))
				for _, r := range rows {
					sequence, relation, id, hash = r["sequence"].(int64), r["relation"].(string), uuid.UUID(r["id"].([16]byte)).String(), r["entry_hash"].([]byte)
					key := fmt.Sprintf("%d %s %s %x", sequence, relation, id, hash)
					g.Expect(read).NotTo(HaveKey(key), "twice")
					read[key] = true
				}
				if len(rows) < size {
					break
				}
			}
			g.Expect(read).To(HaveLen(7 + 3*4))
		})
	}
	g.Expect(ask(t, c, "resource_entries", uid, 5, 100, "notification_audit", uuid.Nil.String(), []byte{})).To(BeEmpty())
}

// ending is one remediation as its last rows tell it. All begin at noon and end an hour later; the questions are asked two days after that, of an alert that is back, if it is, in between.
type ending struct {
	outcome        string
	postConditions string        // of the execution, as SQL; none if there was no execution
	back           time.Duration // after the end, 0 for never
	elsewhere      bool          // what is back is the same alert on another target
	ended          string        // when, as SQL
	labelled, good bool
}

const noon = "'2026-11-20 12:00:00+00'::timestamptz"

// The verdict on the AI: success, post-conditions passed, and the alert did not come back within a day. Windows that are not over, and what proves nothing, have no label.
func TestTheVerdictOnTheAI(t *testing.T) {
	for name, e := range map[string]ending{
		"held":                           {outcome: "remediated", postConditions: "true", labelled: true, good: true},
		"came back":                      {outcome: "remediated", postConditions: "true", back: 23 * time.Hour, labelled: true},
		"came back after the day":        {outcome: "remediated", postConditions: "true", back: 25 * time.Hour, labelled: true, good: true},
		"came back on another target":    {outcome: "remediated", postConditions: "true", back: time.Hour, elsewhere: true, labelled: true, good: true},
		"fired again while it ran":       {outcome: "remediated", postConditions: "true", back: -time.Minute, labelled: true, good: true},
		"failed":                         {outcome: "failed", postConditions: "false", labelled: true},
		"failed before post-conditions":  {outcome: "failed", postConditions: "NULL", labelled: true},
		"timed out":                      {outcome: "timed-out", postConditions: "NULL", labelled: true},
		"no post-conditions":             {outcome: "remediated", postConditions: "NULL"},
		"no post-conditions, came back":  {outcome: "remediated", postConditions: "NULL", back: time.Hour, labelled: true},
		"cancelled while it ran":         {outcome: "cancelled", postConditions: "NULL"},
		"rejected: nothing ran":          {outcome: "rejected"},
		"the day is not over":            {outcome: "remediated", postConditions: "true", ended: "'2026-11-22 10:00:00+00'::timestamptz"},
		"the day is not over, came back": {outcome: "remediated", postConditions: "true", ended: "'2026-11-22 10:00:00+00'::timestamptz", back: time.Hour, labelled: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := filled(t, e.statements()...)
			from, until, asOf := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
			bins := ask(t, c, "trends_ai", from, until, []string{"shop"}, asOf)
			g.Expect(bins).To(HaveLen(1))
			g.Expect(bins[0]).To(And(HaveKeyWithValue("n", BeEquivalentTo(1)), HaveKeyWithValue("bin", BeEquivalentTo(8))))
			one := map[bool]int{true: 1}
			decisions := map[string][]map[string]any{}
			for _, row := range ask(t, c, "trends_decisions", from, until, []string{"shop"}, asOf, 20) {
				part := row["part"].(string)
				decisions[part] = append(decisions[part], row["columns"].(map[string]any))
			}
			counts := And(HaveKeyWithValue("n", BeEquivalentTo(1)), HaveKeyWithValue("success", BeEquivalentTo(one[e.labelled && e.good])), HaveKeyWithValue("labelled", BeEquivalentTo(one[e.labelled])))
			g.Expect(decisions["band"]).To(ConsistOf(And(counts, HaveKeyWithValue("threshold", BeEquivalentTo(80)), HaveKeyWithValue("seconds", BeEquivalentTo(60)))))
			g.Expect(decisions["bin"]).To(HaveLen(2), "everyone, and the investigator")
			g.Expect(decisions["bin"]).To(HaveEach(And(counts, HaveKeyWithValue("bin", BeEquivalentTo(8)), HaveKeyWithValue("executed", BeEquivalentTo(one[e.postConditions != ""])))))
			g.Expect(bins[0]["labelled"]).To(BeEquivalentTo(one[e.labelled]))
			if !e.labelled {
				g.Expect(bins[0]).To(And(HaveKeyWithValue("success", BeNil()), HaveKeyWithValue("brier", BeNil())))
				return
			}
			g.Expect(bins[0]["success"]).To(BeEquivalentTo(one[e.good]))
		})
	}
}

func (e ending) statements() []string {
	ended, executed := e.ended, "NULL"
	if ended == "" {
		ended = noon + " + interval '1 hour'"
	}
	if e.postConditions != "" {
		executed = noon + " + interval '5 minutes'"
	}
	request := func(id, received, target, sequence, outcome, started, completed string) string {
		return fmt.Sprintf(`INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, workflow_started_at, completed_at, target, outcome,
			source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
			VALUES (gen_random_uuid(), '%[1]s', 'f', %[2]s, %[2]s, %[6]s, %[7]s, '{"apiVersion": "apps/v1", "kind": "Deployment", "name": "%[3]s"}', %[5]s, 'shop', '%[1]s', md5('%[1]s')::uuid, %[4]s,
				'Changed', '', %[4]s > 1, now(), 1, '')`, id, received, target, sequence, outcome, started, completed)
	}
	statements := []string{
		request("one", noon, "cart", "1", "NULL", "NULL", "NULL"),
		request("one", noon, "cart", "2", "'"+e.outcome+"'", executed, ended),
		fmt.Sprintf(`INSERT INTO ai_analysis_audit (id, remediation_id, investigation_started_at, action_confidence, approval_status, approval_requested_at, approval_duration_seconds, investigator, model,
			source_namespace, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
			VALUES (gen_random_uuid(), 'one', %[1]s, 80, 'approved', %[1]s, 60, 'rules', 'rules', 'shop', gen_random_uuid(), 2, 'Completed', '', true, now(), 1, '')`, noon),
	}
	if e.postConditions != "" {
		statements = append(statements, fmt.Sprintf(`INSERT INTO workflow_execution_audit (id, remediation_id, workflow_id, execution_started_at, outcome, post_conditions_passed,
			source_namespace, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
			VALUES (gen_random_uuid(), 'one', 'undo', %s, 'success', %s, 'shop', gen_random_uuid(), 2, 'Completed', '', true, now(), 1, '')`, executed, e.postConditions))
	}
	if e.back != 0 {
		target := map[bool]string{false: "cart", true: "search"}[e.elsewhere]
		statements = append(statements, request("two", fmt.Sprintf("%s + interval '%d seconds'", ended, int(e.back.Seconds())), target, "1", "NULL", "NULL", "NULL"))
	}
	return statements
}
