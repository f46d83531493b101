package outbox

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Finalizer holds a resource until its outbox is closed and every entry is durable. The Writer adds it, the relay releases it.
const Finalizer = "holdfast.dev/outbox"

// TraceparentAnnotation carries the W3C trace context in which a resource was made; its entries repeat it.
const TraceparentAnnotation = "holdfast.dev/traceparent"

// ConditionBlocked is the condition of a resource whose next change waits for room in its outbox, or that is too large to audit.
const ConditionBlocked = "OutboxBlocked"

// Object is a resource with an outbox in its status. A kind becomes one by embedding outboxapi.Status in its status, and by one method:
//
//	func (b *Backup) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
//		return &b.Status.Status, &b.Status.Conditions
//	}
type Object interface {
	client.Object
	// OutboxStatus points at the embedded status, and at the conditions beside it: nil for a kind that has none, or some of another type. Both must be in the object itself. A kind whose
	// status is a pointer makes an empty one if that is nil; the CRD's default {} sees to it that objects of the API server have one.
	OutboxStatus() (*outboxapi.Status, *[]metav1.Condition)
}

// Change is what a save says to the audit trail: the event, and the record as it is after the change.
type Change = entry.Change

// Limits bound an outbox. relay.Config has them; the Writer takes them from its Relay.
type Limits = entry.Limits

// DefaultLimits are 64 KiB an entry, 256 KiB soft, 512 KiB or 500 entries hard.
func DefaultLimits() Limits { return entry.DefaultLimits() }

// Errors of a change that cannot be appended. docs/embedding.md says what to do about each.
var (
	// ErrInvalid says that a change breaks a rule of entries or records. Retrying cannot help.
	ErrInvalid = entry.ErrInvalid
	// ErrTooLarge says that one entry exceeds the entry limit. Retrying cannot help.
	ErrTooLarge = entry.ErrTooLarge
	// ErrClosed says that the record has ended.
	ErrClosed = entry.ErrClosed
	// ErrFull says that pending entries leave no room. Keep the state, do nothing, and reconcile again in 10 s: AsReconciler does so. The relay's next trim starts the
	// reconciler, too.
	ErrFull = entry.ErrFull
)

// Relay is what a Writer needs to know of the relay; a relay.Relay is one. It answers from memory, without waiting.
type Relay interface {
	// Watermark is how far the store has a resource's entries.
	Watermark(uid types.UID) entry.Watermark
	// Limits are those of the outboxes, for both.
	Limits() Limits
}
