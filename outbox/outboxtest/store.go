package outboxtest

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// Store is a relay.Store in memory, which a test can hold and make fail. The zero value takes everything.
type Store struct {
	mu          sync.Mutex
	rows        map[string]relay.Item // by id
	order       []string
	deadLetters []relay.Item
	released    chan struct{} // nil while the store is not held
	failure     error
	bad         func(relay.Item) string
}

var _ relay.Store = (*Store)(nil)

// Hold makes every transaction from now on wait until Release, as a database does that hangs.
func (s *Store) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released == nil {
		s.released = make(chan struct{})
	}
}

// Release ends Hold.
func (s *Store) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released != nil {
		close(s.released)
		s.released = nil
	}
}

// Fail makes every transaction from now on fail with an error, as a database does that is away; nil ends that.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// Refuse makes a dead letter of each entry for which why returns a reason, as a database does with bad data; nil ends that.
func (s *Store) Refuse(why func(relay.Item) (reason string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = why
}

// Persist implements relay.Store.
func (s *Store) Persist(ctx context.Context, batch []relay.Item) ([]relay.Outcome, error) {
	s.mu.Lock()
	held := s.released
	s.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return nil, s.failure
	}
	outcomes := make([]relay.Outcome, len(batch))
	for i := range batch {
		outcomes[i] = s.persistLocked(batch[i])
	}
	return outcomes, nil
}

func (s *Store) persistLocked(item relay.Item) relay.Outcome {
	reason := item.Refused
	if reason == "" && s.bad != nil {
		reason = s.bad(item)
	}
	before, known := s.rows[item.ID]
	switch {
	case reason != "":
		s.deadLetters = append(s.deadLetters, item)
		return relay.Outcome{Result: relay.DeadLettered, Error: reason}
	case known && before.Hash != item.Hash:
		s.deadLetters = append(s.deadLetters, item)
		return relay.Outcome{Result: relay.Conflicting, Error: "another entry has this id"}
	case known:
		return relay.Outcome{Result: relay.Present}
	}
	if s.rows == nil {
		s.rows = map[string]relay.Item{}
	}
	s.rows[item.ID] = item
	s.order = append(s.order, item.ID)
	return relay.Outcome{Result: relay.Stored}
}

// Entries are the rows of a resource, in the order in which they came.
func (s *Store) Entries(uid types.UID) []entry.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []entry.Entry
	for _, id := range s.order {
		if row := s.rows[id]; row.Source.UID == uid {
			of = append(of, row.Entry)
		}
	}
	return of
}

// DeadLetters are the entries of a resource that could not become rows.
func (s *Store) DeadLetters(uid types.UID) []relay.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []relay.Item
	for _, letter := range s.deadLetters {
		if letter.Source.UID == uid {
			of = append(of, letter)
		}
	}
	return of
}
