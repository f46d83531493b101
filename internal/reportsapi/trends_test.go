package reportsapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/rar"
)

const trendsOfMonth = pathTrends + window

func (r reply) trends(t *testing.T) *rar.Trends {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.status).To(Equal(http.StatusOK), r.body)
	trends := &rar.Trends{}
	g.Expect(json.Unmarshal([]byte(r.body), trends)).To(Succeed())
	return trends
}

// child persists the only entry of a child resource of a remediation.
func (s *service) child(kind, namespace string, at time.Time, record map[string]any) {
	s.t.Helper()
	source := entry.Source{Namespace: namespace, Name: "child", UID: types.UID(fmt.Sprintf("5a1b0c7d-6a3e-4be0-9f0e-%012x", made.Add(1))), Created: at}
	s.persist(source, kind, step{at, entry.Change{Event: "Completed", Phase: "Completed", Final: true, Record: record}})
}

// decided persists the analysis of a remediation, approved by a person after a minute, and its execution.
func (s *service) decided(id, namespace string, confidence float64) {
	s.t.Helper()
	at := received.Add(time.Second)
	s.child(entry.KindAIDecision, namespace, at, map[string]any{"remediation_id": id, "investigation_started_at": at, "action_confidence": confidence, "investigator": "holmesgpt", "model": "m",
		"recommended_action": "restart-pods", "approval_status": "approved", "approval_requested_at": at, "approval_duration_seconds": 60})
	s.child(entry.KindExecution, namespace, at, map[string]any{"remediation_id": id, "workflow_id": "restart-pods", "execution_started_at": at, "outcome": "success", "post_conditions_passed": true})
}

// A question is called off when somebody decides. The attempt that this breaks off is no failure of the channel, in trends as in reports; one without an answer is.
func TestTrendsOfDeliveries(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	for _, n := range []struct {
		purpose  string
		statuses []string
	}{
		{"ApprovalNeeded", []string{"failed", "success"}}, {"ApprovalNeeded", []string{"unknown"}}, {"ApprovalReminder", []string{"failed", "unknown"}}, {"ApprovalReminder", []string{"success"}},
		{"Outcome", []string{"unknown"}}, {"Outcome", []string{"success"}}, {"", []string{"unknown", "success"}}, {"Outcome", []string{"failed"}},
	} {
		var attempts []map[string]any
		for i, status := range n.statuses {
			attempts = append(attempts, map[string]any{"channel": "slack", "attempt": i + 1, "status": status})
		}
		record := map[string]any{"remediation_id": id, "notification_requested_at": received, "channels": []string{"slack"}, "delivery_attempts": attempts}
		if n.purpose != "" {
			record["purpose"] = n.purpose
		}
		s.child(entry.KindNotification, "shop", received, record)
	}
	g.Expect(s.get(trendsOfMonth, "all").trends(t).Deliveries.Channels).To(ConsistOf(And(
		HaveField("Channel", "slack"), HaveField("Notifications", BeEquivalentTo(8)), HaveField("Undelivered", BeEquivalentTo(2)), HaveField("CalledOff", BeEquivalentTo(2)),
		HaveField("Attempts", BeEquivalentTo(9)), HaveField("Failed", BeEquivalentTo(5)))))
}

