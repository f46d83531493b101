package postgres

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

func look(t *testing.T, s *Store, readable Readable, fn func(context.Context, *Snapshot) error) {
	t.Helper()
	NewWithT(t).Expect(s.Snapshot(t.Context(), readable, fn)).To(Succeed())
}

// orchestration is a record with everything that lists and cohorts read.
func orchestration(id, fingerprint, alert, outcome string, received time.Time) models.Orchestration {
	done := outboxapi.NewTime(received.Add(time.Minute))
	return models.Orchestration{
		RemediationID: id, SignalFingerprint: fingerprint, SignalReceivedAt: outboxapi.NewTime(received), RemediationCreatedAt: outboxapi.NewTime(received.Add(time.Second)), CompletedAt: &done,
		TotalDurationSeconds: ptr.To(int64(60)), Outcome: outcome, SignalContext: &models.SignalContext{Name: alert, Severity: "critical"}, Target: &models.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"},
	}
}

// compared is a subject beside which the record above stands in every question.
func compared(id string) Subject {
	return Subject{
		Known: Known{ID: id, UIDs: []string{id}}, Alert: "PodCrash", Kind: "Deployment", Received: start.Add(time.Hour), Seconds: 60, LaterFrom: start.Add(-time.Hour), LaterTo: start.Add(time.Hour),
		Completed: start.Add(-time.Hour), Until: start, Fingerprint: "f", Namespace: "shop", Cluster: "test", Target: []byte(`{"apiVersion":"apps/v1","kind":"Deployment","name":"cart"}`),
	}
}

// What columns give back is what was persisted, of every table.
func TestASnapshotReadsRowsAsTheyWereWritten(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	source := newSource()
	id := string(source.UID)
	persist(t, s, history(t, source, entry.KindOrchestration, 2, func(int) any { return orchestration(id, "f", "PodCrash", "remediated", start) }))
	look(t, s, Readable{Everything: true}, func(ctx context.Context, q *Snapshot) error {
		byID, err := q.ReportRows(ctx, []Known{{id, []string{id}}, {"another", nil}}, start.Add(time.Hour))
		g.Expect(err).NotTo(HaveOccurred())
		rows := byID[id].Rows
		g.Expect(byID).To(HaveLen(1))
		g.Expect(rows).To(HaveLen(2))
		var want models.OrchestrationRow
		g.Expect(s.db.NewSelect().Model(&want).Where("sequence = 2").Scan(ctx)).To(Succeed())
		g.Expect(rows).To(ContainElement(&want))

		before, err := q.ReportRows(ctx, []Known{{id, []string{id}}}, start.Add(-time.Hour))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(before).To(BeEmpty(), "what was recorded later")

		list, err := q.List(ctx, List{Start: start.Add(-time.Hour), End: start.Add(time.Hour), Limit: 10})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(list).To(HaveLen(1))
		g.Expect(list[0]).To(And(HaveField("RemediationID", id), HaveField("Outcome", "remediated"), HaveField("Severity", "critical"), HaveField("SourceCluster", "test")))

		beside, err := q.Beside(ctx, []Subject{{Known: Known{ID: "first", UIDs: []string{id}}}, compared(id)}, 30*24*time.Hour, Limits{5, 5}, start.Add(time.Hour))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(beside).To(HaveLen(2))
		g.Expect(beside[0]).To(Equal(Beside{}), "nothing else was asked")
		g.Expect(beside[1].Recurrences).To(ConsistOf(HaveField("RemediationID", id)))
		g.Expect(beside[1].Cohort).To(HaveValue(Equal(Cohort{Place: 1, N: 1, Success: 1, Mean: ptr.To(60.0), Quantiles: []float64{60, 60}, NotSlower: 1})))
		g.Expect(beside[1].Earlier).To(ConsistOf(HaveField("RemediationID", id)))
		g.Expect(beside[1].Later).To(ConsistOf(HaveField("RemediationID", id)))

		entries, err := q.Entries(ctx, id, nil, 10)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(entries).To(HaveLen(2))
		g.Expect(entries[1].Entry).To(Equal(want.Entry))

		uids, err := q.Resources(ctx, "", "shop", "cart")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(uids).To(ConsistOf(And(HaveField("UID", id), HaveField("Kind", "orchestration"), HaveField("Final", true))))
		return err
	})
}

