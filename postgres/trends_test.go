package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
)

// trendReaders are whom the tests ask as: whoever may see everything, and whoever may see some namespaces.
func trendReaders() map[string]Readable {
	some := Readable{Since: map[string]time.Time{}}
	for _, name := range readers {
		some.Since[name] = time.Time{}
	}
	return map[string]Readable{"everything": {Everything: true}, "some namespaces": some}
}

func trendsOf(t *testing.T, s *Store, r Readable, of Trend) *TrendRows {
	t.Helper()
	var all *TrendRows
	NewWithT(t).Expect(s.Snapshot(t.Context(), r, func(ctx context.Context, q *Snapshot) (err error) {
		all, err = q.Trends(ctx, of)
		return err
	})).To(Succeed())
	return all
}

var monthOfTrends = Trend{Start: month, End: end.AddDate(0, 0, -3), AsOf: end, Bucket: "day", Patience: 7 * 24 * time.Hour, Groups: 20}

// Each answer is that of a plain query, row by row, without any of the ways in which the files save reading.
func TestTrendsAreThoseOfPlainQueries(t *testing.T) {
	url := database(t)
	s := open(t, url)
	c, err := pgx.Connect(t.Context(), url)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer c.Close(t.Context())
	fillYear(t, c, 5000)
	for name, r := range trendReaders() {
		for filter, of := range map[string]Trend{
			"": monthOfTrends, ", a namespace": {Namespaces: []string{"shop-3", "shop-0"}}, ", an alert": {Alert: "PodAlert1"}, ", a workflow": {Workflow: "restart-0"},
			", all of it": {Namespaces: []string{"shop-0", "shop-1"}, Alert: "PodAlert0", Workflow: "restart-0"},
		} {
			t.Run(name+filter, func(t *testing.T) {
				of.Start, of.End, of.AsOf, of.Bucket, of.Patience, of.Groups = monthOfTrends.Start, monthOfTrends.End, monthOfTrends.AsOf, monthOfTrends.Bucket, monthOfTrends.Patience, monthOfTrends.Groups
				all := trendsOf(t, s, r, of)
				comparison{t, c, of, plainly(r, of)}.compare(all)
			})
		}
	}
}

// comparison asks plain queries. conditions are what counts, of rows of an alias.
type comparison struct {
	t          *testing.T
	c          *pgx.Conn
	of         Trend
	conditions func(alias string) string
}

// plainly says which rows count, with literals: the remediations of the namespaces, of the alert and of the workflow.
func plainly(r Readable, of Trend) func(alias string) string {
	quoted := func(names []string) string {
		text := "NULL"
		for _, n := range names {
			text += ", '" + n + "'"
		}
		return text
	}
	return func(alias string) string {
		text := "true"
		if !r.Everything {
			text += " AND " + alias + ".source_namespace IN (" + quoted(readers) + ")"
		}
		if len(of.Namespaces) > 0 {
			text += " AND " + alias + ".source_namespace IN (" + quoted(of.Namespaces) + ")"
		}
		if of.Alert != "" {
			text += " AND " + alias + ".remediation_id IN (SELECT remediation_id FROM orchestration_audit WHERE signal_context ->> 'name' = '" + of.Alert + "')"
		}
		if of.Workflow != "" {
			text += " AND " + alias + ".remediation_id IN (SELECT remediation_id FROM workflow_execution_audit WHERE workflow_id = '" + of.Workflow + "')"
		}
		return text
	}
}

// one asks for one value. $1 and $2 are the window, $3 is as_of.
func (c comparison) one(text string) any {
	c.t.Helper()
	var value any
	NewWithT(c.t).Expect(c.c.QueryRow(c.t.Context(), "WITH used AS (SELECT $1::timestamptz, $2::timestamptz, $3::timestamptz) "+text, c.of.Start, c.of.End, c.of.AsOf).Scan(&value)).To(Succeed(), text)
	return value
}

