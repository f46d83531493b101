package relay

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-dev/holdfast/outbox"
)

// Events about dead letters are bounded: a resource has one each letterEvery, and all resources together letterBurst at once and one a second from then on. The log, the
// metric and the store have every dead letter.
const (
	letterEvery = time.Minute
	letterBurst = 100
)

// lastLetter is the newest dead letter of a resource that this process met, and when an Event told of one.
type lastLetter struct {
	sequence int64
	told     time.Time
}

// announceLetter makes an Event on the resource whose entry became a dead letter. An entry that is sent again makes none, nor does a resource that is gone.
func (f *flusher) announceLetter(item *Item, o Outcome) {
	kind := f.tracker.letterDue(item)
	if kind == nil || !f.letters.AllowN(f.config.Clock.Now(), 1) {
		return
	}
	at := &corev1.ObjectReference{APIVersion: kind.apiVersion, Kind: kind.kind, Namespace: item.Source.Namespace, Name: item.Source.Name, UID: item.Source.UID}
	note := fmt.Sprintf("Audit entry %d (%s) could not be stored as a row and is a dead letter: %s. Run `holdfast dead-letter show %s`.", item.Sequence, item.ID, outbox.Bound(strings.ToValidUTF8(o.Error, "\uFFFD"), 500), item.ID)
	kind.recorder.Eventf(at, nil, corev1.EventTypeWarning, "EntryDeadLettered", "Relay", "%s", outbox.Bound(note, 1000))
}

// letterDue returns the kind of the resource if an Event is due about this dead letter of it, else nil.
func (t *tracker) letterDue(item *Item) *kindReconciler {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.resources[item.Source.UID]
	if r == nil || r.orphaned || item.Sequence <= r.letter.sequence {
		return nil
	}
	r.letter.sequence = item.Sequence
	now := t.config.Clock.Now()
	if !r.letter.told.IsZero() && now.Sub(r.letter.told) < letterEvery {
		return nil
	}
	r.letter.told = now
	return r.kind
}