// A reader of one namespace sees its rows that are not older than it, of its cluster, and nothing else, whatever is asked.
func TestASnapshotShowsWhatIsReadable(t *testing.T) {
	s := open(t, database(t))
	source := newSource()
	id := string(source.UID)
	persist(t, s, history(t, source, entry.KindOrchestration, 2, func(int) any { return orchestration(id, "f", "PodCrash", "remediated", start) }))
	for name, test := range map[string]struct {
		readable Readable
		seen     int
	}{
		"everything":                {Readable{Everything: true}, 1},
		"its namespace":             {Readable{Cluster: "test", Since: map[string]time.Time{"shop": start.Add(-time.Hour), "other": {}}}, 1},
		"of another cluster":        {Readable{Cluster: "west", Since: map[string]time.Time{"shop": start.Add(-time.Hour)}}, 0},
		"another namespace":         {Readable{Cluster: "test", Since: map[string]time.Time{"other": start.Add(-time.Hour)}}, 0},
		"a namespace made again":    {Readable{Cluster: "test", Since: map[string]time.Time{"shop": start.Add(time.Hour)}}, 0},
		"made after the row's time": {Readable{Cluster: "test", Since: map[string]time.Time{"shop": time.Now().Add(time.Hour)}}, 0},
		"nothing":                   {Readable{Cluster: "test"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			look(t, s, test.readable, func(ctx context.Context, q *Snapshot) error {
				rows, err := q.ReportRows(ctx, []Known{{id, []string{id}}}, start.Add(time.Hour))
				g.Expect(err).NotTo(HaveOccurred())
				if test.seen == 0 {
					g.Expect(rows).To(BeEmpty())
				} else {
					g.Expect(rows[id].Rows).To(HaveLen(2))
				}
				for _, completed := range []bool{false, true} {
					for _, l := range []List{{}, {Outcome: "remediated"}, {Alert: "PodCrash"}, {Prefix: "car"}, {Prefix: id[:8]}, {Namespaces: []string{"shop"}}} {
						l.Start, l.End, l.Limit, l.Completed = start.Add(-time.Hour), start.Add(time.Hour), 10, completed
						list, err := q.List(ctx, l)
						g.Expect(err).NotTo(HaveOccurred(), "%+v", l)
						g.Expect(list).To(HaveLen(test.seen), "%+v", l)
					}
				}
				beside, err := q.Beside(ctx, []Subject{compared(id)}, 30*24*time.Hour, Limits{5, 5}, start.Add(time.Hour))
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(beside[0].Recurrences).To(HaveLen(test.seen))
				g.Expect(beside[0].Cohort.N).To(BeEquivalentTo(test.seen))
				g.Expect(beside[0].Earlier).To(HaveLen(test.seen))
				g.Expect(beside[0].Later).To(HaveLen(test.seen))
				entries, err := q.Entries(ctx, id, nil, 10)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(entries).To(HaveLen(2 * test.seen))
				uids, err := q.Resources(ctx, "", "shop", "cart")
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(uids).To(HaveLen(test.seen))
				return err
			})
		})
	}
}

