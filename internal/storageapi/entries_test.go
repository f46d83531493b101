package storageapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/storageclient"
)

const entries = "/" + storageclient.EntriesPath

var created = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)

// chain is a resource's history: n entries of a kind.
func chain(t *testing.T, kind string, n int, record any) []relay.Item {
	t.Helper()
	source := entry.Source{Namespace: "shop", Name: "cart", UID: types.UID(uuid.NewString()), Created: created}
	var o *outboxapi.Outbox
	for range n {
		next, _, err := entry.Append(o, source, entry.Change{Kind: kind, Event: "Changed", Phase: "Working", Record: record}, created.Add(time.Hour), entry.Salt{}, entry.DefaultLimits())
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		o = next
	}
	return relay.NewItems(source, "Cart", entry.PendingOf(source.UID, o))
}

// everything is a batch of all that can happen to an entry; before has to be in the database first.
func everything(t *testing.T) (batch, before []relay.Item) {
	t.Helper()
	notified := map[string]any{"remediation_id": "r", "notification_requested_at": "2026-11-23T04:05:06Z", "subject": "<cart> & \\u0000 \U0001F525", "unknown": 1e20}
	orchestrated := map[string]any{"remediation_id": "r", "signal_fingerprint": "f", "signal_received_at": "2026-11-23T04:05:06Z", "remediation_created_at": "2026-11-23T04:05:06Z"}
	good := slices.Concat(chain(t, entry.KindNotification, 3, notified), chain(t, entry.KindOrchestration, 2, orchestrated), chain(t, "backups.example.com", 2, map[string]any{"bytes": 7}))
	present := chain(t, entry.KindNotification, 2, notified)
	taken := chain(t, entry.KindNotification, 1, notified)

	batch = slices.Concat(good, present, chain(t, entry.KindNotification, 1, map[string]any{"remediation_id": strings.Repeat("x", 256), "notification_requested_at": "2026-11-23T04:05:06Z"}),
		chain(t, entry.KindNotification, 1, map[string]any{"subject": "of no remediation"}))
	one := func() relay.Item { return chain(t, entry.KindNotification, 1, notified)[0] }
	// Changed by hand, hash and all, as a restored etcd does it.
	forged := func(item relay.Item, change func(*entry.Entry)) relay.Item {
		change(&item.Entry)
		text, err := item.Entry.Encode()
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return checked(relay.Item{Source: item.Source, ResourceKind: "Cart", Sequence: item.Sequence, Hash: entry.Hash(text), Text: text})
	}
	tampered, unreadable := one(), one()
	tampered.Text = bytes.Replace(tampered.Text, []byte(`"Working"`), []byte(`"Forged"`), 1)
	unreadable.Text = []byte("half an entry \x00\xff"[:13])
	unreadable.Hash = entry.Hash(unreadable.Text)
	batch = append(batch, forged(taken[0], func(e *entry.Entry) { e.Event = "Diverged" }), forged(one(), func(e *entry.Entry) { e.ID = uuid.NewString() }),
		forged(one(), func(e *entry.Entry) { e.SchemaVersion = 99 }), forged(one(), func(e *entry.Entry) { e.Sequence = 7 }), forged(one(), func(e *entry.Entry) { e.Source.Name = "other" }),
		checked(tampered), checked(unreadable))
	slices.SortFunc(batch, relay.ByID)
	return batch, slices.Concat(present, taken)
}

func checked(item relay.Item) relay.Item {
	again := relay.Item{Source: item.Source, ResourceKind: item.ResourceKind, Sequence: item.Sequence, Hash: item.Hash, Text: item.Text}
	again.Check()
	return again
}

// rows are all that the database has, but for the times of the transaction.
func rows(t *testing.T, s *postgres.Store) []string {
	t.Helper()
	g := NewWithT(t)
	var all []string
	for _, table := range []string{"orchestration_audit", "notification_audit", "resource_audit", "audit_dead_letter"} {
		var some []string
		g.Expect(s.DB().NewRaw(fmt.Sprintf(`SELECT (to_jsonb(t) - 'created_at' - 'tx' - 'first_attempt' - 'last_attempt')::text FROM %s t ORDER BY id`, table)).Scan(t.Context(), &some)).To(Succeed())
		all = append(all, some...)
	}
	return all
}

