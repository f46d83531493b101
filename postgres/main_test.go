package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/relay"
)

const patience = 30 * time.Second

var server *localcluster.Postgres

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if server, err = localcluster.StartPostgres(context.Background(), localcluster.PostgresOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	leaks := goleak.IgnoreCurrent()
	code := m.Run()
	if err := goleak.Find(leaks); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

var databases atomic.Int32

// database makes a migrated database of the test's own.
func database(t testing.TB) string { //nolint:thelper // of tests and benchmarks alike
	t.Helper()
	g := NewWithT(t)
	url, err := server.CreateDatabase(t.Context(), fmt.Sprintf("store_%d", databases.Add(1)))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(migrations.Up(t.Context(), url, nil)).To(Succeed())
	return url
}

func open(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), url, Options{Cluster: "test"})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(s.Close)
	return s
}

func execute(t *testing.T, s *Store, statement string) {
	t.Helper()
	_, err := s.db.ExecContext(t.Context(), statement)
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), statement)
}

func count(t *testing.T, s *Store, from string) int {
	t.Helper()
	var n int
	NewWithT(t).Expect(s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+from).Scan(&n)).To(Succeed())
	return n
}

var start = time.Date(2026, 11, 23, 4, 5, 6, 123456000, time.UTC)

func newSource() entry.Source {
	return entry.Source{Namespace: "shop", Name: "cart", UID: types.UID(uuid.NewString()), Created: start}
}

// notification is a record that fits.
func notification() models.Notification {
	return models.Notification{
		RemediationID:           "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11",
		NotificationRequestedAt: outboxapi.NewTime(start),
		Channels:                []string{"console"},
		DeliveryAttempts:        []models.DeliveryAttempt{{Channel: "console", Attempt: 1, Status: "success", Duration: 3}},
		Subject:                 "cart is back",
	}
}

// history appends n entries of one resource, and hands them over as a relay would that has read them from the API server.
func history(t require, s entry.Source, kind string, n int, record func(i int) any) []relay.Item {
	t.Helper()
	g := NewWithT(t)
	var o *outboxapi.Outbox
	for i := range n {
		next, _, err := entry.Append(o, s, entry.Change{Kind: kind, Event: "Changed", Phase: "Working", Record: record(i), Final: i == n-1}, start.Add(time.Duration(i)*time.Millisecond), entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		o = next
	}
	return items(t, s, o)
}

// require is testing.T and rapid.T.
type require interface {
	Helper()
	Fatalf(format string, args ...any)
}

// items takes an outbox through JSON, as etcd does.
func items(t require, s entry.Source, o *outboxapi.Outbox) []relay.Item {
	t.Helper()
	g := NewWithT(t)
	raw, err := json.Marshal(o)
	g.Expect(err).NotTo(HaveOccurred())
	var stored outboxapi.Outbox
	g.Expect(json.Unmarshal(raw, &stored)).To(Succeed())
	all := relay.NewItems(s, "NotificationRequest", entry.PendingOf(s.UID, &stored))
	g.Expect(all).To(HaveEach(HaveField("Refused", BeEmpty())))
	return sorted(all)
}

func sorted(all []relay.Item) []relay.Item {
	slices.SortFunc(all, relay.ByID)
	return all
}

func notifications(t *testing.T, n int) []relay.Item {
	t.Helper()
	return history(t, newSource(), entry.KindNotification, n, func(int) any { return notification() })
}

func persist(t *testing.T, s *Store, batch []relay.Item) []relay.Outcome {
	t.Helper()
	outcomes, err := s.Persist(t.Context(), batch)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(outcomes).To(HaveLen(len(batch)))
	return outcomes
}

func results(outcomes []relay.Outcome) []relay.Result {
	var all []relay.Result
	for _, o := range outcomes {
		all = append(all, o.Result)
	}
	return all
}

func repeat(r relay.Result, n int) []relay.Result { return slices.Repeat([]relay.Result{r}, n) }

// letters reads the dead letters, oldest sequence first.
func letters(t *testing.T, s *Store) []models.DeadLetter {
	t.Helper()
	var all []models.DeadLetter
	NewWithT(t).Expect(s.db.NewSelect().Model(&all).Order("sequence", "id").Scan(t.Context())).To(Succeed())
	return all
}
