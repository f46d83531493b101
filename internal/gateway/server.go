package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
)

// Limits of a gateway.
type Limits struct {
	// BodyBytes bounds a message, after it was decompressed; BytesInFlight all of them at once.
	BodyBytes, BytesInFlight int64
	// Requests bounds messages at once, Alerts those that are worked on at once. A namespace has a quarter of both.
	Requests, Alerts int
	// OpenRequests bounds the open RemediationRequests of a namespace.
	OpenRequests int
	// ReadTimeout is for reading a message, Timeout for all its alerts.
	ReadTimeout, Timeout time.Duration
}

// DefaultLimits are those of the command.
func DefaultLimits() Limits {
	return Limits{
		BodyBytes: 8 << 20, BytesInFlight: 64 << 20, Requests: 64, Alerts: 32, OpenRequests: 20,
		ReadTimeout: 10 * time.Second, Timeout: time.Minute,
	}
}

// Config of a Server. Client and Events are needed.
type Config struct {
	// Client has no cache: what it reads decides.
	Client client.WithWatch
	// Events writes Events.
	Events kubernetes.Interface
	// Tokens are those of senders; nil lets everybody.
	Tokens *Tokens
	Limits Limits
	// ExportersNeedLabel: exported_namespace counts only where the namespace of the exporter has ExporterLabel.
	ExportersNeedLabel bool

	httpapi.Endpoint

	Log logr.Logger
	// Now is the time; time.Now by default.
	Now func() time.Time
}

// Server is the gateway.
type Server struct {
	*httpapi.Server
	config  Config
	log     logr.Logger
	now     func() time.Time
	ledger  *ledger
	events  *announcer
	metrics *metrics
	// messages, bytes and alerts are the places that there are, and lanes what one namespace may have of them. reading is for alerts that are decoded to find their namespace.
	messages, bytes, alerts, reading *semaphore.Weighted
	lanes                            *lanes
}

// Path takes the messages of Alertmanager.
const Path = "/api/v1/alertmanager"

// New makes a server that is ready to Run.
func New(c Config) (*Server, error) {
	if c.Client == nil || c.Events == nil {
		return nil, errors.New("gateway: a client is needed")
	}
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	l := c.Limits
	s := &Server{
		config: c, log: c.Log, now: c.Now, events: newAnnouncer(c.Events),
		messages: semaphore.NewWeighted(int64(l.Requests)), bytes: semaphore.NewWeighted(max(l.BytesInFlight, l.BodyBytes)), alerts: semaphore.NewWeighted(int64(l.Alerts)),
		reading: semaphore.NewWeighted(readAtOnce), lanes: newLanes(l),
	}
	var err error
	if s.ledger, err = newLedger(c.Client, c.Now); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	registry := prometheus.NewRegistry()
	if s.metrics, err = newMetrics(registry); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	routes, err := httpapi.DocumentRoutes(newDocument(l), commandLine, expected)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	routes[Path] = httpapi.Route{Post: s.receive, PostOnly: "this path accepts POST only, from webhook_configs of Alertmanager"}
	s.Server, err = httpapi.New(httpapi.Config{
		Endpoint: c.Endpoint, Service: "gateway", Registry: registry,
		Check: s.ready, NotReady: "the requests of the cluster are not known yet, or the token file cannot be read", AfterFailure: "; send the message again, and the log of the gateway has the cause",
		ReadTimeout: l.ReadTimeout, WriteTimeout: l.ReadTimeout + l.Timeout + 5*time.Second, Log: c.Log,
	}, routes)
	return s, err
}

// ready says whether the gateway can do its work. A short absence of the API server is none of its business: Alertmanager sends again.
func (s *Server) ready(context.Context) error {
	if !s.ledger.synced() {
		return errors.New("the requests of the cluster are not listed yet")
	}
	if s.config.Tokens != nil {
		if _, err := s.config.Tokens.read(); err != nil {
			return err
		}
	}
	return nil
}

// Run serves until ctx ends. What was taken is finished first, and then the watch ends.
func (s *Server) Run(ctx context.Context) error {
	return s.with(ctx, s.Server.Run)
}

// Serve is Run on a listener, which it closes.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.with(ctx, func(ctx context.Context) error { return s.Server.Serve(ctx, l) })
}

// with runs the watch and the Events for as long as serve takes.
func (s *Server) with(ctx context.Context, serve func(context.Context) error) error {
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	var together errgroup.Group
	together.Go(func() error { s.ledger.informer.RunWithContext(behind); return nil })
	together.Go(func() error { return s.events.run(behind) })
	together.Go(func() error { defer stop(); return serve(ctx) })
	return together.Wait()
}
