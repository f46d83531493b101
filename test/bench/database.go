package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

// database looks at what PostgreSQL has to do for an entry, and how fast rows come in by comparison with plainer ways.
func database(ctx context.Context, b *bench) error {
	if err := costOfEntries(ctx, b); err != nil {
		return err
	}
	url, err := b.newDatabase(ctx)
	if err != nil {
		return err
	}
	s, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, c := range []struct{ batch, rows, rounds int }{{1000, 10_000, 5}, {4, 4000, 5}} {
		if err := compareInserts(ctx, b, s, url, c.batch, b.size(c.rows), b.rounds(c.rounds)); err != nil {
			return err
		}
	}
	return nil
}

// costOfEntries runs an audited trial and asks the server what it did meanwhile.
func costOfEntries(ctx context.Context, b *bench) error {
	url, err := b.newDatabase(ctx)
	if err != nil {
		return err
	}
	admin, err := pgx.Connect(ctx, b.env.Postgres.URL())
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx))
	name := fmt.Sprintf("bench_%d", b.databases)
	ask := func() (transactions, wal float64, err error) {
		err = admin.QueryRow(ctx, "SELECT xact_commit, pg_current_wal_lsn() - '0/0' FROM pg_stat_database WHERE datname = $1", name).Scan(&transactions, &wal)
		return transactions, wal, err
	}
	transactions, wal, err := ask()
	if err != nil {
		return err
	}
	t := trial{arm: audited, resources: b.size(300), changes: 10, writers: 16, database: url}
	if _, err := b.run(ctx, t); err != nil {
		return err
	}
	transactionsAfter, walAfter, err := ask()
	if err != nil {
		return err
	}
	entries := float64(t.resources * t.changes)
	b.report.add("database", "steady, 16 writers: transactions", "an entry", "", (transactionsAfter-transactions)/entries)
	b.report.add("database", "steady, 16 writers: WAL", "bytes an entry", "", (walAfter-wal)/entries)
	return nil
}

func compareInserts(ctx context.Context, b *bench, s *postgres.Store, url string, batch, rows, rounds int) error {
	warm, err := entriesOf(batch, orchestrations)
	if err != nil {
		return err
	}
	if _, err := persistRate(ctx, s, warm, batch); err != nil {
		return err
	}
	c, err := newControl(ctx, url, models.TableOrchestration)
	if err != nil {
		return err
	}
	defer c.connection.Close(context.WithoutCancel(ctx))
	ways := []struct {
		name string
		way  func(context.Context, pgx.Tx, [][]any) error
	}{{"multi-row INSERT", c.multiRow}, {"unnest", c.unnest}, {"COPY", c.copyFrom}}
	var ours sample
	theirs := make([]sample, len(ways))
	for range rounds {
		items, err := entriesOf(rows, orchestrations)
		if err != nil {
			return err
		}
		rate, err := persistRate(ctx, s, items, batch)
		if err != nil {
			return err
		}
		ours = append(ours, rate)
		for i, w := range ways {
			rate, err := c.rate(ctx, rows, batch, w.way)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			theirs[i] = append(theirs[i], rate)
		}
	}
	name := fmt.Sprintf("batches of %d: ", batch)
	b.report.add("database", name+"Persist", "rows/s", "", ours...)
	for i, w := range ways {
		b.report.add("database", name+w.name+" of ready rows", "rows/s", "", theirs[i]...)
		b.report.add("database", name+"Persist ÷ "+w.name, "", "", ours.over(theirs[i])...)
	}
	return nil
}
