package relay

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// saw holds each write to what is promised. obj is nil when the resource is gone.
func (s *simulation) saw(old, obj *notification, how string) {
	s.happened[how]++
	switch {
	case how == "restore":
		s.forgetBeyond(obj)
		return
	case old == nil:
		return
	case obj == nil:
		s.gone(old)
		return
	}
	had, has := controllerutil.ContainsFinalizer(old, outbox.Finalizer), controllerutil.ContainsFinalizer(obj, outbox.Finalizer)
	if had && !has {
		s.gone(old)
	}
	was, is := old.Status.Outbox, obj.Status.Outbox
	if is == nil {
		if obj.Status.FailureReason != old.Status.FailureReason {
			s.violated("G1: a state without its entry")
		}
		return
	}
	if was == nil {
		was = &outboxapi.Outbox{}
	}
	kept := is.Entries
	switch is.LastSequence - was.LastSequence {
	case 0:
		if obj.Status.FailureReason != old.Status.FailureReason || is.HeadHash != was.HeadHash || is.Closed != was.Closed {
			s.violated("G1: %s changed the state of %s without an entry", how, obj.UID)
		}
	case 1:
		s.append(obj, was, old.Status.FailureReason, has)
		kept = kept[:len(kept)-1]
	default:
		s.violated("G3: %s went from entry %d to %d", obj.UID, was.LastSequence, is.LastSequence)
	}
	suffix, dropped := endOf(was.Entries, kept)
	if !suffix {
		s.violated("%s put back, or took out, entries in the middle of %s", how, obj.UID)
	}
	for _, e := range dropped {
		if hash := entry.Hash([]byte(e)); !s.store.durable[hash] {
			s.violated("G2: %s dropped an entry of %s, which is not durable", how, obj.UID)
		}
	}
	if is.PersistedSequence < was.PersistedSequence || is.Pending == nil || int(*is.Pending) != len(is.Entries) {
		s.violated("%s counts wrong: persisted %d after %d, %v pending of %d", how, is.PersistedSequence, was.PersistedSequence, is.Pending, len(is.Entries))
	}
}

func (s *simulation) append(obj *notification, was *outboxapi.Outbox, state string, held bool) {
	is := obj.Status.Outbox
	if len(is.Entries) == 0 {
		s.violated("G2: entry %d of %s was never there", is.LastSequence, obj.UID)
	}
	e := entriesOf(is)[len(is.Entries)-1]
	token := tokenOf(&e.Entry)
	if !strings.HasPrefix(token, silent) {
		state = token
	}
	switch {
	case was.Closed:
		s.violated("a closed record has grown: %s", obj.UID)
	case !held:
		s.violated("entry %d of %s is in a resource without the finalizer", e.Sequence, obj.UID)
	case e.Sequence != is.LastSequence || e.hash != is.HeadHash || e.PreviousHash != was.HeadHash || e.Final != is.Closed:
		s.violated("G3: entry %d of %s does not follow", e.Sequence, obj.UID)
	case obj.Status.FailureReason != state:
		s.violated("G1: entry %d of %s tells of %s, the state is %s", e.Sequence, obj.UID, token, obj.Status.FailureReason)
	}
	s.happened["append"]++
	if s.appends[token]++; s.appends[token] > 1 {
		s.violated("the entry of %s was appended again", token)
	}
	if s.appended[obj.UID] == nil {
		s.appended[obj.UID] = map[int64]noted{}
	}
	s.appended[obj.UID][e.Sequence] = noted{id: e.ID, hash: e.hash, token: token}
}

// gone is for what is let go: nothing of it may be missing in the store.
func (s *simulation) gone(last *notification) {
	box := last.Status.Outbox
	if box == nil {
		return
	}
	if !box.Closed {
		s.violated("%s was let go with an open record", last.UID)
	}
	s.allDurable(last.UID, "was let go")
}

func (s *simulation) allDurable(uid types.UID, when string) {
	for sequence, e := range s.appended[uid] {
		if !s.store.durable[e.hash] {
			s.violated("G2: %s %s, and entry %d is not durable", uid, when, sequence)
		}
	}
}

// forgetBeyond is for a restored etcd, which gives out the same sequences again. What it lost is excused.
func (s *simulation) forgetBeyond(obj *notification) {
	s.restores++
	last := int64(0)
	if obj.Status.Outbox != nil {
		last = obj.Status.Outbox.LastSequence
	}
	for sequence, e := range s.appended[obj.UID] {
		if sequence > last {
			delete(s.appended[obj.UID], sequence)
			delete(s.appends, e.token)
		}
	}
}

// quiescent is asked when nobody has anything left to do.
func (s *simulation) quiescent() {
	for uid, entries := range s.appended {
		for n := int64(1); n <= int64(len(entries)); n++ {
			e, ok := entries[n]
			if !ok {
				s.violated("G3: %s has %d entries, and none with sequence %d", uid, len(entries), n)
			}
			if there := s.store.holds(e.id, e.hash); there != 1 {
				s.violated("G2: entry %d of %s is there %d times", n, uid, there)
			}
		}
	}
	for _, obj := range s.server.live {
		box := obj.Status.Outbox
		switch {
		case obj.DeletionTimestamp != nil:
			s.violated("%s hangs in its deletion", obj.UID)
		case box == nil:
		case len(box.Entries) > 0:
			s.violated("%s keeps %d entries that are durable", obj.UID, len(box.Entries))
		case box.Closed && len(obj.Finalizers) > 0:
			s.violated("%s is closed and drained, and held", obj.UID)
		}
	}
	for _, p := range s.processes {
		if resources, orphaned := p.kind.tracker.left(); resources > 0 || orphaned > 0 {
			s.violated("%d resources are queued, %d entries of orphans are left", resources, orphaned)
		}
	}
}
