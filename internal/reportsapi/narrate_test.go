package reportsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// teller is a Narrator that says one sentence, when it is released.
type teller struct {
	known   sync.Map // key → *rar.Narrative
	release chan struct{}
	asked   atomic.Int32
}

func newTeller() *teller {
	t := &teller{release: make(chan struct{})}
	close(t.release)
	return t
}

func (t *teller) Cached(key string) *rar.Narrative {
	known, _ := t.known.Load(key)
	n, _ := known.(*rar.Narrative)
	return n
}

func (t *teller) Timeout() time.Duration { return patience }

func (t *teller) Generate(ctx context.Context, key string, report *rar.Report) *rar.Narrative {
	t.asked.Add(1)
	select {
	case <-t.release:
	case <-ctx.Done():
		n := report.Narrative
		n.Reason = "timeout"
		return &n
	}
	n := &rar.Narrative{Status: rar.NarrativeGenerated, Provenance: &rar.Provenance{Model: "tale-1"}, Claims: []rar.Claim{{Section: "summary", Kind: "observation", Text: "Told.", Facts: []string{"F1"}, Refs: []string{}}}}
	t.known.Store(key, n)
	return n
}

// narrating is an Authorizer whose callers may narrate where the token says so: "reader" nowhere, everybody else where they may read.
type narrating struct{ byToken }

func (a narrating) Authorize(ctx context.Context, bearer, verb string, named []string) (Caller, error) {
	name, reads, only := strings.Cut(bearer, "-reads-")
	if only {
		bearer = reads
	}
	c, err := a.byToken.Authorize(ctx, bearer, verb, named)
	if only {
		c.Name = name
	}
	if only && verb == verbNarrate {
		c.Readable = postgres.Readable{Cluster: "east", Since: map[string]time.Time{}}
	}
	return c, err
}

func tells(t *testing.T) (*service, *teller) {
	t.Helper()
	n := newTeller()
	s := start(t, func(c *Config) { c.Narrator, c.Authorizer = n, narrating{} })
	t.Cleanup(s.server.Close)
	return s, n
}

