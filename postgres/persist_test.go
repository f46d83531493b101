package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

func TestPersistIsIdempotent(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	batch := notifications(t, 10)
	g.Expect(results(persist(t, s, batch))).To(Equal(repeat(relay.Stored, 10)))
	g.Expect(results(persist(t, s, batch))).To(Equal(repeat(relay.Present, 10)))

	more := sorted(append(slices.Clone(batch[:4]), notifications(t, 3)...))
	outcomes := persist(t, s, more)
	for i, item := range more {
		known := slices.ContainsFunc(batch, func(b relay.Item) bool { return b.ID == item.ID })
		want := relay.Stored
		if known {
			want = relay.Present
		}
		g.Expect(outcomes[i].Result).To(Equal(want))
	}
	g.Expect(count(t, s, "notification_audit")).To(Equal(13))
	g.Expect(letters(t, s)).To(BeEmpty())
	g.Expect(persist(t, s, nil)).To(BeEmpty())
}

func TestAnEntryTwiceInOneBatch(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	batch := notifications(t, 2)
	g.Expect(results(persist(t, s, []relay.Item{batch[0], batch[0], batch[1]}))).To(Equal([]relay.Result{relay.Stored, relay.Present, relay.Stored}))
	g.Expect(count(t, s, "notification_audit")).To(Equal(2))
}

// everyKind is a batch for all five tables.
func everyKind(t *testing.T, n int) []relay.Item {
	t.Helper()
	at := outboxapi.NewTime(start)
	var all []relay.Item
	for kind, record := range map[string]any{
		entry.KindOrchestration: models.Orchestration{RemediationID: "r", SignalFingerprint: "f", SignalReceivedAt: at, RemediationCreatedAt: at},
		entry.KindAIDecision:    models.AIDecision{RemediationID: "r", InvestigationStartedAt: at},
		entry.KindExecution:     models.Execution{RemediationID: "r", WorkflowID: "w", ExecutionStartedAt: at},
		entry.KindNotification:  notification(),
		"backups.example.com":   map[string]any{"copied": 3},
	} {
		all = append(all, history(t, newSource(), kind, n, func(int) any { return record })...)
	}
	return sorted(all)
}

func TestTwoStoresWithTheSameRowsAtOnce(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	for range 10 {
		batch := everyKind(t, 20)
		var mu sync.Mutex
		stored := map[string]int{}
		together, ctx := errgroup.WithContext(t.Context())
		for range 4 {
			s := open(t, url)
			together.Go(func() error {
				outcomes, err := s.Persist(ctx, batch)
				mu.Lock()
				defer mu.Unlock()
				for i, o := range outcomes {
					switch o.Result {
					case relay.Stored:
						stored[batch[i].ID]++
					case relay.Present:
					default:
						return fmt.Errorf("outcome %+v of %s", o, batch[i].ID)
					}
				}
				return err
			})
		}
		g.Expect(together.Wait()).To(Succeed())
		g.Expect(stored).To(HaveLen(len(batch)))
		g.Expect(slices.Max(slices.Collect(maps.Values(stored)))).To(Equal(1))
	}
	s := open(t, url)
	for _, table := range models.Tables() {
		g.Expect(count(t, s, table)).To(Equal(200), table)
	}
	g.Expect(count(t, s, "audit_dead_letter")).To(BeZero())
}

// forge gives an entry another content, hash and all, as a restored etcd would: same id and sequence, another history.
func forge(t *testing.T, item relay.Item, change func(*entry.Entry)) relay.Item {
	t.Helper()
	change(&item.Entry)
	text, err := item.Entry.Encode()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	item.Text, item.Hash, item.ID = text, entry.Hash(text), item.Entry.ID
	return item
}

