//go:build unix

package main

import (
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

// PostgreSQL answers a COMMIT before it is in the log, and dies right after. Another session loses rows by that, which shows that this crash takes what
// is not in the log; what Holdfast acknowledged is there.
func TestACrashTakesOnlyTheCommitsOfOthers(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	server, err := localcluster.StartPostgres(ctx, localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(server.Close()).To(Succeed()) })
	g.Expect(migrations.Up(ctx, server.URL(), io.Discard)).To(Succeed())
	g.Expect(commitLater(ctx, server.URL())).To(Succeed())
	connect := func() *pgx.Conn {
		c, err := pgx.Connect(ctx, server.URL())
		g.Expect(err).NotTo(HaveOccurred())
		return c
	}
	count := func(c *pgx.Conn) (n int) {
		g.Expect(c.QueryRow(ctx, "SELECT count(*) FROM other").Scan(&n)).To(Succeed())
		return n
	}
	other := connect()
	_, err = other.Exec(ctx, "CREATE TABLE other (number int)")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = other.Exec(ctx, "CHECKPOINT") // the table itself stays
	g.Expect(err).NotTo(HaveOccurred())

	const rounds, batches, inserts = 10, 5, 5
	var acknowledged []string
	lost := 0
	for round := range rounds {
		var setting string
		g.Expect(other.QueryRow(ctx, "SHOW synchronous_commit").Scan(&setting)).To(Succeed())
		g.Expect(setting).To(Equal("off"), "what this test is about")
		before := count(other)
		s, err := postgres.Open(ctx, server.URL(), postgres.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		for range batches {
			items := finishedRecord(g)
			_, err := s.Persist(ctx, items)
			g.Expect(err).NotTo(HaveOccurred())
			for _, item := range items {
				acknowledged = append(acknowledged, item.ID)
			}
		}
		for i := range inserts { // after ours, whose COMMIT takes what is before it to the log
			_, err := other.Exec(ctx, "INSERT INTO other VALUES ($1)", round*inserts+i)
			g.Expect(err).NotTo(HaveOccurred())
		}
		g.Expect(server.Kill(ctx)).To(Succeed())
		s.Close()
		g.Expect(server.Start(ctx)).To(Succeed())
		other = connect()
		g.Expect(oracle.Missing(ctx, other, acknowledged)).To(BeZero(), "round %d", round)
		lost += before + inserts - count(other)
	}
	t.Logf("%d entries acknowledged by Holdfast: none lost; %d rows committed by another session: %d lost", len(acknowledged), rounds*inserts, lost)
	g.Expect(other.Close(ctx)).To(Succeed())
}

// finishedRecord has the entries of a resource, as a relay hands them to its store.
func finishedRecord(g *WithT) []relay.Item {
	now := time.Now()
	source := entry.Source{Namespace: "chaos", Name: "notice", UID: types.UID(uuid.NewString()), Created: now}
	record := models.Notification{RemediationID: string(remediationRef.UID), NotificationRequestedAt: outboxapi.NewTime(now), Channels: []string{"console"}, Subject: "cart is back"}
	var o *outboxapi.Outbox
	for i := range 3 {
		next, _, err := entry.Append(o, source, entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Working", Record: record, Final: i == 2}, now, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		o = next
	}
	return relay.NewItems(source, "NotificationRequest", entry.PendingOf(source.UID, o))
}