func (c comparison) compare(all *TrendRows) {
	c.t.Helper()
	g := NewWithT(c.t)
	ended := "orchestration_audit AS f WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND " + c.conditions("f")
	count := func(from string) any { return c.one("SELECT count(*) FROM " + from) }

	var n, success, lost, groups, held, returned int64
	for _, o := range all.Outcomes {
		n += o.N
		g.Expect(count(ended + " AND f.outcome = '" + o.Outcome + "'")).To(BeEquivalentTo(o.N))
		g.Expect(c.one("SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM f.completed_at - f.signal_received_at)) FROM " + ended + " AND f.outcome = '" + o.Outcome + "'")).
			To(BeNumerically("~", o.Quantiles[1], 1e-6))
		g.Expect(all.RemediationIDs).To(HaveKey(o.Example))
		if o.Outcome == "remediated" {
			success = o.N
		}
	}
	g.Expect(count(ended)).To(BeEquivalentTo(n))
	g.Expect(n).NotTo(BeZero())
	g.Expect(count("orchestration_audit AS r WHERE (r.sequence = 1 OR r.sequence IS NULL) AND r.signal_received_at >= $1 AND r.signal_received_at < $2 AND " + c.conditions("r"))).To(BeEquivalentTo(all.Received[0].Received))
	for _, r := range all.Repairs {
		if !r.Before {
			g.Expect(r.N).To(Equal(success))
		}
	}
	spread := map[bool]int64{}
	for _, v := range all.Spread {
		spread[v.Before] += v.N
		if v.Seconds > 0 {
			digits := v.Seconds / math.Pow(10, math.Floor(math.Log10(v.Seconds))-2)
			g.Expect(digits).To(BeNumerically("~", math.Round(digits), 1e-6), "three digits")
		}
	}
	g.Expect(spread[false]).To(Equal(success))
	for _, b := range all.Bottlenecks {
		if b.Phase != "" {
			g.Expect(c.one("SELECT coalesce(sum(f.bottleneck_duration_seconds), 0) FROM " + ended + " AND f.bottleneck_phase = '" + b.Phase + "'")).To(BeEquivalentTo(b.Seconds))
		}
	}
	for _, a := range all.Alerts {
		g.Expect(c.one("SELECT 1000 * sum(extract(epoch FROM f.completed_at - f.signal_received_at))::bigint FROM " + ended + " AND f.alert_name = '" + a.Alert + "'")).To(BeEquivalentTo(a.Milliseconds))
		lost, groups = a.AllMilliseconds, a.Groups
	}
	g.Expect(c.one("SELECT 1000 * sum(extract(epoch FROM f.completed_at - f.signal_received_at))::bigint FROM " + ended)).To(BeEquivalentTo(lost))
	g.Expect(c.one("SELECT count(DISTINCT f.alert_name) FROM " + ended)).To(BeEquivalentTo(groups))
	for _, target := range all.Targets {
		g.Expect(count(ended + fmt.Sprintf(" AND coalesce(f.source_namespace, '') = '%s' AND f.target ->> 'kind' = '%s' AND f.target ->> 'name' = '%s'", target.Namespace, target.Kind, target.Name))).To(BeEquivalentTo(target.N))
		g.Expect(target.AllMilliseconds).To(Equal(lost))
	}

	// After each repair: the first signal later than its end, up to as_of.
	again := `(SELECT min(r.signal_received_at) FROM orchestration_audit AS r WHERE (r.sequence = 1 OR r.sequence IS NULL) AND r.signal_fingerprint = f.signal_fingerprint
		AND r.target = f.target AND r.source_namespace = f.source_namespace AND r.signal_received_at > f.completed_at AND r.signal_received_at <= least($3, f.completed_at + interval '7 days'))`
	for _, h := range all.Held {
		held += h.N
		if h.Returned {
			returned += h.N
		}
	}
	repaired := ended + " AND f.outcome = 'remediated' AND f.source_namespace IS NOT NULL"
	g.Expect(count(repaired)).To(BeEquivalentTo(held))
	g.Expect(count(repaired + " AND " + again + " IS NOT NULL")).To(BeEquivalentTo(returned))
	for _, h := range all.Held[:min(len(all.Held), 10)] {
		if h.Returned {
			g.Expect(count(repaired + fmt.Sprintf(" AND ceil(extract(epoch FROM %s - f.completed_at) / 60) = %d", again, h.Minutes))).To(BeEquivalentTo(h.N))
		} else if h.Minutes < 10080 {
			g.Expect(count(repaired + " AND " + again + fmt.Sprintf(" IS NULL AND floor(extract(epoch FROM $3 - f.completed_at) / 60) = %d", h.Minutes))).To(BeEquivalentTo(h.N))
		}
	}
	c.compareOthers(all)
}

