package rar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// resource is one resource with a chain of its own, made as a controller and the relay make it: Append writes the text, RowOf makes the row.
type resource struct {
	t      *testing.T
	kind   string
	source entry.Source
	box    *outboxapi.Outbox
	rows   []models.Row
}

// uid of the nth resource of a test.
func uid(n int) string { return fmt.Sprintf("3c1dd7ac-0000-4000-8000-%012d", n) }

func newResource(t *testing.T, kind, name string, n int, created time.Time) *resource {
	return &resource{t: t, kind: kind, source: entry.Source{Namespace: "production", Name: name, UID: types.UID(uid(n)), Created: created}}
}

// record appends an entry, and the row that it becomes.
func (r *resource) record(at time.Time, event, phase string, record any, final bool) *resource {
	r.t.Helper()
	g := NewWithT(r.t)
	var salt entry.Salt
	salt[0] = byte(len(r.rows) + 1)
	box, _, err := entry.Append(r.box, r.source, entry.Change{Kind: r.kind, Event: event, Phase: phase, Record: record, Final: final}, at, salt, entry.DefaultLimits())
	g.Expect(err).NotTo(HaveOccurred())
	text := []byte(box.Entries[len(box.Entries)-1])
	r.box = box
	decoded, err := entry.Decode(text)
	g.Expect(err).NotTo(HaveOccurred())
	row, err := postgres.RowOf("", &decoded, text)
	g.Expect(err).NotTo(HaveOccurred())
	row.Head().CreatedAt = outboxapi.NewTime(at.Add(300 * time.Millisecond))
	r.rows = append(r.rows, row)
	return r
}

// at is a time of the day of the worked example.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05.999999", "2025-11-02 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func stamp(clock string) *outboxapi.Time { return outboxapi.NewTimePointer(at(clock)) }

func child(service, name string, n int) models.Child {
	return models.Child{Service: service, Name: name, UID: uid(n)}
}

// rowsOf puts the rows of resources together.
func rowsOf(resources ...*resource) []models.Row {
	var all []models.Row
	for _, r := range resources {
		all = append(all, r.rows...)
	}
	return all
}

