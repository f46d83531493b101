package reportsapi

import (
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

// shares bound what one tenant has under way, so that nobody takes all of it: three quarters of each limit. A tenant is a user, or a namespace with all its service accounts.
type shares struct {
	mu     sync.Mutex
	limits Limits
	of     map[string]*share
}

// share is that of one tenant, while they have requests under way.
type share struct {
	*gates
	users int
}

func newShares(l Limits) *shares {
	part := func(n int) int { return n - n/4 }
	l.Requests, l.Streams, l.Reads = part(l.Requests), part(l.Streams), part(l.Reads)
	return &shares{limits: l, of: map[string]*share{}}
}

// enter is the share of a caller until leave.
func (s *shares) enter(caller string) (_ *gates, leave func()) {
	tenant := serving.Tenant(caller)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of[tenant]
	if one == nil {
		one = &share{gates: newGates(s.limits)}
		one.trends, one.memory, one.ahead = semaphore.NewWeighted(trendsAtOnce/2), semaphore.NewWeighted(shareOfMemory), semaphore.NewWeighted(1)
		s.of[tenant] = one
	}
	one.users++
	return one.gates, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(s.of, tenant)
		}
	}
}

// acquireBoth takes a place of the caller's share and one of all, or none.
func acquireBoth(own, all *semaphore.Weighted) bool {
	if !own.TryAcquire(1) {
		return false
	}
	if !all.TryAcquire(1) {
		own.Release(1)
		return false
	}
	return true
}