func TestAnotherEntryInItsPlaceIsNeverOverwritten(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	batch := notifications(t, 3)
	persist(t, s, batch)
	otherContent := forge(t, batch[0], func(e *entry.Entry) { e.Event = "Diverged" })
	otherID := forge(t, batch[1], func(e *entry.Entry) { e.ID = "019ab3c4-0000-8000-8000-000000000001" })

	again := sorted([]relay.Item{otherContent, otherID, batch[2]})
	for range 2 {
		outcomes := persist(t, s, again)
		for i, item := range again {
			switch item.Hash {
			case otherContent.Hash:
				g.Expect(outcomes[i]).To(And(HaveField("Result", relay.Conflicting), HaveField("Error", ContainSubstring("another entry has this id"))))
			case otherID.Hash:
				g.Expect(outcomes[i]).To(And(HaveField("Result", relay.Conflicting), HaveField("Error", ContainSubstring("another entry, with another id, has sequence"))))
			default:
				g.Expect(outcomes[i].Result).To(Equal(relay.Present))
			}
		}
	}
	g.Expect(count(t, s, "notification_audit WHERE event = 'Diverged'")).To(BeZero())
	dead := letters(t, s)
	g.Expect(dead).To(HaveLen(2))
	for _, d := range dead {
		g.Expect(d.Attempts).To(BeEquivalentTo(2))
		g.Expect(d.Error).To(ContainSubstring("another entry"))
	}
}

// refuses is a constraint that somebody added: only the database knows it.
const refuses = "ALTER TABLE notification_audit ADD CHECK (delivery_status <> 'refused')"

func TestPoisonNeverBlocksTheOthers(t *testing.T) {
	for name, poison := range map[string]struct {
		change   func(*models.Notification)
		sqlState string
		says     string
	}{
		"too long for its column": {func(n *models.Notification) { n.RemediationID = strings.Repeat("é", 256) }, "22001", "remediation_id has 256 characters, expected at most 255"},
		"spaces too many":         {func(n *models.Notification) { n.DeliveryStatus = "success" + strings.Repeat(" ", 50) }, "22001", "delivery_status has 57 characters, expected at most 50"},
		"refused by a constraint": {func(n *models.Notification) { n.DeliveryStatus = "refused" }, "23514", "violates check constraint"},
	} {
		for _, at := range [][]int{{0}, {7}, {14}, {0, 14}, {3, 4, 5}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}} {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				g := NewWithT(t)
				s := open(t, database(t))
				execute(t, s, refuses)
				batch := history(t, newSource(), entry.KindNotification, 15, func(i int) any {
					n := notification()
					if slices.Contains(at, i) {
						poison.change(&n)
					}
					return n
				})
				for _, fine := range []relay.Result{relay.Stored, relay.Present} {
					outcomes := persist(t, s, batch)
					for i, item := range batch {
						if !slices.Contains(at, int(item.Sequence-1)) {
							g.Expect(outcomes[i].Result).To(Equal(fine))
							continue
						}
						g.Expect(outcomes[i]).To(And(HaveField("Result", relay.DeadLettered), HaveField("SQLState", poison.sqlState), HaveField("Error", ContainSubstring(poison.says))))
						g.Expect(outcomes[i].Durable()).To(BeTrue())
					}
				}
				g.Expect(count(t, s, "notification_audit")).To(Equal(15 - len(at)))
				dead := letters(t, s)
				g.Expect(dead).To(HaveLen(len(at)))
				for i, d := range dead {
					g.Expect(d.Sequence).To(BeEquivalentTo(at[i] + 1))
					g.Expect(d.Attempts).To(BeEquivalentTo(2))
					g.Expect(d.SQLState).To(Equal(poison.sqlState))
					g.Expect(d.Kind).To(Equal(entry.KindNotification))
					g.Expect(entry.Hash([]byte(d.Entry))).To(Equal(fmt.Sprintf("%x", d.EntryHash)))
					g.Expect([]string{d.SourceCluster, d.SourceNamespace, d.SourceName, d.SourceUID}).To(Equal([]string{"test", "shop", "cart", string(batch[0].Source.UID)}))
				}
			})
		}
	}
}