// worked is the worked example: PodOOMKilled on production/web-app, 2025-11-02.
func worked(t *testing.T) *rar.Input {
	request := newResource(t, entry.KindOrchestration, "web-app-oom", 1, at("10:00:05"))
	analysis := newResource(t, entry.KindAIDecision, "web-app-oom-analysis", 2, at("10:00:06"))
	workflow := newResource(t, entry.KindExecution, "web-app-oom-workflow", 3, at("10:05:16"))
	notice := newResource(t, entry.KindNotification, "web-app-oom-notification", 4, at("10:05:35"))

	o := models.Orchestration{
		RemediationID: uid(1), SignalFingerprint: strings.Repeat("3f0c6d1a", 8), SignalReceivedAt: *stamp("10:00:00"), RemediationCreatedAt: *stamp("10:00:05"),
		SignalContext: &models.SignalContext{Name: "PodOOMKilled", Severity: "critical", Source: "alertmanager", Labels: map[string]string{"namespace": "production", "deployment": "web-app"},
			Annotations: map[string]string{"summary": "Pods of web-app are killed for memory."}},
		Target:      &models.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "web-app", UID: uid(9)},
		RequestedBy: "system:serviceaccount:holdfast-system:gateway",
		Policy: &models.Policy{ServiceAccountName: "remediator", ApprovalMode: "Manual", Channels: []string{"slack"},
			TimeoutSeconds: map[string]int64{"analysis": 600, "approval": 3600, "execution": 1800, "notification": 600, "total": 7200}},
	}
	request.record(at("10:00:05.2"), "Received", "Pending", o, false)
	o.ServicesInvoked, o.Children = []string{"AIAnalysis"}, []models.Child{child("AIAnalysis", "web-app-oom-analysis", 2)}
	o.AIAnalysisStartedAt = stamp("10:00:10")
	request.record(at("10:00:10.1"), "AnalysisStarted", "Analyzing", o, false)

	a := models.AIDecision{RemediationID: uid(1), InvestigationStartedAt: *stamp("10:00:10"), Investigator: "holmesgpt", Model: "gpt-4o", ApprovalMode: "Manual", Attempts: ptr.To(int64(1)),
		ModelConfig: &models.ModelConfig{Version: "0.14.1", PromptSHA256: strings.Repeat("ab", 32), CatalogueSHA256: strings.Repeat("cd", 32)}}
	analysis.record(at("10:00:10"), "InvestigationStarted", "Investigating", a, false)
	a.InvestigationCompletedAt, a.HolmesGPTResponseTimeMs = stamp("10:01:45"), ptr.To(int64(95000))
	a.RootCause, a.RootCauseConfidence = "The container's memory limit of 512Mi is exceeded: a leak in the session cache grows by 40 MiB an hour.", ptr.To(82.0)
	a.RecommendedAction, a.ActionConfidence, a.ActionRationale = "restart-then-scale", ptr.To(75.0), "A restart frees the leaked memory; a third replica keeps headroom until the leak is fixed."
	a.RecommendedParameters = map[string]string{"replicas": "3"}
	a.AlternativesConsidered = []models.Alternative{{Action: "increase the memory limit", WorkflowID: "increase-memory", Confidence: 65, RejectedReason: "the nodes have no capacity for a larger limit"}}
	a.Evidence = []models.Evidence{{Tool: "kubectl_describe", Purpose: "state of the pods", Excerpt: "Last State: Terminated, Reason: OOMKilled, Exit Code: 137"},
		{Tool: "prometheus", Purpose: "memory over a day", Excerpt: "working set 498Mi, rising"}}
	a.PromptTokens, a.CompletionTokens = ptr.To(int64(5230)), ptr.To(int64(812))
	a.ApprovalRequired = ptr.To(true)
	analysis.record(at("10:01:45"), "InvestigationCompleted", "Investigating", a, false)
	a.ApprovalRequestedAt, a.ApprovalDeadline = stamp("10:02:30"), stamp("11:02:30")
	analysis.record(at("10:02:30"), "ApprovalRequested", "AwaitingApproval", a, false)
	request.record(at("10:02:30.1"), "ApprovalRequested", "AwaitingApproval", o, false)
	a.ApprovalStatus, a.ApprovalTime, a.ApprovalDurationSeconds = "approved", stamp("10:05:15"), ptr.To(int64(165))
	a.ApprovedBy, a.ApprovalMethod, a.ApprovalJustification = "ops-engineer@example.com", "slack", "Known leak; a restart is safe outside of the batch window."
	analysis.record(at("10:05:15"), "Approved", "Completed", a, true)

	o.ServicesInvoked, o.Children = append(o.ServicesInvoked, "WorkflowExecution"), append(o.Children, child("WorkflowExecution", "web-app-oom-workflow", 3))
	o.ServiceTransitions, o.WorkflowStartedAt = []models.ServiceTransition{{From: "AIAnalysis", To: "WorkflowExecution", Duration: "5m10s"}}, stamp("10:05:20")
	request.record(at("10:05:20.1"), "WorkflowStarted", "Executing", o, false)
	e := models.Execution{RemediationID: uid(1), WorkflowID: "restart-then-scale", WorkflowVersion: "sha256:" + strings.Repeat("9a", 32), ActedAs: "system:serviceaccount:production:remediator",
		ExecutionStartedAt: *stamp("10:05:20"), TotalSteps: ptr.To(int64(2)), StepsSucceeded: ptr.To(int64(0)), StepsFailed: ptr.To(int64(0)), RetriesPerformed: ptr.To(int64(0)), RollbacksPerformed: ptr.To(int64(0)),
		PreConditionsPassed: ptr.To(true), ValidationResults: []models.ValidationResult{{Name: "the Deployment exists", Stage: "pre", Passed: true, Time: stamp("10:05:20")}}}
	e.StepsExecuted = []models.Step{{Step: 1, Name: "restart", Action: "restart-rollout", Status: "running", Attempts: 1, StartedAt: stamp("10:05:20")}}
	workflow.record(at("10:05:20"), "StepStarted", "Executing", e, false)
	e.StepsExecuted = []models.Step{{Step: 1, Name: "restart", Action: "restart-rollout", Status: "success", Attempts: 1, Duration: 5, StartedAt: stamp("10:05:20"), CompletedAt: stamp("10:05:25")}}
	e.StepsSucceeded = ptr.To(int64(1))
	workflow.record(at("10:05:25"), "StepCompleted", "Executing", e, false)
	e.StepsExecuted = append(e.StepsExecuted, models.Step{Step: 2, Name: "scale", Action: "scale", Status: "success", Attempts: 1, Duration: 5, StartedAt: stamp("10:05:25"), CompletedAt: stamp("10:05:30"),
		Parameters: map[string]string{"replicas": "3"}, Previous: map[string]string{"replicas": "2"}})
	e.StepsSucceeded = ptr.To(int64(2))
	workflow.record(at("10:05:30"), "StepCompleted", "Verifying", e, false)
	e.ValidationResults = append(e.ValidationResults, models.ValidationResult{Name: "all replicas are available", Stage: "post", Passed: true, Message: "3 of 3 available", Time: stamp("10:05:35")})
	e.PostConditionsPassed, e.Outcome, e.EffectivenessScore = ptr.To(true), "success", ptr.To(100.0)
	e.ExecutionCompletedAt, e.TotalDurationSeconds = stamp("10:05:35"), ptr.To(int64(15))
	workflow.record(at("10:05:35"), "Completed", "Completed", e, true)

	o.ServicesInvoked, o.Children = append(o.ServicesInvoked, "Notification"), append(o.Children, child("Notification", "web-app-oom-notification", 4))
	o.ServiceTransitions, o.Outcome = append(o.ServiceTransitions, models.ServiceTransition{From: "WorkflowExecution", To: "Notification", Duration: "15s"}), "remediated"
	request.record(at("10:05:35.1"), "NotificationStarted", "Notifying", o, false)
	n := models.Notification{RemediationID: uid(1), NotificationRequestedAt: *stamp("10:05:35"), Channels: []string{"slack"}, Purpose: "Outcome", Subject: "Remediated: PodOOMKilled on Deployment production/web-app",
		DeliveryAttempts: []models.DeliveryAttempt{{Channel: "slack", Attempt: 1, Status: "sending", StartedAt: stamp("10:05:39.75")}}}
	notice.record(at("10:05:39.75"), "DeliveryStarted", "Sending", n, false)
	n.DeliveryAttempts = []models.DeliveryAttempt{{Channel: "slack", Attempt: 1, Status: "success", Duration: 250, StartedAt: stamp("10:05:39.75"), StatusCode: ptr.To(int32(200))}}
	n.NotificationSentAt, n.DeliveryConfirmedAt, n.DeliveryStatus = stamp("10:05:40"), stamp("10:05:40"), "success"
	notice.record(at("10:05:40"), "Sent", "Sent", n, true)
	o.NotificationSentAt, o.CompletedAt, o.TotalDurationSeconds = stamp("10:05:40"), stamp("10:05:40"), ptr.To(int64(335))
	o.BottleneckPhase, o.BottleneckDurationSeconds = "approval_wait", ptr.To(int64(165))
	request.record(at("10:05:40"), "Completed", "Completed", o, true)

	in := &rar.Input{RemediationID: uid(1), AsOf: at("10:00:00").AddDate(0, 0, 10), Rows: rowsOf(request, analysis, workflow, notice)}
	in.Cohort = &rar.Cohort{N: 15, Success: 14, Mean: ptr.To(260.0), P50: ptr.To(250.0), P90: ptr.To(318.0), NotSlower: 14}
	in.Earlier = comparableCases(15)
	return in
}