func TestANarrativeIsMadeOnceAndThenKnown(t *testing.T) {
	g := NewWithT(t)
	s, n := tells(t)
	id := s.write(remediation{})
	path := reports + "/" + id
	before := s.get(path, "all")
	g.Expect(before.report(t).Narrative.Status).To(Equal(rar.NarrativeRules))
	g.Expect(n.asked.Load()).To(BeZero(), "cached never asks")

	told := s.get(path+"?narrative=generate", "all")
	g.Expect(told.report(t).Narrative.Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(told.header.Get("ETag")).NotTo(Equal(before.header.Get("ETag")), "the ETag covers the narrative")
	g.Expect(s.get(path, "all").body).To(Equal(told.body), "it is known now")
	g.Expect(s.get(path+"?narrative=none", "all").report(t).Narrative.Status).To(Equal(rar.NarrativeNone))
	g.Expect(s.get(path+"?format=md", "all").body).To(And(ContainSubstring("Told."), ContainSubstring("Written by tale-1")))
	g.Expect(s.get(path, "all", "If-None-Match", told.header.Get("ETag")).status).To(Equal(http.StatusNotModified))
	g.Expect(s.get(reports+window, "all").body).To(ContainSubstring("Told."))
	s.write(remediation{received: received.Add(2 * time.Hour)})
	g.Expect(s.get(path, "all").report(t).Narrative.Status).To(Equal(rar.NarrativeRules), "the rows are others")
}

// Whoever may read and not narrate gets what is known, and is told what to ask for. What they may not read is not there.
func TestTheRightToNarrate(t *testing.T) {
	g := NewWithT(t)
	s, n := tells(t)
	id, other := s.write(remediation{}), s.write(remediation{namespace: "bank"})
	path := reports + "/" + id + "?narrative=generate"
	refused := s.get(path, "ann-reads-shop")
	g.Expect(refused.status).To(Equal(http.StatusForbidden))
	g.Expect(refused.problem(t).Detail).To(And(ContainSubstring("right to narrate"), ContainSubstring("holdfast-report-narrator"), ContainSubstring("narrative=cached")))
	g.Expect(s.get(reports+"/"+other+"?narrative=generate", "ann-reads-shop").status).To(Equal(http.StatusNotFound))
	g.Expect(s.get(reports+"/"+other+"?narrative=generate", "shop").status).To(Equal(http.StatusNotFound))
	g.Expect(n.asked.Load()).To(BeZero())
	g.Expect(s.get(path, "shop").report(t).Narrative.Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(s.get(reports+"/"+id, "ann-reads-shop").report(t).Narrative.Status).To(Equal(rar.NarrativeGenerated), "cached needs no right")
	g.Expect(s.get(reports+window+"&narrative=generate", "all").problem(t).Detail).To(ContainSubstring("which is for one report or a batch"))
	g.Expect(s.narrateBatch("ann-reads-shop", fmt.Sprintf(`{"remediation_ids":[%q],"narrative":"generate"}`, id)).status).To(Equal(http.StatusForbidden))
}

// A narrative of all rows is not for a reader who sees some of them.
func TestANarrativeIsOfWhatIsSeen(t *testing.T) {
	g := NewWithT(t)
	s, _ := tells(t)
	id := s.write(remediation{})
	s.post(id)
	path := reports + "/" + id
	g.Expect(s.get(path+"?narrative=generate", "all").report(t).Narrative.Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(s.get(path, "shop").report(t).Narrative.Status).To(Equal(rar.NarrativeRules))
}

func (s *service) narrateBatch(token, body string) reply {
	s.t.Helper()
	return s.do(http.MethodPost, pathBatch, token, strings.NewReader(body), "Content-Type", "application/json")
}

// jobView is a Job as a client reads it.
type jobView struct {
	Job, State string
	Counts     Counts
	Problem    *httpapi.Problem
	Results    []struct {
		ID     string
		Status int
		Report *rar.Report
	}
	Next int
}

func (r reply) job(t *testing.T, status int) jobView {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.status).To(Equal(status), r.body)
	var j jobView
	g.Expect(json.Unmarshal([]byte(r.body), &j)).To(Succeed())
	return j
}

// A batch with narratives is a job: asking twice is one, results come one by one, and it is its caller's.
func TestAJob(t *testing.T) {
	g := NewWithT(t)
	s, n := tells(t)
	n.release = make(chan struct{})
	one, two := s.write(remediation{}), s.write(remediation{name: "other"})
	body := fmt.Sprintf(`{"remediation_ids":[%q,"none",%q],"narrative":"generate"}`, one, two)
	begun := s.narrateBatch("shop", body)
	j := begun.job(t, http.StatusAccepted)
	path := pathBatch + "/" + j.Job
	g.Expect(begun.header.Get("Location")).To(Equal(path))
	g.Expect(j.State).To(Equal(jobRunning))
	g.Expect(s.narrateBatch("shop", body).job(t, http.StatusAccepted).Job).To(Equal(j.Job))
	g.Expect(s.narrateBatch("all", body).job(t, http.StatusAccepted).Job).NotTo(Equal(j.Job))

	n.release <- struct{}{}
	n.release <- struct{}{}
	g.Eventually(func() int { return s.get(path, "shop").job(t, http.StatusOK).Counts.Total }, patience).Should(BeNumerically(">=", 1))
	close(n.release)
	g.Eventually(func() string { return s.get(path, "shop").job(t, http.StatusOK).State }, patience).Should(Equal(jobDone))
	done := s.get(path, "shop").job(t, http.StatusOK)
	g.Expect(done.Counts).To(Equal(Counts{Total: 3, OK: 2, NotFound: 1}))
	g.Expect(done.Next).To(Equal(3))
	g.Expect(done.Results[0].Report.Narrative.Status).To(Equal(rar.NarrativeGenerated))
	g.Expect(s.get(path+"?after=2", "shop").job(t, http.StatusOK).Results).To(HaveLen(1))
	g.Expect(s.get(path+"?after=x", "shop").status).To(Equal(http.StatusUnprocessableEntity))

	g.Expect(s.get(path, "bank").status).To(Equal(http.StatusNotFound), "another's")
	g.Expect(s.do(http.MethodDelete, path, "bank", http.NoBody).status).To(Equal(http.StatusNotFound))
	g.Expect(s.do(http.MethodPut, path, "shop", http.NoBody).header.Get("Allow")).To(Equal("GET, HEAD, DELETE"))
}

// A job can be cancelled; then the same request is a new one. A service that was started again says what to do.
func TestAJobThatIsNoMore(t *testing.T) {
	g := NewWithT(t)
	s, n := tells(t)
	n.release = make(chan struct{})
	id := s.write(remediation{})
	body := fmt.Sprintf(`{"remediation_ids":[%q],"narrative":"generate"}`, id)
	j := s.narrateBatch("shop", body).job(t, http.StatusAccepted)
	path := pathBatch + "/" + j.Job
	g.Eventually(n.asked.Load, patience).Should(BeEquivalentTo(1))
	g.Expect(s.do(http.MethodDelete, path, "shop", http.NoBody).job(t, http.StatusOK).State).To(Equal(jobCancelled))
	s.server.jobs.all.Wait()
	g.Expect(s.get(path, "shop").job(t, http.StatusOK).Results).To(BeEmpty())
	close(n.release)
	g.Expect(s.narrateBatch("shop", body).job(t, http.StatusAccepted).Job).To(Equal(j.Job))
	s.server.jobs.all.Wait()
	g.Expect(s.get(path, "shop").job(t, http.StatusOK).State).To(Equal(jobDone))

	again := startOn(t, s.dsn, func(c *Config) { c.Narrator, c.Authorizer = n, narrating{} })
	t.Cleanup(again.server.Close)
	lost := again.get(path, "shop")
	g.Expect(lost.status).To(Equal(http.StatusGone))
	g.Expect(lost.problem(t).Detail).To(ContainSubstring("send the request again"))
	g.Expect(again.get(path, "bank").status).To(Equal(http.StatusNotFound))
	g.Expect(again.get(pathBatch+"/x", "shop").status).To(Equal(http.StatusNotFound))

	s.server.jobs.now = func() time.Time { return time.Now().Add(2 * jobLasts) }
	g.Expect(s.get(path, "shop").status).To(Equal(http.StatusGone), "too old")
}

// Rights that were lost since take the results along.
func TestAJobOfRightsThatWereLost(t *testing.T) {
	g := NewWithT(t)
	now := postgres.Readable{Cluster: "east", Since: map[string]time.Time{"shop": {}}}
	for _, c := range []struct {
		then   postgres.Readable
		covers bool
	}{
		{postgres.Readable{Cluster: "east", Since: map[string]time.Time{"shop": {}}}, true},
		{postgres.Readable{Cluster: "east", Since: map[string]time.Time{}}, true},
		{postgres.Readable{Cluster: "east", Since: map[string]time.Time{"shop": {}, "bank": {}}}, false},
		{postgres.Readable{Cluster: "east", Since: map[string]time.Time{"shop": received}}, false},
		{postgres.Readable{Cluster: "west", Since: map[string]time.Time{"shop": {}}}, false},
		{postgres.Readable{Everything: true}, false},
	} {
		g.Expect(covers(&now, &c.then)).To(Equal(c.covers), "%+v", c.then)
	}
	g.Expect(covers(&postgres.Readable{Everything: true}, &now)).To(BeTrue())
}

// Jobs are bounded: those of a tenant, and all.
func TestTooManyJobs(t *testing.T) {
	g := NewWithT(t)
	s, n := tells(t)
	n.release = make(chan struct{})
	id := s.write(remediation{})
	ask := func(token string, i int) reply {
		return s.narrateBatch(token, fmt.Sprintf(`{"remediation_ids":[%q,"%d"],"narrative":"generate"}`, id, i))
	}
	for i := range maxTenantJobs {
		ask("shop", i).job(t, http.StatusAccepted)
	}
	late := ask("shop", 99)
	g.Expect(late.status).To(Equal(http.StatusTooManyRequests))
	g.Expect(late.header.Get("Retry-After")).NotTo(BeEmpty())
	for i := maxTenantJobs; i < maxJobs; i++ {
		ask(fmt.Sprintf("shop,n%d", i), i).job(t, http.StatusAccepted)
	}
	g.Expect(ask("bank", 0).status).To(Equal(http.StatusServiceUnavailable))
	close(n.release)
	g.Eventually(func() int { return ask("bank", 0).status }, patience).Should(Equal(http.StatusAccepted), "the oldest that ended makes room")
}

// Reports are whole without a model: whoever asks for its narrative gets that of the rules, in a batch as well. No right is needed, since nothing is spent.
func TestGenerateWithoutAModel(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	g.Expect(s.get(reports+"/"+id+"?narrative=generate", "shop").report(t).Narrative.Status).To(Equal(rar.NarrativeRules))
	j := s.narrateBatch("shop", fmt.Sprintf(`{"remediation_ids": [%q], "narrative": "generate"}`, id)).job(t, http.StatusAccepted)
	g.Eventually(func() string { return s.get(pathBatch+"/"+j.Job, "shop").job(t, http.StatusOK).State }, patience).Should(Equal(jobDone))
	results := s.get(pathBatch+"/"+j.Job, "shop").job(t, http.StatusOK).Results
	g.Expect(results).To(HaveLen(1))
	g.Expect(results[0].Report.Narrative.Status).To(Equal(rar.NarrativeRules))
}

// A tenant with many accounts starts as many jobs as one with one account, in its share, and takes nobody's results.
func TestJobsOfOneTenantLeaveRoomToOthers(t *testing.T) {
	g := NewWithT(t)
	s, n := tells(t)
	ask := func(token, id string) reply {
		return s.narrateBatch(token, fmt.Sprintf(`{"remediation_ids":[%q],"narrative":"generate"}`, id))
	}
	account := func(i int) string { return fmt.Sprintf("bank/%d,shop", i) }
	isKept := func(job string) bool {
		s.server.jobs.mu.Lock()
		defer s.server.jobs.mu.Unlock()
		return s.server.jobs.known[job] != nil
	}
	unread := ask("shop", s.write(remediation{})).job(t, http.StatusAccepted).Job
	s.server.jobs.all.Wait()

	n.release = make(chan struct{})
	one, two := s.write(remediation{name: "one"}), s.write(remediation{name: "two"})
	began := 0
	for i := range 9 {
		for _, id := range []string{one, two} {
			if answer := ask(account(i), id); answer.status == http.StatusAccepted {
				began++
			} else {
				g.Expect(answer.problem(t).Detail).To(Equal("system:serviceaccount:bank has 2 jobs that run; wait for one, or cancel it with DELETE"))
			}
		}
	}
	g.Expect(began).To(Equal(maxTenantJobs))
	s.server.shares.mu.Lock()
	g.Expect(s.server.shares.of).To(HaveKey("system:serviceaccount:bank"), "their jobs are in their share")
	s.server.shares.mu.Unlock()
	g.Expect(ask("shop", one).status).To(Equal(http.StatusAccepted))
	close(n.release)
	s.server.jobs.all.Wait()

	for i := range 2 * maxJobs { // small ones, one after the other
		ask(account(i), "none").job(t, http.StatusAccepted)
		s.server.jobs.all.Wait()
	}
	g.Expect(isKept(unread)).To(BeTrue(), "it is the oldest")
	read := ask("ann", "none").job(t, http.StatusAccepted).Job
	s.server.jobs.all.Wait()
	g.Expect(isKept(unread)).To(BeTrue(), "another has more")
	g.Expect(s.get(pathBatch+"/"+read, "ann").job(t, http.StatusOK).State).To(Equal(jobDone))
	ask("bob", "none").job(t, http.StatusAccepted)
	s.server.jobs.all.Wait()
	g.Expect(isKept(read)).To(BeFalse(), "it was read")
	g.Expect(s.get(pathBatch+"/"+unread, "shop").job(t, http.StatusOK).Results).To(HaveLen(1))
	g.Eventually(func() int {
		s.server.shares.mu.Lock()
		defer s.server.shares.mu.Unlock()
		return len(s.server.shares.of)
	}, patience).Should(BeZero())
}

// A window is a job, too, with its faults said at once.
func TestAJobOfAWindow(t *testing.T) {
	g := NewWithT(t)
	s, _ := tells(t)
	s.write(remediation{})
	s.write(remediation{namespace: "bank"})
	j := s.narrateBatch("shop", `{"start":"2026-11-01T00:00:00Z","end":"2026-12-31T00:00:00Z","narrative":"generate"}`).job(t, http.StatusAccepted)
	g.Eventually(func() string { return s.get(pathBatch+"/"+j.Job, "shop").job(t, http.StatusOK).State }, patience).Should(Equal(jobDone))
	g.Expect(s.get(pathBatch+"/"+j.Job, "shop").job(t, http.StatusOK).Counts).To(Equal(Counts{Total: 1, OK: 1}))
	g.Expect(s.narrateBatch("shop", `{"start":"x","end":"2026-12-31T00:00:00Z","narrative":"generate"}`).status).To(Equal(http.StatusUnprocessableEntity))
}
