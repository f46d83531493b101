package storageapi

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/verify"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
)

var database *localcluster.Postgres

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.fuzzworker").Value.String() == "true" {
		return m.Run() // which needs no database
	}
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

// byToken is an Authorizer for tests: the tokens are poster, relayer, stranger (who may not post) and outage.
type byToken struct{}

func (byToken) Authorize(_ context.Context, bearer string) (Caller, error) {
	switch bearer {
	case "poster", "poster2":
		return Caller{Name: "system:serviceaccount:shop:" + bearer}, nil
	case "relayer":
		return Caller{Name: "system:serviceaccount:holdfast:relayer", MayRelay: true}, nil
	case "stranger":
		return Caller{}, fmt.Errorf("%w: may not create auditrecords.holdfast.dev", ErrForbidden)
	case "outage":
		return Caller{}, fmt.Errorf("%w: the API server at 10.0.0.1 does not answer", ErrUnavailable)
	}
	return Caller{}, fmt.Errorf("%w: no such token", ErrUnauthenticated)
}

var databases atomic.Int32

// service is a running server with a database of its own.
type service struct {
	t      *testing.T
	url    string
	store  *postgres.Store
	server *Server
}

func newStore(t *testing.T) *postgres.Store {
	t.Helper()
	g := NewWithT(t)
	url, err := database.CreateDatabase(t.Context(), fmt.Sprintf("storage_%d", databases.Add(1)))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(migrations.Up(t.Context(), url, nil)).To(Succeed())
	s, err := postgres.Open(t.Context(), url, postgres.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(s.Close)
	return s
}

// start runs a service whose trail is verified when the test ends.
func start(t *testing.T, adapt ...func(*Config)) *service {
	t.Helper()
	g := NewWithT(t)
	c := Config{Store: newStore(t), Authorizer: byToken{}, Limits: Limits{RequestsPerSecond: 1e6, Burst: 1e6}}
	for _, a := range adapt {
		a(&c)
	}
	server, err := New(c)
	g.Expect(err).NotTo(HaveOccurred())
	listening := httptest.NewUnstartedServer(server.Handler())
	listening.Config = server.HTTPServer(server.Handler(), nil)
	listening.Start()
	t.Cleanup(listening.Close)
	return &service{t: t, url: listening.URL, store: c.Store, server: server}
}

// verified holds the trail to what verify checks.
func (s *service) verified() {
	s.t.Helper()
	var findings []verify.Finding
	report, err := verify.Run(context.Background(), s.store, nil, verify.Options{}, func(f verify.Finding) { findings = append(findings, f) })
	g := NewWithT(s.t)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(findings).To(BeEmpty())
	g.Expect(report.Intact).To(BeTrue())
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   string
}

// told is a problem that was read.
type told struct{ Problem }

func (r reply) problem(t *testing.T) told {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.header.Get("Content-Type")).To(Equal("application/problem+json"), r.body)
	var p told
	g.Expect(json.Unmarshal([]byte(r.body), &p)).To(Succeed())
	g.Expect(p.Status).To(Equal(r.status))
	return p
}

func (r reply) receipts(t *testing.T) []Receipt {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.header.Get("Content-Type")).To(Equal("application/json"), r.body)
	if !strings.HasPrefix(r.body, "[") {
		r.body = "[" + r.body + "]"
	}
	var all []Receipt
	g.Expect(json.Unmarshal([]byte(r.body), &all)).To(Succeed())
	return all
}

func (p told) pointers() []string {
	var all []string
	for _, f := range p.Errors {
		all = append(all, f.Pointer)
	}
	return all
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
	r.Header.Set("Content-Type", "application/json")
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

func (s *service) post(path, body string, headers ...string) reply {
	s.t.Helper()
	return s.do(http.MethodPost, path, "poster", strings.NewReader(body), headers...)
}

func (s *service) count(from string) int {
	s.t.Helper()
	var n int
	NewWithT(s.t).Expect(s.store.DB().QueryRowContext(s.t.Context(), "SELECT count(*) FROM "+from).Scan(&n)).To(Succeed())
	return n
}

const (
	notifications = "/api/v1/audit/notifications"
	orchestration = "/api/v1/audit/orchestration"
)

// note is a notification with more fields, as JSON members.
func note(members ...string) string {
	return `{"remediation_id":"r","notification_requested_at":"2026-11-23T04:05:06Z"` + strings.Join(append([]string{""}, members...), ",") + `}`
}
