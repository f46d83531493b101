package outbox

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Finalizer holds a resource until its outbox is closed and every entry is durable. The Writer adds it, the relay releases it.
const Finalizer = "holdfast.dev/outbox"

// TraceparentAnnotation carries the W3C trace context in which a resource was made; its entries repeat it.
const TraceparentAnnotation = "holdfast.dev/traceparent"

// SchemaVersion is the version of the records that this release writes.
const SchemaVersion = 1

// ConditionBlocked is the condition that a controller sets while it holds back a change because its outbox is full.
const ConditionBlocked = "OutboxBlocked"

// Object is a resource that carries an outbox in its status.
type Object interface {
	client.Object
	// GetOutbox returns the outbox of the status, nil before the first entry.
	GetOutbox() *outboxapi.Outbox
	// SetOutbox replaces it.
	SetOutbox(*outboxapi.Outbox)
}

// Source names the resource of an entry. It is part of what is hashed.
type Source struct {
	Namespace string
	Name      string
	UID       types.UID
	// Created is the resource's creation time, which entry ids begin with.
	Created time.Time
}

// SourceOf reads the source from a resource's metadata.
func SourceOf(o client.Object) Source {
	return Source{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), Created: o.GetCreationTimestamp().Time}
}

// String is namespace/name and the uid, for messages.
func (s Source) String() string { return fmt.Sprintf("%s/%s (uid %s)", s.Namespace, s.Name, s.UID) }

// Change is what a controller hands to Append: what changed, and the record as it is now.
type Change struct {
	// Kind of the record, see Entry.Kind.
	Kind string
	// Event is what changed, in CamelCase, at most 64 characters.
	Event string
	// Phase after the change, at most 50 characters.
	Phase string
	// Record is anything that encodes to a JSON object. Every NUL, lone surrogate and invalid byte in its texts becomes U+FFFD;
	// integers that a double cannot hold (beyond ±2^53) are refused, since not every JSON reader keeps them.
	Record any
	// Final closes the outbox with this entry.
	Final bool
	// Traceparent is the W3C trace context, if there is one.
	Traceparent string
}
