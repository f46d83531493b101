package breakglass

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// batchRows is how many entries share a transaction.
const batchRows = 500

// Imported is what became of the entry on a line.
type Imported struct {
	Line    int
	Item    relay.Item
	Outcome relay.Outcome
}

// Import reads an export and persists its entries, as the relay would have: with their ids, sequences and hashes. Each is reported; entries that were changed in the
// file become dead letters. It may be run again. The store is opened once the header was read.
func Import(ctx context.Context, from io.Reader, open func(Header) (relay.Store, error), report func(Imported), bad func(*LineError)) (Header, error) {
	var lines []Imported
	var store relay.Store
	flush := func() error {
		if len(lines) == 0 {
			return nil
		}
		slices.SortFunc(lines, func(a, b Imported) int { return relay.ByID(a.Item, b.Item) })
		items := make([]relay.Item, len(lines))
		for i := range lines {
			items[i] = lines[i].Item
		}
		outcomes, err := store.Persist(ctx, items)
		if err == nil {
			err = relay.Complete(outcomes, len(items))
		}
		if err != nil {
			return fmt.Errorf("import lines up to %d: %w", slices.MaxFunc(lines, func(a, b Imported) int { return a.Line - b.Line }).Line, err)
		}
		for i := range lines {
			lines[i].Outcome = outcomes[i]
			report(lines[i])
		}
		lines = lines[:0]
		return nil
	}
	h, err := Read(from, func(h Header) (err error) {
		store, err = open(h)
		return err
	}, func(number int, l Line) error {
		source := entry.Source{Namespace: l.Source.Namespace, Name: l.Source.Name, UID: l.Source.UID, Created: l.Source.Created}
		item := relay.Item{Source: source, ResourceKind: l.Kind, Sequence: l.Sequence, Hash: l.Hash, Text: []byte(l.Entry)}
		item.Check()
		if lines = append(lines, Imported{Line: number, Item: item}); len(lines) < batchRows {
			return nil
		}
		return flush()
	}, bad)
	if err != nil {
		return h, err
	}
	return h, flush()
}
