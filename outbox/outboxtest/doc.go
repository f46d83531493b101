// Package outboxtest helps tests of controllers that embed an outbox.
package outboxtest

import (
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// TB is what these helpers need of a test: *testing.T, *testing.B, *rapid.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Entries decodes the pending entries of an outbox, oldest first, and fails the test if one cannot be read or its hash does not agree.
func Entries(t TB, o *outboxapi.Outbox) []outbox.Entry {
	t.Helper()
	if o == nil {
		return nil
	}
	all := make([]outbox.Entry, len(o.Entries))
	for i, text := range o.Entries {
		var err error
		if all[i], err = outbox.Decode([]byte(text)); err != nil {
			t.Fatalf("entry %d of %d: %v: %s", i+1, len(all), err, text)
		}
		if i > 0 && all[i].PreviousHash != outbox.Hash([]byte(o.Entries[i-1])) {
			t.Fatalf("entry %d of %d has the hash %s, expected %s: %s", i, len(all), outbox.Hash([]byte(o.Entries[i-1])), all[i].PreviousHash, o.Entries[i-1])
		}
	}
	if n := len(all); n > 0 && o.HeadHash != outbox.Hash([]byte(o.Entries[n-1])) {
		t.Fatalf("the last of %d entries has the hash %s, expected %s: %s", n, outbox.Hash([]byte(o.Entries[n-1])), o.HeadHash, o.Entries[n-1])
	}
	return all
}
