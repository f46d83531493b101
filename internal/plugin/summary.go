package plugin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// summary is what a list keeps of a resource.
type summary struct {
	Kind      string `json:"kind"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Phase     string `json:"phase,omitempty"`
	// State is the most urgent of blocked, held, pending and drained; "none" before the first entry.
	State             string          `json:"state"`
	Pending           int             `json:"pending"`
	PendingBytes      int             `json:"pendingBytes"`
	OldestPendingTime *outboxapi.Time `json:"oldestPendingTime,omitempty"`
	LastSequence      int64           `json:"lastSequence"`
	PersistedSequence int64           `json:"persistedSequence"`
	Closed            bool            `json:"closed"`
	Blocked           bool            `json:"blocked"`
	// Held: it is being deleted, and the outbox's finalizer keeps it.
	Held         bool         `json:"held"`
	CreationTime metav1.Time  `json:"creationTime"`
	DeletionTime *metav1.Time `json:"deletionTime,omitempty"`

	ref       string
	persisted time.Time
	finalizer bool
}

// States of a resource, the most urgent first.
const (
	stateBlocked = "blocked"
	stateHeld    = "held"
	statePending = "pending"
	stateDrained = "drained"
	stateNone    = "none"
)

func summarize(r *resource) summary {
	s := summary{
		Kind: r.kind.Kind, Resource: r.kind.GroupResource().String(), Namespace: r.Namespace, Name: r.Name, UID: string(r.UID), Phase: r.phase,
		Pending: r.pending(), Blocked: r.condition(outbox.ConditionBlocked) != nil, Held: r.held(), Closed: r.closed(),
		CreationTime: r.CreationTimestamp, DeletionTime: r.DeletionTimestamp, ref: r.ref(), finalizer: slices.Contains(r.Finalizers, outbox.Finalizer),
	}
	if r.outbox != nil {
		s.LastSequence, s.PersistedSequence = r.outbox.LastSequence, r.outbox.PersistedSequence
		if r.outbox.PersistedTime != nil {
			s.persisted = r.outbox.PersistedTime.Time
		}
		s.PendingBytes = entry.Size(r.outbox.Entries)
		s.OldestPendingTime = outboxapi.NewTimePointer(r.oldest())
	}
	switch {
	case s.Blocked:
		s.State = stateBlocked
	case s.Held:
		s.State = stateHeld
	case s.Pending > 0:
		s.State = statePending
	case r.outbox.IsZero():
		s.State = stateNone
	default:
		s.State = stateDrained
	}
	return s
}

// named are the words of a command that is about the resource.
func (s *summary) named() string { return named(s.ref, s.Namespace) }

func (s *summary) oldest() time.Time {
	if s.OldestPendingTime == nil {
		return time.Time{}
	}
	return s.OldestPendingTime.Time
}

var (
	summaryHeader = []string{"NAMESPACE", "NAME", "PHASE", "STATE", "PENDING", "OLDEST", "AGE"}
	summaryWide   = []string{"LAST-SEQ", "PERSISTED", "BYTES", "CLOSED", "UID"}
)

func (s *summary) row(wide bool, now time.Time) []string {
	row := []string{s.Namespace, s.ref, s.Phase, s.State, strconv.Itoa(s.Pending), age(s.oldest(), now), age(s.CreationTime.Time, now)}
	if wide {
		row = append(row, strconv.FormatInt(s.LastSequence, 10), strconv.FormatInt(s.PersistedSequence, 10), strconv.Itoa(s.PendingBytes), yes(s.Closed), s.UID)
	}
	return row
}

// orders are the values of --sort-by.
var orders = map[string]func(a, b *summary) int{
	"name":    func(a, b *summary) int { return 0 },
	"pending": func(a, b *summary) int { return cmp.Compare(b.Pending, a.Pending) },
	"bytes":   func(a, b *summary) int { return cmp.Compare(b.PendingBytes, a.PendingBytes) },
	"oldest": func(a, b *summary) int {
		if a.oldest().IsZero() || b.oldest().IsZero() {
			return cmp.Compare(b.oldest().Unix(), a.oldest().Unix()) // those without an entry last
		}
		return a.oldest().Compare(b.oldest())
	},
	"age": func(a, b *summary) int { return a.CreationTime.Compare(b.CreationTime.Time) },
}

// orderNames are the same, as help and errors list them.
var orderNames = []string{"name", "pending", "bytes", "oldest", "age"}

// sorted sorts by an order, and within it as they came: by kind, namespace and name.
func sorted(all []summary, by string) error {
	compare, ok := orders[by]
	if !ok {
		return fmt.Errorf("--sort-by is %q, expected %s", by, orList(orderNames))
	}
	slices.SortStableFunc(all, func(a, b summary) int { return compare(&a, &b) })
	return nil
}
