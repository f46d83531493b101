package reportsapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/migrations"
)

// blocked holds a table so that reads wait in the database until release.
func (s *service) blocked() (release func()) {
	s.t.Helper()
	g := NewWithT(s.t)
	tx, err := s.store.DB().BeginTx(context.Background(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = tx.ExecContext(context.Background(), "LOCK TABLE orchestration_audit IN ACCESS EXCLUSIVE MODE")
	g.Expect(err).NotTo(HaveOccurred())
	var once sync.Once
	release = func() { once.Do(func() { _ = tx.Rollback() }) }
	s.t.Cleanup(release)
	return release
}

// waiting is the number of reads that wait for the table.
func (s *service) waiting() int {
	s.t.Helper()
	var n int
	NewWithT(s.t).Expect(s.store.DB().QueryRowContext(s.t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()").Scan(&n)).To(Succeed())
	return n
}

// Twice as many as may: those beyond are refused at once or after their wait, with when to come again, and the others are answered.
func TestTooManyAtOnce(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.Requests, c.Limits.Reads, c.Limits.Wait = 4, 2, 50*time.Millisecond })
	id := s.write(remediation{})
	release := s.blocked()
	replies := make(chan reply, 8)
	for range 2 {
		go func() { replies <- s.get(reports+"/"+id, "all") }()
	}
	g.Eventually(s.waiting, patience).Should(Equal(2))
	for range 6 {
		answer := s.get(reports+"/"+id, "shop") // another caller: one alone has a share of it
		g.Expect(answer.status).To(Equal(http.StatusServiceUnavailable))
		g.Expect(answer.header.Get("Retry-After")).To(Equal("1"))
	}
	g.Expect(testutil.ToFloat64(s.server.metrics.shed.WithLabelValues(shedReads))).To(Equal(6.0))
	g.Expect(s.server.gates.requests.TryAcquire(2)).To(BeTrue())
	g.Expect(s.get(reports+"/"+id, "all").status).To(Equal(http.StatusServiceUnavailable), "too many requests")
	s.server.gates.requests.Release(2)
	g.Expect(testutil.ToFloat64(s.server.metrics.shed.WithLabelValues(shedRequests))).To(Equal(1.0))
	g.Expect(s.server.gates.streams.TryAcquire(int64(s.server.config.Limits.Streams))).To(BeTrue())
	g.Expect(s.get(reports+window, "all", "Accept", ndjson).status).To(Equal(http.StatusServiceUnavailable), "too many streams")
	release()
	for range 2 {
		g.Expect((<-replies).status).To(Equal(http.StatusOK))
	}
}

// A caller who goes away takes their query along.
func TestACallerWhoGoesAwayEndsTheQuery(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	s.blocked()
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+reports+"/"+id, http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer all")
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		gone <- err
	}()
	g.Eventually(s.waiting, patience).Should(Equal(1))
	leave()
	g.Expect(<-gone).To(MatchError(context.Canceled))
	g.Eventually(s.waiting, patience).Should(BeZero(), "the server runs it no more")
}

// A question that takes too long is ended by the database, and says what to do.
func TestAQuestionThatTakesTooLong(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	s.blocked()
	answer := make(chan reply, 1)
	go func() { answer <- s.get(reports+"/"+id, "all") }()
	g.Eventually(s.waiting, patience).Should(Equal(1))
	s.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") // as the timeout does
	late := <-answer
	g.Expect(late.status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(late.problem(t).Detail).To(ContainSubstring("ask for a shorter window"))
	g.Expect(late.header.Get("Retry-After")).NotTo(BeEmpty())
}

// Without the database every request is refused with when to come again; with it everything goes on by itself. A standby that only reads is as good.
func TestTheDatabaseIsAway(t *testing.T) {
	g := NewWithT(t)
	own, err := localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(own.Close()).To(Succeed()) })
	g.Expect(migrations.Up(t.Context(), own.URL(), nil)).To(Succeed())
	s := startOn(t, own.URL())
	id := s.write(remediation{})
	path := reports + "/" + id
	before := s.get(path, "all")
	g.Expect(before.status).To(Equal(http.StatusOK))

	standby, err := own.Standby(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(standby.Close()).To(Succeed()) })
	g.Expect(own.CaughtUp(t.Context(), standby)).To(Succeed())
	reading := startOn(t, standby.URL())
	g.Expect(reading.get(path, "all").body).To(Equal(before.body))
	g.Expect(reading.get("/readyz", "").status).To(Equal(http.StatusOK))

	g.Expect(own.Kill(t.Context())).To(Succeed())
	for _, question := range []string{path, reports + window, "/api/v2/resources?name=cart&namespace=shop"} {
		away := s.get(question, "all")
		g.Expect(away.status).To(Equal(http.StatusServiceUnavailable))
		g.Expect(away.header.Get("Retry-After")).To(Equal("5"))
		g.Expect(away.body).NotTo(ContainSubstring("127.0.0.1"))
	}
	g.Eventually(func() int { return s.get("/readyz", "").status }, patience).Should(Equal(http.StatusServiceUnavailable))
	g.Expect(s.get("/healthz", "").status).To(Equal(http.StatusOK))
	g.Expect(reading.get(path, "all").body).To(Equal(before.body), "the standby has it")
	g.Expect(own.Start(t.Context())).To(Succeed())
	g.Expect(s.get(path, "all").body).To(Equal(before.body), "by itself")
}

// A database that takes connections and says nothing is away within a second, too.
func TestADatabaseThatSaysNothing(t *testing.T) {
	g := NewWithT(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = silent.Close() })
	s := startOn(t, fmt.Sprintf("postgres://nobody@%s/none?sslmode=disable", silent.Addr()))
	answer := s.get(reports+"/x", "all")
	g.Expect(answer.status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(answer.header.Get("Retry-After")).To(Equal("5"))
}

// Reports need no change of the schema: it is the golden one before anything is asked and after everything was, byte by byte.
func TestTheSchemaStaysAsItIs(t *testing.T) {
	g := NewWithT(t)
	golden, err := os.ReadFile("../../migrations/testdata/schema.txt")
	g.Expect(err).NotTo(HaveOccurred())
	s := start(t)
	before, err := migrations.Describe(t.Context(), s.store.DB().DB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(before).To(Equal(string(golden)))
	id := s.write(remediation{})
	for _, path := range []string{reports + "/" + id, reports + window, reports + window + "&view=summary", "/api/v2/resources/" + id + "/entries", "/api/v2/resources?name=cart&namespace=shop"} {
		g.Expect(s.get(path, "all").status).To(Equal(http.StatusOK))
	}
	g.Expect(s.batch("all", fmt.Sprintf(`{"remediation_ids": [%q]}`, id)).status).To(Equal(http.StatusOK))
	after, err := migrations.Describe(t.Context(), s.store.DB().DB)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(after).To(Equal(before))
}

// A stopping server ends streams, which then lack their last line, and answers what it has taken.
func TestStoppingAnswersWhatWasTaken(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	server, err := New(s.server.config)
	g.Expect(err).NotTo(HaveOccurred())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l) }()
	own := *s
	own.url = "http://" + l.Addr().String()
	release := s.blocked()
	answer := make(chan reply, 1)
	go func() { answer <- own.get(reports+"/"+id, "all") }()
	g.Eventually(s.waiting, patience).Should(Equal(1))
	stop()
	g.Eventually(server.Stopping, patience).Should(BeTrue())
	release()
	g.Expect((<-answer).status).To(Equal(http.StatusOK))
	g.Expect(<-ended).To(Succeed())
}