func (c comparison) compareOthers(all *TrendRows) {
	c.t.Helper()
	g := NewWithT(c.t)
	count := func(from string) any { return c.one("SELECT count(*) FROM " + from) }
	executions := "workflow_execution_audit AS w WHERE (w.final OR w.sequence IS NULL) AND w.execution_started_at >= $1 AND w.execution_started_at < $2 AND " + c.conditions("w")
	for _, w := range all.Workflows {
		of := executions + " AND w.workflow_id = '" + w.WorkflowID + "'"
		g.Expect(count(of)).To(BeEquivalentTo(w.N))
		g.Expect(count(of + " AND w.outcome = 'success'")).To(BeEquivalentTo(w.Success))
		g.Expect(c.one("SELECT avg(w.effectiveness_score) FROM " + of)).To(BeNumerically("~", *w.Effectiveness, 1e-3))
		g.Expect(w.Total).To(BeEquivalentTo(count(executions)))
	}
	analyses := "ai_analysis_audit AS a WHERE (a.final OR a.sequence IS NULL) AND a.investigation_started_at >= $1 AND a.investigation_started_at < $2 AND " + c.conditions("a")
	for _, b := range all.Bins {
		of := analyses + fmt.Sprintf(" AND least(floor(a.action_confidence / 10), 9) = %d", b.Bin)
		if !b.Everyone {
			of += " AND a.investigator = '" + b.Investigator + "' AND a.model = '" + b.Model + "'"
		}
		g.Expect(count(of)).To(BeEquivalentTo(b.N))
	}
	for _, b := range all.Bands {
		of := analyses + fmt.Sprintf(" AND a.approval_requested_at IS NOT NULL AND least(floor(a.action_confidence / 5) * 5, 95) = %d", b.Threshold)
		g.Expect(count(of + " AND a.approval_status = 'approved'")).To(BeEquivalentTo(b.N))
		g.Expect(count(of + " AND a.approval_status = 'rejected'")).To(BeEquivalentTo(b.Rejected))
		g.Expect(c.one("SELECT coalesce(sum(a.approval_duration_seconds), 0) FROM " + of + " AND a.approval_status = 'approved'")).To(BeEquivalentTo(b.Seconds))
	}
	for _, a := range all.Approvals {
		of := analyses + " AND a.approval_requested_at IS NOT NULL"
		if a.Weekday != nil {
			of += fmt.Sprintf(" AND extract(isodow FROM a.approval_requested_at AT TIME ZONE 'UTC') = %d", *a.Weekday)
		}
		if a.Hour != nil {
			of += fmt.Sprintf(" AND extract(hour FROM a.approval_requested_at AT TIME ZONE 'UTC') = %d", *a.Hour)
		}
		g.Expect(count(of)).To(BeEquivalentTo(a.Asked))
		if a.Asked > 0 {
			g.Expect(c.one("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.approval_duration_seconds) FROM " + of)).To(BeNumerically("~", a.Quantiles[0], 1e-6))
		}
	}
	for _, d := range all.Deliveries {
		of := "notification_audit AS n WHERE n.final AND n.notification_requested_at >= $1 AND n.notification_requested_at < $2 AND " + c.conditions("n")
		g.Expect(count(of+` AND n.delivery_attempts @> '[{"status": "failed"}]'`)).To(BeEquivalentTo(d.Failed), "one attempt each")
		g.Expect(count(of)).To(BeEquivalentTo(d.Total))
	}
}

