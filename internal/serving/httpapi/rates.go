package httpapi

import (
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates are the callers' rates of requests.
type Rates struct {
	mu     sync.Mutex
	each   rate.Limit
	burst  int
	advice string
	byName map[string]*rate.Limiter
}

// maxCallers bounds the memory for rates. Callers are authenticated, so this many is unusual.
const maxCallers = 10_000

// NewRates lets each caller send perSecond requests, and burst at once. advice ends the refusal: how the same is done with fewer.
func NewRates(perSecond float64, burst int, advice string) *Rates {
	return &Rates{each: rate.Limit(perSecond), burst: burst, advice: advice, byName: map[string]*rate.Limiter{}}
}

// Take counts a request, or refuses it.
func (r *Rates) Take(caller string, now time.Time) *Problem { return r.TakeN(caller, now, 1) }

// TakeN counts a request that costs as much as n, at most a burst, or refuses it.
func (r *Rates) TakeN(caller string, now time.Time, n int) *Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	limiter, ok := r.byName[caller]
	if !ok {
		if len(r.byName) >= maxCallers {
			r.dropIdle(now)
		}
		limiter = rate.NewLimiter(r.each, r.burst)
		r.byName[caller] = limiter
	}
	reservation := limiter.ReserveN(now, min(n, r.burst))
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return NewProblem(http.StatusTooManyRequests, "%s sent more than %g requests per second; %s", caller, float64(r.each), r.advice).Later(wait)
}

// dropIdle drops the callers whose bucket is full again: they are owed their whole burst, as somebody new is. If nobody has, it begins anew with everybody.
func (r *Rates) dropIdle(now time.Time) {
	for name, limiter := range r.byName {
		if limiter.TokensAt(now) >= float64(r.burst) {
			delete(r.byName, name)
		}
	}
	if len(r.byName) >= maxCallers {
		clear(r.byName)
	}
}
