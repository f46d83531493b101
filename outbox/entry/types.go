package entry

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SchemaVersion is the version of the records that this release writes.
const SchemaVersion = 1

// Source names the resource of an entry. It is part of what is hashed.
type Source struct {
	Namespace string
	Name      string
	UID       types.UID
	// Created is the resource's creation time, which entry ids begin with.
	Created time.Time
}

// SourceOf reads the source from a resource's metadata.
func SourceOf(o metav1.Object) Source {
	return Source{Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), Created: o.GetCreationTimestamp().Time}
}

// String is namespace/name and the uid, for messages.
func (s Source) String() string { return fmt.Sprintf("%s/%s (uid %s)", s.Namespace, s.Name, s.UID) }

// Change is what changed, and the record as it is now: what Append makes an entry of.
type Change struct {
	// Kind of the record. A kind of your own has a group: backups.example.com.
	Kind string
	// Event names what changed, in CamelCase, at most 64 characters.
	Event string
	// Phase after the change, at most 50 bytes.
	Phase string
	// Record is anything that encodes to a JSON object. In package outbox, nil stands for the resource's own spec and status. Every NUL, lone surrogate and invalid byte in its texts becomes U+FFFD.
	// Integers that a double cannot hold (beyond ±2^53) are refused, since not every JSON reader keeps them.
	Record any
	// Final closes the outbox with this entry. Nothing can be appended after it.
	Final bool
	// Traceparent is the W3C trace context, if there is one.
	Traceparent string
}
