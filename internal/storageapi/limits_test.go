package storageapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
)

// patience is for what takes as long as the machine needs.
const patience = 30 * time.Second

func TestBodiesHaveALimit(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.BodyBytes = 1000 })
	long := note(`"subject":"` + strings.Repeat("x", 1000) + `"`)
	g.Expect(s.post(notifications, long).status).To(Equal(http.StatusRequestEntityTooLarge))
	chunked := s.do(http.MethodPost, notifications, "poster", iotest.OneByteReader(strings.NewReader(long)))
	g.Expect(chunked.status).To(Equal(http.StatusRequestEntityTooLarge))
	chunked.problem(t)
	g.Expect(s.do(http.MethodPost, notifications, "poster", iotest.OneByteReader(strings.NewReader(note()))).status).To(Equal(http.StatusCreated))
}

func TestEachCallerHasARate(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.RequestsPerSecond, c.Limits.Burst = 0.01, 2 })
	c := readContract(t, s)
	for range 2 {
		g.Expect(s.post(notifications, note()).status).To(Equal(http.StatusCreated))
	}
	over := s.post(notifications, note())
	g.Expect(over.status).To(Equal(http.StatusTooManyRequests))
	c.documented(http.MethodPost, notifications, over)
	g.Expect(over.header.Get("Retry-After")).To(MatchRegexp(`^(9\d|100)$`))
	g.Expect(s.do(http.MethodPost, notifications, "poster2", strings.NewReader(note())).status).To(Equal(http.StatusCreated), "somebody else")
	g.Expect(s.do(http.MethodGet, "/metrics", "", nil).body).To(ContainSubstring(`holdfast_storage_shed_total{reason="rate"} 1`))
}

func TestRatesDropIdleCallers(t *testing.T) {
	g := NewWithT(t)
	r := newRates(Limits{RequestsPerSecond: 1, Burst: 1})
	now := time.Now()
	for i := range maxCallers {
		g.Expect(r.take(fmt.Sprint(i), now)).To(BeNil())
	}
	g.Expect(r.take("busy", now.Add(2*time.Second))).To(BeNil())
	g.Expect(r.byName).To(HaveLen(1))
	g.Expect(r.take("busy", now.Add(2*time.Second)).Status).To(Equal(http.StatusTooManyRequests))
}

