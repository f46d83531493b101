package storageapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// post answers a POST to an endpoint.
func (s *Server) post(e *endpoint) func(*exchange, *http.Request) {
	return func(x *exchange, r *http.Request) {
		x.Header().Set("Cache-Control", "no-store")
		p, refused := s.take(e, x, r)
		if refused != nil {
			refused.write(x)
			return
		}
		status := http.StatusOK
		for _, receipt := range p.receipts {
			s.metrics.rows.WithLabelValues(e.table, receipt.Status).Inc()
			if receipt.Status == statusStored {
				status = http.StatusCreated
			}
		}
		if p.single {
			writeJSON(x, status, "application/json", p.receipts[0])
		} else {
			writeJSON(x, status, "application/json", p.receipts)
		}
	}
}

// take does a post, step by step as the package describes.
func (s *Server) take(e *endpoint, x *exchange, r *http.Request) (*posting, *Problem) {
	call, refused := s.admit(x, r, s.paced)
	if refused != nil {
		return nil, refused
	}
	defer call.done()
	from := arrival{caller: call.caller, at: outboxapi.NewTime(time.Now()), traceparent: traceparentOf(r)}
	var p *posting
	if refused := s.decode(r, func() (refused *Problem) {
		p, refused = e.read(call.body, from, s.config.Limits.Records)
		return refused
	}); refused != nil {
		return nil, refused
	}
	x.records = len(p.rows)
	return p, s.commit(p, r)
}

// paced refuses callers that come too often.
func (s *Server) paced(c Caller) *Problem {
	refused := s.rates.take(c.Name, time.Now())
	if refused != nil {
		s.metrics.shed.WithLabelValues(shedRate).Inc()
	}
	return refused
}

// call is a post that was let in, with its body. done makes room for the next.
type call struct {
	caller Caller
	body   []byte
	done   func()
}

// admit lets a post in and reads its body. may refuses callers that were authenticated.
func (s *Server) admit(x *exchange, r *http.Request, may func(Caller) *Problem) (admitted *call, refused *Problem) {
	if !s.gates.requests.TryAcquire(1) {
		return nil, s.shed(shedRequests, "the service is at its limit of concurrent requests")
	}
	s.metrics.inFlight.Inc()
	size := int64(0)
	done := func() {
		s.gates.bytes.Release(size)
		s.metrics.inFlight.Dec()
		s.gates.requests.Release(1)
	}
	defer func() {
		if admitted == nil { // refused, or a panic
			done()
		}
	}()
	caller, refused := s.authorize(r)
	if refused != nil {
		return nil, refused
	}
	x.caller = caller.Name
	if refused := may(caller); refused != nil {
		return nil, refused
	}
	declared, refused := s.acceptable(r)
	if refused != nil {
		return nil, refused
	}
	if !s.gates.bytes.TryAcquire(declared) {
		return nil, s.shed(shedBytes, "the service is at its limit of request bytes in memory")
	}
	size = declared
	body, refused := s.body(x, r)
	if refused != nil {
		return nil, refused
	}
	return &call{caller: caller, body: body, done: done}, nil
}

func (s *Server) shed(reason, detail string) *Problem {
	s.metrics.shed.WithLabelValues(reason).Inc()
	return problem(http.StatusServiceUnavailable, "%s; nothing was stored", detail).later(overload)
}

func (s *Server) authorize(r *http.Request) (Caller, *Problem) {
	caller, err := s.config.Authorizer.Authorize(r.Context(), serving.Bearer(r))
	switch {
	case err == nil:
		return caller, nil
	case errors.Is(err, ErrUnauthenticated):
		return caller, problem(http.StatusUnauthorized, "%s", err).with("WWW-Authenticate", "Bearer")
	case errors.Is(err, ErrForbidden):
		return caller, problem(http.StatusForbidden, "%s", err)
	}
	if r.Context().Err() == nil {
		s.log.Error(err, "Authentication failed: API server did not answer the review")
	}
	return caller, problem(http.StatusServiceUnavailable, "%s", ErrUnavailable).later(databaseAway)
}

// acceptable looks at the header. It returns the bytes to set aside for the body.
func (s *Server) acceptable(r *http.Request) (int64, *Problem) {
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return 0, problem(http.StatusUnsupportedMediaType, "Content-Type is %q, expected application/json", outbox.Bound(r.Header.Get("Content-Type"), 80)).with("Accept-Post", "application/json")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return 0, problem(http.StatusUnsupportedMediaType, "Content-Encoding is %q, expected none", outbox.Bound(encoding, 80)).with("Accept-Encoding", "identity")
	}
	switch {
	case r.ContentLength > s.config.Limits.BodyBytes:
		return 0, s.tooLarge()
	case r.ContentLength < 0: // in chunks
		return s.config.Limits.BodyBytes, nil
	}
	return r.ContentLength, nil
}

