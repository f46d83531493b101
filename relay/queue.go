package relay

import (
	"slices"
	"time"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// sendQueue has the resources with entries to send: a line for each namespace, first come, first served. The lines take turns, an entry each. So a namespace with much to
// send has its share of each batch, and the others do not wait for it.
type sendQueue struct {
	lines map[string]*line // by namespace; none is empty
	turns []*line          // the same, in the order of their turns
	turn  int              // whose turn it is
	size  int              // resources
}

// line has the resources of a namespace.
type line struct {
	namespace string
	resources []*resource
	// pending is what the first resource can send, while a batch is gathered that has some of it: the first sent entries.
	pending entry.Pending
	sent    int
}

// add puts a resource at the end of its line, unless it is queued.
func (q *sendQueue) add(r *resource) {
	if r.queued {
		return
	}
	l := q.lineOf(r)
	l.resources = append(l.resources, r)
	r.queued = true
	q.size++
}

// addFirst puts resources at the front of their lines, unless they are queued.
func (q *sendQueue) addFirst(again []*resource) {
	first := map[*line][]*resource{}
	for _, r := range again {
		if !r.queued {
			l := q.lineOf(r)
			first[l] = append(first[l], r)
			r.queued = true
			q.size++
		}
	}
	for l, resources := range first {
		l.resources = append(resources, l.resources...)
	}
}

func (q *sendQueue) lineOf(r *resource) *line {
	l := q.lines[r.source.Namespace]
	if l == nil {
		l = &line{namespace: r.source.Namespace}
		if q.lines == nil {
			q.lines = map[string]*line{}
		}
		q.lines[l.namespace] = l
		q.turns = append(q.turns, l)
	}
	return l
}

// next is the next entry of the batch that is gathered: the one with index i of what r can send. It is nil if nothing is left. A resource leaves the queue with the last of its entries.
func (q *sendQueue) next(now time.Time) (r *resource, pending entry.Pending, i int) {
	for len(q.turns) > 0 {
		l := q.turns[q.turn]
		r = l.resources[0]
		if l.sent == 0 {
			l.pending = r.sendable(now)
		}
		pending, i = l.pending, l.sent
		if l.sent++; l.sent < pending.Len() {
			q.turn = (q.turn + 1) % len(q.turns)
			return r, pending, i
		}
		q.shift(l)
		if i < pending.Len() {
			return r, pending, i
		}
	}
	return nil, entry.Pending{}, 0
}

// shift removes the first resource of the line whose turn it is, and ends the turn.
func (q *sendQueue) shift(l *line) {
	l.resources[0].queued = false
	l.resources[0] = nil // or the array would keep it in memory
	l.resources = l.resources[1:]
	l.pending, l.sent = entry.Pending{}, 0
	q.size--
	if len(l.resources) > 0 {
		q.turn = (q.turn + 1) % len(q.turns)
	} else {
		q.removeLine(l)
	}
}

// endBatch has the next batch begin with all that its resources can send by then.
func (q *sendQueue) endBatch() {
	for _, l := range q.turns {
		l.pending, l.sent = entry.Pending{}, 0
	}
}

// remove takes a resource out that is not tracked any more. The newest are looked at first: a resource that is queued and dropped in one step is the last of its line.
func (q *sendQueue) remove(r *resource) {
	if !r.queued {
		return
	}
	l := q.lines[r.source.Namespace]
	for i := len(l.resources) - 1; i >= 0; i-- {
		if l.resources[i] == r {
			l.resources = slices.Delete(l.resources, i, i+1)
			break
		}
	}
	r.queued = false
	q.size--
	if len(l.resources) == 0 {
		q.removeLine(l)
	}
}

func (q *sendQueue) removeLine(l *line) {
	delete(q.lines, l.namespace)
	at := slices.Index(q.turns, l)
	q.turns = slices.Delete(q.turns, at, at+1)
	if at < q.turn {
		q.turn--
	}
	if q.turn >= len(q.turns) {
		q.turn = 0
	}
}