// The verdict on each decision is that of trends_ai, which looks at one decision after the other.
func TestTheVerdictIsThatOfOneDecisionAfterTheOther(t *testing.T) {
	type bin struct {
		Investigator string   `db:"investigator"`
		Model        string   `db:"model"`
		Bin          int      `db:"bin"`
		N            int64    `db:"n"`
		Labelled     int64    `db:"labelled"`
		Success      int64    `db:"success"`
		Confidence   *float64 `db:"confidence"`
		Brier        *float64 `db:"brier"`
	}
	url := database(t)
	s := open(t, url)
	c, err := pgx.Connect(t.Context(), url)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	defer c.Close(t.Context())
	fillYear(t, c, 5000)
	for name, r := range trendReaders() {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var want []bin
			g.Expect(s.Snapshot(t.Context(), r, func(ctx context.Context, q *Snapshot) (err error) {
				want, err = collect[bin](q.ask(ctx, query("trends_ai"), month, end, nil, end))
				return err
			})).To(Succeed())
			g.Expect(want).NotTo(BeEmpty())
			of := monthOfTrends
			of.End = end
			bins := slices.DeleteFunc(trendsOf(t, s, r, of).Bins, func(b TrendBin) bool { return b.Everyone })
			g.Expect(bins).To(HaveLen(len(want)))
			for _, w := range want {
				i := slices.IndexFunc(bins, func(b TrendBin) bool { return b.Investigator == w.Investigator && b.Model == w.Model && b.Bin == w.Bin })
				g.Expect(i).To(BeNumerically(">=", 0))
				b := bins[i]
				g.Expect([]int64{b.N, b.Labelled, b.Success}).To(Equal([]int64{w.N, w.Labelled, w.Success}))
				if w.Labelled > 0 {
					g.Expect(b.Confidence / float64(b.Labelled)).To(BeNumerically("~", *w.Confidence, 1e-3))
					g.Expect(b.Squares / float64(b.Labelled)).To(BeNumerically("~", *w.Brier, 1e-5))
				}
			}
		})
	}
}

// Whoever reads, and whatever they filter by: no table is read whole.
func TestNoTrendReadsATableWhole(t *testing.T) {
	g := NewWithT(t)
	c, err := pgx.Connect(t.Context(), database(t))
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close(t.Context())
	fillYear(t, c, 20_000)
	_, err = c.Exec(t.Context(), strings.ReplaceAll(trendSettings, "true", "false")+", set_config('timezone', 'UTC', false), set_config('jit', 'off', false)")
	g.Expect(err).NotTo(HaveOccurred())
	more := map[string][]any{"trends_outcomes": {20}, "trends_received": {end}, "trends_repairs": {month.AddDate(0, 0, -30)}, "trends_spread": {month.AddDate(0, 0, -30)}, "trends_days": {"day"}, "trends_bottlenecks": nil,
		"trends_alerts": {20}, "trends_targets": {20}, "trends_workflows": {20}, "trends_decisions": {end, 20}, "trends_approvals": nil, "trends_deliveries": {20}}
	for reader, r := range trendReaders() {
		for filter, of := range map[string]Trend{
			"": {}, ", a namespace": {Namespaces: []string{"shop-3"}}, ", an alert": {Alert: "PodAlert7"}, ", a workflow": {Workflow: "restart-3"},
			", all": {Namespaces: []string{"shop-3"}, Alert: "PodAlert7", Workflow: "restart-3"},
		} {
			buffers := 0
			for name, arguments := range more {
				text, arguments := of.narrow(query(name), append([]any{month, end, nil}, arguments...))
				text, arguments = r.restrict(text, arguments)
				p := explained(t, c, text, arguments)
				g.Expect(p.scanned).To(BeEmpty(), "%s for %s%s", name, reader, filter)
				buffers += p.buffers
			}
			t.Logf("%s%s: %d buffers", reader, filter, buffers)
			g.Expect(buffers).To(BeNumerically("<", 30_000), "%s%s: there are 1,640 remediations in the window", reader, filter)
		}
	}
}

