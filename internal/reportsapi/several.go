package reportsapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/holdfast-dev/holdfast/internal/aside"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// readTogether is how many reports are read in one snapshot. More take fewer questions each, and more memory.
const readTogether = 50

// readsAtOnce is how many snapshots a stream reads at once, while the reports of the one before are built: the database answers one while the rows of the other are decoded.
const readsAtOnce = 2

// outcome is what became of one id. Where it cannot be read together with others, it is read alone, when its turn comes.
type outcome struct {
	id      string
	input   *rar.Input
	alone   bool
	refused *httpapi.Problem
}

// source hands the ids of reports to read, some at a time, until read refuses. It runs beside the building of what was read before, so it asks with a request of its own.
type source func(ahead *request, read func(ids []string) *httpapi.Problem) *httpapi.Problem

// these is the source of ids that are known.
func these(ids []string) source {
	return func(_ *request, read func([]string) *httpapi.Problem) *httpapi.Problem { return read(ids) }
}

// several hands the reports of a source to visit, in their order: some are read at a time, and while these are built and written, the source goes on and the next are read. It ends with the
// first refusal that visit returns, or with that of the source. A panic of a read is this goroutine's.
func (s *Server) several(r *request, from source, w wanted, visit func(id string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem) *httpapi.Problem {
	ctx, cancel := context.WithCancel(r.Context())
	ahead := *r
	ahead.Request = r.WithContext(ctx)
	reads := make(chan func() []outcome, readsAtOnce-1)
	var last *httpapi.Problem // of the source, when reads is closed
	wait := aside.Go(func() {
		defer close(reads)
		place := make(chan struct{}, 1) // that of the stream among the reads, while it is not read in
		place <- struct{}{}
		last = from(&ahead, func(ids []string) *httpapi.Problem {
			for some := range slices.Chunk(ids, readTogether) {
				read := s.begun(&ahead, place, some, w) //nolint:contextcheck // ahead has it
				select {
				case reads <- read:
				case <-ctx.Done():
					read()
					return ended()
				}
			}
			place <- <-place // the source may read the next ids in it
			return nil
		})
	})
	defer func() { // no read goes on when the request has ended
		cancel()
		wait()
		for read := range reads {
			read()
		}
	}()
	for read := range reads {
		some := read()
		for i, o := range some {
			some[i].input = nil // the next ones need the memory
			if refused := s.one(r, &o, w, visit); refused != nil {
				return refused
			}
		}
	}
	if r.Context().Err() != nil { // the rest was not read
		return ended()
	}
	return last
}

// begun begins to read some reports: in the place of the stream if that is free, else in one ahead, else in that of the stream when it is. The result waits for them.
func (s *Server) begun(r *request, place chan struct{}, ids []string, w wanted) func() []outcome {
	var release func()
	var refused *httpapi.Problem
	select {
	case <-place:
	default:
		if release = s.ahead(r); release == nil {
			<-place
		}
	}
	if release == nil {
		turned, problem := s.turn(r)
		refused = problem
		release = func() {
			if turned != nil {
				turned()
			}
			place <- struct{}{}
		}
	}
	var found []outcome
	read := aside.Go(func() {
		defer release()
		found = s.together(r, ids, w, refused)
	})
	return func() []outcome { read(); return found }
}

// ahead takes a place for a read ahead; nil without one.
func (s *Server) ahead(r *request) (release func()) {
	if !acquireBoth(r.own.ahead, s.gates.ahead) {
		return nil
	}
	return func() {
		s.gates.ahead.Release(1)
		r.own.ahead.Release(1)
	}
}

// one hands one report, or why there is none, to visit. A large one takes memory until that returns.
func (s *Server) one(r *request, o *outcome, w wanted, visit func(id string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem) *httpapi.Problem {
	if o.alone {
		o.input, o.refused = s.input(r, o.id, w)
	}
	if o.refused != nil {
		return visit(o.id, nil, o.refused)
	}
	release, refused := s.hold(r, o.input)
	if refused != nil {
		return visit(o.id, nil, refused)
	}
	defer release()
	report, refused := s.told(r, o.input, w)
	if refused != nil && refused.Status == http.StatusForbidden { // the others have their narratives
		report.Narrative.Reason, refused = notAllowed, nil
	}
	if refused != nil {
		return visit(o.id, nil, refused)
	}
	return visit(o.id, report, nil)
}

// together reads some reports in one snapshot. Where they are too large, take too long, one has a row that cannot be read, or the place for a read was refused, each is read alone: one that is too large, slow, or too many is
// not the others' fault.
func (s *Server) together(r *request, ids []string, w wanted, refused *httpapi.Problem) []outcome {
	all := make([]outcome, len(ids))
	var inputs []*rar.Input
	for i, id := range ids {
		all[i].id = id
		if all[i].input = w.input(id); all[i].input != nil {
			inputs = append(inputs, all[i].input)
		}
	}
	alone := refused != nil
	if !alone {
		err := s.snapshot(r, func(ctx context.Context, q *postgres.Snapshot) error { return fill(ctx, q, inputs, w.asOf) })
		alone, refused = errors.Is(err, postgres.ErrTooLarge) || errors.Is(err, postgres.ErrUnreadable) || postgres.TookTooLong(err), s.unread(r, err)
	}
	for i := range all {
		o := &all[i]
		switch {
		case o.input != nil && alone && len(inputs) > 1 && r.Context().Err() == nil:
			o.input, o.alone = nil, true
		case o.input != nil && refused != nil:
			o.refused = refused
		case o.input == nil || len(o.input.Rows)+len(o.input.Others) == 0:
			o.refused = notFound(remediationOfID)
		}
	}
	return all
}

// told builds a report with its narrative. Where that is refused, it has that of the rules.
func (s *Server) told(r *request, in *rar.Input, w wanted) (*rar.Report, *httpapi.Problem) {
	report := rar.Build(in)
	s.metrics.reports.WithLabelValues(report.Complete.State).Inc()
	return report, s.narrate(r, in, report, w)
}
