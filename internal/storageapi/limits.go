package storageapi

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// Limits keep the service up whatever comes. What is zero has the default.
type Limits struct {
	// BodyBytes of one request, 4 MiB; Records of one array, 500; Entries of one call of a relay, 1,000.
	BodyBytes int64
	Records   int
	Entries   int
	// RequestsPerSecond of one caller, 50, with a Burst of 100.
	RequestsPerSecond float64
	Burst             int
	// Requests under way at once, 256, and the bytes of their bodies, 64 MiB. Those beyond are refused at once.
	Requests      int
	BytesInFlight int64
	// Writes are concurrent transactions, 16. Those beyond wait, up to Wait, 1 s.
	Writes int
	Wait   time.Duration
	// ReadTimeout is the time for a body to arrive, 5 s; WriteTimeout that for storing it, 8 s. A server that stops waits no longer than for these.
	ReadTimeout, WriteTimeout time.Duration
}

// DefaultLimits are those that hold where nothing else is said.
func DefaultLimits() Limits {
	return Limits{
		BodyBytes: 4 << 20, Records: 500, Entries: 1000, RequestsPerSecond: 50, Burst: 100, Requests: 256, BytesInFlight: 64 << 20,
		Writes: 16, Wait: time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 8 * time.Second,
	}
}

func (l *Limits) setDefaults() {
	d := DefaultLimits()
	orDefault(&l.BodyBytes, d.BodyBytes)
	orDefault(&l.Records, d.Records)
	orDefault(&l.Entries, d.Entries)
	orDefault(&l.RequestsPerSecond, d.RequestsPerSecond)
	orDefault(&l.Burst, d.Burst)
	orDefault(&l.Requests, d.Requests)
	orDefault(&l.BytesInFlight, d.BytesInFlight)
	orDefault(&l.Writes, d.Writes)
	orDefault(&l.Wait, d.Wait)
	orDefault(&l.ReadTimeout, d.ReadTimeout)
	orDefault(&l.WriteTimeout, d.WriteTimeout)
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (l *Limits) validate() error {
	if l.BodyBytes < 0 || l.Records < 0 || l.Entries < 0 || l.RequestsPerSecond < 0 || l.Burst < 0 || l.Requests < 0 || l.BytesInFlight < 0 || l.Writes < 0 || l.Wait < 0 || l.ReadTimeout < 0 || l.WriteTimeout < 0 {
		return errors.New("limits: a limit is negative, expected 0 (default) or more")
	}
	if l.BytesInFlight < l.BodyBytes {
		return fmt.Errorf("limits: max bytes in flight is %d, expected at least the max body bytes, %d", l.BytesInFlight, l.BodyBytes)
	}
	return nil
}

// gates count what is under way.
type gates struct {
	requests, bytes, decoding, writes *semaphore.Weighted
}

func newGates(l Limits, processors int) *gates {
	return &gates{
		requests: semaphore.NewWeighted(int64(l.Requests)),
		bytes:    semaphore.NewWeighted(l.BytesInFlight),
		// A body takes several times its bytes while it is decoded. That is the processors' work: more at once would take memory, and save no time.
		decoding: semaphore.NewWeighted(int64(processors)),
		writes:   semaphore.NewWeighted(int64(l.Writes)),
	}
}

const (
	overload     = time.Second      // how long one should wait when there was too much
	databaseAway = 5 * time.Second  // when the database did not answer
	needsPerson  = 30 * time.Second // when somebody has to fix it
)

// rates are the callers' rates of requests.
type rates struct {
	mu     sync.Mutex
	each   rate.Limit
	burst  int
	byName map[string]*rate.Limiter
}

// maxCallers bounds the memory for rates. Callers are authenticated, so this many is unusual.
const maxCallers = 10_000

func newRates(l Limits) *rates {
	return &rates{each: rate.Limit(l.RequestsPerSecond), burst: l.Burst, byName: map[string]*rate.Limiter{}}
}

// take counts a request, or refuses it.
func (r *rates) take(caller string, now time.Time) *Problem {
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
	reservation := limiter.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	return problem(http.StatusTooManyRequests, "%s sent more than %g requests per second; send several records per request", caller, float64(r.each)).later(wait)
}

// dropIdle drops the callers whose bucket is full again: they are owed their whole burst, as somebody new is. If nobody has, it begins anew with everybody.
func (r *rates) dropIdle(now time.Time) {
	for name, limiter := range r.byName {
		if limiter.TokensAt(now) >= float64(r.burst) {
			delete(r.byName, name)
		}
	}
	if len(r.byName) >= maxCallers {
		clear(r.byName)
	}
}