// A record may name any outcome, and any moment of its end. However many do, the outcomes that Holdfast gives are told, all are counted, and the work is that of reading them once for each that is told.
func TestOutcomesWithoutNumber(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	s := open(t, url)
	const rows, names = 3000, 1000
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	execute(t, s, fmt.Sprintf(`INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, completed_at, outcome, event, phase, final, recorded_at, schema_version, entry)
		SELECT gen_random_uuid(), 'r' || i, 'f', '%[1]s', '%[1]s', '%[1]s', CASE WHEN i = 0 THEN 'remediated' ELSE 'outcome ' || i %% %[3]d END, 'Completed', '', true, now(), 1, '' FROM generate_series(0, %[2]d) AS i`,
		at.Format(time.RFC3339), rows-1, names))
	execute(t, s, "VACUUM (ANALYZE) orchestration_audit")
	of := Trend{Start: at, End: at.Add(time.Minute), AsOf: end, Bucket: "day", Groups: 20}
	all := trendsOf(t, s, Readable{Everything: true}, of)
	g.Expect(all.Outcomes).To(HaveLen(20))
	g.Expect(all.Outcomes).To(HaveEach(HaveField("Total", BeEquivalentTo(rows))))
	g.Expect(all.Outcomes).To(ContainElement(And(HaveField("Outcome", "remediated"), HaveField("N", BeEquivalentTo(1)))))

	c, err := pgx.Connect(t.Context(), url)
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close(t.Context())
	everything := Readable{Everything: true}
	text, arguments := everything.restrict(query("trends_outcomes"), []any{of.Start, of.End, nil, of.Groups})
	buffers := explained(t, c, text, arguments).buffers
	t.Logf("%d buffers", buffers)
	g.Expect(buffers).To(BeNumerically("<", 5000), "of each name it would be 11,000")
}

// Any number of rows may be posted under one id, and the first that counts may come after as many that do not. It is looked for once, not once for each row.
func TestPostedRowsWithoutNumber(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	s := open(t, url)
	const rows = 2000
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	for _, table := range []string{
		`INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, workflow_started_at, completed_at, outcome, event, phase, final, recorded_at, schema_version, entry)
			SELECT gen_random_uuid(), 'r', 'f', '%[1]s', '%[1]s', '%[1]s', CASE WHEN i >= %[2]d THEN '%[1]s'::timestamptz END, 'remediated', 'Posted', '', false, now(), 1, ''`,
		`INSERT INTO ai_analysis_audit (id, remediation_id, investigation_started_at, action_confidence, event, phase, final, recorded_at, schema_version, entry)
			SELECT gen_random_uuid(), 'r', '%[1]s', CASE WHEN i >= %[2]d THEN 80 END, 'Posted', '', false, now(), 1, ''`,
		`INSERT INTO workflow_execution_audit (id, remediation_id, workflow_id, execution_started_at, post_conditions_passed, event, phase, final, recorded_at, schema_version, entry)
			SELECT gen_random_uuid(), 'r', 'w', '%[1]s', CASE WHEN i >= %[2]d THEN true END, 'Posted', '', false, now(), 1, ''`,
	} {
		execute(t, s, fmt.Sprintf(table+` FROM generate_series(0, 2 * %[2]d - 1) AS i`, at.Format(time.RFC3339), rows))
	}
	execute(t, s, "VACUUM (ANALYZE)")
	of := Trend{Start: at, End: at.Add(time.Minute), AsOf: end, Bucket: "day", Groups: 20}
	everything := Readable{Everything: true}
	all := trendsOf(t, s, everything, of)
	g.Expect(all.Targets).To(HaveExactElements(HaveField("N", BeEquivalentTo(1))))
	g.Expect(all.Bins).To(HaveEach(HaveField("N", BeEquivalentTo(1))))

	c, err := pgx.Connect(t.Context(), url)
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close(t.Context())
	for name, more := range map[string][]any{"trends_decisions": {of.AsOf, of.Groups}, "trends_targets": {of.Groups}} {
		text, arguments := everything.restrict(query(name), append([]any{of.Start, of.End, nil}, more...))
		buffers := explained(t, c, text, arguments).buffers
		t.Logf("%s: %d buffers", name, buffers)
		g.Expect(buffers).To(BeNumerically("<", 4000), "%s: of each row it would be a hundred thousand and more", name)
	}
}

