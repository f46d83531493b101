package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Judge compares what was seen with what is stored, in some namespaces or, if none is named, everywhere. What is still under way shows as a
// difference: poll until the report is clean, or until that should have happened.
func (o *Oracle) Judge(ctx context.Context, db Querier, namespaces ...string) (Report, error) {
	rows, err := read(ctx, db, namespaces)
	if err != nil {
		return Report{}, fmt.Errorf("oracle: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	j := judgement{counts: map[string]*Counts{}, positions: map[string]position{}, stored: map[string][]*stored{}}
	for _, d := range o.gaps {
		j.add(d)
	}
	for _, r := range o.resources {
		if len(namespaces) == 0 || slices.Contains(namespaces, r.namespace) {
			j.expect(r)
		}
	}
	for i := range rows {
		j.note(&rows[i])
	}
	for id, p := range j.positions {
		j.compare(p, j.stored[id])
	}
	return j.report(), nil
}

// position is where an entry was appended.
type position struct {
	*resource
	sequence int64
}

// judgement is the comparison under way.
type judgement struct {
	counts      map[string]*Counts  // by kind
	positions   map[string]position // by the id that follows from them
	stored      map[string][]*stored
	differences []Difference
}

func (j *judgement) count(kind string) *Counts {
	if j.counts[kind] == nil {
		j.counts[kind] = &Counts{Kind: kind}
	}
	return j.counts[kind]
}

func (j *judgement) add(d Difference) {
	*j.count(d.Kind).of(d.Class)++
	j.differences = append(j.differences, d)
}

// expect notes what should be stored of a resource, and what is wrong with it already.
func (j *judgement) expect(r *resource) {
	c := j.count(r.kind)
	c.Resources++
	c.Appended += int(r.last)
	for sequence := int64(1); sequence <= r.last; sequence++ {
		j.positions[r.id(sequence)] = position{r, sequence}
		if _, ok := r.entries[sequence]; !ok {
			c.Unseen++
		}
	}
	for _, d := range r.wrong {
		j.add(d)
	}
	if why := r.undrained(); why != "" {
		j.add(r.difference(Undrained, r.last, "%s", why))
	}
}

// note counts one row or dead letter under its id. One whose id does not follow from any position was either stored for one all the same, or is foreign.
func (j *judgement) note(s *stored) {
	if s.redriven() {
		return
	}
	p, known := j.positions[s.id]
	if !known {
		j.stray(s)
		return
	}
	if s.letter() {
		j.count(p.kind).DeadLetters++
	} else {
		j.count(p.kind).Rows++
	}
	j.stored[s.id] = append(j.stored[s.id], s)
}

func (j *judgement) stray(s *stored) {
	for _, p := range j.positions {
		if e, seen := p.entries[p.sequence]; p.uid == s.uid && p.sequence == s.sequence || seen && e.text == s.text {
			j.add(p.differs(Doubled, "%s has it under the id %s too, expected %s only", s.table, s.id, p.id(p.sequence)))
			return
		}
	}
	j.add(Difference{Class: Foreign, Kind: s.table, UID: s.uid, Sequence: s.sequence, Detail: fmt.Sprintf("id %s, which nobody appended: %s", s.id, s.text)})
}

// compare holds what is stored under an id to the entry that was appended.
func (j *judgement) compare(p position, found []*stored) {
	if len(found) == 0 {
		j.add(p.differs(Lost, "id %s is neither a row nor a dead letter; the entry was %s", p.id(p.sequence), p.entries[p.sequence].text))
		return
	}
	if len(found) > 1 {
		var where []string
		for _, s := range found {
			where = append(where, fmt.Sprintf("%s (hash %s)", s.table, s.hash))
		}
		for range found[1:] {
			j.add(p.differs(Doubled, "id %s is in %s", p.id(p.sequence), strings.Join(where, " and ")))
		}
	}
	for _, s := range found {
		j.check(p, s)
	}
}

// check compares one row or dead letter: its place, its chain and its content.
func (j *judgement) check(p position, s *stored) {
	if s.sequence != p.sequence || s.uid != p.uid {
		j.add(p.differs(OutOfOrder, "%s has it as entry %d of %s", s.table, s.sequence, s.uid))
	}
	if before := j.before(p); before != s.previousHash {
		j.add(p.differs(ChainBreak, "previous_hash is %q in %s, the entry before has %q", s.previousHash, s.table, before))
	}
	if p.sequence == p.last && p.head != s.hash {
		j.add(p.differs(ChainBreak, "entry_hash is %q in %s, the resource's headHash is %q", s.hash, s.table, p.head))
	}
	for _, why := range content(p, s) {
		j.add(p.differs(Changed, "%s: %s", s.table, why))
	}
}

// before is the hash of the entry before, as it is stored: the chain of the tables must hold by itself.
func (j *judgement) before(p position) string {
	if p.sequence == 1 {
		return ""
	}
	for _, s := range j.stored[p.id(p.sequence-1)] {
		return s.hash
	}
	return p.entries[p.sequence-1].hash // lost, which is said elsewhere
}

// content says how what is stored differs from what was appended.
func content(p position, s *stored) []string {
	var wrong []string
	if have := hashOf(s.text); have != s.hash {
		wrong = append(wrong, fmt.Sprintf("entry_hash is %s, the text has %s: %s", s.hash, have, s.text))
	}
	if e, seen := p.entries[p.sequence]; seen && (e.text != s.text || e.hash != s.hash) {
		wrong = append(wrong, fmt.Sprintf("it has hash %s and text %s, the resource had %s and %s", s.hash, s.text, e.hash, e.text))
	}
	columns, err := s.misprojected()
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	return append(wrong, columns...)
}

func (p position) differs(what Class, format string, arguments ...any) Difference {
	return p.difference(what, p.sequence, format, arguments...)
}

func (j *judgement) report() Report {
	r := Report{Total: Counts{Kind: "total"}, Differences: j.differences}
	for _, c := range j.counts {
		r.Kinds = append(r.Kinds, *c)
		r.Total.Add(*c)
	}
	slices.SortFunc(r.Kinds, func(a, b Counts) int { return strings.Compare(a.Kind, b.Kind) })
	slices.SortFunc(r.Differences, func(a, b Difference) int { return strings.Compare(a.String(), b.String()) })
	return r
}
