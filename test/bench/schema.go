package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
)

// lean takes away from the table of requests what is there for reports and proofs: the column tx, what is generated for indexes, and all indexes but the keys and one on each
// column that the requirement document and timelines ask for.
const lean = `DO $$ DECLARE name text; BEGIN
	FOR name IN SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = 'orchestration_audit'::regclass AND NOT i.indisunique AND (
		i.indnatts > 1 OR i.indpred IS NOT NULL OR i.indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid = i.indrelid AND attname = 'tx')) LOOP
		EXECUTE format('DROP INDEX %I', name);
	END LOOP;
	CREATE INDEX ON orchestration_audit (signal_received_at);
	CREATE INDEX ON orchestration_audit (completed_at);
	ALTER TABLE orchestration_audit DROP COLUMN tx, DROP COLUMN alert_name, DROP COLUMN target_kind;
END $$`

// schemaCost measures what the first schema pays for questions that come later: rows and bytes of WAL, with all indexes and columns and without those.
func schemaCost(ctx context.Context, b *bench) error {
	var rates, logs [2]sample
	var with [2]*bedded
	for i, statement := range []string{"SELECT 1", lean} {
		bed, err := newBedded(ctx, b, statement)
		if err != nil {
			return err
		}
		with[i] = bed
	}
	defer with[0].close(context.WithoutCancel(ctx))
	defer with[1].close(context.WithoutCancel(ctx))
	// After a checkpoint the first change of each page is logged as the whole page: both begin with that, unmeasured, and none comes while it is measured.
	if _, err := with[0].admin.Exec(ctx, "CHECKPOINT"); err != nil {
		return err
	}
	for round := range b.rounds(11) + 1 {
		for turn := range with {
			i := (turn + round) % len(with)
			rate, wal, err := with[i].insert(ctx, b.size(10_000), 1000)
			if err != nil {
				return err
			}
			if round > 0 {
				rates[i], logs[i] = append(rates[i], rate), append(logs[i], wal)
			}
		}
	}
	b.report.add("schema", "Persist, batches of 1000, all columns and indexes", "rows/s", "", rates[0]...)
	b.report.add("schema", "the same without tx and what reports need", "rows/s", "", rates[1]...)
	b.report.add("schema", "insert rate with ÷ without", "", ">= 0.95", rates[0].over(rates[1])...)
	b.report.add("schema", "WAL, all columns and indexes", "bytes a row", "", logs[0]...)
	b.report.add("schema", "the same without tx and what reports need", "bytes a row", "", logs[1]...)
	b.report.add("schema", "WAL with ÷ without", "", "<= 1.10", logs[0].over(logs[1])...)
	return nil
}

// bedded is a store on a database of its own.
type bedded struct {
	store *postgres.Store
	admin *pgx.Conn
}

func newBedded(ctx context.Context, b *bench, statement string) (*bedded, error) {
	url, admin, err := b.connectNew(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := admin.Exec(ctx, statement); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", models.TableOrchestration, err)
	}
	store, err := postgres.Open(ctx, url, postgres.Options{})
	return &bedded{store: store, admin: admin}, err
}

func (d *bedded) close(ctx context.Context) {
	d.store.Close()
	_ = d.admin.Close(ctx)
}

// insert returns rows a second, and bytes of WAL a row. Each resource has ten entries, of which the first and the last are in the partial indexes.
func (d *bedded) insert(ctx context.Context, rows, batch int) (rate, wal float64, err error) {
	items, err := entriesOf(rows, func(uid string, n int) *entry.Change { return change(uid, n, n == 9) })
	if err != nil {
		return 0, 0, err
	}
	var before, after float64
	const position = "SELECT pg_current_wal_insert_lsn() - '0/0'"
	if err := d.admin.QueryRow(ctx, position).Scan(&before); err != nil {
		return 0, 0, err
	}
	if rate, err = persistRate(ctx, d.store, items, batch); err != nil {
		return 0, 0, err
	}
	err = d.admin.QueryRow(ctx, position).Scan(&after)
	return rate, (after - before) / float64(rows), err
}