// Each of these never was an entry of Append: they stand for what a bug, another language's writer, or a hand on etcd could make.
func TestWhatDoesNotProjectIsDeadLettered(t *testing.T) {
	s := open(t, database(t))
	for name, c := range map[string]struct {
		change   func(*entry.Entry)
		sqlState string
		says     string
	}{
		"wrong type": {func(e *entry.Entry) {
			e.Record = []byte(`{"remediation_id":7,"notification_requested_at":"2026-11-23T04:05:06Z"}`)
		}, "", "record: remediation_id is 7, expected a string"},
		"missing":       {func(e *entry.Entry) { e.Record = []byte(`{"remediation_id":"r"}`) }, "", "notification_requested_at is missing"},
		"no object":     {func(e *entry.Entry) { e.Record = []byte(`[]`) }, "", "expected a JSON object"},
		"previous hash": {func(e *entry.Entry) { e.PreviousHash = "abc" }, "", `previousHash is "abc", expected 64 hex digits`},
		"id":            {func(e *entry.Entry) { e.ID = "seven" }, "", `id is "seven", expected a UUID`},
		"year one": {func(e *entry.Entry) {
			e.Record = []byte(`{"remediation_id":"r","notification_requested_at":"0001-01-01T00:00:00Z"}`)
		}, "23502", "notification_requested_at"},
		"before the year 1": {func(e *entry.Entry) { // in UTC; the database would take it, and nobody could read it
			e.Record = []byte(`{"remediation_id":"r","notification_requested_at":"0000-01-01T00:00:00+14:00"}`)
		}, "", "notification_requested_at is of the year -1, expected a time of the years 2 to 9998"},
		"after the year 9999": {func(e *entry.Entry) {
			e.Record = []byte(`{"remediation_id":"r","notification_requested_at":"9999-12-31T23:59:59-14:00"}`)
		}, "", "notification_requested_at is of the year 10000"},
		"recorded before the year 1": {func(e *entry.Entry) { e.RecordedTime.Time = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }, "", "year"},
		"integer out of range": {func(e *entry.Entry) {
			e.Kind = "execution"
			e.Record = []byte(`{"remediation_id":"r","workflow_id":"w","execution_started_at":"2026-11-23T04:05:06Z","total_steps":2147483648}`)
		}, "22003", "total_steps is 2147483648, expected -2147483648 to 2147483647"},
		"NUL in a text": {func(e *entry.Entry) {
			e.Record = []byte(`{"remediation_id":"a\u0000b","notification_requested_at":"2026-11-23T04:05:06Z"}`)
		}, "22021", "0x00"},
		"NUL in a jsonb": {func(e *entry.Entry) {
			e.Record = []byte(`{"remediation_id":"r","notification_requested_at":"2026-11-23T04:05:06Z","channels":["\u0000"]}`)
		}, "22P05", "channels has a NUL"},
		"phase too long":          {func(e *entry.Entry) { e.Phase = strings.Repeat("x", 51) }, "22001", "phase has 51 characters, expected at most 50"},
		"resource, not an object": {func(e *entry.Entry) { e.Kind = "backups.example.com"; e.Record = []byte(`"text"`) }, "", "expected a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			good := notifications(t, 1)[0]
			bad := forge(t, notifications(t, 1)[0], c.change)
			outcomes := persist(t, s, []relay.Item{bad, good})
			g.Expect(outcomes[0]).To(And(HaveField("Result", relay.DeadLettered), HaveField("SQLState", c.sqlState), HaveField("Error", ContainSubstring(c.says))))
			g.Expect(outcomes[1].Result).To(Equal(relay.Stored))
			g.Expect(count(t, s, fmt.Sprintf(`audit_dead_letter WHERE entry_hash = '\x%s' AND source_uid = '%s'`, bad.Hash, bad.Source.UID))).To(Equal(1))
		})
	}
}