// comparableCases are the cases of the worked example's history: the same action each time, approved each time by a person; the fifth failed.
func comparableCases(n int) []rar.Case {
	var all []rar.Case
	for i := range n {
		received := at("09:00:00").AddDate(0, 0, -1-2*i)
		c := rar.Case{
			Row: rar.Row{ID: uid(1000 + i), SourceUID: uid(2000 + i), Sequence: 6, EntryHash: []byte(strings.Repeat("h", 32))}, RemediationID: uid(2000 + i), Outcome: "remediated",
			SignalReceivedAt: outboxapi.NewTime(received), CompletedAt: outboxapi.NewTime(received.Add(260 * time.Second)),
			Analysis: rar.Row{ID: uid(3000 + i), SourceUID: uid(4000 + i), Sequence: 4}, Investigator: "holmesgpt", RecommendedAction: "restart-then-scale", ActionConfidence: ptr.To(75.0), InvestigationSeconds: ptr.To(80.0),
			ApprovalStatus: "approved", ApprovalRequestedAt: outboxapi.NewTimePointer(received.Add(90 * time.Second)), ApprovalDurationSeconds: ptr.To(int64(120)),
			Execution: rar.Row{ID: uid(5000 + i), SourceUID: uid(6000 + i), Sequence: 4}, WorkflowID: "restart-then-scale", ExecutionOutcome: "success", ExecutionSeconds: ptr.To(int64(15)),
			RetriesPerformed: ptr.To(int64(0)), PostConditionsPassed: ptr.To(true),
		}
		if i == 4 {
			c.Outcome, c.ExecutionOutcome, c.PostConditionsPassed = "failed", "failure", ptr.To(false)
		}
		all = append(all, c)
	}
	return all
}
