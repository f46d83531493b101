package reportsapi

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/rar"
)

// at is some seconds after received.
func at(seconds int) outboxapi.Time {
	return outboxapi.NewTime(received.Add(time.Duration(seconds) * time.Second))
}

// A database may have a row that no report can show, as of a release before this one. Whoever reads several remediations gets the others, and learns which one it is.
func TestARowThatCannotBeReadHidesNoOther(t *testing.T) {
	s := start(t)
	good := []string{s.write(remediation{}), s.write(remediation{name: "till"})}
	const bad = "4f8e0a52-6a3e-4be0-9f0e-0000000000bb"
	s.execute(fmt.Sprintf(`INSERT INTO orchestration_audit (id, source_cluster, source_namespace, source_name, source_uid, sequence, remediation_id, signal_fingerprint, signal_received_at,
			remediation_created_at, completed_at, outcome, event, phase, final, recorded_at, schema_version, entry, entry_hash, created_at)
		SELECT gen_random_uuid(), source_cluster, source_namespace, 'bad', '%s', 1, '%[1]s', 'f', signal_received_at, remediation_created_at, '0002-01-01 00:00:00+00 BC', 'remediated', 'Completed', 'Completed', true,
			recorded_at, 1, '{}', entry_hash, created_at FROM orchestration_audit WHERE remediation_id = '%s' AND final`, bad, good[0]))
	for _, token := range []string{"all", "shop"} {
		t.Run(token, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(s.get(reports+"/"+bad, token).status).To(Equal(http.StatusUnprocessableEntity))
			g.Expect(s.get("/", token).status).To(Equal(http.StatusOK))
			g.Expect(s.get(reports+window+"&view=summary", token).page(t).ids()).To(ConsistOf(good[0], good[1], bad))
			g.Expect(s.get(reports+window, token).page(t).ids()).To(ConsistOf(good[0], good[1], bad))
			lines := s.get(reports+window, token, "Accept", ndjson).lines(t)
			g.Expect(lines[len(lines)-1]["end"]).To(MatchJSON(`{"total":3,"ok":2,"not_found":0,"failed":1}`))
			lines = s.get(reports+window+"&view=summary", token, "Accept", ndjson).lines(t)
			g.Expect(lines[len(lines)-1]["end"]).To(MatchJSON(`{"total":3,"ok":3,"not_found":0,"failed":0}`))
			lines = s.batch(token, fmt.Sprintf(`{"remediation_ids": [%q, %q, %q]}`, good[0], bad, good[1])).lines(t)
			g.Expect([]string{string(lines[0]["status"]), string(lines[1]["status"]), string(lines[2]["status"])}).To(Equal([]string{"200", "422", "200"}))
		})
	}
}

