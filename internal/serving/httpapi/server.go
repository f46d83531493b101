package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// Endpoint is where a service listens, and how.
type Endpoint struct {
	// Address to listen on, host:port. TLS is nil for plain HTTP.
	Address string
	TLS     *tls.Config
	// MetricsAddress has /metrics, with the same TLS; "" is on Address, "0" nowhere. HealthAddress has /healthz and /readyz in plain HTTP too, unless it is "" or "0".
	MetricsAddress, HealthAddress string
	// ProtectMetrics asks who reads the metrics; nil lets everybody.
	ProtectMetrics func(logr.Logger, http.Handler) http.Handler
}

// Config of a Server.
type Config struct {
	Endpoint
	// Service begins errors and, after holdfast_, the names of metrics: storage, reports.
	Service string
	// Registry has the service's metrics; New adds those of its requests.
	Registry *prometheus.Registry

	// Check says whether the service can do its work; NotReady is the detail of /readyz if not.
	Check    func(context.Context) error
	NotReady string
	// AfterFailure goes on after "internal error", with what to do.
	AfterFailure string

	// ReadTimeout is the time for a request to arrive, WriteTimeout that for its answer, from the end of its header. An answer that takes longer sets its own deadline.
	ReadTimeout, WriteTimeout time.Duration
	Log                       logr.Logger
}

const (
	// Grace bounds how long a stopping server waits for what it has taken, of the 20 s that it may need in all.
	Grace = 17 * time.Second
	// StreamGrace is how long a stopping server lets streams go on.
	StreamGrace = 12 * time.Second
)

// Server serves the routes of one service.
type Server struct {
	config   Config
	metrics  *metrics
	ready    readiness
	patterns []pattern
	stopping atomic.Bool
	// ended is the end of requests that outlast StreamGrace.
	ended context.Context //nolint:containedctx // the base of every request's
	end   context.CancelFunc
	// exposition is /metrics.
	exposition http.Handler
}

// New makes a server of routes by path, in which a segment {name} takes any text; /docs and /openapi.json are two of them. It is ready to Run.
func New(c Config, routes map[string]Route) (*Server, error) {
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	s := &Server{config: c}
	s.ended, s.end = context.WithCancel(context.Background()) //nolint:gosec // ended when the server stops
	s.ready.check = c.Check
	c.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if s.metrics, err = newMetrics(c.Service, c.Registry); err != nil {
		return nil, fmt.Errorf("%s: %w", c.Service, err)
	}
	s.exposition = promhttp.HandlerFor(c.Registry, promhttp.HandlerOpts{})
	if c.ProtectMetrics != nil {
		s.exposition = c.ProtectMetrics(c.Log, s.exposition)
	}
	s.patterns = patternsOf(routes)
	s.patterns = append(s.patterns, patternsOf(s.probes())...)
	if c.MetricsAddress == "" {
		s.patterns = append(s.patterns, patternsOf(s.exposed())...)
	}
	return s, nil
}

// Handler is the whole service, without listeners.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Stopping reports whether the server takes nothing new.
func (s *Server) Stopping() bool { return s.stopping.Load() }

// Run listens and serves until ctx ends, and then finishes what it has taken, which takes at most Grace. It returns nil after a clean stop.
func (s *Server) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", s.config.Address)
	if err != nil {
		return fmt.Errorf("%s: %w", s.config.Service, err)
	}
	return s.Serve(ctx, l)
}

// Serve is Run on a listener, which it closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	servers := []*http.Server{s.HTTPServer(s.Handler(), s.config.TLS)}
	listeners := []net.Listener{l}
	for _, beside := range []struct {
		address string
		handler http.Handler
		tls     *tls.Config
	}{{s.config.MetricsAddress, s.only(s.exposed()), s.config.TLS}, {s.config.HealthAddress, s.only(s.probes()), nil}} {
		if beside.address == "" || beside.address == "0" {
			continue
		}
		more, err := net.Listen("tcp", beside.address)
		if err != nil {
			closeAll(listeners)
			return fmt.Errorf("%s: %w", s.config.Service, err)
		}
		listeners, servers = append(listeners, more), append(servers, s.HTTPServer(beside.handler, beside.tls))
	}
	s.config.Log.Info("Serving", "address", l.Addr().String(), "tls", s.config.TLS != nil)
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
			return fmt.Errorf("%s: serve on %s: %w", s.config.Service, listeners[i].Addr(), err)
		})
	}
	together.Go(func() error {
		<-failed.Done()
		s.stopping.Store(true)
		s.config.Log.Info("Stopping")
		late := time.AfterFunc(StreamGrace, s.end)
		defer late.Stop()
		// Health and metrics go last: they tell how the rest ends.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), Grace)
		defer cancel()
		var errs []error
		for _, server := range servers {
			if err := server.Shutdown(bounded); err != nil {
				errs = append(errs, fmt.Errorf("%s: stop: %w", s.config.Service, err), server.Close())
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

// HTTPServer is how a handler is served, with the limits on connections and headers.
func (s *Server) HTTPServer(h http.Handler, secure *tls.Config) *http.Server {
	if secure != nil {
		secure = secure.Clone() // net/http adds its protocols
	}
	return &http.Server{
		Handler:           h,
		TLSConfig:         secure,
		BaseContext:       func(net.Listener) context.Context { return s.ended },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       s.config.ReadTimeout,
		WriteTimeout:      s.config.WriteTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100},
		ErrorLog:          stdlog.New(quietly{s.config.Log}, "", 0),
	}
}

// quietly is the log of net/http: handshakes that failed and the like, which any stranger can cause.
type quietly struct{ log logr.Logger }

// Write implements io.Writer.
func (q quietly) Write(b []byte) (int, error) {
	q.log.V(1).Info("Connection failed", "reason", strings.TrimSpace(string(b)))
	return len(b), nil
}
