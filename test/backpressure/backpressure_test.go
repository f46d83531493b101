package backpressure

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

// The number of resources: HOLDFAST_BACKPRESSURE, else few.
const (
	variable = "HOLDFAST_BACKPRESSURE"
	few      = 200
	entries  = 3
	writers  = 16
	// poolSize of the relay's store; it needs one.
	poolSize = 4
)

func number(t *testing.T) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), variable)
	return n
}

// counted counts transactions, by whether the store took them.
type counted struct {
	relay.Store

	failed, committed, rows atomic.Int64
}

func (c *counted) Persist(ctx context.Context, batch []relay.Item) ([]relay.Outcome, error) {
	outcomes, err := c.Store.Persist(ctx, batch)
	if err != nil {
		c.failed.Add(1)
		return nil, err
	}
	c.committed.Add(1)
	c.rows.Add(int64(len(batch)))
	return outcomes, nil
}

func TestTheDatabaseReturnsToABacklog(t *testing.T) {
	g, n := NewWithT(t), number(t)
	s, err := postgres.Open(t.Context(), env.DatabaseURL, postgres.Options{PoolSize: poolSize})
	g.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	counts := &counted{Store: s}
	mgr, err := env.NewManager()
	g.Expect(err).NotTo(HaveOccurred())
	relayed, err := relay.Add(mgr, counts, relay.Config{IdleTrimDelay: time.Hour}, testenv.Kinds()...)
	g.Expect(err).NotTo(HaveOccurred())
	stop, err := testenv.Run(mgr)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { g.Expect(stop()).To(Succeed()) }()

	g.Expect(env.Postgres.Stop(t.Context())).To(Succeed())
	began := time.Now()
	g.Expect(fill(t.Context(), env.Namespace(t.Context(), "backlog"), n)).To(Succeed())
	g.Eventually(relayed.Healthy, testenv.Timeout, testenv.Interval).Should(HaveOccurred())
	filled, probes := time.Since(began), counts.failed.Load()

	began = time.Now()
	g.Expect(env.Postgres.Start(t.Context())).To(Succeed())
	watch, err := pgx.Connect(t.Context(), env.DatabaseURL)
	g.Expect(err).NotTo(HaveOccurred())
	defer watch.Close(context.WithoutCancel(t.Context()))
	most := 0
	g.Eventually(func() (rows int, err error) {
		var connections int
		err = watch.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM notification_audit),
			(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend')`).Scan(&rows, &connections)
		most = max(most, connections)
		return rows, err
	}, time.Duration(n)*10*time.Millisecond+testenv.LongTimeout, 10*time.Millisecond).Should(Equal(n * entries))
	drained := time.Since(began)
	g.Eventually(relayed.Healthy, testenv.Timeout, testenv.Interval).Should(Succeed())

	g.Expect(most).To(BeNumerically("<=", poolSize))
	// In groups: a probe is one batch, and full batches follow. What is sent again after an outage is no more than all of it once more.
	batch := int64(1000)
	g.Expect(counts.committed.Load()).To(BeNumerically("<=", 2*(int64(n*entries)/batch+1)+20), "transactions")
	fmt.Fprintf(os.Stderr, "%d resources × %d entries: filled in %.1f s (%d probes meanwhile), durable %.1f s after the start of PostgreSQL\n", n, entries, filled.Seconds(), probes, drained.Seconds())
	fmt.Fprintf(os.Stderr, "  %d transactions for %d entries (%d probes failed in all), at most %d connections of %d\n", counts.committed.Load(), counts.rows.Load(), counts.failed.Load(), most, poolSize)
}

// fill makes n resources with entries that nobody drains.
func fill(ctx context.Context, namespace string, n int) error {
	var work errgroup.Group
	work.SetLimit(writers)
	for i := range n {
		work.Go(func() error {
			obj := testenv.MakeNotification(namespace, fmt.Sprintf("n%05d", i)).Finalizers(outbox.Finalizer).Obj()
			if err := env.Client.Create(ctx, obj); err != nil {
				return err
			}
			return appendAll(ctx, obj)
		})
	}
	return work.Wait()
}

// appendAll puts all entries into one write: it is the backlog that counts, not how it came.
func appendAll(ctx context.Context, obj *v1alpha1.NotificationRequest) error {
	var o *outboxapi.Outbox
	for i := range entries {
		next, _, err := entry.Append(o, entry.SourceOf(obj), entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending",
			Record: models.Notification{RemediationID: string(obj.UID), NotificationRequestedAt: outboxapi.NewTime(obj.CreationTimestamp.Time), Subject: fmt.Sprint(i)}}, time.Now(), entry.Salt{}, entry.DefaultLimits())
		if err != nil {
			return err
		}
		o = next
	}
	obj.Status.Outbox = o
	return env.Client.Status().Update(ctx, obj)
}
