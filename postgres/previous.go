package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// askPrevious looks for the entries before those that ask (relay.Item.AskPrevious). One that has neither row nor dead letter was lost by the database: it had
// acknowledged it, or the resource would still hold it. It may be of another kind than the one that asks, hence in any table.
func (s *Store) askPrevious(ctx context.Context, tx *transaction, b *batch) error {
	var asked []record
	for i := range b.items {
		item := &b.items[i]
		if !item.AskPrevious {
			continue
		}
		id, err := uuid.Parse(entry.ID(item.Source.UID, item.Source.Created, item.Sequence-1))
		if err != nil {
			return err
		}
		asked = append(asked, record{item: i, id: id})
	}
	lookUps := []string{}
	for _, name := range models.Tables() {
		lookUps = append(lookUps, s.tables[name].lookUp)
	}
	for _, statement := range append(lookUps, deadLetterLookUp) {
		var err error
		if asked, err = absent(ctx, tx, statement, asked); err != nil {
			return fmt.Errorf("look up previous entries: %w", err)
		}
	}
	for _, r := range asked {
		b.outcomes[r.item].PreviousMissing = true
	}
	return nil
}

const deadLetterLookUp = "SELECT id, entry_hash FROM audit_dead_letter WHERE id = ANY($1::uuid[])"

// absent are those that the statement does not find.
func absent(ctx context.Context, tx *transaction, statement string, of []record) ([]record, error) {
	if len(of) == 0 {
		return nil, nil
	}
	there, err := hashes(ctx, tx, statement, of)
	if err != nil {
		return nil, err
	}
	var missing []record
	for _, r := range of {
		if _, ok := there[r.id]; !ok {
			missing = append(missing, r)
		}
	}
	return missing, nil
}