func (s *Server) tooLarge() *Problem {
	return problem(http.StatusRequestEntityTooLarge, "the body has more than %d bytes; send fewer records per request", s.config.Limits.BodyBytes).with("Connection", "close")
}

func (s *Server) body(x *exchange, r *http.Request) ([]byte, *Problem) {
	// An answer of an HTTP/1 connection that does not have this is not one of net/http's: the server's own ReadTimeout holds then.
	_ = http.NewResponseController(x).SetReadDeadline(time.Now().Add(s.config.Limits.ReadTimeout))
	var b bytes.Buffer
	_, err := b.ReadFrom(http.MaxBytesReader(x, r.Body, s.config.Limits.BodyBytes))
	s.metrics.bytes.Observe(float64(b.Len()))
	var large *http.MaxBytesError
	switch {
	case err == nil && b.Len() == 0:
		return nil, problem(http.StatusBadRequest, "the body is empty, expected a JSON object (one record) or an array of objects")
	case err == nil:
		return b.Bytes(), nil
	case errors.As(err, &large):
		return nil, s.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, problem(http.StatusRequestTimeout, "the body did not arrive within %s", s.config.Limits.ReadTimeout).with("Connection", "close")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, problem(http.StatusBadRequest, "the body is incomplete: the connection ended early").with("Connection", "close")
	}
	return nil, problem(http.StatusBadRequest, "the body could not be read").with("Connection", "close")
}

// decode reads a body when it is its turn.
func (s *Server) decode(r *http.Request, read func() *Problem) *Problem {
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Limits.Wait)
	defer cancel()
	if err := s.gates.decoding.Acquire(ctx, 1); err != nil {
		return s.shed(shedRequests, "the service is at its limit of concurrent requests")
	}
	defer s.gates.decoding.Release(1)
	return read()
}

// write runs a transaction when it is its turn. From here on the caller's going away changes nothing: what was taken is finished.
func (s *Server) write(r *http.Request, transaction func(context.Context) error) (refused *Problem, err error) {
	wait, cancelWait := context.WithTimeout(r.Context(), s.config.Limits.Wait)
	defer cancelWait()
	if err := s.gates.writes.Acquire(wait, 1); err != nil {
		return s.shed(shedWrites, "the service is at its limit of concurrent transactions"), nil
	}
	defer s.gates.writes.Release(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.config.Limits.WriteTimeout)
	defer cancel()
	begin := time.Now()
	err = transaction(ctx)
	s.metrics.commits.Observe(time.Since(begin).Seconds())
	return nil, err
}

// commit stores the rows.
func (s *Server) commit(p *posting, r *http.Request) *Problem {
	var outcomes []postgres.PostOutcome
	refused, err := s.write(r, func(ctx context.Context) (err error) {
		outcomes, err = s.config.Store.Post(ctx, p.rows)
		return err
	})
	if refused != nil {
		return refused
	}
	if err != nil {
		return s.notStored(p, err)
	}
	for i, outcome := range outcomes {
		if outcome == postgres.PostedBefore {
			p.receipts[i].Status = statusPresent
		}
	}
	return nil
}

func (s *Server) notStored(p *posting, err error) *Problem {
	var bad *postgres.NotPostedError
	switch {
	case errors.As(err, &bad) && len(bad.Refused) > 0:
		refused := problem(http.StatusUnprocessableEntity, "the database refused records; nothing was stored")
		refused.Errors = p.faults(bad.Refused, "")
		return refused
	case errors.As(err, &bad):
		refused := problem(http.StatusConflict, "a different record with the same id is already stored; nothing was stored")
		refused.Errors = p.faults(bad.Conflicts, "/id")
		return refused
	}
	return s.away(err, len(p.rows))
}

// away is the answer when the database cannot take anything.
func (s *Server) away(err error, records int) *Problem {
	if errors.Is(err, relay.ErrSchema) {
		s.log.Error(err, "Database refuses rows until its schema or rights are fixed")
		return problem(http.StatusServiceUnavailable, "the audit store is not usable; nothing was stored").later(needsPerson)
	}
	s.log.Error(err, "Storing records failed", "records", records)
	return problem(http.StatusServiceUnavailable, "the audit store does not answer, and the record may or may not be stored; send it again with the same id").later(databaseAway)
}

func (p *posting) faults(misfits []postgres.Misfit, field string) []Fault {
	var faults []Fault
	for _, m := range misfits {
		pointer := field
		if !p.single {
			pointer = "/" + strconv.Itoa(m.Index) + field
		}
		faults = append(faults, Fault{Pointer: pointer, Detail: m.Reason})
	}
	return faults
}

// traceparentOf is the request's trace context, if it has one that is well-formed.
func traceparentOf(r *http.Request) string {
	if t := r.Header.Values("traceparent"); len(t) == 1 && entry.ValidTraceparent(t[0]) {
		return t[0]
	}
	return ""
}
