package storageapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// Config of a Server. Store and Authorizer are needed.
type Config struct {
	Store      *postgres.Store
	Authorizer Authorizer
	Limits     Limits

	httpapi.Endpoint

	// Check says whether the database can take rows; by default whether it answers and takes writes.
	Check func(context.Context) error
	Log   logr.Logger
}

// Server is the Data Storage API.
type Server struct {
	*httpapi.Server
	config  Config
	log     logr.Logger
	metrics *metrics
	gates   *gates
	rates   *httpapi.Rates
}

const onlyPosted = "this path accepts POST only; records cannot be read here"

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
	l := c.Limits
	s := &Server{config: c, log: c.Log, gates: newGates(l, runtime.GOMAXPROCS(0)), rates: httpapi.NewRates(l.RequestsPerSecond, l.Burst, "send several records per request")}
	registry := prometheus.NewRegistry()
	var err error
	if s.metrics, err = newMetrics(registry); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	routes, err := s.routes()
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	s.Server, err = httpapi.New(httpapi.Config{
		Endpoint: c.Endpoint, Service: "storage", Registry: registry,
		Check: c.Check, NotReady: "the database does not accept rows", AfterFailure: ", and the record may or may not be stored; send it again with the same id",
		ReadTimeout: l.ReadTimeout + 5*time.Second, WriteTimeout: l.ReadTimeout + l.WriteTimeout + 2*l.Wait + 5*time.Second, Log: c.Log,
	}, routes)
	return s, err
}

func (s *Server) routes() (map[string]httpapi.Route, error) {
	routes, err := httpapi.DocumentRoutes(newDocument(s.config.Limits), commandLine, expected)
	if err != nil {
		return nil, err
	}
	routes["/"+storageclient.EntriesPath] = httpapi.Route{Post: s.relayed, PostOnly: onlyPosted}
	for _, e := range endpoints() {
		routes[e.path] = httpapi.Route{Post: s.post(e), PostOnly: onlyPosted}
	}
	return routes, nil
}

const callFormat = `curl "$HOLDFAST_STORAGE_URL%s" --header "Authorization: Bearer $HOLDFAST_STORAGE_TOKEN" \
  --header 'Content-Type: application/json' --data-binary @record.json`

// commandLine posts a record.
func commandLine(op *huma.Operation) string {
	if op.Method != http.MethodPost {
		return ""
	}
	return fmt.Sprintf(callFormat, op.Path)
}
