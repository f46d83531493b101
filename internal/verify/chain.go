package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
)

// chain is the entries of one resource, as they come by sequence. It remembers one place, and the one before.
type chain struct {
	v        *verifier
	uid      string
	expected *Resource // nil unless it is live

	place, before *place
	// cluster is what the rows so far say.
	cluster *string
	// state is all of it so far.
	state digest
	// createdAt are the milliseconds that every id of the chain begins with.
	createdAt []byte
}

// place is a sequence of a chain, and what stands there: one entry, unless something is wrong.
type place struct {
	sequence int64
	members  []member
}

// member is one entry at a place.
type member struct {
	at     Finding
	kind   string
	final  bool
	event  string
	phase  string
	letter bool
	// redriven is a dead letter that says that it has a row.
	redriven bool
	// claimed is entry_hash, actual the hash of the text: the same, unless one was changed. previous is what the text says.
	claimed, actual, previous string
	readable                  bool
}

// has reports whether this is a hash of the member. Both count, so that one change is one finding and not also one at the next entry.
func (m *member) has(hash string) bool { return m.claimed == hash || m.actual == hash }

func (p *place) has(hash string) bool {
	for i := range p.members {
		if p.members[i].has(hash) {
			return true
		}
	}
	return false
}

func (p *place) final() bool {
	for i := range p.members {
		if p.members[i].final {
			return true
		}
	}
	return false
}

func (c *chain) add(e *postgres.Stored) error {
	if c.place != nil && c.place.sequence != e.Sequence {
		c.endPlace()
		c.before, c.place = c.place, nil
	}
	if c.place == nil {
		c.place = &place{sequence: e.Sequence}
	}
	m, err := c.examine(e)
	if err != nil {
		return err
	}
	c.place.members = append(c.place.members, m)
	return nil
}

// examine checks an entry by itself.
func (c *chain) examine(e *postgres.Stored) (member, error) {
	at := Finding{Table: e.Table, ID: e.ID, Cluster: e.SourceCluster, Namespace: e.SourceNamespace, Name: e.SourceName, UID: e.SourceUID, Sequence: e.Sequence}
	sum := sha256.Sum256([]byte(e.Entry))
	c.state = c.state.with(e.Table, e.ID, string(sum[:]), string(e.EntryHash))
	at.state = c.state
	m := member{at: at, letter: e.DeadLetter(), redriven: e.Redriven, kind: e.Kind, claimed: hex.EncodeToString(e.EntryHash), actual: hex.EncodeToString(sum[:])}
	decoded, err := entry.Decode([]byte(e.Entry))
	if err == nil {
		m.readable = true
		m.kind, m.final, m.event, m.phase, m.previous = decoded.Kind, decoded.Final, decoded.Event, decoded.Phase, decoded.PreviousHash
	}
	uncompared := at.and(e.Columns) // a finding after which nobody looks at the columns
	switch {
	case !bytes.Equal(sum[:], e.EntryHash):
		c.report(uncompared, Changed, "the hash of the entry text is %s, but entry_hash is %s", short(m.actual), short(m.claimed))
		return m, nil
	case err != nil:
		c.report(uncompared, Changed, "the entry cannot be read: %v", err)
		return m, nil
	}
	moved := c.whereItBelongs(uncompared, &decoded)
	if e.DeadLetter() || moved {
		return m, nil
	}
	return m, c.columns(at, e, &decoded)
}

// whereItBelongs checks the entry's place and id.
func (c *chain) whereItBelongs(at Finding, decoded *entry.Entry) (moved bool) {
	if string(decoded.Source.UID) != at.UID || decoded.Sequence != at.Sequence {
		c.report(at, Reordered, "the row is at sequence %d of %s, but its entry is sequence %d of %s", at.Sequence, at.UID, decoded.Sequence, decoded.Source.UID)
		return true
	}
	if decoded.ID != at.ID {
		c.report(at, Reordered, "the row has id %s, but its entry has id %s", at.ID, decoded.ID)
		return true
	}
	id, err := uuid.Parse(decoded.ID)
	if err != nil {
		c.report(at, Changed, "the entry has id %q, expected a UUID", decoded.ID)
		return true
	}
	created := id[:6]
	if c.createdAt == nil {
		c.createdAt = bytes.Clone(created)
	}
	if entry.ID(types.UID(at.UID), millis(created), decoded.Sequence) != decoded.ID || !bytes.Equal(created, c.createdAt) {
		c.report(at, Reordered, "the id %s is not the id derived from uid and sequence", decoded.ID)
	}
	return false
}

// millis reads the 48 bits that an id begins with (see entry.ID).
func millis(b []byte) time.Time {
	var ms int64
	for _, x := range b {
		ms = ms<<8 | int64(x)
	}
	return time.UnixMilli(ms)
}

