package relay

import (
	"context"
	"errors"

	"github.com/holdfast-dev/holdfast/outbox"
)

// Store keeps entries as rows. It is what the relay drains into.
type Store interface {
	// Persist makes the whole batch durable in one transaction and tells, by index, what became of each item. The batch is sorted by entry id.
	//
	// A nil error means COMMIT was acknowledged. With an error nothing is known (the commit may have happened and its reply been lost): the
	// relay sends the same items again later, so Persist is idempotent. An error that retrying cannot mend without a person, such
	// as a schema that does not fit, wraps ErrSchema.
	Persist(ctx context.Context, batch []Item) ([]Outcome, error)
}

// ErrSchema says that the store refuses everything, not one bad entry: missing tables, another schema version, missing rights.
var ErrSchema = errors.New("the store's schema does not fit")

// Item is one entry on its way to the store.
type Item struct {
	// Source is the resource; its Kubernetes kind is ResourceKind.
	Source       outbox.Source
	ResourceKind string
	Entry        outbox.Entry
	// Canonical is the exact text that was hashed.
	Canonical []byte
	// Refused is the reason why the relay itself found the entry bad (its hash does not agree). The store dead-letters it without trying.
	Refused string
}

// Result of one item.
type Result int

const (
	// Stored: the row is new.
	Stored Result = iota
	// Present: the same row (id and hash) was there before.
	Present
	// DeadLettered: the entry could not become a row; it stands in the dead letters with its error.
	DeadLettered
	// Conflicting: another entry holds this id or (uid, sequence), as after a restored etcd. Dead-lettered, never overwritten; an alarm is due.
	Conflicting
	// Held: the record's schema version is unknown to this release. The entry stays pending.
	Held
)

// Outcome tells what became of one item. Error and SQLState are set for DeadLettered and Conflicting; SQLState is empty where no database refused it.
type Outcome struct {
	Result   Result
	Error    string
	SQLState string
}

// Durable tells whether the entry may leave its resource.
func (o Outcome) Durable() bool { return o.Result != Held }
