package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// lettersAtOnce bounds the dead letters in one round trip.
const lettersAtOnce = 100

// putDeadLetters writes them in one order for all writers. One that is there already counts another attempt.
func putDeadLetters(ctx context.Context, tx *transaction, letters []models.DeadLetter) error {
	slices.SortFunc(letters, func(a, b models.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), bytes.Compare(a.EntryHash, b.EntryHash))
	})
	for some := range slices.Chunk(letters, lettersAtOnce) {
		all := make([]statement, len(some))
		for i, d := range some {
			all[i] = insertOfLetter(d)
		}
		err := tx.try(ctx, all...)
		if err != nil && classify(err) == ofData {
			err = putOneByOne(ctx, tx, some)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func putOneByOne(ctx context.Context, tx *transaction, letters []models.DeadLetter) error {
	for _, d := range letters {
		err := tx.try(ctx, insertOfLetter(d))
		if err != nil && classify(err) == ofData {
			err = tx.try(ctx, insertOfLetter(lastResort(d)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func insertOfLetter(d models.DeadLetter) statement {
	return statement{sql: `INSERT INTO audit_dead_letter AS d
		(id, entry_hash, kind, entry, entry_bytes, error, sqlstate, source_cluster, source_namespace, source_name, source_uid, sequence, previous_hash, first_attempt, last_attempt, attempts)
		VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''), nullif($8, ''), nullif($9, ''), nullif($10, ''), nullif($11, '')::uuid, $12, $13, now(), now(), 1)
		ON CONFLICT (id, entry_hash) DO UPDATE SET last_attempt = now(), attempts = d.attempts + 1`,
		arguments: []any{d.ID, d.EntryHash, d.Kind, d.Entry, d.EntryBytes, d.Error, d.SQLState, d.SourceCluster, d.SourceNamespace, d.SourceName, d.SourceUID, d.Sequence, d.PreviousHash}}.named("write dead letter " + d.ID)
}

// lastResort is a dead letter without a text that came from elsewhere: a database that takes no text of the entry takes bytes. It must not fail for the reason that the entry did.
func lastResort(d models.DeadLetter) models.DeadLetter {
	return models.DeadLetter{ID: d.ID, EntryHash: d.EntryHash, Kind: "unknown", EntryBytes: d.Text(), SourceUID: d.SourceUID, Sequence: d.Sequence, PreviousHash: d.PreviousHash,
		Error: "the database refused the text of this dead letter; the entry is in entry_bytes"}
}

// Letters selects dead letters. The zero value selects those that are not redriven yet.
type Letters struct {
	// IDs limits them to these entries; an id may have several, with different hashes.
	IDs []string
	// Redriven includes those that became rows.
	Redriven bool
}

// DeadLetters calls visit for the selected dead letters, by id. It keeps one page of them in memory.
func (s *Store) DeadLetters(ctx context.Context, which Letters, visit func(models.DeadLetter) error) error {
	ids := make([]string, len(which.IDs))
	for i, id := range which.IDs {
		var err error
		if ids[i], err = models.UUID(id); err != nil {
			return fmt.Errorf("read dead letters: id is %q, %w", id, err)
		}
	}
	var after *models.DeadLetter
	for {
		var some []models.DeadLetter
		query := s.db.NewSelect().Model(&some).Order("id", "entry_hash").Limit(page)
		if after != nil {
			query.Where("(id, entry_hash) > (?, ?)", after.ID, after.EntryHash)
		}
		if len(ids) > 0 {
			query.Where("id = ANY (?)", pgdialect.Array(ids))
		}
		if !which.Redriven {
			query.Where("redriven_at IS NULL")
		}
		if err := query.Scan(ctx); err != nil {
			return fmt.Errorf("read dead letters: %w", explain(err))
		}
		for _, d := range some {
			if err := visit(d); err != nil {
				return err
			}
		}
		if len(some) < page {
			return nil
		}
		after = &some[len(some)-1]
	}
}

// Redrive stores a dead letter as a row, with its id, sequence and hash. On Stored and Present the dead letter is marked in the same transaction
// and stays. Otherwise the outcome has the error, and the dead letter counts the attempt. A dry run only reports what would happen.
func (s *Store) Redrive(ctx context.Context, d models.DeadLetter, dryRun bool) (relay.Outcome, error) {
	item, reason := itemOf(d)
	if reason != "" {
		return relay.Outcome{Result: relay.DeadLettered, Error: reason}, nil
	}
	there := s.ForCluster(d.SourceCluster)
	there.redrives = true
	b, err := there.persist(ctx, []relay.Item{item}, func(ctx context.Context, tx *transaction, outcomes []relay.Outcome) error {
		if dryRun {
			return errRollback
		}
		if r := outcomes[0].Result; r != relay.Stored && r != relay.Present {
			return nil
		}
		return tx.send(ctx, statement{sql: `UPDATE audit_dead_letter SET redriven_at = now(), last_attempt = now(), attempts = attempts + 1
			WHERE id = $1 AND entry_hash = $2 AND redriven_at IS NULL`, arguments: []any{d.ID, d.EntryHash}})
	})
	if err != nil {
		return relay.Outcome{}, fmt.Errorf("redrive dead letter %s: %w", d.ID, err)
	}
	outcome := b.outcomes[0]
	if outcome.Result == relay.Unsupported {
		outcome.Error = fmt.Sprintf("schema version is %d, this release supports %d; redrive it with a newer release", item.Entry.SchemaVersion, entry.SchemaVersion)
	}
	return outcome, nil
}

// Unstorable returns why a dead letter can never become a row; empty if it can.
func Unstorable(d models.DeadLetter) (reason string) {
	_, reason = itemOf(d)
	return reason
}

// itemOf reads the entry back. What the relay refused, since hash, id or source do not agree with the text, never becomes a row: the chain would not hold.
func itemOf(d models.DeadLetter) (_ relay.Item, reason string) {
	text := d.Text()
	e, err := entry.Decode(text)
	hash := entry.Hash(text)
	switch {
	case hash != hex.EncodeToString(d.EntryHash):
		return relay.Item{}, fmt.Sprintf("the hash of its text is %s, expected %x; the text was altered after it was appended", hash, d.EntryHash)
	case err != nil:
		return relay.Item{}, fmt.Sprintf("its text cannot be read: %v", err)
	case e.ID != d.ID:
		return relay.Item{}, fmt.Sprintf("its text has id %.80q, which is not the id derived from uid and sequence", e.ID)
	case e.Sequence != d.Sequence || !strings.EqualFold(string(e.Source.UID), d.SourceUID):
		return relay.Item{}, fmt.Sprintf("its text is entry %d of %s, but it was appended as entry %d of %s", e.Sequence, e.Source, d.Sequence, d.SourceUID)
	}
	return relay.Item{Source: e.Source, ResourceKind: e.Kind, Sequence: e.Sequence, Hash: hash, Text: text, ID: e.ID, Entry: e}, ""
}
