package entry_test

import (
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Two entries of one resource: each has the hash of the one before.
func ExampleAppend() {
	at := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	of := entry.Source{Namespace: "shop", Name: "cart", UID: "6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d", Created: at}
	first, _, err := entry.Append(nil, of, entry.Change{Kind: "carts.example.com", Event: "Opened", Record: map[string]any{"items": 0}}, at, entry.Salt{1}, entry.DefaultLimits())
	if err != nil {
		panic(err)
	}
	second, _, err := entry.Append(first, of, entry.Change{Kind: "carts.example.com", Event: "Paid", Record: map[string]any{"items": 3}, Final: true}, at, entry.Salt{2}, entry.DefaultLimits())
	if err != nil {
		panic(err)
	}
	paid, err := entry.Decode([]byte(second.Entries[1]))
	if err != nil {
		panic(err)
	}
	fmt.Println(paid.Sequence, paid.Event, string(paid.Record))
	fmt.Println(paid.PreviousHash == entry.Hash([]byte(second.Entries[0])), second.HeadHash == entry.Hash([]byte(second.Entries[1])), second.Closed)
	// Output:
	// 2 Paid {"items":3}
	// true true true
}
