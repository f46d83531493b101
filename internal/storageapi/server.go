package storageapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// Config of a Server. Store and Authorizer are needed.
type Config struct {
	Store      *postgres.Store
	Authorizer Authorizer
	Limits     Limits

	// Address to listen on, host:port. TLS is nil for plain HTTP.
	Address string
	TLS     *tls.Config
	// MetricsAddress has /metrics, with the same TLS; "" is on Address, "0" nowhere. HealthAddress has /healthz and /readyz in plain HTTP too, unless it is "" or "0".
	MetricsAddress, HealthAddress string
	// ProtectMetrics asks who reads the metrics; nil lets everybody.
	ProtectMetrics func(logr.Logger, http.Handler) http.Handler

	// Check says whether the database can take rows; by default whether it answers and takes writes.
	Check func(context.Context) error
	Log   logr.Logger
}

// grace bounds how long a stopping server waits for what it has taken, of the 20 s that it may need in all.
const grace = 17 * time.Second

// Server is the Data Storage API.
type Server struct {
	config   Config
	log      logr.Logger
	metrics  *metrics
	gates    *gates
	rates    *rates
	ready    readiness
	routes   map[string]route
	stopping atomic.Bool
	// exposition is /metrics.
	exposition http.Handler
}

// route is what a path has. GET answers HEAD too.
type route struct {
	get, post func(*exchange, *http.Request)
	// unlogged requests are not in the access log.
	unlogged bool
}

// New makes a server that is ready to Run.
func New(c Config) (*Server, error) {
	if c.Store == nil || c.Authorizer == nil {
		return nil, errors.New("storage: a store and an authorizer are needed")
	}
	c.Limits.setDefaults()
	if err := c.Limits.validate(); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if c.Check == nil {
		c.Check = c.Store.Writable
	}
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	s := &Server{config: c, log: c.Log, gates: newGates(c.Limits, runtime.GOMAXPROCS(0)), rates: newRates(c.Limits)}
	s.ready.check = c.Check
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if s.metrics, err = newMetrics(registry); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	s.exposition = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	if c.ProtectMetrics != nil {
		s.exposition = c.ProtectMetrics(c.Log, s.exposition)
	}
	if err := s.addRoutes(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) addRoutes() error {
	document := newDocument(s.config.Limits)
	text, err := documentText(document)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	page, err := pageOf(document)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	s.routes = map[string]route{
		"/openapi.json": {get: static("application/json", text)},
		"/docs":         {get: static("text/html; charset=utf-8", page)},
		"/healthz":      {get: s.healthz, unlogged: true},
		"/readyz":       {get: s.readyz, unlogged: true},
	}
	if s.config.MetricsAddress == "" {
		s.routes["/metrics"] = route{get: func(x *exchange, r *http.Request) { s.exposition.ServeHTTP(x, r) }, unlogged: true}
	}
	s.routes["/"+storageclient.EntriesPath] = route{post: s.relayed}
	for _, e := range endpoints() {
		s.routes[e.path] = route{post: s.post(e)}
	}
	return nil
}

// Handler is the whole service, without listeners.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// dispatch finds the route. Unlike ServeMux it knows nothing but exact paths, and redirects nobody.
func (s *Server) dispatch(x *exchange, r *http.Request, known route, found bool) {
	switch {
	case !found:
		problem(http.StatusNotFound, "no such path; see /docs").write(x)
	case known.post != nil && r.Method == http.MethodPost:
		known.post(x, r)
	case known.get != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		known.get(x, r)
	case known.post != nil:
		problem(http.StatusMethodNotAllowed, "this path accepts POST only; records cannot be read here").with("Allow", "POST").write(x)
	default:
		problem(http.StatusMethodNotAllowed, "this path accepts GET and HEAD only").with("Allow", "GET, HEAD").write(x)
	}
}

func static(contentType string, text []byte) func(*exchange, *http.Request) {
	return func(x *exchange, _ *http.Request) {
		x.Header().Set("Content-Type", contentType)
		x.Header().Set("Cache-Control", "no-cache")
		_, _ = x.Write(text) // whoever is gone needs no answer
	}
}

// Run listens and serves until ctx ends, and then finishes what it has taken, which takes at most 17 s. It returns nil after a clean stop.
func (s *Server) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", s.config.Address)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return s.Serve(ctx, l)
}

// Serve is Run on a listener, which it closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	servers := []*http.Server{s.newServer(s.Handler(), s.config.TLS)}
	listeners := []net.Listener{l}
	for _, other := range []struct {
		address string
		handler http.Handler
		tls     *tls.Config
	}{{s.config.MetricsAddress, s.metricsOnly(), s.config.TLS}, {s.config.HealthAddress, s.healthOnly(), nil}} {
		if other.address == "" || other.address == "0" {
			continue
		}
		more, err := net.Listen("tcp", other.address)
		if err != nil {
			closeAll(listeners)
			return fmt.Errorf("storage: %w", err)
		}
		listeners, servers = append(listeners, more), append(servers, s.newServer(other.handler, other.tls))
	}
	s.log.Info("Serving", "address", l.Addr().String(), "tls", s.config.TLS != nil)
	return s.serveAll(ctx, servers, listeners)
}

func (s *Server) serveAll(ctx context.Context, servers []*http.Server, listeners []net.Listener) error {
	together, failed := errgroup.WithContext(ctx)
	for i, server := range servers {
		together.Go(func() error {
			var err error
			if server.TLSConfig != nil {
				err = server.ServeTLS(listeners[i], "", "")
			} else {
				err = server.Serve(listeners[i])
			}
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("storage: serve on %s: %w", listeners[i].Addr(), err)
		})
	}
	together.Go(func() error {
		<-failed.Done()
		s.stopping.Store(true)
		s.log.Info("Stopping")
		// Health and metrics go last: they tell how the rest ends.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		var errs []error
		for _, server := range servers {
			if err := server.Shutdown(bounded); err != nil {
				errs = append(errs, fmt.Errorf("storage: stop: %w", err), server.Close())
			}
		}
		return errors.Join(errs...)
	})
	return together.Wait()
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // nothing was accepted
	}
}

func (s *Server) newServer(h http.Handler, secure *tls.Config) *http.Server {
	l := s.config.Limits
	if secure != nil {
		secure = secure.Clone() // net/http adds its protocols
	}
	return &http.Server{
		Handler:           h,
		TLSConfig:         secure,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       l.ReadTimeout + 5*time.Second,
		WriteTimeout:      l.ReadTimeout + l.WriteTimeout + 2*l.Wait + 5*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog:          stdlog.New(quietly{s.log}, "", 0),
	}
}

// quietly is the log of net/http: handshakes that failed and the like, which any stranger can cause.
type quietly struct{ log logr.Logger }

// Write implements io.Writer.
func (q quietly) Write(b []byte) (int, error) {
	q.log.V(1).Info("Connection failed", "reason", strings.TrimSpace(string(b)))
	return len(b), nil
}
