package fuzz

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/holdfast-dev/holdfast/internal/breakglass"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// counting takes everything, and holds it to what the relay promises a store.
type counting struct{ t *testing.T }

func (c counting) Persist(_ context.Context, batch []relay.Item) ([]relay.Outcome, error) {
	for i, item := range batch {
		if i > 0 && batch[i-1].ID > item.ID {
			c.t.Fatal("the batch is not sorted")
		}
		if item.Refused == "" && entry.Hash(item.Text) != item.Hash {
			c.t.Fatalf("%s passes with another hash", item.Text)
		}
	}
	return slices.Repeat([]relay.Outcome{{Result: relay.Stored}}, len(batch)), nil
}

// Whatever file is imported: each line is an entry that was checked, or is named as bad.
func FuzzImport(f *testing.F) {
	o, _, err := entry.Append(nil, source, entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Record: json.RawMessage(seeds[3])}, created, entry.Salt{}, limits)
	if err != nil {
		f.Fatal(err)
	}
	line, err := json.Marshal(breakglass.Line{Kind: "NotificationRequest", Resource: "notificationrequests.v1alpha1.holdfast.dev",
		Source: breakglass.Source{Namespace: source.Namespace, Name: source.Name, UID: source.UID, Created: created}, Sequence: 1, Hash: o.HeadHash, Entry: o.Entries[0]})
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 1, 2} {
		f.Add(fmt.Appendf(nil, "{\"format\":%q,\"formatVersion\":1,\"entries\":%d}\n%s\n%s\n", breakglass.Format, n, line, line[:len(line)/2]))
	}
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		good, bad := 0, 0
		h, err := breakglass.Import(t.Context(), bytes.NewReader(file), func(breakglass.Header) (relay.Store, error) { return counting{t}, nil },
			func(breakglass.Imported) { good++ }, func(b *breakglass.LineError) {
				bad++
				if b.Number < 2 {
					t.Fatalf("line %d: %v", b.Number, b.Err)
				}
			})
		if err == nil && bad == 0 && good != h.Entries {
			t.Fatalf("%d entries of %d, and no bad line", good, h.Entries)
		}
	})
}
