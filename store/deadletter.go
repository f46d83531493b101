package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/holdfast-dev/holdfast/models"
)

// putDeadLetters writes them one by one, in one order for all writers: they are few. One that is there already counts another attempt.
func putDeadLetters(ctx context.Context, tx bun.Tx, letters []models.DeadLetter) error {
	slices.SortFunc(letters, func(a, b models.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), bytes.Compare(a.EntryHash, b.EntryHash))
	})
	for _, d := range letters {
		_, err := tx.Tx.ExecContext(ctx, `INSERT INTO audit_dead_letter AS d
			(id, entry_hash, kind, entry, error, sqlstate, source_cluster, source_namespace, source_name, source_uid, sequence, previous_hash, first_attempt, last_attempt, attempts)
			VALUES ($1, $2, $3, $4, $5, nullif($6, ''), nullif($7, ''), nullif($8, ''), nullif($9, ''), nullif($10, '')::uuid, $11, $12, now(), now(), 1)
			ON CONFLICT (id, entry_hash) DO UPDATE SET last_attempt = now(), attempts = d.attempts + 1`,
			d.ID, d.EntryHash, d.Kind, d.Entry, d.Error, d.SQLState, d.SourceCluster, d.SourceNamespace, d.SourceName, d.SourceUID, d.Sequence, d.PreviousHash)
		if err != nil {
			return fmt.Errorf("write dead letter %s: %w", d.ID, err)
		}
	}
	return nil
}
