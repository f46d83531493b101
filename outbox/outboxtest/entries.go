package outboxtest

import (
	"slices"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// TB is what these functions need of a test: *testing.T, *testing.B, *rapid.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Entries decodes the pending entries of an outbox, oldest first, and fails the test if one cannot be read or its hash does not agree.
func Entries(t TB, o *outboxapi.Outbox) []entry.Entry {
	t.Helper()
	if o == nil {
		return nil
	}
	all := make([]entry.Entry, len(o.Entries))
	for i, text := range o.Entries {
		var err error
		if all[i], err = entry.Decode([]byte(text)); err != nil {
			t.Fatalf("entry %d of %d: %v: %s", i+1, len(all), err, text)
		}
		if i > 0 && all[i].PreviousHash != entry.Hash([]byte(o.Entries[i-1])) {
			t.Fatalf("entry %d of %d has the hash %s, expected %s: %s", i, len(all), entry.Hash([]byte(o.Entries[i-1])), all[i].PreviousHash, o.Entries[i-1])
		}
	}
	if n := len(all); n > 0 && o.HeadHash != entry.Hash([]byte(o.Entries[n-1])) {
		t.Fatalf("the last of %d entries has the hash %s, expected %s: %s", n, entry.Hash([]byte(o.Entries[n-1])), o.HeadHash, o.Entries[n-1])
	}
	return all
}

// RequireEntries fails the test unless the pending entries of a resource are these, oldest first, each as event/phase, or event/phase/final.
func RequireEntries(t TB, of outboxapi.Holder, want ...string) {
	t.Helper()
	if got := Trail(Entries(t, outboxapi.Get(of))); !slices.Equal(got, want) {
		t.Fatalf("the resource has the entries %q, expected %q", got, want)
	}
}

// Trail writes entries as event/phase, or event/phase/final.
func Trail(entries []entry.Entry) []string {
	var trail []string
	for _, e := range entries {
		text := e.Event + "/" + e.Phase
		if e.Final {
			text += "/final"
		}
		trail = append(trail, text)
	}
	return trail
}