func TestTrends(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	good := s.write(remediation{})
	s.decided(good, "shop", 90)
	s.write(remediation{outcome: "failed", alert: "PodCrash", name: "web", fingerprint: "f2", seconds: 600})
	s.write(remediation{received: received.AddDate(0, 0, 3), namespace: "bank"}) // the same fingerprint and target elsewhere
	s.write(remediation{received: received.AddDate(0, 0, 2)})                    // back after two days

	all := s.get(trendsOfMonth, "all").trends(t)
	g.Expect(all.Scope).To(Equal(rar.ScopeEverything))
	g.Expect([]int64{all.Outcomes.N, all.Outcomes.Success, all.Outcomes.Received, all.Outcomes.Open}).To(Equal([]int64{4, 3, 4, 0}))
	g.Expect(all.Outcomes.Groups).To(ContainElement(And(HaveField("Outcome", "failed"), HaveField("P50", HaveValue(Equal(600.0))))))
	g.Expect(all.MTTR.P50).To(HaveValue(Equal(60.0)))
	g.Expect(all.Recurrence.Returned).To(BeEquivalentTo(1))
	g.Expect(all.Recurrence.Windows[1].Returned).To(BeZero())
	g.Expect(all.Recurrence.Alerts[0].Examples).To(Equal([]string{good}))
	g.Expect([]int64{all.AI.All.Decisions, all.AI.All.Executed, all.AI.All.Labelled, all.AI.All.Success}).To(Equal([]int64{1, 1, 1, 1}))
	g.Expect(all.AI.Groups).To(ConsistOf(And(HaveField("Investigator", "holmesgpt"), HaveField("Brier.Score", 0.01))))
	g.Expect(all.Approvals.Asked).To(BeEquivalentTo(1))
	g.Expect(all.Thresholds.Items[0].Seconds).To(Equal(60.0))
	g.Expect(all.Thresholds.Items[9].N).To(BeZero(), "95 is above")
	g.Expect(all.Targets.ByTime[0].Target.Name).To(Equal("web"))
	g.Expect(s.get(reports+"/"+all.Targets.ByTime[0].Examples[0], "all").status).To(Equal(http.StatusOK), "an example leads to its report")

	shop := s.get(trendsOfMonth, "shop").trends(t)
	g.Expect(shop.Scope).To(Equal(rar.ScopeNamespaces))
	g.Expect(shop.Outcomes.N).To(BeEquivalentTo(3))
	for query, want := range map[string]int64{"&namespace=bank": 1, "&alert=PodCrash": 1, "&workflow=restart-pods": 1, "&workflow=restart-pods&alert=PodCrash": 0, "&namespace=shop&namespace=bank": 4, "&alert=none": 0} {
		g.Expect(s.get(trendsOfMonth+query, "all").trends(t).Outcomes.N).To(Equal(want), query)
	}
	g.Expect(s.get(trendsOfMonth+"&namespace=bank", "shop").trends(t).Outcomes.N).To(BeZero())
	g.Expect(s.get(trendsOfMonth, "nobody").trends(t).Outcomes.N).To(BeZero())
	g.Expect(s.get(trendsOfMonth, "all").body).To(Equal(s.get(trendsOfMonth, "all").body))

	text := s.get(trendsOfMonth+"&format=md", "all")
	g.Expect(text.header.Get("Content-Type")).To(Equal("text/markdown; charset=utf-8"))
	g.Expect(text.body).To(And(ContainSubstring("# Trends from 2026-11-01"), ContainSubstring("4 remediations ended: 3 remediated, 1 failed.")))
	g.Expect(s.get(trendsOfMonth, "all", "Accept", "text/markdown").body).To(Equal(text.body))
	g.Expect(s.get(trendsOfMonth, "all", "Accept", "image/svg+xml").problem(t).Detail).To(ContainSubstring("expected application/json, text/markdown or text/html; or give format=json, md or html"))
}

// A decision is judged by rows of its own namespace: whoever writes an analysis under somebody's id gets no share in how that ended.
func TestStrangersHaveNoShareInTrends(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	s.decided(id, "shop", 90)
	before := s.get(trendsOfMonth, "shop")
	s.decided(id, "bank", 10)
	s.post(id)
	g.Expect(s.get(trendsOfMonth, "shop").body).To(Equal(before.body))
	all := s.get(trendsOfMonth, "all").trends(t)
	g.Expect([]int64{all.AI.All.Decisions, all.AI.All.Executed, all.AI.All.Labelled}).To(Equal([]int64{2, 1, 1}))
	g.Expect(s.get(trendsOfMonth, "bank").trends(t).AI.All.Labelled).To(BeZero())
}

// postAll posts rows in the order in which they arrive.
func (s *service) postAll(rows ...models.Row) {
	s.t.Helper()
	for _, row := range rows {
		e := row.Head()
		e.ID, e.Event, e.RecordedAt, e.RecordedBy, e.SchemaVersion, e.Entry = fmt.Sprintf("4f8e0a52-6a3e-4be0-8f0e-%012x", made.Add(1)), "Posted", outboxapi.NewTime(received), "somebody", 1, "{}"
		_, err := s.store.Post(s.t.Context(), []models.Row{row})
		NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
	}
}