func (s *service) caller(t *testing.T, token string) *storageclient.Client {
	t.Helper()
	c, err := storageclient.New(s.url, storageclient.Options{Token: token})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

// A relay that drains into the service gets what one with the database gets: the same outcomes, the same rows, the same dead letters.
func TestTheServiceIsTheStoreThatItStandsFor(t *testing.T) {
	g := NewWithT(t)
	batch, before := everything(t)
	orphan := chain(t, "backups.example.com", 2, map[string]any{"bytes": 7})[1]
	orphan.AskPrevious = true
	batch = append(batch, orphan)
	slices.SortFunc(batch, relay.ByID)
	direct, s := newStore(t), start(t)
	over := s.caller(t, "relayer").Store("east")
	for _, to := range []relay.Store{direct.ForCluster("east"), over} {
		_, err := to.Persist(t.Context(), before)
		g.Expect(err).NotTo(HaveOccurred())
	}
	for range 2 { // the second time all of it is there
		want, err := direct.ForCluster("east").Persist(t.Context(), batch)
		g.Expect(err).NotTo(HaveOccurred())
		got, err := over.Persist(t.Context(), batch)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(want))
		g.Expect(got).To(ContainElement(HaveField("PreviousMissing", true)))
		seen := map[relay.Result]bool{}
		for _, o := range got {
			seen[o.Result] = true
		}
		g.Expect(seen).To(And(HaveKey(relay.Present), HaveKey(relay.DeadLettered), HaveKey(relay.Conflicting), HaveKey(relay.Unsupported)))
	}
	g.Expect(rows(t, s.store)).To(Equal(rows(t, direct)))
}

func TestABatchThatIsTooLargeIsHalved(t *testing.T) {
	g := NewWithT(t)
	batch, _ := everything(t)
	for name, l := range map[string]Limits{"entries": {Entries: 4}, "bytes": {BodyBytes: 4 << 10, BytesInFlight: 1 << 20}} {
		s := start(t, func(c *Config) { c.Limits = l })
		outcomes, err := s.caller(t, "relayer").Store("").Persist(t.Context(), batch)
		g.Expect(err).NotTo(HaveOccurred(), name)
		g.Expect(outcomes).To(HaveLen(len(batch)))
		g.Expect(s.count("notification_audit")).To(Equal(6), name)
	}
	none := start(t, func(c *Config) { c.Limits = Limits{BodyBytes: 100, BytesInFlight: 1 << 20} })
	_, err := none.caller(t, "relayer").Store("").Persist(t.Context(), batch)
	g.Expect(err).To(MatchError(relay.ErrSchema), "one entry alone is too large: no dead letter for that")
	g.Expect(err).To(MatchError(ContainSubstring("--max-body-bytes")))
}

func TestARelayNeedsTheRight(t *testing.T) {
	s := start(t)
	for token, advice := range map[string]string{"poster": "holdfast-relay", "stranger": "holdfast-relay", "": "--store-token-file", "outage": ""} {
		g := NewWithT(t)
		err := s.caller(t, token).Store("").Check(t.Context())
		if token == "outage" {
			g.Expect(err).NotTo(MatchError(relay.ErrSchema), "it passes")
			var asked relay.Retry
			g.Expect(errors.As(err, &asked)).To(BeTrue())
			g.Expect(asked.RetryAfter()).To(Equal(databaseAway))
			continue
		}
		g.Expect(err).To(MatchError(relay.ErrSchema))
		g.Expect(err).To(MatchError(ContainSubstring(advice)))
	}
	NewWithT(t).Expect(s.caller(t, "relayer").Store("").Check(t.Context())).To(Succeed())
}

func TestWhatIsNoBatch(t *testing.T) {
	s := start(t)
	contract := readContract(t, s)
	item := chain(t, entry.KindNotification, 1, map[string]any{})[0]
	raw, err := json.Marshal(storageclient.Entries{Entries: []storageclient.SentEntry{{Resource: "Cart", Entry: outboxapi.Entry(item.Text)}}})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for body, want := range map[string]int{
		"":                                    http.StatusBadRequest,
		"{":                                   http.StatusBadRequest,
		`{"entries":[]} {}`:                   http.StatusBadRequest,
		`{"entries":[`:                        http.StatusBadRequest,
		"null":                                http.StatusUnprocessableEntity,
		"[]":                                  http.StatusUnprocessableEntity,
		"{}":                                  http.StatusUnprocessableEntity,
		`{"entries":null}`:                    http.StatusUnprocessableEntity,
		`{"entries":[],"cluster":7}`:          http.StatusUnprocessableEntity,
		`{"entries":[{"source":{"uid":[]}}]}`: http.StatusUnprocessableEntity,
		`{"entries":[],"cluster":"` + strings.Repeat("x", 256) + `"}`:                    http.StatusUnprocessableEntity,
		strings.Replace(string(raw), `"resource"`, `"aFieldOfTomorrow":1,"resource"`, 1): http.StatusUnprocessableEntity,
		`{"entries":[` + strings.Repeat(`{},`, 1000) + `{}]}`:                            http.StatusRequestEntityTooLarge,
		`{"entries":[]}`:   http.StatusOK,
		`{"entries":[{}]}`: http.StatusOK, // an entry that is none is a dead letter: nothing that a relay found may be in its way for ever
	} {
		answer := s.do(http.MethodPost, entries, "relayer", strings.NewReader(body))
		NewWithT(t).Expect(answer.status).To(Equal(want), "%.100s: %s", body, answer.body)
		contract.documented(http.MethodPost, entries, answer)
	}
	for token, want := range map[string]int{"poster": 403, "stranger": 403, "": 401, "outage": 503} {
		answer := s.do(http.MethodPost, entries, token, strings.NewReader(`{"entries":[]}`))
		NewWithT(t).Expect(answer.status).To(Equal(want))
		contract.documented(http.MethodPost, entries, answer)
	}
	for _, x := range at(contract.root, "paths", entries, "post", "requestBody", "content", "application/json", "examples").(map[string]any) {
		body, err := json.Marshal(at(x, "value"))
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		answer := s.do(http.MethodPost, entries, "relayer", strings.NewReader(string(body)))
		var said storageclient.Outcomes
		NewWithT(t).Expect(json.Unmarshal([]byte(answer.body), &said)).To(Succeed())
		NewWithT(t).Expect(said).To(Equal(storageclient.Outcomes{Outcomes: []relay.Outcome{{Result: relay.Stored}}, Database: databaseOf(t, s.store)}))
		contract.documented(http.MethodPost, entries, answer)
	}
}

