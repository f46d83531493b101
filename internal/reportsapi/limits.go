package reportsapi

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/rar"
)

// Limits keep the service up whatever comes. What is zero has the default.
type Limits struct {
	// RequestsPerSecond of one caller, 50, with a Burst of 100.
	RequestsPerSecond float64
	Burst             int
	// Requests under way at once, 64, of which Streams, 8, may be streams and batches. Those beyond are refused at once.
	Requests, Streams int
	// Reads are reports, or pages of a list, that are read at once, 8. Those beyond wait, up to Wait, 1 s. ReadsAhead of streams are not among them.
	Reads int
	Wait  time.Duration
	// ReadTimeout bounds the reading of one report or page, 10 s; WriteTimeout each piece of an answer that a caller takes, 30 s.
	ReadTimeout, WriteTimeout time.Duration
}

// DefaultLimits are those that hold where nothing else is said.
func DefaultLimits() Limits {
	return Limits{RequestsPerSecond: 50, Burst: 100, Requests: 64, Streams: 8, Reads: 8, Wait: time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
}

func (l *Limits) setDefaults() {
	d := DefaultLimits()
	orDefault(&l.RequestsPerSecond, d.RequestsPerSecond)
	orDefault(&l.Burst, d.Burst)
	orDefault(&l.Requests, d.Requests)
	orDefault(&l.Streams, d.Streams)
	orDefault(&l.Reads, d.Reads)
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
	if l.RequestsPerSecond < 0 || l.Burst < 0 || l.Requests < 0 || l.Streams < 0 || l.Reads < 0 || l.Wait < 0 || l.ReadTimeout < 0 || l.WriteTimeout < 0 {
		return errors.New("limits: none can be negative")
	}
	return nil
}

// gates count what is under way. ahead are reads of streams beside those that they have a place for. memory is in bytes that large reports take.
type gates struct{ requests, streams, reads, ahead, trends, memory *semaphore.Weighted }

// trendsAtOnce is how many trends are read at once: each keeps a processor of the database busy.
const trendsAtOnce = 2

// ReadsAhead is how many streams have a second read under way, beyond Limits.Reads: one of a tenant.
const ReadsAhead = 2

func newGates(l Limits) *gates {
	return &gates{
		requests: semaphore.NewWeighted(int64(l.Requests)), streams: semaphore.NewWeighted(int64(l.Streams)), reads: semaphore.NewWeighted(int64(l.Reads)), ahead: semaphore.NewWeighted(ReadsAhead),
		trends: semaphore.NewWeighted(trendsAtOnce), memory: semaphore.NewWeighted(reportMemory),
	}
}

const (
	// reportMemory is what large reports may take together, from their rows until the answer is written.
	reportMemory = 256 << 20
	// shareOfMemory is what those of one tenant may take.
	shareOfMemory = reportMemory / 2
	// largeReport is from how many bytes of entries on a report counts.
	largeReport = 1 << 20
	// memoryOfEntry is how many bytes one of an entry takes: in the row's columns, the report, and its text in a format.
	memoryOfEntry = 8
)

// hold takes the memory of a report, if it is a large one, and waits for it as for a read.
func (s *Server) hold(r *request, in *rar.Input) (release func(), refused *httpapi.Problem) {
	bytes := int64(0)
	for _, row := range in.Rows {
		bytes += int64(len(row.Head().Entry))
	}
	if bytes < largeReport {
		return func() {}, nil
	}
	bytes = min(bytes*memoryOfEntry, shareOfMemory)
	wait, cancel := context.WithTimeout(r.Context(), s.config.Limits.Wait)
	defer cancel()
	own := r.own.memory
	if own.Acquire(wait, bytes) != nil {
		return nil, s.shed(shedShare, "you have too many large reports under way")
	}
	if s.gates.memory.Acquire(wait, bytes) != nil {
		own.Release(bytes)
		return nil, s.shed(shedMemory, "the service is at its limit of large reports")
	}
	return func() {
		s.gates.memory.Release(bytes)
		own.Release(bytes)
	}, nil
}
