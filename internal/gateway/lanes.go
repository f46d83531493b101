package gateway

import (
	"context"
	"iter"
	"sync"

	"golang.org/x/sync/semaphore"
)

// lanes bound what one namespace has under way, so that nobody takes all of it: a quarter of the alerts that are worked on, and of the messages.
type lanes struct {
	mu       sync.Mutex
	alerts   int64
	messages int
	of       map[string]*lane
}

// lane is that of one namespace, while messages have alerts of it.
type lane struct {
	alerts   *semaphore.Weighted
	messages int
}

func newLanes(l Limits) *lanes {
	part := func(n int) int { return max(1, n/4) }
	return &lanes{alerts: int64(part(l.Alerts)), messages: part(l.Requests), of: map[string]*lane{}}
}

// enter are the lanes of a message's namespaces until leave; nil for one that has as many messages under way as it may.
func (l *lanes) enter(namespaces iter.Seq[string]) (in map[string]*lane, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in = map[string]*lane{}
	for namespace := range namespaces {
		one := l.of[namespace]
		if one == nil {
			one = &lane{alerts: semaphore.NewWeighted(l.alerts)}
			l.of[namespace] = one
		}
		if one.messages == l.messages {
			in[namespace] = nil
			continue
		}
		one.messages++
		in[namespace] = one
	}
	return in, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for namespace, one := range in {
			if one == nil {
				continue
			}
			if one.messages--; one.messages == 0 {
				delete(l.of, namespace)
			}
		}
	}
}

// slot waits for a place among the alerts that are worked on: of the namespace, and of all.
func (s *Server) slot(ctx context.Context, own *lane) (leave func(), err error) {
	if err := own.alerts.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if err := s.alerts.Acquire(ctx, 1); err != nil {
		own.alerts.Release(1)
		return nil, err
	}
	return func() {
		s.alerts.Release(1)
		own.alerts.Release(1)
	}, nil
}
