package reportsapi

import (
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
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
	tenant := tenantOf(caller)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of[tenant]
	if one == nil {
		one = &share{gates: newGates(s.limits)}
		one.trends, one.memory = semaphore.NewWeighted(trendsAtOnce/2), semaphore.NewWeighted(shareOfMemory)
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

// tenantOf is the namespace of a service account, which whoever may do so there makes any number of; else the user.
func tenantOf(caller string) string {
	const account = "system:serviceaccount:"
	if rest, ok := strings.CutPrefix(caller, account); ok {
		namespace, _, _ := strings.Cut(rest, ":")
		return account + namespace
	}
	return caller
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
