package outbox

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Finalizer keeps a resource until its outbox is closed and every entry is durable. The Writer adds it, the relay removes it.
const Finalizer = "holdfast.dev/outbox"

// TraceparentAnnotation has the W3C trace context in which a resource was created. Its entries repeat it.
const TraceparentAnnotation = "holdfast.dev/traceparent"

// ConditionBlocked is the condition of a resource whose next change waits for room in its outbox, or that is too large to audit.
const ConditionBlocked = "OutboxBlocked"

// Object is a resource with an outbox in its status. A kind embeds outboxapi.Status in its status and has one method:
//
//	func (b *Backup) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
//		return &b.Status.Status, &b.Status.Conditions
//	}
type Object interface {
	client.Object
	// OutboxStatus returns pointers to the embedded status and to the conditions. The conditions are nil for a kind that has none, or has conditions of another type. Both must point into the
	// object itself. A kind whose status is a pointer creates an empty status if it is nil; with the CRD's default {}, objects from the API server always have one.
	OutboxStatus() (*outboxapi.Status, *[]metav1.Condition)
}

// Change describes an entry: the event, and the record after the change. Its fields are those of [entry.Change].
type Change = entry.Change

// Limits bound an outbox. relay.Config has them; the Writer takes them from its Relay.
type Limits = entry.Limits

// DefaultLimits are 64 KiB an entry, 256 KiB soft, 512 KiB or 500 entries hard.
func DefaultLimits() Limits { return entry.DefaultLimits() }

// Errors of a change that cannot be appended. docs/embedding.md says what to do about each.
var (
	// ErrInvalid means that a change breaks a rule of entries or records. Retrying cannot help.
	ErrInvalid = entry.ErrInvalid
	// ErrTooLarge means that one entry exceeds the entry limit. Retrying cannot help.
	ErrTooLarge = entry.ErrTooLarge
	// ErrClosed means that the record has ended.
	ErrClosed = entry.ErrClosed
	// ErrFull means that pending entries leave no room. Keep the state, do nothing, and reconcile again in 10 s: AsReconciler does so. The relay's next trim starts the
	// reconciler, too.
	ErrFull = entry.ErrFull
)

// Relay is what a Writer needs from the relay; relay.Relay implements it. It answers from memory, without waiting.
type Relay interface {
	// Watermark returns up to which entry of a resource the store has all entries.
	Watermark(uid types.UID) entry.Watermark
	// Limits returns the limits of the outboxes.
	Limits() Limits
}
