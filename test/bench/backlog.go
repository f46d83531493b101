package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
)

// backlog has PostgreSQL away while notifications end, three entries each, and come back: `holdfast manager` has seen all of them by then and drains.
func backlog(ctx context.Context, b *bench) error {
	resources := b.size(10_000)
	entries := 3 * resources
	namespace := b.env.Namespace(ctx, "backlog")
	url, err := b.newDatabase(ctx)
	if err != nil {
		return err
	}
	bulk, err := b.bulkInsert(ctx, entries)
	if err != nil {
		return err
	}
	if err := b.endNotifications(ctx, namespace, resources); err != nil {
		return err
	}
	if err := b.env.Postgres.Stop(ctx); err != nil {
		return err
	}
	manager, err := b.startManager(ctx, b.env.Cluster.Kubeconfig(), url, "--namespaces", namespace)
	if err != nil {
		return err
	}
	defer func() { _ = manager.end() }()
	if _, err := manager.reaches(ctx, entries, "holdfast_outbox_pending_entries"); err != nil {
		return err
	}
	if err := b.env.Postgres.Start(ctx); err != nil {
		return err
	}
	back := time.Now()
	durable, err := manager.reaches(ctx, entries, "holdfast_relay_persisted_total")
	if err != nil {
		return err
	}
	first, connections, err := b.firstRow(ctx, url)
	if err != nil {
		return err
	}
	trimmed, err := manager.reaches(ctx, resources, "holdfast_relay_api_writes_total", `op="trim"`)
	if err != nil {
		return err
	}
	again, err := b.bulkInsert(ctx, entries)
	if err != nil {
		return err
	}
	rate := float64(entries) / durable.Sub(first).Seconds()
	ratios := sample{}
	for _, r := range append(bulk, again...) {
		ratios = append(ratios, rate/r)
	}
	name := fmt.Sprintf("%d resources × 3 entries: ", resources)
	b.report.add("backlog", name+"database back → first row", "s", "", first.Sub(back).Seconds())
	b.report.add("backlog", name+"first row → all durable", "s", "", durable.Sub(first).Seconds())
	b.report.add("backlog", name+"first row → all trimmed", "s", "", trimmed.Sub(first).Seconds())
	b.report.add("backlog", name+"durable", "entries/s", "", rate)
	b.report.add("backlog", name+"plain bulk insert (multi-row, 1,000 a transaction)", "rows/s", "", append(bulk, again...)...)
	b.report.add("backlog", name+"durable ÷ plain bulk insert", "", ">= 0.5", ratios...)
	b.report.add("backlog", name+"manager's peak memory", "MiB", "", manager.memory("VmHWM"))
	b.report.add("backlog", name+"database connections", "", "", float64(connections))
	return nil
}

// reaches waits until a metric has a value, and returns when. A scrape of 10,000 resources costs the manager milliseconds, so it asks again when half of what is left has probably come.
func (p *process) reaches(ctx context.Context, value int, name string, labels ...string) (at time.Time, _ error) {
	had, when := 0.0, time.Now()
	for {
		have, err := metric(ctx, p.url, name, labels...)
		at = time.Now()
		if err == nil && have >= float64(value) {
			return at, nil
		}
		pause := 2 * testenv.Interval
		if err == nil && have > had {
			left := (float64(value) - have) / (have - had) * float64(at.Sub(when))
			pause = min(time.Second, max(testenv.Interval/4, time.Duration(left/2)))
		}
		had, when = have, at
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return at, fmt.Errorf("%s does not reach %d: %w", name, value, ctx.Err())
		}
	}
}

func (b *bench) firstRow(ctx context.Context, url string) (at time.Time, connections int, _ error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return at, 0, err
	}
	defer c.Close(context.WithoutCancel(ctx))
	err = c.QueryRow(ctx, "SELECT min(created_at), (SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()) FROM notification_audit").Scan(&at, &connections)
	return at, connections, err
}

// bulkInsert writes as many rows of the same table, in two rounds, into a database of its own.
func (b *bench) bulkInsert(ctx context.Context, rows int) (rates sample, _ error) {
	url, err := b.newDatabase(ctx)
	if err != nil {
		return nil, err
	}
	s, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	model, err := entriesOf(1, notifications)
	if err != nil {
		return nil, err
	}
	if _, err := s.Persist(ctx, model); err != nil {
		return nil, err
	}
	c, err := newControl(ctx, url, models.TableNotification)
	if err != nil {
		return nil, err
	}
	defer c.connection.Close(context.WithoutCancel(ctx))
	for range 2 {
		rate, err := c.rate(ctx, rows, 1000, c.multiRow)
		if err != nil {
			return nil, err
		}
		rates = append(rates, rate)
	}
	return rates, nil
}

// notifications is the n-th change of a notification.
func notifications(uid string, n int) *entry.Change {
	at := outboxapi.NewTime(time.Date(2026, 11, 23, 4, 5, 6, 789012000, time.UTC))
	code := int32(200)
	return &entry.Change{Kind: entry.KindNotification, Event: []string{"Sending", "Delivered", "Sent"}[n%3], Phase: "Sent", Record: models.Notification{
		RemediationID: uid, NotificationRequestedAt: at, NotificationSentAt: &at, Channels: []string{"console", "slack"}, DeliveryStatus: "delivered",
		DeliveryAttempts: []models.DeliveryAttempt{
			{Channel: "console", Attempt: 1, Status: "success", Duration: 3, StartedAt: &at},
			{Channel: "slack", Attempt: 1, Status: "success", Duration: 213, StartedAt: &at, StatusCode: &code},
		},
		Subject: "cart is back: the rollout was undone, 2 of 2 replicas are ready",
	}}
}

// endNotifications makes notifications that have ended and were not drained: one write for the resource, one for its three entries.
func (b *bench) endNotifications(ctx context.Context, namespace string, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for i := range n {
		group.Go(func() error {
			nr := testenv.MakeNotification(namespace, fmt.Sprintf("told-%05d", i)).Finalizers(outbox.Finalizer).Obj()
			if err := b.env.Client.Create(ctx, nr); err != nil {
				return err
			}
			nr.Status.Phase = v1alpha1.NotificationSent
			for j := range 3 {
				c := notifications(uuid.NewString(), j)
				c.Final = j == 2
				next, _, err := entry.Append(nr.Status.Outbox, entry.SourceOf(nr), *c, time.Now(), entry.Salt{}, entry.DefaultLimits())
				if err != nil {
					return err
				}
				nr.Status.Outbox = next
			}
			return b.env.Client.Status().Update(ctx, nr)
		})
	}
	return group.Wait()
}