// Who writes the record of a request may name any number of children in it. A report of it costs what one of a request with fifty does, and says that there are more.
func TestChildrenWithoutNumber(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	const id, most, each = "4f8e0a52-6a3e-4be0-9f0e-0000000000cc", 8, 600
	source := entry.Source{Namespace: "shop", Name: "many", UID: types.UID(id), Created: received}
	var steps []step
	for i := range most {
		record := models.Orchestration{RemediationID: id, SignalFingerprint: "f", RemediationCreatedAt: at(0), SignalReceivedAt: at(0), ServicesInvoked: []string{"AIAnalysis"}}
		for j := range each {
			record.Children = append(record.Children, models.Child{Service: "AIAnalysis", Name: "a", UID: fmt.Sprintf("%08x-6a3e-4be0-9f0e-%012x", i, j)})
		}
		steps = append(steps, step{at(i).Time, entry.Change{Event: "Changed", Phase: "Analyzing", Record: record, Final: i == most-1}})
	}
	s.persist(source, entry.KindOrchestration, steps...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answer := s.get(reports+"/"+id, "shop")
	runtime.ReadMemStats(&after)
	report := answer.report(t)
	g.Expect(report.Complete.State).To(Equal(rar.StatePartial))
	g.Expect(report.Complete.Missing).To(HaveLen(50))
	g.Expect(report.Complete.Reasons).To(ContainElement(HaveField("Text", fmt.Sprintf("The request's rows name %d resources beyond the first 50, which do not count here.", most*each-50))))
	g.Expect(len(answer.body)).To(BeNumerically("<", 200<<10))
	stored := most * 60 << 10
	g.Expect(int(after.TotalAlloc-before.TotalAlloc)).To(BeNumerically("<", 60*stored), "in proportion to what is stored")
}

// Another program may write a request's rows without the names of its children. What stands under its id in its namespace counts, the first of each kind, and the report says so.
func TestARequestThatNamesNoChildren(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	const id = "4f8e0a52-6a3e-4be0-9f0e-0000000000dd"
	child := func(namespace string, n int, action string) {
		uid := fmt.Sprintf("4f8e0a52-6a3e-4be0-9f0e-0000000dd%03d", n)
		s.persist(entry.Source{Namespace: namespace, Name: fmt.Sprintf("a%d", n), UID: types.UID(uid), Created: received}, entry.KindAIDecision,
			step{at(n).Time, entry.Change{Event: "Decided", Phase: "Completed", Final: true, Record: models.AIDecision{RemediationID: id, InvestigationStartedAt: at(1), RecommendedAction: action}}})
	}
	child("bank", 1, "of a stranger")
	child("shop", 2, "restart-pods")
	child("shop", 3, "later")
	source := entry.Source{Namespace: "shop", Name: "other", UID: types.UID(id), Created: received}
	record := models.Orchestration{RemediationID: id, SignalFingerprint: "f", RemediationCreatedAt: at(0), SignalReceivedAt: at(0)}
	invoked := record
	invoked.ServicesInvoked = []string{"AIAnalysis"}
	s.persist(source, entry.KindOrchestration, step{at(0).Time, entry.Change{Event: "Received", Phase: "Pending", Record: record}}, step{at(9).Time, entry.Change{Event: "Completed", Phase: "Completed", Record: invoked, Final: true}})
	for _, token := range []string{"shop", "all"} {
		report := s.get(reports+"/"+id, token).report(t)
		g.Expect(report.AI).To(HaveField("Action", "restart-pods"), token)
		g.Expect(report.Complete.State).To(Equal(rar.StatePartial))
		g.Expect(report.Complete.Reasons).To(ContainElement(HaveField("Text", ContainSubstring("do not name the resources"))))
	}

	// Without a service that was invoked there is nothing to look for: a stranger's analysis of a request that has just begun is no part of it.
	const young = "4f8e0a52-6a3e-4be0-9f0e-0000000000ee"
	record.RemediationID = young
	s.persist(entry.Source{Namespace: "shop", Name: "young", UID: types.UID(young), Created: received}, entry.KindOrchestration, step{at(0).Time, entry.Change{Event: "Received", Phase: "Pending", Record: record}})
	s.persist(entry.Source{Namespace: "shop", Name: "a9", UID: "4f8e0a52-6a3e-4be0-9f0e-0000000ee009", Created: received}, entry.KindAIDecision,
		step{at(1).Time, entry.Change{Event: "Decided", Phase: "Completed", Final: true, Record: models.AIDecision{RemediationID: young, InvestigationStartedAt: at(1), RecommendedAction: "of a stranger"}}})
	body := s.get(reports+"/"+young, "shop").body
	var shown struct{ AI json.RawMessage }
	g.Expect(json.Unmarshal([]byte(body), &shown)).To(Succeed())
	g.Expect(string(shown.AI)).To(Or(Equal("null"), BeEmpty()))
	g.Expect(strings.Count(body, "of a stranger")).To(BeZero())
}

// What one record says of itself must not take the trends of a window from everybody.
func TestTrendsOfFiguresThatAreNone(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	for i, score := range []float64{1e300, -1e300, 1e15, 100.5, -1, 80} {
		s.persist(entry.Source{Namespace: "shop", Name: fmt.Sprintf("w%d", i), UID: types.UID(fmt.Sprintf("4f8e0a52-6a3e-4be0-9f0e-0000000ff%03d", i)), Created: received}, entry.KindExecution,
			step{at(1).Time, entry.Change{Event: "Completed", Phase: "Completed", Final: true, Record: models.Execution{
				RemediationID: id, WorkflowID: "restart", ExecutionStartedAt: at(1), Outcome: "success", EffectivenessScore: &score, RollbacksPerformed: ptr.To(int64(math.MaxInt32))}}})
		confidence := score * 1e3
		s.persist(entry.Source{Namespace: "shop", Name: fmt.Sprintf("a%d", i), UID: types.UID(fmt.Sprintf("4f8e0a52-6a3e-4be0-9f0e-0000000fa%03d", i)), Created: received}, entry.KindAIDecision,
			step{at(1).Time, entry.Change{Event: "Decided", Phase: "Completed", Final: true, Record: models.AIDecision{
				RemediationID: id, InvestigationStartedAt: at(1), ActionConfidence: &confidence, ApprovalDurationSeconds: ptr.To(int64(math.MaxInt32)), ApprovalRequestedAt: ptr.To(at(1)), ApprovalStatus: "approved"}}})
	}
	for i := range 3 { // from the first year to the last
		of := entry.Source{Namespace: "shop", Name: fmt.Sprintf("r%d", i), UID: types.UID(fmt.Sprintf("4f8e0a52-6a3e-4be0-9f0e-0000000fb%03d", i)), Created: received}
		record := models.Orchestration{RemediationID: string(of.UID), SignalFingerprint: "f", RemediationCreatedAt: at(1), SignalReceivedAt: outboxapi.NewTime(time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC)), CompletedAt: ptr.To(at(2)),
			Outcome: "remediated", TotalDurationSeconds: ptr.To(int64(math.MaxInt32)), BottleneckPhase: "ai_analysis", BottleneckDurationSeconds: ptr.To(int64(math.MaxInt32))}
		s.persist(of, entry.KindOrchestration, step{at(2).Time, entry.Change{Event: "Completed", Phase: "Completed", Final: true, Record: record}})
	}
	trends := s.get(trendsOfMonth, "all").trends(t)
	g.Expect(trends.Workflows.Items[0]).To(And(HaveField("N", BeEquivalentTo(6)), HaveField("Effectiveness", HaveValue(Equal(80.0)))))
	for _, format := range []string{"md", "html"} {
		g.Expect(s.get(trendsOfMonth+"&format="+format, "all").status).To(Equal(http.StatusOK))
	}
	g.Expect(s.get(reports+window, "all").status).To(Equal(http.StatusOK))
}
