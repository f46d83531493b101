package reportsapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
)

// Config of a Server. Store and Authorizer are needed.
type Config struct {
	Store      *postgres.Store
	Authorizer Authorizer
	Limits     Limits

	httpapi.Endpoint

	// Narrator is nil without a language model.
	Narrator Narrator

	// Check says whether the database can be read; by default whether a snapshot can be opened.
	Check func(context.Context) error
	Log   logr.Logger
	// Now is the time that as_of is if nobody says; time.Now by default.
	Now func() time.Time
}

// Server is the Report API.
type Server struct {
	*httpapi.Server
	config  Config
	log     logr.Logger
	metrics *metrics
	gates   *gates
	shares  *shares
	rates   *httpapi.Rates
	now     func() time.Time
	jobs    *jobs
}

// New makes a server that is ready to Run.
func New(c Config) (*Server, error) {
	if c.Store == nil || c.Authorizer == nil {
		return nil, errors.New("reports: a store and an authorizer are needed")
	}
	c.Limits.setDefaults()
	if err := c.Limits.validate(); err != nil {
		return nil, fmt.Errorf("reports: %w", err)
	}
	if c.Check == nil {
		c.Check = c.Store.Readable
	}
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	l := c.Limits
	s := &Server{config: c, log: c.Log, now: c.Now, gates: newGates(l), shares: newShares(l), rates: httpapi.NewRates(l.RequestsPerSecond, l.Burst, "ask for several reports in one request, and name namespaces")}
	s.jobs = newJobs(s)
	registry := prometheus.NewRegistry()
	var err error
	if s.metrics, err = newMetrics(registry); err != nil {
		return nil, fmt.Errorf("reports: %w", err)
	}
	if n, ok := c.Narrator.(interface {
		Register(prometheus.Registerer) error
	}); ok {
		if err := n.Register(registry); err != nil {
			return nil, fmt.Errorf("reports: %w", err)
		}
	}
	routes, err := s.routes()
	if err != nil {
		return nil, fmt.Errorf("reports: %w", err)
	}
	s.Server, err = httpapi.New(httpapi.Config{
		Endpoint: c.Endpoint, Service: "reports", Registry: registry,
		Check: c.Check, NotReady: "the database cannot be read", AfterFailure: "; the audit trail is not changed, and the log of the service has the cause",
		ReadTimeout: 10 * time.Second, WriteTimeout: l.ReadTimeout + l.WriteTimeout + l.Wait + 5*time.Second, Log: c.Log,
	}, routes)
	return s, err
}

func (s *Server) routes() (map[string]httpapi.Route, error) {
	routes, err := httpapi.DocumentRoutes(newDocument(), commandLine, expected)
	if err != nil {
		return nil, err
	}
	maps.Copy(routes, map[string]httpapi.Route{
		pathReports:   {Get: s.guarded(verbList, s.list)},
		pathReport:    {Get: s.guarded(verbGet, s.report)},
		pathBatch:     {Post: s.guarded(verbList, s.batch), PostOnly: "this path accepts POST only"},
		pathJob:       {Get: s.guarded(verbList, s.job), Delete: s.guarded(verbList, s.cancelJob)},
		pathEntries:   {Get: s.guarded(verbGet, s.entries)},
		pathResources: {Get: s.guarded(verbList, s.resources)},
		pathTrends:    {Get: s.guarded(verbList, s.trends)},

		pathListPage:   {Get: s.paged(verbList, s.listedPage)},
		pathReportPage: {Get: s.paged(verbGet, s.reportPage)},
		pathTrendsPage: {Get: s.paged(verbList, s.trendsPage)},
	})
	return routes, nil
}

// Paths of the endpoints.
const (
	pathReports   = "/api/v2/rar"
	pathReport    = "/api/v2/rar/{remediation_id}"
	pathBatch     = "/api/v2/rar/batch"
	pathJob       = "/api/v2/rar/batch/{job}"
	pathResources = "/api/v2/resources"
	pathEntries   = "/api/v2/resources/{uid}/entries"
	pathTrends    = "/api/v2/trends"

	pathListPage   = "/"
	pathReportPage = "/remediations/{remediation_id}"
	pathTrendsPage = "/trends"
)