// databaseOf is what the store calls its database.
func databaseOf(t *testing.T, s *postgres.Store) string {
	t.Helper()
	_, name, err := s.PersistIn(t.Context(), nil)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(name).NotTo(BeEmpty())
	return name
}

// A relay that drains over REST learns as much of the database as one that has it, with a batch and without; and that it takes no rows.
func TestARelayLearnsWhichDatabaseTheServiceHas(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	over := s.caller(t, "relayer").Store("east")
	for _, batch := range [][]relay.Item{nil, chain(t, entry.KindNotification, 2, map[string]any{"remediation_id": "r", "notification_requested_at": "2026-11-23T04:05:06Z"})} {
		slices.SortFunc(batch, relay.ByID)
		outcomes, database, err := over.PersistIn(t.Context(), batch)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(outcomes).To(HaveLen(len(batch)))
		g.Expect(database).To(Equal(databaseOf(t, s.store)))
	}
	s.turnReadOnly("on")
	g.Eventually(func() error { _, _, err := over.PersistIn(t.Context(), nil); return err }, patience).Should(MatchError(ContainSubstring("503")))
	s.turnReadOnly("off")
}

// A relay is one caller that writes all day: it has the gates, and not the rate of those who post.
func TestARelayIsNotPaced(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits = Limits{RequestsPerSecond: 0.001, Burst: 1} })
	over := s.caller(t, "relayer").Store("")
	for range 5 {
		g.Expect(over.Check(context.Background())).To(Succeed())
	}
}

func TestTheClientPostsRecords(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	c := s.caller(t, "poster")
	at := outboxapi.NewTime(created)
	for table, record := range map[string]func(storageclient.Envelope) storageclient.Record{
		models.TableOrchestration: func(e storageclient.Envelope) storageclient.Record {
			return storageclient.Orchestration{Envelope: e, Orchestration: models.Orchestration{RemediationID: "r", SignalFingerprint: "f", SignalReceivedAt: at, RemediationCreatedAt: at}}
		},
		models.TableAIAnalysis: func(e storageclient.Envelope) storageclient.Record {
			return storageclient.AIDecision{Envelope: e, AIDecision: models.AIDecision{RemediationID: "r", InvestigationStartedAt: at}}
		},
		models.TableExecution: func(e storageclient.Envelope) storageclient.Record {
			return storageclient.Execution{Envelope: e, Execution: models.Execution{RemediationID: "r", WorkflowID: "w", ExecutionStartedAt: at}}
		},
		models.TableNotification: func(e storageclient.Envelope) storageclient.Record {
			return storageclient.Notification{Envelope: e, Notification: models.Notification{RemediationID: "r", NotificationRequestedAt: at, Subject: "a\x00b"}}
		},
	} {
		one, two := storageclient.Envelope{ID: uuid.NewString(), Event: "Told", Phase: "Sent", Final: true, RecordedAt: &at}, storageclient.Envelope{ID: uuid.NewString()}
		for _, status := range []string{"stored", "present"} {
			receipts, err := c.Post(t.Context(), record(one), record(two))
			g.Expect(err).NotTo(HaveOccurred(), table)
			g.Expect(receipts).To(HaveExactElements(And(HaveField("ID", one.ID), HaveField("Status", status)), And(HaveField("ID", two.ID), HaveField("Status", status))))
		}
		g.Expect(s.count(table + " WHERE event = 'Told' AND phase = 'Sent' AND final AND recorded_at = '2026-11-23 04:05:06+00' AND recorded_by LIKE '%poster'")).To(Equal(1))
	}
	_, err := c.Post(t.Context(), storageclient.Notification{})
	var refused *storageclient.Error
	g.Expect(errors.As(err, &refused)).To(BeTrue())
	g.Expect(refused.Errors).To(ContainElement(HaveField("Pointer", "/0/remediation_id")))
	s.verified()
}
