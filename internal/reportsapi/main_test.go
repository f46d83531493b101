package reportsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"

	"k8s.io/utils/ptr"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
	"github.com/holdfast-dev/holdfast/relay"
)

var database *localcluster.Postgres

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if database, err = localcluster.StartPostgres(context.Background(), localcluster.PostgresOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	leaks := goleak.IgnoreCurrent()
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(leaks); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := database.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

const patience = 30 * time.Second

// received is when the tests' signals came: in the past, and within the month of the document's examples.
var received = time.Date(2026, 11, 23, 4, 5, 6, 123456000, time.UTC)

// byToken is an Authorizer for tests. all may see everything; other tokens are names of namespaces, with a comma between them.
type byToken struct{ since time.Time }

func (b byToken) Authenticate(_ context.Context, bearer string) (string, error) {
	switch bearer {
	case "":
		return "", fmt.Errorf("%w: no token", serving.ErrUnauthenticated)
	case "outage":
		return "", fmt.Errorf("%w: the API server at 10.0.0.1 does not answer", serving.ErrUnavailable)
	case "panic":
		panic("a bug")
	case "all":
		return "auditor", nil
	}
	return nameOf(bearer), nil
}

func (b byToken) Unnamed(bearer, _ string) int { return 10 * strings.Count(bearer, "many") }

// nameOf a token's owner: NAMESPACE/NAME is a service account.
func nameOf(bearer string) string {
	if strings.Contains(bearer, "/") {
		return "system:serviceaccount:" + strings.ReplaceAll(bearer, "/", ":")
	}
	return bearer
}

func (b byToken) Authorize(_ context.Context, bearer, _ string, named []string) (Caller, error) {
	switch bearer {
	case "many":
		return Caller{}, fmt.Errorf("%w: the cluster has more than 200", ErrManyNamespaces)
	case "all":
		return Caller{Name: "auditor", Readable: postgres.Readable{Everything: true}}, nil
	}
	c := Caller{Name: nameOf(bearer), Readable: postgres.Readable{Cluster: "east", Since: map[string]time.Time{}}}
	for name := range strings.SplitSeq(bearer, ",") {
		if len(named) == 0 || slices.Contains(named, name) {
			c.Readable.Since[name] = b.since
		}
	}
	return c, nil
}

var databases atomic.Int32

// service is a running server with a database of its own.
type service struct {
	t      *testing.T
	url    string
	dsn    string
	store  *postgres.Store
	server *Server
}

// start runs a service.
func start(t *testing.T, adapt ...func(*Config)) *service {
	t.Helper()
	g := NewWithT(t)
	url, err := database.CreateDatabase(t.Context(), fmt.Sprintf("reports_%d", databases.Add(1)))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(migrations.Up(t.Context(), url, nil)).To(Succeed())
	return startOn(t, url, adapt...)
}

func startOn(t *testing.T, url string, adapt ...func(*Config)) *service {
	t.Helper()
	g := NewWithT(t)
	store, err := postgres.Open(t.Context(), url, postgres.Options{Cluster: "east", PoolSize: 12})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(store.Close)
	c := Config{Store: store, Authorizer: byToken{}, Limits: Limits{RequestsPerSecond: 1e6, Burst: 1e6}, Now: func() time.Time { return received.AddDate(0, 0, 30) }}
	for _, a := range adapt {
		a(&c)
	}
	server, err := New(c)
	g.Expect(err).NotTo(HaveOccurred())
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = server.HTTPServer(server.Handler(), nil)
	listening.Start()
	t.Cleanup(listening.Close)
	return &service{t: t, url: listening.URL, dsn: url, store: store, server: server}
}

// httptestServer is another listener of the service, whose connections are counted.
func httptestServer(t *testing.T, s *service, open *connected) string {
	t.Helper()
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = s.server.HTTPServer(s.server.Handler(), nil)
	listening.Config.ConnState = open.state
	listening.Start()
	t.Cleanup(listening.Close)
	return listening.URL
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) problem(t *testing.T) httpapi.Problem {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.header.Get("Content-Type")).To(Equal(httpapi.ProblemType), r.body)
	var p httpapi.Problem
	g.Expect(json.Unmarshal([]byte(r.body), &p)).To(Succeed())
	g.Expect(p.Status).To(Equal(r.status))
	return p
}

func (r reply) report(t *testing.T) *rar.Report {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.status).To(Equal(http.StatusOK), r.body)
	report := &rar.Report{}
	g.Expect(json.Unmarshal([]byte(r.body), report)).To(Succeed())
	return report
}

// page is a page of reports or summaries, as far as tests look at it.
type page struct {
	Items []struct {
		RemediationID string `json:"remediation_id"`
		Namespace     string `json:"namespace"`
		Sequence      int64  `json:"sequence"`
		UID           string `json:"uid"`
		Table         string `json:"table"`
	} `json:"items"`
	Next *string `json:"next"`
}

