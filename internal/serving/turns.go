package serving

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Tenant is the namespace of a service account, which whoever may do so there makes any number of; else the user.
func Tenant(user string) string {
	const account = "system:serviceaccount:"
	if rest, ok := strings.CutPrefix(user, account); ok {
		namespace, _, _ := strings.Cut(rest, ":")
		return account + namespace
	}
	return user
}

// turns bound the reviews that are under way: all of them, and those about the rights of one tenant, who has three quarters.
type turns struct {
	all  *semaphore.Weighted
	each int64
	mu   sync.Mutex
	of   map[string]*tenantTurns
}

// tenantTurns are those of one tenant, while somebody has or waits for one.
type tenantTurns struct {
	*semaphore.Weighted
	users int
}

func newTurns(concurrent int) *turns {
	return &turns{all: semaphore.NewWeighted(int64(concurrent)), each: int64(concurrent - concurrent/4), of: map[string]*tenantTurns{}}
}

// take waits for a turn of all.
func (t *turns) take(ctx context.Context) (release func(), err error) {
	if err := t.all.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("%w: too many token reviews are in progress", ErrUnavailable)
	}
	return func() { t.all.Release(1) }, nil
}

// takeOf waits for a turn of a tenant, and then for one of all.
func (t *turns) takeOf(ctx context.Context, tenant string) (release func(), err error) {
	t.mu.Lock()
	own := t.of[tenant]
	if own == nil {
		own = &tenantTurns{Weighted: semaphore.NewWeighted(t.each)}
		t.of[tenant] = own
	}
	own.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(t.of, tenant)
		}
	}
	if err := own.Acquire(ctx, 1); err != nil {
		leave()
		return nil, fmt.Errorf("%w: too many reviews of the rights of %s are in progress", ErrUnavailable, tenant)
	}
	one, err := t.take(ctx)
	if err != nil {
		own.Release(1)
		leave()
		return nil, err
	}
	return func() {
		one()
		own.Release(1)
		leave()
	}, nil
}
