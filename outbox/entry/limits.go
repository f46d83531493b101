package entry

import (
	"fmt"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Limits bound an outbox, since the whole resource must fit into one request to etcd (1.5 MiB by default). An entry's size is that of its text; the others are of the JSON in the request.
type Limits struct {
	// EntryBytes is the largest entry.
	EntryBytes int
	// SoftBytes of pending entries make the relay trim at once.
	SoftBytes int
	// HardBytes and HardEntries are never exceeded, but for what the API server's JSON adds to the closing entry. The last EntryBytes and the last entry are
	// kept for that one.
	HardBytes   int
	HardEntries int
}

// DefaultLimits are 64 KiB an entry, 256 KiB soft, 512 KiB or 500 entries hard.
func DefaultLimits() Limits {
	return Limits{EntryBytes: 64 << 10, SoftBytes: 256 << 10, HardBytes: 512 << 10, HardEntries: 500}
}

// etcdRequest is etcd's default limit of a request; an object and its previous version's delta must stay well below.
const etcdRequest = 1536 << 10

// maxEntryBytes is what the CustomResourceDefinitions allow an entry: they count characters, of which there are no more than bytes.
const maxEntryBytes = 64 << 10

// Validate names the first setting that cannot work.
func (l Limits) Validate() error {
	switch {
	case l.EntryBytes < 4<<10 || l.EntryBytes > maxEntryBytes:
		return fmt.Errorf("entry limit is %d bytes, expected %d to %d", l.EntryBytes, 4<<10, maxEntryBytes)
	case l.HardBytes < 4*l.EntryBytes:
		return fmt.Errorf("hard limit is %d bytes, expected at least four entries of %d", l.HardBytes, l.EntryBytes)
	case l.HardBytes > etcdRequest*2/3:
		return fmt.Errorf("hard limit is %d bytes, expected at most %d: the resource must fit into etcd's request limit", l.HardBytes, etcdRequest*2/3)
	case l.SoftBytes <= 0 || l.SoftBytes > l.HardBytes:
		return fmt.Errorf("soft limit is %d bytes, expected 1 to the hard limit of %d", l.SoftBytes, l.HardBytes)
	case l.HardEntries < 8 || l.HardEntries > 1000:
		return fmt.Errorf("entry count limit is %d, expected 8 to 1000", l.HardEntries)
	}
	return nil
}

// statusBytes is kept for what a controller writes into the status beside the outbox.
const statusBytes = 128 << 10

// ResourceBytes is the largest resource, as JSON and without its outbox, that gets one: with a full outbox it still fits into a request to etcd.
func (l Limits) ResourceBytes() int { return etcdRequest - l.HardBytes - statusBytes }

// AboveSoft reports whether the relay should trim at once: the bytes are above the soft limit, or half of the entry count is used.
func (l Limits) AboveSoft(entries []outboxapi.Entry) bool {
	return Size(entries) > l.SoftBytes || 2*len(entries) > l.HardEntries
}

// Room reports whether n entries of unknown size fit behind those that are pending, and the one that closes the record after them. It is ErrTooLarge when they
// would not even fit into an empty outbox.
func (l Limits) Room(pending []outboxapi.Entry, n int) error {
	if (n+1)*l.EntryBytes > l.HardBytes || n+1 > l.HardEntries {
		return fmt.Errorf("%w: room for %d entries of up to %d bytes and the closing one is more than an empty outbox has (%d bytes, %d entries); reserve less at a time",
			ErrTooLarge, n, l.EntryBytes, l.HardBytes, l.HardEntries)
	}
	if have := Size(pending); have+(n+1)*l.EntryBytes > l.HardBytes {
		return fmt.Errorf("%w: %d bytes are pending, %d entries of up to %d bytes and the closing one do not fit into %d", ErrFull, have, n, l.EntryBytes, l.HardBytes)
	}
	if len(pending)+n+1 > l.HardEntries {
		return fmt.Errorf("%w: %d entries are pending, %d more and the closing one exceed %d", ErrFull, len(pending), n, l.HardEntries)
	}
	return nil
}

// fits reports whether this entry may be appended: within the entry limit, and leaving room for the closing one unless it is that.
func (l Limits) fits(pending []outboxapi.Entry, e *Entry, text []byte) error {
	if len(text) > l.EntryBytes {
		return fmt.Errorf("%w: entry %d (%s) has %d bytes, expected at most %d; bound its texts where they come in (outbox.Bound)", ErrTooLarge, e.Sequence, e.Event, len(text), l.EntryBytes)
	}
	maxBytes, maxEntries := l.HardBytes, l.HardEntries
	need := len(text) // the closing entry fits whatever is in it
	if !e.Final {
		maxBytes, maxEntries, need = maxBytes-l.EntryBytes, maxEntries-1, jsonSize(text)
	}
	if have := Size(pending); have+need > maxBytes || len(pending)+1 > maxEntries {
		return fmt.Errorf("%w: %d entries of %d bytes are pending; entry %d (%s) has to wait until the store has taken some", ErrFull, len(pending), have, e.Sequence, e.Event)
	}
	return nil
}

// Size is what the entries need in a request to the API server, and in etcd, in bytes of JSON.
func Size(entries []outboxapi.Entry) int {
	total := 0
	for _, text := range entries {
		total += jsonSize(text)
	}
	return total
}

// jsonSize is the size of a text as a JSON string in a list, as Go writes it: a quote and a backslash take two bytes, <, >, &, U+2028 and U+2029 six. Control characters are escaped in
// canonical JSON already.
func jsonSize[T ~string | ~[]byte](text T) int {
	n := len(text) + len(`"",`)
	for i := range len(text) {
		switch text[i] {
		case '"', '\\':
			n++
		case '<', '>', '&':
			n += 5
		case 0xe2: // U+2028 and U+2029 are e2 80 a8 and e2 80 a9
			if i+2 < len(text) && text[i+1] == 0x80 && (text[i+2] == 0xa8 || text[i+2] == 0xa9) {
				n += 3
			}
		}
	}
	return n
}
