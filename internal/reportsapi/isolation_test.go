package reportsapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// What a caller of one namespace is answered does not change with what is in another: not one byte, not one header, not one question to the database.
func TestACallerLearnsNothingOfAnotherNamespace(t *testing.T) {
	g := NewWithT(t)
	alone, beside := start(t), start(t)
	before := made.Load()
	var own string
	for _, s := range []*service{alone, beside} {
		made.Store(before) // the same ids in both
		for i := range 5 {
			own = s.write(remediation{received: received.Add(-time.Duration(i) * time.Hour)})
		}
	}
	var hidden string
	for i := range 7 {
		hidden = beside.write(remediation{namespace: "bank", received: received.Add(-time.Duration(i)*time.Hour - time.Minute)})
	}
	beside.write(remediation{namespace: "bank", received: received.Add(2 * time.Hour)}) // the same alert, fingerprint and target
	beside.post(own)
	beside.post("posted")
	beside.stranger(own, "bank")

	for _, path := range []string{
		reports + "/" + own, reports + "/" + own + "?format=json&narrative=none", reports + "/" + hidden, reports + "/posted", reports + "/none",
		reports + window, reports + window + "&limit=2", reports + window + "&view=summary", reports + window + "&view=summary&time=completed", reports + window + "&outcome=remediated",
		reports + window + "&alert=PodOOMKilled", reports + window + "&q=car", reports + window + "&q=posted", reports + window + "&workflow=restart-pods", reports + window + "&namespace=bank", reports + window + "&namespace=shop",
		"/api/v2/resources/" + own + "/entries", "/api/v2/resources/" + hidden + "/entries", "/api/v2/resources?name=cart&namespace=shop", "/api/v2/resources?name=cart&namespace=bank", "/api/v2/resources?name=cart",
		trendsOfMonth, trendsOfMonth + "&format=md", trendsOfMonth + "&namespace=bank", trendsOfMonth + "&alert=PodOOMKilled", trendsOfMonth + "&workflow=restart-pods",
	} {
		for _, accept := range []string{"application/json", ndjson} {
			if accept == ndjson && !strings.HasPrefix(path, reports+window) || accept == ndjson && strings.Contains(path, "limit") {
				continue
			}
			one, two := alone.asked(path, "shop", accept), beside.asked(path, "shop", accept)
			g.Expect(two.reply).To(Equal(one.reply), path)
			g.Expect(two.queries).To(Equal(one.queries), "%s: questions to the database", path)
		}
	}
	body := fmt.Sprintf(`{"remediation_ids": [%q, %q, "none"]}`, own, hidden)
	g.Expect(beside.do(http.MethodPost, pathBatch, "shop", strings.NewReader(body), "Content-Type", "application/json").body).
		To(Equal(alone.do(http.MethodPost, pathBatch, "shop", strings.NewReader(body), "Content-Type", "application/json").body))
	g.Expect(beside.get(reports+"/"+hidden, "all").status).To(Equal(http.StatusOK), "it is there")
	g.Expect(beside.get(reports+"/posted", "all").status).To(Equal(http.StatusOK))
	g.Expect(beside.get(reports+"/"+hidden, "shop").status).To(Equal(http.StatusNotFound))
	g.Expect(beside.get(reports+window, "all").page(t).Items).NotTo(HaveLen(5))
	g.Expect(beside.get(reports+window, "shop").page(t).Items).To(HaveLen(5))
	g.Expect(beside.get(reports+window+"&view=summary", "bank,shop").page(t).Items).To(HaveLen(13))
}

// A namespace that was deleted and made again does not inherit what its predecessor left: not its reports, not its entries, not its numbers.
func TestANamespaceMadeAgainInheritsNothing(t *testing.T) {
	g := NewWithT(t)
	again := received.Add(30 * time.Minute)
	s := start(t, func(c *Config) { c.Authorizer = byToken{since: again} })
	old := s.write(remediation{})
	young := s.write(remediation{received: again.Add(time.Minute)})
	g.Expect(s.get(reports+"/"+old, "shop").status).To(Equal(http.StatusNotFound))
	g.Expect(s.get("/api/v2/resources/"+old+"/entries", "shop").status).To(Equal(http.StatusNotFound))
	report := s.get(reports+"/"+young, "shop").report(t)
	g.Expect(report.History.N).To(BeZero(), "the cohort of the old one")
	g.Expect(s.get(reports+"/"+young, "all").report(t).History.N).To(BeEquivalentTo(1))
	g.Expect(s.get(reports+window, "shop").page(t).ids()).To(Equal([]string{young}))
	g.Expect(s.get(reports+window, "all").page(t).ids()).To(Equal([]string{young, old}))
	g.Expect(s.get(trendsOfMonth, "shop").trends(t).Outcomes.N).To(BeEquivalentTo(1))
	g.Expect(s.get(trendsOfMonth, "all").trends(t).Outcomes.N).To(BeEquivalentTo(2))
	for _, item := range s.get("/api/v2/resources?name=cart&namespace=shop", "shop").page(t).Items {
		g.Expect(item.UID).To(Equal(young))
	}
}

// Rows of another cluster are for whoever may see everything.
func TestANamespaceOfAnotherCluster(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	s.store = s.store.ForCluster("west")
	id := s.write(remediation{})
	g.Expect(s.get(reports+"/"+id, "shop").status).To(Equal(http.StatusNotFound))
	g.Expect(s.get(reports+window, "shop").page(t).Items).To(BeEmpty())
	g.Expect(s.get(trendsOfMonth, "shop").trends(t).Outcomes.N).To(BeZero())
	g.Expect(s.get(reports+"/"+id, "all").status).To(Equal(http.StatusOK))
}

// A stranger who posts rows under the id of somebody's remediation changes none of its figures.
func TestRowsOfStrangersChangeNoFigure(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	before := s.get(reports+"/"+id, "all").report(t)
	s.post(id)
	s.stranger(id, "bank")
	after := s.get(reports+"/"+id, "all").report(t)
	g.Expect(after.Summary).To(Equal(before.Summary))
	g.Expect(after.OtherRows).NotTo(BeEmpty())
	g.Expect(s.get(reports+"/"+id, "bank").report(t).Summary).NotTo(Equal(before.Summary), "whoever posted sees what they posted, and nothing else")
}

// stranger writes an analysis under the id of another's remediation, in a namespace of its own.
func (s *service) stranger(id, namespace string) {
	s.t.Helper()
	source := entry.Source{Namespace: namespace, Name: "x", UID: "99999999-6a3e-4be0-9f0e-3c1d8a4b2c11", Created: received}
	s.persist(source, entry.KindAIDecision, step{received.Add(time.Second), entry.Change{Event: "Completed", Phase: "Completed", Final: true,
		Record: map[string]any{"remediation_id": id, "investigation_started_at": received, "root_cause": "a lie"}}})
}

// writtenAt is when the database wrote a row: the two that are compared were not written at once.
var writtenAt = regexp.MustCompile(`"created_at":"[^"]*",`)

// observed is an answer, and how many queries it took.
type observed struct {
	reply   reply
	queries float64
}

func (s *service) asked(path, token, accept string) observed {
	s.t.Helper()
	before := testutil.ToFloat64(s.server.metrics.queries)
	answer := s.get(path, token, "Accept", accept)
	answer.header.Del("Date")
	answer.body = writtenAt.ReplaceAllString(answer.body, "")
	return observed{answer, testutil.ToFloat64(s.server.metrics.queries) - before}
}