func TestWhatTheRelayRefusedIsDeadLetteredWithoutTrying(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	item := notifications(t, 1)[0]
	item.Refused = "the entry's hash does not agree"
	broken := notifications(t, 1)[0]
	broken.Refused, broken.Text, broken.Hash, broken.ID = "no JSON", []byte("a\x00b\xff"), "none", "none"
	for range 2 {
		g.Expect(persist(t, s, []relay.Item{item, broken})).To(HaveEach(HaveField("Result", relay.DeadLettered)))
	}
	dead := letters(t, s)
	g.Expect(dead).To(HaveLen(2))
	for _, d := range dead {
		g.Expect(d.Attempts).To(BeEquivalentTo(2))
		if d.ID == item.ID {
			g.Expect(d.Entry).To(Equal(string(item.Text)))
			continue
		}
		g.Expect(d.Entry).To(Equal("a\uFFFDb\uFFFD"))
		g.Expect(d.Error).To(And(HavePrefix("no JSON; "), ContainSubstring(entry.Hash(broken.Text))))
	}
	g.Expect(count(t, s, "notification_audit")).To(BeZero())
}

func TestAnUnknownSchemaVersionIsUnsupported(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	newer := forge(t, notifications(t, 1)[0], func(e *entry.Entry) { e.SchemaVersion = 2 })
	outcomes := persist(t, s, sorted([]relay.Item{newer, notifications(t, 1)[0]}))
	g.Expect(results(outcomes)).To(ConsistOf(relay.Unsupported, relay.Stored))
	g.Expect(results(persist(t, s, []relay.Item{newer}))).To(Equal([]relay.Result{relay.Unsupported}))
	g.Expect(count(t, s, "notification_audit")).To(Equal(1))
	g.Expect(letters(t, s)).To(BeEmpty())
}

func TestTheContextBoundsTheWhole(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	lock, err := s.db.BeginTx(t.Context(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = lock.ExecContext(t.Context(), "LOCK TABLE notification_audit IN ACCESS EXCLUSIVE MODE")
	g.Expect(err).NotTo(HaveOccurred())
	batch := notifications(t, 1)

	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := s.Persist(ctx, batch)
		failed <- err
	}()
	g.Eventually(func() int {
		return count(t, s, "pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO notification_audit%'")
	}).WithTimeout(patience).Should(Equal(1))
	cancel()
	g.Eventually(failed).WithTimeout(patience).Should(Receive(MatchError(context.Canceled)))
	g.Expect(lock.Rollback()).To(Succeed())
	g.Expect(results(persist(t, s, batch))).To(Or(Equal(repeat(relay.Stored, 1)), Equal(repeat(relay.Present, 1))))
}

// A relay takes the store for back when Persist succeeds.
func TestUnsupportedEntriesNeedTheDatabaseToo(t *testing.T) {
	g := NewWithT(t)
	s, err := Open(t.Context(), "postgres://nobody@127.0.0.1:1/none", Options{})
	g.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	batch := notifications(t, 1)
	batch[0].Entry.SchemaVersion = entry.SchemaVersion + 1
	_, err = s.Persist(t.Context(), batch)
	g.Expect(err).To(HaveOccurred())
	g.Expect(s.Persist(t.Context(), nil)).To(BeEmpty(), "of nothing, nothing is asked")
}

// An entry that makes the code panic must not end a relay, which would read it again and end again.
func TestAnEntryThatMakesAPanicIsADeadLetter(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	at := outboxapi.NewTime(start)
	hostile := history(t, newSource(), entry.KindAIDecision, 1, func(int) any { return models.AIDecision{RemediationID: "r", InvestigationStartedAt: at} })
	broken := *s.tables[models.TableAIAnalysis]
	broken.columns = nil // as a bug would be: the first value is the id
	s.tables[models.TableAIAnalysis] = &broken
	batch := sorted(append(hostile, notifications(t, 200)...))
	g.Expect(results(persist(t, s, batch))).To(ConsistOf(append(anys(repeat(relay.Stored, 200)), relay.DeadLettered)...))
	g.Expect(letters(t, s)).To(ConsistOf(And(HaveField("ID", hostile[0].ID), HaveField("Error", HavePrefix("making its row panicked: ")))))
}
