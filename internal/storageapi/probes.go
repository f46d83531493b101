package storageapi

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	readyFor     = time.Second
	checkTimeout = 3 * time.Second
)

// readiness asks the database at most once a second, however often it is asked itself.
type readiness struct {
	check func(context.Context) error
	mu    sync.Mutex
	at    time.Time
	err   error
}

func (r *readiness) ask() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) < readyFor {
		return r.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout) // the answer is not this request's alone
	defer cancel()
	r.err = r.check(ctx)
	r.at = time.Now()
	return r.err
}

// healthz says that the process serves. Whether the database is there does not matter: restarting would not bring it back.
func (s *Server) healthz(x *exchange, _ *http.Request) { fine(x) }

// readyz says whether records can be stored.
func (s *Server) readyz(x *exchange, _ *http.Request) {
	if s.stopping.Load() {
		problem(http.StatusServiceUnavailable, "stopping").write(x)
		return
	}
	if err := s.ready.ask(); err != nil { //nolint:contextcheck // the answer is for others, too
		s.log.V(1).Info("Not ready", "reason", err.Error())
		problem(http.StatusServiceUnavailable, "the database does not accept rows").later(databaseAway).write(x)
		return
	}
	fine(x)
}

func fine(x *exchange) {
	x.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.Header().Set("Cache-Control", "no-store")
	_, _ = x.Write([]byte("ok\n")) // whoever is gone needs no answer
}

// metricsOnly and healthOnly are for listeners of their own.
func (s *Server) metricsOnly() http.Handler {
	return s.only(map[string]route{"/metrics": {get: func(x *exchange, r *http.Request) { s.exposition.ServeHTTP(x, r) }}})
}

func (s *Server) healthOnly() http.Handler {
	return s.only(map[string]route{"/healthz": {get: s.healthz}, "/readyz": {get: s.readyz}})
}

func (s *Server) only(routes map[string]route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known, found := routes[r.URL.Path]
		s.dispatch(&exchange{ResponseWriter: w}, r, known, found)
	})
}
