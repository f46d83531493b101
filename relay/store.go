package relay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Store keeps entries as rows. It is what the relay drains into.
type Store interface {
	// Persist makes the whole batch durable, in as few transactions as it can, and returns, by index, what became of each item. The batch is sorted by id.
	//
	// A nil error means that each COMMIT was acknowledged. With an error nothing is known (the commit may have happened and its reply been lost): the
	// relay sends the same items again later, so Persist is idempotent. An error that needs a person, such
	// as a schema that does not fit, wraps ErrSchema.
	Persist(ctx context.Context, batch []Item) ([]Outcome, error)
}

// Identified is what a Store may be, too, where another database can take the place of the one behind it: a standby that was promoted, a backup. A relay believes what it knows
// of such a store only while the database is the same, and asks before it acts on it.
type Identified interface {
	// PersistIn is Persist, and names the database that has the batch. The name is opaque, the same as long as the database cannot have lost anything that it acknowledged, and
	// "" where the store cannot tell. An empty batch only asks: a nil error means that the database takes writes.
	PersistIn(ctx context.Context, batch []Item) (outcomes []Outcome, database string, err error)
}

// ErrSchema says that the store refuses everything, not one bad entry: missing tables, another schema version, missing rights.
var ErrSchema = errors.New("the store's schema does not fit")

// Retry is what an error of a store may be, if the store said when to ask again. The relay waits at least for so long, but never longer than a minute.
type Retry interface {
	error
	RetryAfter() time.Duration
}

// Item is one entry on its way to the store; NewItems makes it.
type Item struct {
	// Source is the resource; its Kubernetes kind is ResourceKind.
	Source       entry.Source
	ResourceKind string
	// Sequence follows from the entry's position in the outbox, and Hash from the entry after it or from the outbox's head: not from what the text claims.
	Sequence int64
	Hash     string
	// Text of the entry, as it is in the resource.
	Text []byte
	// ID follows from uid and sequence.
	ID string
	// Entry is what the text says, as far as it can be read.
	Entry entry.Entry
	// Refused is the reason why the entry is bad: its text does not have the hash, or is no entry, or that of another place. The store dead-letters it without trying, under ID and Hash.
	Refused string
	// AskPrevious asks the store whether it still has the entry before, too: for the first entry of a resource that this relay sends.
	AskPrevious bool
}

// NewItems makes the items of pending entries, and checks them.
func NewItems(s entry.Source, resourceKind string, p entry.Pending) []Item {
	items := make([]Item, p.Len())
	for i := range items {
		items[i] = Item{Source: s, ResourceKind: resourceKind, Sequence: p.Sequence(i), Hash: p.Hash(i), Text: []byte(p.Text(i))}
		items[i].Check()
	}
	return items
}

// Check sets ID, Entry and Refused from the other fields. An entry that was changed by hand, and the entry of another resource, are refused.
func (i *Item) Check() {
	i.ID = entry.ID(i.Source.UID, i.Source.Created, i.Sequence)
	var err error
	i.Entry, err = entry.Decode(i.Text)
	e := &i.Entry
	switch hash := entry.Hash(i.Text); {
	case hash != i.Hash:
		i.Refused = fmt.Sprintf("the entry's text has the hash %s, expected %.80q, which the chain has: the text was changed after it was appended", hash, i.Hash)
	case err != nil:
		i.Refused = err.Error()
	case e.Sequence != i.Sequence:
		i.Refused = fmt.Sprintf("the entry's sequence is %d, expected %d, from its position in the outbox", e.Sequence, i.Sequence)
	case e.Source.UID != i.Source.UID || e.Source.Name != i.Source.Name || e.Source.Namespace != i.Source.Namespace:
		i.Refused = fmt.Sprintf("the entry is of another resource: its source is %.400q, expected %q", e.Source, i.Source)
	case e.ID != i.ID:
		i.Refused = fmt.Sprintf("the entry's id is %.80q, expected %s, which follows from uid and sequence", e.ID, i.ID)
	}
}

// ByID compares items by their ids: one order for all writers, so that two of them cannot deadlock.
func ByID(a, b Item) int { return strings.Compare(a.ID, b.ID) }

// Result of one item.
type Result int

const (
	// Unknown is the zero value: nobody said what became of the entry. It stays pending, and is sent again.
	Unknown Result = iota
	// Stored: the row is new.
	Stored
	// Present: the same row (id and hash) was there before.
	Present
	// DeadLettered: the entry could not become a row; it is a dead letter, with its error.
	DeadLettered
	// Conflicting: another entry has this id or (uid, sequence), as after a restored etcd. Dead-lettered, never overwritten; an alarm is due.
	Conflicting
	// Unsupported: this release does not know the record's schema version. The entry stays pending.
	Unsupported
)

// results are the words for them, as stores that are called over a network write them.
var results = map[Result]string{Stored: "stored", Present: "present", DeadLettered: "dead-lettered", Conflicting: "conflicting", Unsupported: "unsupported"}

// MarshalText implements encoding.TextMarshaler.
func (r Result) MarshalText() ([]byte, error) {
	name, known := results[r]
	if !known {
		return nil, fmt.Errorf("result %d has no name, expected one of %s", int(r), names())
	}
	return []byte(name), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. An outcome that is not known is an error: the entry may not count as durable.
func (r *Result) UnmarshalText(text []byte) error {
	for result, name := range results {
		if name == string(text) {
			*r = result
			return nil
		}
	}
	return fmt.Errorf("result is %q, expected one of %s", text, names())
}

func names() string { return strings.Join(slices.Sorted(maps.Values(results)), ", ") }

// Outcome is what became of one item. Error and SQLState are set for DeadLettered and Conflicting; SQLState is empty where no database refused it.
type Outcome struct {
	Result   Result `json:"result"`
	Error    string `json:"error,omitempty"`
	SQLState string `json:"sqlstate,omitempty"`
	// PreviousMissing answers Item.AskPrevious: the entry before has neither row nor dead letter, as in a database that was restored to an older state.
	PreviousMissing bool `json:"previousMissing,omitempty"`
}

// Durable reports whether the entry may leave its resource: only for the results that say so.
func (o Outcome) Durable() bool {
	switch o.Result {
	case Stored, Present, DeadLettered, Conflicting:
		return true
	}
	return false
}

// Complete refuses an answer that does not say of every entry what became of it: nothing of it counts then.
func Complete(outcomes []Outcome, entries int) error {
	if len(outcomes) != entries {
		return fmt.Errorf("the store answered %d outcomes for %d entries", len(outcomes), entries)
	}
	for i, o := range outcomes {
		if _, known := results[o.Result]; !known {
			return fmt.Errorf("the store's outcome %d of %d is %d, expected one of %s", i+1, entries, int(o.Result), names())
		}
	}
	return nil
}
