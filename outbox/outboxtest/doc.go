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
	p := outbox.PendingOf(o)
	all := make([]outbox.Entry, p.Len())
	for i := range all {
		var err error
		if all[i], err = outbox.Decode([]byte(p.Text(i))); err != nil {
			t.Fatalf("entry %d of %d: %v: %s", i+1, p.Len(), err, p.Text(i))
		}
		if hash := outbox.Hash([]byte(p.Text(i))); hash != p.Hash(i) {
			t.Fatalf("entry %d of %d has the hash %s, expected %s: %s", i+1, p.Len(), hash, p.Hash(i), p.Text(i))
		}
	}
	return all
}
