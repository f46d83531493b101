package httpapi

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

// probes and exposed are the routes that every service has, and that may have listeners of their own.
func (s *Server) probes() map[string]Route {
	return map[string]Route{"/healthz": {Get: s.healthz, unlogged: true}, "/readyz": {Get: s.readyz, unlogged: true}}
}

func (s *Server) exposed() map[string]Route {
	return map[string]Route{"/metrics": {Get: func(x *Exchange, r *http.Request) { s.exposition.ServeHTTP(x, r) }, unlogged: true}}
}

// healthz says that the process serves. Whether the database is there does not matter: restarting would not bring it back.
func (s *Server) healthz(x *Exchange, _ *http.Request) { fine(x) }

// readyz says whether the service can do its work.
func (s *Server) readyz(x *Exchange, _ *http.Request) {
	if s.stopping.Load() {
		NewProblem(http.StatusServiceUnavailable, "stopping").Write(x)
		return
	}
	if err := s.ready.ask(); err != nil { //nolint:contextcheck // the answer is for others, too
		s.config.Log.V(1).Info("Not ready", "reason", err.Error())
		NewProblem(http.StatusServiceUnavailable, "%s", s.config.NotReady).Later(DatabaseAway).Write(x)
		return
	}
	fine(x)
}

func fine(x *Exchange) {
	x.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.Header().Set("Cache-Control", "no-store")
	_, _ = x.Write([]byte("ok\n")) // whoever is gone needs no answer
}

// only is for a listener of its own.
func (s *Server) only(routes map[string]Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &Exchange{ResponseWriter: w}
		known, found := routes[r.URL.Path]
		if !found {
			s.dispatch(x, r, nil)
			return
		}
		s.dispatch(x, r, &known)
	})
}