// Nearly every notification has one attempt, which is counted in a way of its own. Each counts as it does beside an attempt in another channel, however it is written.
func TestADeliveryCountsTheSameAloneAndBesideAnother(t *testing.T) {
	s := open(t, database(t))
	attempts := []string{`1`, `"a"`, `null`, `[]`, `[["x"]]`, `{}`, `{"channel": "slack"}`, `{"channel": null, "status": null}`, `{"channel": "slack", "status": 7}`, `{"channel": {"status": "failed"}, "status": "failed"}`}
	for _, status := range []string{"success", "failed", "unknown", "Failed"} {
		attempts = append(attempts, fmt.Sprintf(`{"channel": "slack", "status": %q}`, status), fmt.Sprintf(`{"status": %q}`, status))
	}
	const beside = `{"channel": "beside", "status": "failed"}`
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	deliveries := func(g Gomega, attempts, purpose string) (all []TrendDelivery) {
		at = at.Add(time.Hour)
		execute(t, s, fmt.Sprintf(`INSERT INTO notification_audit (id, remediation_id, notification_requested_at, delivery_attempts, purpose, source_namespace, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
			VALUES (gen_random_uuid(), 'one', '%s', '%s', %s, 'shop', gen_random_uuid(), 2, 'Completed', '', true, now(), 1, '')`, at.Format(time.RFC3339), attempts, purpose))
		of := Trend{Start: at, End: at.Add(time.Minute), AsOf: end, Bucket: "day", Groups: 10}
		g.Expect(s.Snapshot(t.Context(), Readable{Everything: true}, func(ctx context.Context, q *Snapshot) error {
			return trend(of, &all, "trends_deliveries", of.Groups)(ctx, q)
		})).To(Succeed())
		for i := range all { // how many channels there are, the other one counts
			all[i].Groups = 0
		}
		return all
	}
	for _, purpose := range []string{"NULL", "'Outcome'", "'Approval'"} {
		t.Run(purpose, func(t *testing.T) {
			g := NewWithT(t)
			for _, a := range attempts {
				alone, both := deliveries(g, "["+a+"]", purpose), deliveries(g, "["+a+", "+beside+"]", purpose)
				g.Expect(alone).To(HaveLen(1), a)
				g.Expect(both).To(And(HaveLen(2), ContainElement(alone[0])), a)
				g.Expect(deliveries(g, "["+a+", "+a+"]", purpose)).To(ConsistOf(And(HaveField("N", BeEquivalentTo(1)), HaveField("Attempts", 2*alone[0].Attempts), HaveField("Failed", 2*alone[0].Failed))), a)
			}
			for _, none := range []string{`[]`, `null`, `{}`, `"slack"`} {
				g.Expect(deliveries(g, none, purpose)).To(ConsistOf(TrendDelivery{N: 1, Undelivered: 1, Total: 1}), none)
			}
		})
	}
}