// columns holds the row against its entry.
func (c *chain) columns(at Finding, e *postgres.Stored, decoded *entry.Entry) error {
	want, err := postgres.RowOf(e.SourceCluster, decoded, []byte(e.Entry))
	if err != nil {
		c.report(at.and(e.Columns), Changed, "the entry cannot be converted to a row: %v", err)
		return nil
	}
	if want.Table() != e.Table {
		c.report(at.and(e.Columns), Reordered, "the row is in %s, but its kind %s belongs in %s", e.Table, decoded.Kind, want.Table())
		return nil
	}
	different, err := c.v.store.Compare(want, e.Columns, false)
	if err != nil {
		return err
	}
	for _, d := range different {
		c.report(at.and(d.Column, d.Have), Column, "%s", d.String())
	}
	return nil
}

// endPlace checks what stands at one place, against itself, the place before, and the live resource.
func (c *chain) endPlace() {
	p := c.place
	c.together(p)
	var prior int64
	if c.before != nil {
		prior = c.before.sequence
	}
	switch {
	case p.sequence > prior+1:
		at := p.members[0].at
		at.Table, at.ID, at.Sequence = "", "", prior+1
		c.report(at.and(span(prior+1, p.sequence-1)), Missing, "%s: no row and no dead letter", entries(prior+1, p.sequence-1))
	case p.sequence == 1:
		c.linked(p, func(previous string) bool { return previous == "" }, "the first entry has previousHash %s, expected none")
	default:
		c.linked(p, c.before.has, "previousHash is %s, which is not the hash of the previous entry; one of the two was replaced")
	}
	c.clusters(p)
	if c.before != nil && c.before.final() {
		c.report(p.members[0].at, AfterFinal, "the record was closed by entry %d before this entry", prior)
	}
	if c.expected != nil {
		if hash, ok := c.expected.hashAt(p.sequence); ok && !p.has(hash) {
			c.report(p.members[0].at.and(hash), Diverged, "the live resource has hash %s at this sequence, the row has %s", short(hash), short(p.members[0].claimed))
		}
	}
}

// clusters checks that the rows of a chain name one cluster: the column is no part of the entry, so nothing else holds it. A live resource says which it is.
func (c *chain) clusters(p *place) {
	for i := range p.members {
		at := p.members[i].at
		switch {
		case p.members[i].letter:
		case c.expected != nil && at.Cluster != c.v.options.Cluster:
			if c.v.options.Cluster == "" {
				c.v.unnamed[at.Cluster] = true
				continue
			}
			c.report(at.and("source_cluster", at.Cluster), Column, "source_cluster is %q, but the resource is live in cluster %q", at.Cluster, c.v.options.Cluster)
		case c.cluster != nil && at.Cluster != *c.cluster:
			c.report(at.and("source_cluster", at.Cluster), Column, "source_cluster is %q, but earlier entries have %q", at.Cluster, *c.cluster)
		default:
			c.cluster = &at.Cluster
		}
	}
}

// linked checks that every member follows the place before.
func (c *chain) linked(p *place, follows func(string) bool, otherwise string) {
	for i := range p.members {
		if m := &p.members[i]; m.readable && !follows(m.previous) {
			c.report(m.at, Broken, otherwise, short(m.previous))
		}
	}
}

// together checks the members of one place against each other. A dead letter beside its own row is what redriving leaves.
func (c *chain) together(p *place) {
	first := &p.members[0]
	for i := range p.members[1:] {
		m := &p.members[i+1]
		switch {
		case m.claimed != first.claimed:
			c.report(m.at, Forked, "%s %s has a different entry at this sequence, with hash %s; this one has %s", first.at.Table, first.at.ID, short(first.claimed), short(m.claimed))
		case !m.letter && !first.letter:
			c.report(m.at, Doubled, "%s also has a row for this entry", first.at.Table)
		}
	}
	for i := range p.members {
		if m := &p.members[i]; m.letter && m.redriven && !p.hasRow(m.claimed) {
			c.report(m.at, Missing, "the dead letter is marked as redriven, but its row is missing")
		}
	}
}

func (p *place) hasRow(hash string) bool {
	for i := range p.members {
		if m := &p.members[i]; !m.letter && m.has(hash) {
			return true
		}
	}
	return false
}

func (c *chain) report(at Finding, p Problem, format string, args ...any) {
	at.Problem, at.Detail = p, fmt.Sprintf(format, args...)
	c.v.tell(at)
}

// short keeps as much of a hash as tells it from others.
func short(hash string) string {
	switch {
	case hash == "":
		return "(none)"
	case len(hash) > 16:
		return hash[:16] + "…"
	}
	return hash
}

// span is entries for what is hashed.
func span(from, to int64) string { return fmt.Sprintf("%d-%d", from, to) }

func entries(from, to int64) string {
	if from == to {
		return fmt.Sprintf("entry %d", from)
	}
	return strings.Join([]string{"entries", fmt.Sprint(from), "to", fmt.Sprint(to)}, " ")
}
