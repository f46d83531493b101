package outbox

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Watermark is how far a store has a resource's entries: everything up to Sequence, whose entry has Hash. The zero value covers nothing.
type Watermark struct {
	Sequence int64
	Hash     string
	// Time is when the commit was acknowledged.
	Time time.Time
}

// Watermarks answers from memory, without waiting. The relay is one.
type Watermarks interface {
	Watermark(uid types.UID) Watermark
}

// Pending are entries at the end of an outbox. What their texts claim is not trusted: the position gives the sequence, and the hash that a text should have is the
// previousHash of the next, of the last the outbox's headHash. It shares memory with the outbox.
type Pending struct {
	texts []outboxapi.Entry
	last  int64  // sequence of the last text
	head  string // hash that the last text should have
}

// PendingOf are all entries of an outbox, which may be nil.
func PendingOf(o *outboxapi.Outbox) Pending {
	if o == nil || len(o.Entries) == 0 {
		return Pending{}
	}
	return Pending{texts: o.Entries, last: o.LastSequence, head: o.HeadHash}
}

// Len is the number of entries.
func (p Pending) Len() int { return len(p.texts) }

// Sequence of entry i.
func (p Pending) Sequence(i int) int64 { return p.last - int64(len(p.texts)-1-i) }

// Hash is what the text of entry i should have. Where the next text is no entry, nobody knows: then it is that of the text. What is wrong with the next is found there.
func (p Pending) Hash(i int) string {
	if i == len(p.texts)-1 && validHash(p.head) {
		return p.head
	}
	if i < len(p.texts)-1 {
		if hash := previousHash(string(p.texts[i+1])); hash != "" {
			return hash
		}
	}
	return Hash([]byte(p.texts[i]))
}

// Text of entry i.
func (p Pending) Text(i int) outboxapi.Entry { return p.texts[i] }

// Texts are those of all entries.
func (p Pending) Texts() []outboxapi.Entry { return p.texts }

// First are the first n entries.
func (p Pending) First(n int) Pending {
	if n == 0 {
		return Pending{}
	}
	if n >= len(p.texts) {
		return p
	}
	return Pending{texts: p.texts[:n], last: p.Sequence(n - 1), head: p.Hash(n - 1)}
}

// Above are the entries that the watermark does not cover. An entry is covered only if the hash agrees: a watermark of another history (a restored
// etcd gives out the same sequences again) covers nothing.
func (p Pending) Above(w Watermark) Pending {
	i := int64(len(p.texts)) - 1 - (p.last - w.Sequence)
	if len(p.texts) == 0 || w.Hash == "" || i < 0 || i >= int64(len(p.texts)) || p.Hash(int(i)) != w.Hash {
		return p
	}
	if int(i) == len(p.texts)-1 {
		return Pending{} // an empty slice would keep the entries in memory
	}
	return Pending{texts: p.texts[i+1:], last: p.last, head: p.head}
}

// acknowledge drops the entries that the watermark covers.
func acknowledge(o *outboxapi.Outbox, w Watermark) {
	all := PendingOf(o)
	kept := all.Above(w)
	if kept.Len() == all.Len() {
		return
	}
	o.SetEntries(append([]outboxapi.Entry{}, kept.Texts()...))
	o.PersistedSequence = w.Sequence
	o.PersistedTime = outboxapi.NewTimePointer(w.Time)
}
