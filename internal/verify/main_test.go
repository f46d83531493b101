package verify

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// env has one API server and one PostgreSQL; each test takes a database of its own.
var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

var databases atomic.Int32

func newStore(t *testing.T, cluster string) (*postgres.Store, string) {
	t.Helper()
	g := NewWithT(t)
	url, err := env.Database(t.Context(), fmt.Sprintf("verify_%d", databases.Add(1)))
	g.Expect(err).NotTo(HaveOccurred())
	return openStore(t, url, cluster), url
}

func openStore(t *testing.T, url, cluster string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, postgres.Options{Cluster: cluster})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(s.Close)
	return s
}

var start = time.Date(2026, 11, 23, 4, 5, 6, 123456000, time.UTC)

// uids sort as they are numbered, so that findings come in a known order.
func source(n int) entry.Source {
	return entry.Source{Namespace: "shop", Name: fmt.Sprintf("cart-%d", n), UID: types.UID(fmt.Sprintf("%08d-0000-4000-8000-%012d", n, n)), Created: start}
}

func record(kind string, i int) any {
	at, later, n := outboxapi.NewTime(start), outboxapi.NewTimePointer(start.Add(time.Duration(i)*time.Second)), int64(i)
	score := 62.5
	switch kind {
	case entry.KindOrchestration:
		return models.Orchestration{RemediationID: "r", SignalFingerprint: "f", SignalReceivedAt: at, RemediationCreatedAt: at, CompletedAt: later,
			ServicesInvoked: []string{"AIAnalysis"}, SignalContext: &models.SignalContext{Name: "n", Labels: map[string]string{"a": "b", "aa": "c"}}, TotalDurationSeconds: &n}
	case entry.KindAIDecision:
		return models.AIDecision{RemediationID: "r", InvestigationStartedAt: at, RootCauseConfidence: &score, RootCause: `C:\u0000 "it's"`, ApprovalRequired: new(bool)}
	case entry.KindExecution:
		return models.Execution{RemediationID: "r", WorkflowID: "w", ExecutionStartedAt: at, TotalSteps: &n,
			StepsExecuted: []models.Step{{Step: i, Name: "undo", Status: "success", StartedAt: later}}, EffectivenessScore: &score}
	case entry.KindNotification:
		return models.Notification{RemediationID: "r", NotificationRequestedAt: at, Channels: []string{"console"}, Subject: fmt.Sprint("subject ", i)}
	}
	return map[string]any{"copied": i, "texts": []string{"ü", "\U0001F680"}}
}

// history is n entries of one resource; the last is final if it ends.
func history(t *testing.T, s entry.Source, kind string, n int, ends bool) []relay.Item {
	t.Helper()
	g := NewWithT(t)
	var o *outboxapi.Outbox
	for i := range n {
		next, _, err := entry.Append(o, s, entry.Change{Kind: kind, Event: "Changed", Phase: "Working", Record: record(kind, i), Final: ends && i == n-1}, start.Add(time.Duration(i)*time.Millisecond), entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		o = next
	}
	return relay.NewItems(s, "", entry.PendingOf(s.UID, o))
}

func persist(t *testing.T, s *postgres.Store, items []relay.Item) {
	t.Helper()
	g := NewWithT(t)
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b relay.Item) int { return strings.Compare(a.ID, b.ID) })
	_, err := s.Persist(t.Context(), items)
	g.Expect(err).NotTo(HaveOccurred())
}

func execute(t *testing.T, s *postgres.Store, statement string) {
	t.Helper()
	_, err := s.DB().ExecContext(t.Context(), statement)
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), statement)
}

// tamper does what a superuser can who wants to.
func tamper(t *testing.T, s *postgres.Store, statement string) {
	t.Helper()
	for _, table := range append(models.Tables(), models.TableDeadLetter) {
		execute(t, s, "ALTER TABLE "+table+" DISABLE TRIGGER ALL")
	}
	execute(t, s, statement)
}

func check(t *testing.T, s *postgres.Store, live Live, cluster string) (Report, []Finding) {
	t.Helper()
	var all []Finding
	report, err := Run(t.Context(), s, live, Options{Cluster: cluster}, func(f Finding) { all = append(all, f) })
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(report.Findings).To(Equal(len(all)))
	NewWithT(t).Expect(report.Intact).To(Equal(len(all) == 0))
	return report, all
}

// brief is a finding in one line, to compare.
func brief(all []Finding) []string {
	var lines []string
	for _, f := range all {
		lines = append(lines, fmt.Sprintf("%s %s %d", f.Problem, f.Name, f.Sequence))
	}
	return lines
}
