package narrator

import (
	"container/list"
	"encoding/json"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/rar"
)

// tenant is whose report it is: the namespace of its request. A tenant has half of the queue and of the tokens of a day at most.
type tenant struct{ cluster, namespace string }

func tenantOf(r *rar.Report) tenant {
	return tenant{r.Summary.Target.Cluster, r.Summary.Target.Namespace}
}

// queue counts the narratives that are under way or wait.
type queue struct {
	mu    sync.Mutex
	limit int
	all   int
	of    map[tenant]int
}

// enter takes a place until leave, if there is one for the tenant.
func (q *queue) enter(t tenant) (leave func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all >= q.limit || 2*q.of[t] >= q.limit {
		return nil, false
	}
	q.all++
	q.of[t]++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.all--
		if q.of[t]--; q.of[t] == 0 {
			delete(q.of, t)
		}
	}, true
}

// budget counts the tokens of a day.
type budget struct {
	mu    sync.Mutex
	limit int64
	day   time.Time
	used  int64
	of    map[tenant]int64
	now   func() time.Time
}

// reserve takes tokens, if there are so many left: for the tenant, and for all. The first call of a tenant may take more than half, where that is little.
func (b *budget) reserve(t tenant, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn()
	if b.used+n > b.limit || b.of[t] > 0 && 2*(b.of[t]+n) > b.limit {
		return false
	}
	b.used += n
	b.of[t] += n
	return true
}

// add counts tokens beyond those that were reserved; negative ones were not used.
func (b *budget) add(t tenant, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn()
	b.used = max(0, b.used+n)
	b.of[t] = max(0, b.of[t]+n)
}

func (b *budget) left() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn()
	return max(0, b.limit-b.used)
}

func (b *budget) turn() {
	if day := b.now().UTC().Truncate(24 * time.Hour); !day.Equal(b.day) {
		b.day, b.used, b.of = day, 0, map[tenant]int64{}
	}
}

// breaker makes no call for a while after several failures of the server in a row, and then one, whose result counts. An answer that cannot be used is none: what is in a report decides about it.
type breaker struct {
	mu       sync.Mutex
	failures int
	pause    time.Duration
	now      func() time.Time

	inARow  int
	until   time.Time
	probing bool
}

func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inARow < b.failures {
		return true
	}
	if b.probing || b.now().Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

func (b *breaker) report(ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if ok {
		b.inARow = 0
		return
	}
	if b.inARow++; b.inARow >= b.failures {
		b.until = b.now().Add(b.pause)
	}
}

// release gives back what allow gave when no call was made.
func (b *breaker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}

func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inARow >= b.failures
}

// cache keeps the narratives that were used last, up to a number of bytes.
type cache struct {
	mu    sync.Mutex
	limit int
	bytes int
	order *list.List // of *kept; the one that was used last is in front
	byKey map[string]*list.Element
}

type kept struct {
	key       string
	narrative *rar.Narrative
	bytes     int
}

func newCache(limit int) *cache {
	return &cache{limit: limit, order: list.New(), byKey: map[string]*list.Element{}}
}

func (c *cache) get(key string) *rar.Narrative {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept).narrative
}

func (c *cache) put(key string, n *rar.Narrative) {
	text, err := json.Marshal(n)
	if err != nil {
		return // it has texts and numbers only
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.byKey[key]; ok {
		c.drop(old)
	}
	one := &kept{key, n, len(key) + len(text)}
	c.byKey[key] = c.order.PushFront(one)
	for c.bytes += one.bytes; c.bytes > c.limit; {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	one := c.order.Remove(e).(*kept)
	delete(c.byKey, one.key)
	c.bytes -= one.bytes
}

func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