// blocked holds the table so that posts wait in the database until release.
func (s *service) blocked() (release func()) {
	s.t.Helper()
	g := NewWithT(s.t)
	tx, err := s.store.DB().BeginTx(context.Background(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = tx.ExecContext(context.Background(), "LOCK TABLE notification_audit IN ACCESS EXCLUSIVE MODE")
	g.Expect(err).NotTo(HaveOccurred())
	var once sync.Once
	release = func() { once.Do(func() { _ = tx.Rollback() }) }
	s.t.Cleanup(release)
	return release
}

// waiting is the number of posts that wait for the table.
func (s *service) waiting() int {
	return s.count("pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
}

func TestLoadIsShedBeforeItIsRead(t *testing.T) {
	for reason, limits := range map[string]Limits{
		shedRequests: {Requests: 1},
		shedWrites:   {Writes: 1, Wait: 50 * time.Millisecond},
		shedBytes:    {BodyBytes: int64(len(note())), BytesInFlight: int64(len(note()))},
	} {
		t.Run(reason, func(t *testing.T) {
			g := NewWithT(t)
			s := start(t, func(c *Config) {
				limits.RequestsPerSecond, limits.Burst = 1e6, 1e6
				c.Limits = limits
			})
			c := readContract(t, s)
			release := s.blocked()
			first := make(chan int, 1)
			go func() { first <- s.post(notifications, note()).status }()
			g.Eventually(s.waiting, patience).Should(Equal(1))
			over := s.post(notifications, note())
			g.Expect(over.status).To(Equal(http.StatusServiceUnavailable), over.body)
			c.documented(http.MethodPost, notifications, over)
			g.Expect(s.do(http.MethodGet, "/healthz", "", nil).status).To(Equal(http.StatusOK), "probes are not shed")
			g.Expect(s.do(http.MethodGet, "/metrics", "", nil).body).To(ContainSubstring(`holdfast_storage_shed_total{reason="` + reason + `"} 1`))
			release()
			g.Eventually(first, patience).Should(Receive(Equal(http.StatusCreated)))
		})
	}
}

func TestWithoutTheDatabase(t *testing.T) {
	g := NewWithT(t)
	nowhere, err := postgres.Open(t.Context(), "postgres://nobody@127.0.0.1:1/none", postgres.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(nowhere.Close)
	s := start(t, func(c *Config) { c.Store = nowhere })
	c := readContract(t, s)
	answer := s.post(notifications, note())
	g.Expect(answer.status).To(Equal(http.StatusServiceUnavailable))
	c.documented(http.MethodPost, notifications, answer)
	g.Expect(answer.header.Get("Retry-After")).To(Equal("5"))
	g.Expect(answer.body).NotTo(ContainSubstring("127.0.0.1"))
	g.Expect(s.post(notifications, "{}").status).To(Equal(http.StatusUnprocessableEntity), "what is wrong is wrong without it, too")
	ready := s.do(http.MethodGet, "/readyz", "", nil)
	g.Expect(ready.status).To(Equal(http.StatusServiceUnavailable))
	c.documented(http.MethodGet, "/readyz", ready)
	g.Expect(s.do(http.MethodGet, "/healthz", "", nil).status).To(Equal(http.StatusOK))
}

func TestWithoutTheTables(t *testing.T) {
	g := NewWithT(t)
	url, err := database.CreateDatabase(t.Context(), "storage_bare")
	g.Expect(err).NotTo(HaveOccurred())
	bare, err := postgres.Open(t.Context(), url, postgres.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(bare.Close)
	s := start(t, func(c *Config) {
		c.Store, c.Check = bare, func(ctx context.Context) error { return migrations.Check(ctx, bare.DB().DB) }
	})
	answer := s.post(notifications, note())
	g.Expect(answer.status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(answer.header.Get("Retry-After")).To(Equal("30"))
	g.Expect(s.do(http.MethodGet, "/readyz", "", nil).status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(migrations.Up(t.Context(), url, nil)).To(Succeed())
	g.Expect(s.post(notifications, note()).status).To(Equal(http.StatusCreated), "by itself")
	g.Eventually(func() int { return s.do(http.MethodGet, "/readyz", "", nil).status }, patience).Should(Equal(http.StatusOK))
}

func TestStoppingFinishesWhatWasTaken(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	config, _, err := ServerTLS("", "")
	g.Expect(err).NotTo(HaveOccurred())
	server, err := New(Config{Store: s.store, Authorizer: byToken{}, TLS: config, HealthAddress: "127.0.0.1:0", MetricsAddress: "127.0.0.1:0"})
	g.Expect(err).NotTo(HaveOccurred())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()

	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	post := func() (*http.Response, error) {
		r, err := http.NewRequest(http.MethodPost, "https://"+l.Addr().String()+notifications, strings.NewReader(note()))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer poster")
		return client.Do(r)
	}
	release := s.blocked()
	type result struct {
		status, protocol int
		err              error
	}
	first := make(chan result, 1)
	go func() {
		answer, err := post()
		if err != nil {
			first <- result{err: err}
			return
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		first <- result{status: answer.StatusCode, protocol: answer.ProtoMajor}
	}()
	g.Eventually(s.waiting, patience).Should(Equal(1))
	stop()
	g.Eventually(func() error {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err
	}, patience).Should(HaveOccurred(), "no more")
	g.Consistently(ended, 100*time.Millisecond).ShouldNot(Receive())
	release()
	g.Eventually(first, patience).Should(Receive(Equal(result{status: http.StatusCreated, protocol: 2})))
	g.Eventually(ended, patience).Should(Receive(BeNil()))
	g.Expect(s.count("notification_audit")).To(Equal(1))
}

func TestConfigsThatCannotWork(t *testing.T) {
	g := NewWithT(t)
	_, err := New(Config{})
	g.Expect(err).To(MatchError(ContainSubstring("a store and an authorizer")))
	s := newStore(t)
	_, err = New(Config{Store: s, Authorizer: NoAuth{}, Limits: Limits{BodyBytes: 10, BytesInFlight: 5}})
	g.Expect(err).To(MatchError(ContainSubstring("expected at least the max body bytes")))
	_, err = New(Config{Store: s, Authorizer: NoAuth{}, Limits: Limits{Writes: -1}})
	g.Expect(err).To(MatchError(ContainSubstring("negative")))
	server, err := New(Config{Store: s, Authorizer: NoAuth{}, Address: "256.0.0.1:1"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(server.Run(t.Context())).To(MatchError(ContainSubstring("256.0.0.1")))
}

// A request that fails in a way that nobody thought of is one failed request.
func TestAPanicIsOneFailedRequest(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Authorizer = panicking{} })
	c := readContract(t, s)
	answer := s.post(notifications, note())
	g.Expect(answer.status).To(Equal(http.StatusInternalServerError))
	c.documented(http.MethodPost, notifications, answer)
	g.Expect(answer.body).NotTo(ContainSubstring("unthinkable"))
	g.Expect(s.do(http.MethodGet, "/healthz", "", nil).status).To(Equal(http.StatusOK))
	g.Expect(s.server.gates.requests.TryAcquire(int64(s.server.config.Limits.Requests))).To(BeTrue(), "nothing is held")
}

type panicking struct{}

func (panicking) Authorize(context.Context, string) (Caller, error) { panic("unthinkable") }

// A database that answers, and takes no rows, is not ready.
func TestAReadOnlyDatabaseIsNotReady(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	status := func() int { return s.do(http.MethodGet, "/readyz", "", nil).status }
	g.Expect(status()).To(Equal(http.StatusOK))
	s.turnReadOnly("on")
	g.Eventually(status, patience).Should(Equal(http.StatusServiceUnavailable))
	s.turnReadOnly("off")
	g.Eventually(status, patience).Should(Equal(http.StatusOK))
}

// turnReadOnly makes the database read-only, or not, and ends the sessions that are not.
func (s *service) turnReadOnly(value string) {
	s.t.Helper()
	g := NewWithT(s.t)
	var name string
	g.Expect(s.store.DB().QueryRowContext(s.t.Context(), "SELECT current_database()").Scan(&name)).To(Succeed())
	admin, err := pgx.Connect(s.t.Context(), database.URL())
	g.Expect(err).NotTo(HaveOccurred())
	defer admin.Close(s.t.Context())
	_, err = admin.Exec(s.t.Context(), "ALTER DATABASE "+name+" SET default_transaction_read_only = "+value)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = admin.Exec(s.t.Context(), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1", name)
	g.Expect(err).NotTo(HaveOccurred())
}