// Of rows that were posted under one id the first counts that says it: the end, the confidence, the result of the checks. Whoever posts more of them has no share in the figures.
func TestTrendsOfRowsThatWerePostedAgain(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	at := outboxapi.NewTime(received)
	ended := func(name string) *models.OrchestrationRow {
		return &models.OrchestrationRow{Orchestration: models.Orchestration{RemediationID: "posted", SignalFingerprint: "f", SignalReceivedAt: at, RemediationCreatedAt: at, WorkflowStartedAt: &at, CompletedAt: &at,
			Outcome: "remediated", Target: &models.Target{Kind: "Deployment", Name: name}}}
	}
	decided := func(confidence *float64) *models.AIDecisionRow {
		return &models.AIDecisionRow{AIDecision: models.AIDecision{RemediationID: "posted", InvestigationStartedAt: at, ActionConfidence: confidence,
			ApprovalStatus: "approved", ApprovalRequestedAt: &at, ApprovalDurationSeconds: ptr.To(int64(60))}}
	}
	executed := func(passed *bool) *models.ExecutionRow {
		return &models.ExecutionRow{Execution: models.Execution{RemediationID: "posted", WorkflowID: "restart-pods", ExecutionStartedAt: at, PostConditionsPassed: passed}}
	}
	s.postAll(decided(nil), executed(nil), ended("cart"), decided(ptr.To(90.0)), executed(ptr.To(true)))
	s.postAll(ended("web"), decided(ptr.To(10.0)), decided(ptr.To(90.0)), executed(ptr.To(false)))

	all := s.get(trendsOfMonth, "all").trends(t)
	g.Expect([]int64{all.AI.All.Decisions, all.AI.All.Labelled, all.AI.All.Success}).To(Equal([]int64{1, 1, 1}))
	g.Expect(all.AI.All.Bins[9].Decisions).To(BeEquivalentTo(1))
	g.Expect([]float64{float64(all.Thresholds.Items[0].N), all.Thresholds.Items[0].Seconds}).To(Equal([]float64{1, 60}))
	g.Expect(all.Outcomes.N).To(BeEquivalentTo(2), "each posted row")
	g.Expect(all.Targets.N).To(BeEquivalentTo(1))
	g.Expect(all.Targets.ByCount).To(ConsistOf(And(HaveField("Target.Name", "cart"), HaveField("Share", 1.0))), "of the remediations that count here")
}

// An alert whose name is empty and one without a name are one group.
func TestTrendsOfAlertsWithoutAName(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	at := outboxapi.NewTime(received)
	for i, signal := range []*models.SignalContext{nil, {Severity: "critical"}} {
		s.postAll(&models.OrchestrationRow{Orchestration: models.Orchestration{RemediationID: fmt.Sprint(i), SignalFingerprint: "f", SignalReceivedAt: at, RemediationCreatedAt: at, CompletedAt: &at, SignalContext: signal}})
	}
	alerts := s.get(trendsOfMonth, "all").trends(t).Alerts
	g.Expect(alerts.Groups).To(BeEquivalentTo(1))
	g.Expect(alerts.ByCount).To(ConsistOf(And(HaveField("Alert", "(without a name)"), HaveField("N", BeEquivalentTo(2)))))
}

// A notification that ended without an attempt is in no channel. It is said how many there are, beside as many channels as are listed.
func TestTrendsOfNotificationsWithoutAnAttempt(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	var attempts []map[string]any
	for i := range rar.MaxTrendGroups + 2 {
		attempts = append(attempts, map[string]any{"channel": fmt.Sprintf("channel-%d", i), "attempt": 1, "status": "success"})
	}
	for _, attempts := range [][]map[string]any{nil, attempts} {
		s.child(entry.KindNotification, "shop", received, map[string]any{"remediation_id": id, "notification_requested_at": received, "delivery_attempts": attempts})
	}
	deliveries := s.get(trendsOfMonth, "all").trends(t).Deliveries
	g.Expect([]int64{deliveries.Notifications, deliveries.Unattempted, deliveries.Groups}).To(Equal([]int64{2, 1, int64(rar.MaxTrendGroups + 2)}))
	g.Expect(deliveries.Channels).To(HaveLen(rar.MaxTrendGroups))
	g.Expect(s.get(trendsOfMonth+"&format=md", "all").body).To(ContainSubstring("1 notification ended without an attempt"))
}

