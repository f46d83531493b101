package reportsapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// flood posts n rows under an id into a table, each as another caller: more than a report may read.
func (s *service) flood(id string, n int) {
	s.t.Helper()
	s.execute(fmt.Sprintf(`INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, event, phase, final, recorded_at, recorded_by, schema_version, entry)
		SELECT gen_random_uuid(), '%s', 'f', '%s', '%[2]s', 'Posted', '', false, '%[2]s'::timestamptz + n * interval '1 millisecond', 'flood-' || n, 1, '{}' FROM generate_series(1, %d) AS n`,
		id, received.Add(time.Minute).Format(time.RFC3339Nano), n))
}

// Whoever may post rows can post any number under any id. The remediation's own report stays whole, says how many there are as far as it counts, and a caller who may not see them
// is answered the same bytes as before.
func TestAFloodUnderAnIDHidesNoReport(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	path := reports + "/" + id
	before, seen := s.asked(path, "shop", "application/json"), s.get(path, "all").report(t)
	s.flood(id, 25_000)

	after := s.asked(path, "shop", "application/json")
	g.Expect(after).To(Equal(before))
	flooded := s.get(path, "all").report(t)
	g.Expect(flooded.Summary).To(Equal(seen.Summary))
	g.Expect(flooded.Complete).To(Equal(seen.Complete))
	g.Expect(flooded.OtherRows).To(HaveLen(26), "25 callers, and the rest")
	rest := flooded.OtherRows[len(flooded.OtherRows)-1]
	for _, o := range flooded.OtherRows {
		if o.RecordedBy == "" {
			rest = o
		}
	}
	g.Expect(rest.AtLeast).To(BeTrue())
	g.Expect(rest.Rows).To(Equal(10_001 - 25))
	for _, format := range []string{"md", "html"} {
		g.Expect(s.get(path+"?format="+format, "all").body).To(ContainSubstring("9976 or more"))
	}
	g.Expect(s.get(reports+window+"&view=summary", "shop").page(t).ids()).To(Equal([]string{id}))
	g.Expect(s.batch("shop", fmt.Sprintf(`{"remediation_ids": [%q]}`, id)).lines(t)[0]).To(HaveKey("report"))
}

// Where no resource has rows the caller who came first is believed, whatever follows.
func TestTheFirstToPostIsBelievedUnderAFlood(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	s.post("by-hand")
	before := s.get(reports+"/by-hand", "all").report(t)
	s.flood("by-hand", 25_000)
	after := s.get(reports+"/by-hand", "all").report(t)
	g.Expect(after.Summary).To(Equal(before.Summary))
	g.Expect(after.Timeline).To(Equal(before.Timeline))
	g.Expect(after.OtherRows).To(HaveLen(25), "24 other callers, and the rest")
	g.Expect(after.OtherRows).NotTo(ContainElement(HaveField("RecordedBy", "stranger")))
	g.Expect(s.get(reports+"/by-hand", "shop").status).To(Equal(http.StatusNotFound))
}

// A child that is named only by an entry that could not become a row is the remediation's all the same.
func TestAChildThatADeadLetterNames(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	child := "99999999-6a3e-4be0-9f0e-3c1d8a4b2c12"
	s.persist(entry.Source{Namespace: "shop", Name: "cart-analysis", UID: "99999999-6a3e-4be0-9f0e-3c1d8a4b2c12", Created: received}, entry.KindAIDecision,
		step{received.Add(time.Second), entry.Change{Event: "Completed", Phase: "Completed", Final: true, Record: map[string]any{"remediation_id": id, "investigation_started_at": received, "root_cause": "a leak"}}})
	path := reports + "/" + id
	for _, token := range []string{"shop", "all"} {
		without := s.get(path, token).report(t)
		g.Expect(without.AI).To(BeNil())
		g.Expect(without.OtherRows).To(ConsistOf(HaveField("SourceUID", child)))
	}
	text := fmt.Sprintf(`{"record": {"children": [{"service": "AIAnalysis", "name": "cart-analysis", "uid": %q}, {"uid": "no uuid"}]}}`, strings.ToUpper(child))
	s.execute(fmt.Sprintf(`INSERT INTO audit_dead_letter (id, entry_hash, kind, entry, error, sqlstate, source_cluster, source_namespace, source_name, source_uid, sequence, first_attempt, last_attempt, attempts)
		VALUES (gen_random_uuid(), sha256('x'), 'orchestration', '%s', 'too long', '22001', 'east', 'shop', 'cart', '%s', 3, '%[3]s', '%[3]s', 1)`, strings.ToLower(text), id, received.Add(90*time.Second).Format(time.RFC3339Nano)))
	for _, token := range []string{"shop", "all"} {
		with := s.get(path, token).report(t)
		g.Expect(with.AI).NotTo(BeNil())
		g.Expect(with.AI.RootCause).To(Equal("a leak"))
		g.Expect(with.OtherRows).To(BeEmpty())
	}
}

