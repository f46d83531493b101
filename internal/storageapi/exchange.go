package storageapi

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/holdfast-dev/holdfast/outbox"
)

// exchange is a request's answer, and what the access log says of both.
type exchange struct {
	http.ResponseWriter
	status  int
	bytes   int64
	caller  string
	records int
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// serve answers one request, whatever happens.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	x := &exchange{ResponseWriter: w}
	known, found := s.routes[r.URL.Path]
	x.Header().Set("X-Content-Type-Options", "nosniff")
	x.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	if s.stopping.Load() {
		x.Header().Set("Connection", "close")
	}
	defer func() {
		if cause := recover(); cause != nil {
			s.recovered(x, cause)
		}
		s.record(x, r, known, found, time.Since(begin))
	}()
	s.dispatch(x, r, known, found)
}

func (s *Server) recovered(x *exchange, cause any) {
	if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this
		panic(cause)
	}
	s.log.Error(errors.New(fmt.Sprint(cause)), "Request handler panicked", "stack", string(debug.Stack()))
	if x.status == 0 {
		problem(http.StatusInternalServerError, "internal error, and the record may or may not be stored; send it again with the same id").write(x)
	}
}

// record counts and logs.
func (s *Server) record(x *exchange, r *http.Request, known route, found bool, took time.Duration) {
	path := "other"
	if found {
		path = r.URL.Path
	}
	s.metrics.count(path, r.Method, x.status, took)
	log := s.log
	if known.unlogged {
		log = log.V(1)
	}
	values := []any{"method", outbox.Bound(r.Method, 20), "path", outbox.Bound(r.URL.Path, 200), "status", x.status, "bytes", x.bytes, "seconds", took.Seconds(), "remote", r.RemoteAddr}
	if x.caller != "" {
		values = append(values, "caller", x.caller)
	}
	if x.records > 0 {
		values = append(values, "records", x.records)
	}
	if t := traceparentOf(r); t != "" {
		values = append(values, "traceparent", t)
	}
	if agent := r.UserAgent(); agent != "" {
		values = append(values, "agent", outbox.Bound(agent, 200))
	}
	log.Info("Request", values...)
}