func TestBadTrends(t *testing.T) {
	s := start(t)
	for query, want := range map[string]string{
		"": "start is missing",
		"?start=2026-11-24T00:00:00Z&end=2026-11-24T00:00:00Z": "expected a time after start",
		"?start=2025-01-01T00:00:00Z&end=2026-12-01T00:00:00Z": "end is 2026-12-01T00:00:00Z, expected at most 366 days after start (2025-01-01T00:00:00Z)",
		"?start=0001-01-01T00:00:00Z&end=2026-12-01T00:00:00Z": `start is "0001-01-01T00:00:00Z", expected a year from 2 to 9998`,
		"?start=2026-11-01T00:00:00Z&end=0001-01-01T00:00:00Z": `end is "0001-01-01T00:00:00Z", expected a year from 2 to 9998`,
		window + "&format=svg":                                 `format is "svg", expected json, md or html`,
		window + "&outcome=failed":                             "outcome is no parameter of this request",
		window + "&alert=" + strings.Repeat("x", 256):          "alert has 256 characters",
	} {
		g := NewWithT(t)
		answer := s.get(pathTrends+query, "all")
		g.Expect(answer.status).To(Equal(http.StatusUnprocessableEntity), query)
		g.Expect(answer.problem(t).Detail).To(ContainSubstring(want))
	}
	NewWithT(t).Expect(s.get(trendsOfMonth, "").status).To(Equal(http.StatusUnauthorized))
}

// A window whose rows cannot be read in time is refused with what to ask for instead, and the next request is answered.
func TestTrendsThatTakeTooLong(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.ReadTimeout = 500 * time.Millisecond })
	holder, err := pgx.Connect(t.Context(), s.dsn)
	g.Expect(err).NotTo(HaveOccurred())
	defer holder.Close(t.Context())
	held, err := holder.Begin(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	_, err = held.Exec(t.Context(), "LOCK TABLE orchestration_audit")
	g.Expect(err).NotTo(HaveOccurred())
	late := s.get(trendsOfMonth, "all")
	g.Expect(late.status).To(Equal(http.StatusUnprocessableEntity), late.body)
	g.Expect(late.problem(t).Detail).To(And(ContainSubstring("window of 60.0 days"), ContainSubstring("expected a shorter window, or one namespace, alert or workflow")))
	g.Expect(held.Rollback(t.Context())).To(Succeed())
	g.Eventually(func() int { return s.get(trendsOfMonth, "all").status }, patience).Should(Equal(http.StatusOK))
}

// Trends are few at once: those beyond wait, and are refused when it lasts.
func TestTrendsAreFewAtOnce(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.Wait = time.Millisecond })
	g.Expect(s.server.gates.trends.TryAcquire(trendsAtOnce)).To(BeTrue())
	refused := s.get(trendsOfMonth, "all")
	g.Expect(refused.status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(refused.header.Get("Retry-After")).NotTo(BeEmpty())
	s.server.gates.trends.Release(trendsAtOnce)
	g.Expect(s.get(trendsOfMonth, "all").status).To(Equal(http.StatusOK))

	own, leave := s.server.shares.enter("auditor") // half of them is one tenant's
	defer leave()
	g.Expect(own.trends.TryAcquire(trendsAtOnce / 2)).To(BeTrue())
	g.Expect(s.get(trendsOfMonth, "all").problem(t).Detail).To(ContainSubstring("you have trends under way"))
	g.Expect(s.get(trendsOfMonth, "shop").status).To(Equal(http.StatusOK), "another tenant")
	own.trends.Release(trendsAtOnce / 2)
}