// Whoever can write rows of one remediation without end hides neither the others from a list nor takes all memory.
func TestARemediationThatIsTooLargeHidesNoOther(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.ReadTimeout = 4 * patience })
	id := s.write(remediation{})
	large := s.write(remediation{received: received.Add(time.Hour)})
	s.execute(fmt.Sprintf(`INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, 
		source_cluster, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
		SELECT gen_random_uuid(), '%s', 'f', '%s', '%[2]s', 'east', 'shop', 'cart', '%[1]s', n, 'Flooded', '', false, '%[2]s', 1, repeat('x', 65536) FROM generate_series(3, 600) AS n`, large, received.Add(time.Hour).Format(time.RFC3339Nano)))
	for _, token := range []string{"all", "shop"} {
		refused := s.get(reports+"/"+large, token)
		g.Expect(refused.status).To(Equal(http.StatusUnprocessableEntity))
		g.Expect(refused.problem(t).Detail).To(ContainSubstring("the remediation has more rows than one report takes; read its resources one by one under /api/v2/resources/"))
		g.Expect(s.get(reports+window, token).page(t).ids()).To(Equal([]string{large, id}))
		g.Expect(s.get(reports+window, token).body).To(ContainSubstring(`"problem":`))
		lines := s.get(reports+window, token, "Accept", ndjson).lines(t)
		g.Expect(lines).To(HaveLen(3))
		g.Expect(lines[0]).To(HaveKey("problem"))
		g.Expect(lines[2]["end"]).To(MatchJSON(`{"total":2,"ok":1,"not_found":0,"failed":1}`))
	}
	g.Expect(s.get(reports+"/"+large, "bank").status).To(Equal(http.StatusNotFound), "and who may not see it does not learn that it is large")
}

// Large reports take memory that is bounded: one that finds none left waits, and is refused with when to come again.
func TestLargeReportsAreBoundedTogether(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.Wait = 20 * time.Millisecond })
	id := s.write(remediation{})
	s.execute(fmt.Sprintf(`INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, 
		source_cluster, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry)
		SELECT gen_random_uuid(), '%s', 'f', '%s', '%[2]s', 'east', 'shop', 'cart', '%[1]s', n, 'Large', '', false, '%[2]s', 1, repeat('x', 65536) FROM generate_series(3, 40) AS n`, id, received.Format(time.RFC3339Nano)))
	other := s.write(remediation{received: received.Add(-time.Hour)})
	g.Expect(s.get(reports+"/"+id, "all").status).To(Equal(http.StatusOK))
	free := func() bool { return s.server.gates.memory.TryAcquire(reportMemory) }
	g.Eventually(free, patience).Should(BeTrue(), "nothing is held")
	refused := s.get(reports+"/"+id, "all")
	g.Expect(refused.status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(refused.header.Get("Retry-After")).NotTo(BeEmpty())
	g.Expect(s.get(reports+"/"+other, "all").status).To(Equal(http.StatusOK), "a small one needs none")
	s.server.gates.memory.Release(reportMemory)
	g.Expect(s.get(reports+"/"+id, "all").status).To(Equal(http.StatusOK))
	g.Eventually(free, patience).Should(BeTrue())
}