// request is one that was let in.
type request struct {
	*http.Request
	*params
	caller Caller
	// own are the places that the caller's tenant may have.
	own *gates
	// namespaces are those that the caller named; nil without any.
	namespaces []string
}

// answering is how an endpoint answers a request that was let in.
type answering func(*httpapi.Exchange, *request) *httpapi.Problem

// guarded lets a request in and answers it. Refusals are JSON.
func (s *Server) guarded(verb string, answer answering) func(*httpapi.Exchange, *http.Request) {
	return s.guardedAs(verb, answer, func(x *httpapi.Exchange, _ *http.Request, refused *httpapi.Problem) { refused.Write(x) })
}

// guardedAs is guarded with another way to refuse. An error of answer is written as long as nothing else was; after that the connection is cut, so that nobody takes a part for the whole.
func (s *Server) guardedAs(verb string, answer answering, refuse func(*httpapi.Exchange, *http.Request, *httpapi.Problem)) func(*httpapi.Exchange, *http.Request) {
	return func(x *httpapi.Exchange, r *http.Request) {
		x.Header().Set("Cache-Control", "private, no-cache")
		x.Header().Set("Vary", "Accept, Authorization")
		if !s.gates.requests.TryAcquire(1) {
			refuse(x, r, s.shed(shedRequests, "the service is at its limit of concurrent requests"))
			return
		}
		defer s.gates.requests.Release(1)
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		let, refused := s.admit(x, r, verb)
		if refused == nil {
			refused = s.inShare(let, func() *httpapi.Problem { //nolint:contextcheck // let has it
				if refused := s.authorize(let, verb); refused != nil {
					return refused
				}
				return answer(x, let)
			})
		}
		switch {
		case refused == nil:
		case x.Begun():
			panic(http.ErrAbortHandler)
		default:
			refuse(x, r, refused)
		}
	}
}

// inShare answers a request within the share of its caller.
func (s *Server) inShare(r *request, answer func() *httpapi.Problem) *httpapi.Problem {
	own, leave := s.shares.enter(r.caller.Name)
	defer leave()
	if !own.requests.TryAcquire(1) {
		s.metrics.shed.WithLabelValues(shedShare).Inc()
		return httpapi.NewProblem(http.StatusTooManyRequests, "%s has %d requests under way; wait for one of them", serving.Tenant(r.caller.Name), s.shares.limits.Requests).Later(httpapi.Overload)
	}
	defer own.requests.Release(1)
	r.own = own
	return answer()
}

func (s *Server) shed(reason, detail string) *httpapi.Problem {
	s.metrics.shed.WithLabelValues(reason).Inc()
	return httpapi.NewProblem(http.StatusServiceUnavailable, "%s", detail).Later(httpapi.Overload)
}

// namespacesOfOne are how many namespaces that may be asked about count as one more request.
const namespacesOfOne = 10

// admit says who asks, and counts the request.
func (s *Server) admit(x *httpapi.Exchange, r *http.Request, verb string) (*request, *httpapi.Problem) {
	p, refused := paramsOf(r)
	if refused != nil {
		return nil, refused
	}
	let := &request{Request: r, params: p, namespaces: p.namespaces()}
	if len(p.faults) > 0 {
		return nil, refusedFor("namespace", "%s", p.faults[0].Detail)
	}
	name, err := s.config.Authorizer.Authenticate(r.Context(), serving.Bearer(r))
	x.Caller, let.caller.Name = name, name
	if err != nil {
		return nil, s.unauthorized(r, err)
	}
	// Each namespace may be a question to the API server.
	asked := len(let.namespaces)
	if let.namespaces == nil {
		asked = s.config.Authorizer.Unnamed(serving.Bearer(r), verb)
	}
	if refused := s.rates.TakeN(name, time.Now(), 1+asked/namespacesOfOne); refused != nil {
		s.metrics.shed.WithLabelValues(shedRate).Inc()
		return nil, refused
	}
	return let, nil
}

