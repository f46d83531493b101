package entry

import (
	"sync"
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

// Pending are entries at the end of an outbox. What their texts claim is not trusted: the position gives the sequence, and the hash that a text should have is the
// previousHash of the next, of the last the outbox's headHash. It shares memory with the outbox. The zero value is empty.
type Pending struct {
	chain    *chain
	from, to int // entries of the chain
}

// chain is all entries of an outbox.
type chain struct {
	uid   types.UID
	texts []outboxapi.Entry
	last  int64  // sequence of the last text
	head  string // hash that the last text should have
	once  sync.Once
	// hashes that the texts should have: only of a chain that is broken somewhere.
	hashes []string
}

// PendingOf are all entries of the outbox of the resource with that uid. The outbox may be nil.
func PendingOf(uid types.UID, o *outboxapi.Outbox) Pending {
	texts := placed(o)
	if len(texts) == 0 {
		return Pending{}
	}
	return Pending{chain: &chain{uid: uid, texts: texts, last: o.LastSequence, head: o.HeadHash}, to: len(texts)}
}

// placed are the texts that have a place in the history. Texts before the first sequence are nobody's entries: the CRD's rule refuses them.
func placed(o *outboxapi.Outbox) []outboxapi.Entry {
	if o == nil {
		return nil
	}
	return o.Entries[max(0, int64(len(o.Entries))-max(0, o.LastSequence)):]
}

// Len is the number of entries.
func (p Pending) Len() int { return p.to - p.from }

// Sequence of entry i.
func (p Pending) Sequence(i int) int64 { return p.chain.last - int64(len(p.chain.texts)-1-p.from-i) }

// Hash is what the text of entry i should have. The next text says so, if it is the entry that should be there; otherwise nobody knows, and it is that of the text. What is wrong with the next is found there.
func (p Pending) Hash(i int) string { return p.chain.hash(p.from + i) }

func (c *chain) hash(i int) string {
	isLast := i == len(c.texts)-1
	if isLast && validHash(c.head) {
		return c.head
	}
	own := Hash([]byte(c.texts[i]))
	if isLast {
		return own
	}
	if claimed := previousHash(string(c.texts[i+1])); claimed == "" || claimed == own {
		return own
	}
	c.once.Do(c.judge)
	return c.hashes[i]
}

// judge works out the hashes of a chain that is broken somewhere. It begins at the head: a text is believed about the one before it only if it has the hash that it should have, and is the entry of this place.
func (c *chain) judge() {
	c.hashes = make([]string, len(c.texts))
	expected, believed := c.head, validHash(c.head)
	for i := len(c.texts) - 1; i >= 0; i-- {
		own := Hash([]byte(c.texts[i]))
		if !believed {
			expected = own
		}
		c.hashes[i] = expected
		e, err := Decode([]byte(c.texts[i]))
		believed = err == nil && own == expected && e.Source.UID == c.uid && e.Sequence == c.last-int64(len(c.texts)-1-i) && e.PreviousHash != ""
		expected = e.PreviousHash
	}
}

// Text of entry i.
func (p Pending) Text(i int) outboxapi.Entry { return p.chain.texts[p.from+i] }

// Texts are those of all entries.
func (p Pending) Texts() []outboxapi.Entry {
	if p.chain == nil {
		return nil
	}
	return p.chain.texts[p.from:p.to]
}

// First are the first n entries.
func (p Pending) First(n int) Pending {
	if n == 0 {
		return Pending{}
	}
	p.to = min(p.to, p.from+n)
	return p
}

// Above are the entries that the watermark does not cover. An entry is covered only if the hash agrees: a watermark of another history (a restored
// etcd gives out the same sequences again) covers nothing.
func (p Pending) Above(w Watermark) Pending {
	if p.Len() == 0 || w.Hash == "" || w.Sequence < p.Sequence(0) || w.Sequence > p.Sequence(p.Len()-1) {
		return p
	}
	i := int(w.Sequence - p.Sequence(0))
	switch {
	case p.Hash(i) != w.Hash:
	case i == p.Len()-1:
		return Pending{} // an empty part would keep the entries in memory
	default:
		p.from += i + 1
	}
	return p
}

// Acknowledge drops the entries that the watermark covers.
func Acknowledge(uid types.UID, o *outboxapi.Outbox, w Watermark) {
	all := PendingOf(uid, o)
	kept := all.Above(w)
	if kept.Len() == all.Len() {
		return
	}
	o.SetEntries(append([]outboxapi.Entry{}, kept.Texts()...))
	o.PersistedSequence = w.Sequence
	o.PersistedTime = outboxapi.NewTimePointer(w.Time)
}