func (p page) ids() []string {
	all := []string{}
	for _, item := range p.Items {
		all = append(all, item.RemediationID)
	}
	return all
}

func (r reply) page(t *testing.T) page {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.status).To(Equal(http.StatusOK), r.body)
	var p page
	g.Expect(json.Unmarshal([]byte(r.body), &p)).To(Succeed())
	return p
}

// do sends a request as the token's owner.
func (s *service) do(method, path, token string, body io.Reader, headers ...string) reply {
	s.t.Helper()
	g := NewWithT(s.t)
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	g.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	g.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return reply{status: answer.StatusCode, header: answer.Header, body: string(text)}
}

func (s *service) get(path, token string, headers ...string) reply {
	s.t.Helper()
	return s.do(http.MethodGet, path, token, http.NoBody, headers...)
}

func (s *service) execute(statement string) {
	s.t.Helper()
	_, err := s.store.DB().ExecContext(s.t.Context(), statement)
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
}

// remediation is one that a test writes as a relay does: with its outbox, its chain and its place in a namespace.
type remediation struct {
	namespace, name, alert, fingerprint, outcome string
	received                                     time.Time
	seconds                                      int
}

func (m *remediation) defaults() {
	for _, f := range []struct {
		of    *string
		value string
	}{{&m.namespace, "shop"}, {&m.name, "cart"}, {&m.alert, "PodOOMKilled"}, {&m.fingerprint, "f1"}, {&m.outcome, "remediated"}} {
		if *f.of == "" {
			*f.of = f.value
		}
	}
	if m.received.IsZero() {
		m.received = received
	}
	if m.seconds == 0 {
		m.seconds = 60
	}
}

var made atomic.Int64

// write persists a remediation and returns its id.
func (s *service) write(m remediation) string {
	s.t.Helper()
	m.defaults()
	id := fmt.Sprintf("4f8e0a52-6a3e-4be0-9f0e-%012x", made.Add(1))
	at := func(seconds int) *outboxapi.Time {
		t := outboxapi.NewTime(m.received.Add(time.Duration(seconds) * time.Second))
		return &t
	}
	source := entry.Source{Namespace: m.namespace, Name: m.name, UID: types.UID(id), Created: m.received}
	record := models.Orchestration{
		RemediationID: id, SignalFingerprint: m.fingerprint, SignalReceivedAt: *at(0), RemediationCreatedAt: *at(1),
		SignalContext: &models.SignalContext{Name: m.alert, Severity: "critical", Source: "alertmanager"}, Target: &models.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: m.name},
	}
	done := record
	done.WorkflowStartedAt, done.CompletedAt, done.Outcome, done.TotalDurationSeconds = at(2), at(m.seconds), m.outcome, ptr.To(int64(m.seconds))
	s.persist(source, entry.KindOrchestration,
		step{at(1).Time, entry.Change{Event: "Received", Phase: "Pending", Record: record}}, step{at(m.seconds).Time, entry.Change{Event: "Completed", Phase: "Completed", Record: done, Final: true}})
	return id
}

type step struct {
	at     time.Time
	change entry.Change
}

func (s *service) persist(source entry.Source, kind string, steps ...step) {
	s.t.Helper()
	g := NewWithT(s.t)
	var o *outboxapi.Outbox
	for _, step := range steps {
		step.change.Kind = kind
		next, _, err := entry.Append(o, source, step.change, step.at, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		o = next
	}
	raw, err := json.Marshal(o)
	g.Expect(err).NotTo(HaveOccurred())
	var stored outboxapi.Outbox
	g.Expect(json.Unmarshal(raw, &stored)).To(Succeed())
	outcomes, err := s.store.Persist(s.t.Context(), relay.NewItems(source, "RemediationRequest", entry.PendingOf(source.UID, &stored)))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcomes).To(HaveEach(HaveField("Result", relay.Stored)))
}

// post writes a row as the storage service does for whoever has no outbox.
func (s *service) post(id string) {
	s.t.Helper()
	row := &models.OrchestrationRow{
		Envelope:      models.Envelope{ID: fmt.Sprintf("4f8e0a52-6a3e-4be0-8f0e-%012x", made.Add(1)), Event: "Posted", RecordedAt: outboxapi.NewTime(received), RecordedBy: "stranger", SchemaVersion: 1, Entry: "{}"},
		Orchestration: models.Orchestration{RemediationID: id, SignalFingerprint: "posted", SignalReceivedAt: outboxapi.NewTime(received), RemediationCreatedAt: outboxapi.NewTime(received)},
	}
	_, err := s.store.Post(s.t.Context(), []models.Row{row})
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
}

const (
	reports = "/api/v2/rar"
	window  = "?start=2026-11-01T00:00:00Z&end=2026-12-31T00:00:00Z"
)