// A snapshot has the rights of a reader whoever logs in, and one moment.
func TestASnapshotOnlyReads(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	look(t, s, Readable{}, func(ctx context.Context, q *Snapshot) error {
		var user, isolation, only string
		g.Expect(q.conn.QueryRow(ctx, "SELECT current_user, current_setting('transaction_isolation'), current_setting('transaction_read_only')").Scan(&user, &isolation, &only)).To(Succeed())
		g.Expect([]string{user, isolation, only}).To(Equal([]string{"holdfast_reader", "repeatable read", "on"}))
		return nil
	})
	g.Expect(s.Readable(t.Context())).To(Succeed())
	execute(t, s, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	g.Expect(s.Readable(t.Context())).To(Succeed(), "on a new session")
}

// What was posted after the instant of a report is in no cohort of it, however long ago it ended.
func TestACohortIsAsOfItsInstant(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	row := &models.OrchestrationRow{
		Envelope:      models.Envelope{ID: "4f8e0a52-6a3e-4be0-8f0e-000000000001", Event: "Posted", RecordedAt: outboxapi.NewTime(start.Add(2 * time.Hour)), RecordedBy: "stranger", SchemaVersion: 1, Entry: "{}"},
		Orchestration: orchestration("by-hand", "f", "PodCrash", "remediated", start),
	}
	_, err := s.Post(t.Context(), []models.Row{row})
	g.Expect(err).NotTo(HaveOccurred())
	look(t, s, Readable{Everything: true}, func(ctx context.Context, q *Snapshot) error {
		for asOf, n := range map[time.Duration]int{90 * time.Minute: 0, 3 * time.Hour: 1} {
			beside, err := q.Beside(ctx, []Subject{compared("4f8e0a52-6a3e-4be0-8f0e-000000000002")}, 30*24*time.Hour, Limits{5, 5}, start.Add(asOf))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(beside[0].Cohort.N).To(BeEquivalentTo(n))
			g.Expect(beside[0].Earlier).To(HaveLen(n))
		}
		return nil
	})
}

// Two sessions read the rows of one moment, whatever is written meanwhile. Where no other session is free, one reads all of it.
func TestTwoSessionsReadOneSnapshot(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	writer := open(t, url)
	write := func() {
		persist(t, writer, history(t, newSource(), entry.KindOrchestration, 1, func(int) any { return orchestration("an id", "f", "PodCrash", "remediated", start) }))
	}
	for _, sessions := range []int{1, 4} {
		s, err := Open(t.Context(), url, Options{PoolSize: sessions})
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(s.Close)
		counted := func(ctx context.Context, q *Snapshot) (n int) {
			g.Expect(q.conn.QueryRow(ctx, "SELECT count(*) FROM orchestration_audit").Scan(&n)).To(Succeed())
			return n
		}
		look(t, s, Readable{Everything: true}, func(ctx context.Context, q *Snapshot) error {
			before := counted(ctx, q)
			write()
			var here, there int
			var other *Snapshot
			err := q.twice(ctx, func(ctx context.Context, q *Snapshot) error {
				here = counted(ctx, q)
				return nil
			}, func(ctx context.Context, q *Snapshot) error {
				other, there = q, counted(ctx, q)
				return nil
			})
			g.Expect([]int{here, there}).To(Equal([]int{before, before}))
			alone := other == q
			g.Expect(alone).To(Equal(sessions == 1))
			return err
		})
	}
}

// A panic in the second session, as of a hostile row, is the caller's, who recovers it. No session is lost.
func TestAPanicBesideIsTheCallers(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	nothing := func(context.Context, *Snapshot) error { return nil }
	g.Expect(func() {
		_ = s.Snapshot(t.Context(), Readable{Everything: true}, func(ctx context.Context, q *Snapshot) error {
			return q.twice(ctx, nothing, func(ctx context.Context, q *Snapshot) error {
				_, err := q.run(ctx, "SELECT 1", nil)
				g.Expect(err).NotTo(HaveOccurred())
				panic("a hostile row")
			})
		})
	}).To(PanicWith(HaveField("Cause", "a hostile row")))
	g.Eventually(s.pool.Stat).Should(HaveField("AcquiredConns()", BeZero())) // the pool closes what was in a transaction by and by
	look(t, s, Readable{Everything: true}, nothing)
}
