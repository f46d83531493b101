package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Exchange is a request's answer, and what the access log says of both.
type Exchange struct {
	http.ResponseWriter
	// Caller is who was authenticated.
	Caller string
	// Noted are more keys and values for the access log.
	Noted []any

	status int
	bytes  int64
	params map[string]string
}

// Param is what a path has in the place of {name}, unescaped.
func (x *Exchange) Param(name string) string { return x.params[name] }

// Begun reports whether a part of the answer was written.
func (x *Exchange) Begun() bool { return x.status != 0 }

// WriteHeader implements http.ResponseWriter.
func (x *Exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *Exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *Exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// serve answers one request, whatever happens.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	x := &Exchange{ResponseWriter: w}
	path, known := s.find(x, r)
	x.Header().Set("X-Content-Type-Options", "nosniff")
	x.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	if s.stopping.Load() {
		x.Header().Set("Connection", "close")
	}
	defer func() { s.record(x, r, path, known, time.Since(begin)) }() // also when the connection is cut
	defer func() {
		if cause := recover(); cause != nil {
			s.recovered(x, cause)
		}
	}()
	s.dispatch(x, r, known)
}

func (s *Server) recovered(x *Exchange, cause any) {
	if cause == http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this
		panic(cause)
	}
	s.config.Log.Error(errors.New(fmt.Sprint(cause)), "Request handler panicked", "stack", string(debug.Stack()))
	if x.status == 0 {
		NewProblem(http.StatusInternalServerError, "internal error%s", s.config.AfterFailure).Write(x)
	}
}

// record counts and logs.
func (s *Server) record(x *Exchange, r *http.Request, path string, known *Route, took time.Duration) {
	s.metrics.count(path, r.Method, x.status, took)
	log := s.config.Log
	if known != nil && known.unlogged {
		log = log.V(1)
	}
	values := []any{"method", outbox.Bound(r.Method, 20), "path", outbox.Bound(r.URL.Path, 200), "status", x.status, "bytes", x.bytes, "seconds", took.Seconds(), "remote", r.RemoteAddr}
	if x.Caller != "" {
		values = append(values, "caller", x.Caller)
	}
	values = append(values, x.Noted...)
	if t := Traceparent(r); t != "" {
		values = append(values, "traceparent", t)
	}
	if agent := r.UserAgent(); agent != "" {
		values = append(values, "agent", outbox.Bound(agent, 200))
	}
	log.Info("Request", values...)
}

// Traceparent is the request's trace context, if it has one that is well-formed.
func Traceparent(r *http.Request) string {
	if t := r.Header.Values("traceparent"); len(t) == 1 && entry.ValidTraceparent(t[0]) {
		return t[0]
	}
	return ""
}
