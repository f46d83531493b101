package storageapi

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
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