// authorize finds what the caller may see. It comes within their share: it may take long.
func (s *Server) authorize(let *request, verb string) *httpapi.Problem {
	caller, err := s.config.Authorizer.Authorize(let.Context(), serving.Bearer(let.Request), verb, let.namespaces)
	if err != nil {
		return s.unauthorized(let.Request, err)
	}
	let.caller = caller
	return nil
}

// unauthorized is the answer when it is not known who asks, or what they may see.
func (s *Server) unauthorized(r *http.Request, err error) *httpapi.Problem {
	switch {
	case errors.Is(err, serving.ErrUnauthenticated):
		return httpapi.NewProblem(http.StatusUnauthorized, "%s", err).With("WWW-Authenticate", "Bearer")
	case errors.Is(err, ErrManyNamespaces):
		return refusedFor("namespace", "is required for a caller who may not read reports in all namespaces: %s", err)
	case r.Context().Err() == nil:
		s.log.Error(err, "Caller authentication failed")
	}
	return httpapi.NewProblem(http.StatusServiceUnavailable, "%s", serving.ErrUnavailable).Later(httpapi.DatabaseAway)
}

// read runs a snapshot when it is its turn.
func (s *Server) read(r *request, fn func(context.Context, *postgres.Snapshot) error) *httpapi.Problem {
	release, refused := s.turn(r)
	if refused != nil {
		return refused
	}
	defer release()
	return s.unread(r, s.snapshot(r, fn))
}

// turn waits for a place among the reads that run at once, of the caller's share and of all.
func (s *Server) turn(r *request) (release func(), refused *httpapi.Problem) {
	wait, cancel := context.WithTimeout(r.Context(), s.config.Limits.Wait)
	defer cancel()
	own := r.own.reads
	if own.Acquire(wait, 1) != nil {
		return nil, s.shed(shedShare, "you have too many reads under way")
	}
	if s.gates.reads.Acquire(wait, 1) != nil {
		own.Release(1)
		return nil, s.shed(shedReads, "the service is at its limit of concurrent reads")
	}
	return func() {
		s.gates.reads.Release(1)
		own.Release(1)
	}, nil
}

func (s *Server) snapshot(r *request, fn func(context.Context, *postgres.Snapshot) error) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Limits.ReadTimeout)
	defer cancel()
	begin := time.Now()
	defer func() { s.metrics.reads.Observe(time.Since(begin).Seconds()) }()
	return s.config.Store.Snapshot(ctx, r.caller.Readable, func(ctx context.Context, q *postgres.Snapshot) error {
		defer func() { s.metrics.queries.Add(float64(q.Asked())) }()
		return fn(ctx, q)
	})
}

// unread is the answer when the database could not be read.
func (s *Server) unread(r *request, err error) *httpapi.Problem {
	var refused *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused.problem
	case errors.Is(err, postgres.ErrTooLarge):
		return httpapi.NewProblem(http.StatusUnprocessableEntity, "%s; read its resources one by one under %s", err, pathEntries)
	case errors.Is(err, postgres.ErrUnreadable):
		s.log.Error(err, "A row cannot be read; run `holdfast verify`")
		return httpapi.NewProblem(http.StatusUnprocessableEntity, "%s; read its resources one by one under %s, and have `holdfast verify` look at the database", postgres.ErrUnreadable, pathEntries)
	case r.Context().Err() != nil: // nobody waits for the answer
		return httpapi.NewProblem(http.StatusServiceUnavailable, "the request ended").Later(httpapi.Overload)
	case postgres.TookTooLong(err):
		s.log.Info("Query timed out", "path", r.URL.Path)
		return httpapi.NewProblem(http.StatusServiceUnavailable, "the query timed out; ask for a shorter window or with fewer filters").Later(httpapi.DatabaseAway)
	}
	s.log.Error(err, "Reading the audit trail failed")
	after := httpapi.DatabaseAway
	if postgres.NeedsPerson(err) {
		after = httpapi.NeedsPerson
	}
	return httpapi.NewProblem(http.StatusServiceUnavailable, "the audit trail cannot be read now; try again later").Later(after)
}

// refusal is a problem as an error, for what is found out within a snapshot.
type refusal struct{ problem *httpapi.Problem }

func (r *refusal) Error() string { return r.problem.Detail }
