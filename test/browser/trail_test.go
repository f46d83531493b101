package browser

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// now is the service's time in these tests.
var now = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

// workload is what goes wrong: an alert on a target, and what is done about it.
type workload struct {
	alert, severity, kind, action, instead, cause, why, against string
	targets                                                     [][2]string
	usual                                                       float64 // confidence
	works                                                       float64 // share of the executions that help
	investigator, model                                         string
	asExpected                                                  bool // it is approved, works, and takes the usual time
}

var workloads = []workload{
	{"PodOOMKilled", "critical", "Deployment", "restart-then-scale", "increase-memory", "The container's memory limit of 512Mi is exceeded: a leak in the session cache grows by 40 MiB an hour.",
		"A restart frees the leaked memory; a third replica keeps headroom until the leak is fixed.", "the nodes have no capacity for a larger limit",
		[][2]string{{"production", "web-app"}, {"production", "checkout"}, {"shop", "cart"}}, 75, .9, "holmesgpt", "gpt-4o", false},
	{"KubeImagePull", "warning", "Deployment", "rollback-deployment", "restart-rollout", "The image tag v2.3.9 does not exist in the registry.",
		"The revision before pulled without an error.", "a restart pulls the same image",
		[][2]string{{"shop", "search"}, {"staging", "ledger"}}, 92, .97, "rules", "", false},
	{"PodCrashLooping", "critical", "Deployment", "rollback-deployment", "restart-rollout", "Revision 8 exits with 1: the variable LEDGER_URL is not set.",
		"Revision 7 ran for nine days without a restart.", "the container exits the same way after each restart", [][2]string{{"payments", "ledger"}, {"payments", "invoices"}, {"production", "api"}}, 84, .85, "holmesgpt", "gpt-4o", false},
	{"KubePodNotScheduled", "warning", "Deployment", "scale-down", "evict-batch-jobs", "No node has 2 CPUs left: the batch jobs of the night still run.",
		"Two replicas carry the load of this hour.", "the jobs would begin anew", [][2]string{{"batch", "worker"}, {"production", "renderer"}}, 66, .7, "holmesgpt", "gpt-4o-mini", false},
	{"HighErrorRate", "critical", "Deployment", "restart-rollout", "rollback-deployment", "Connections to the database are exhausted; half of the pool waits for a lock.",
		"A restart closes the waiting connections.", "the revision is four weeks old", [][2]string{{"payments", "gateway"}, {"shop", "checkout"}}, 58, .55, "holmesgpt", "gpt-4o-mini", false},
}

// trail writes remediations as controllers and the relay do. The same seed makes the same rows.
type trail struct {
	random *rand.Rand
	items  []relay.Item
	made   int
	ids    map[string]string // those that tests look at
	err    error
}

// resource is one with a chain of its own.
type resource struct {
	trail  *trail
	kind   string
	source entry.Source
	box    *outboxapi.Outbox
}

func (t *trail) resource(kind, namespace, name, uid string, created time.Time) *resource {
	return &resource{trail: t, kind: kind, source: entry.Source{Namespace: namespace, Name: name, UID: types.UID(uid), Created: created}}
}

func (r *resource) record(at time.Time, event, phase string, record any, final bool) {
	box, _, err := entry.Append(r.box, r.source, entry.Change{Kind: r.kind, Event: event, Phase: phase, Record: record, Final: final}, at, entry.Salt{}, entry.DefaultLimits())
	if err != nil {
		r.trail.err = fmt.Errorf("%s %s: %w", event, r.source.Name, err)
		return
	}
	r.box = box
}

// close hands the entries over.
func (r *resource) close() {
	if r.box == nil || r.trail.err != nil {
		return
	}
	var stored outboxapi.Outbox
	raw, err := json.Marshal(r.box)
	if err == nil {
		err = json.Unmarshal(raw, &stored)
	}
	if err != nil {
		r.trail.err = err
		return
	}
	r.trail.items = append(r.trail.items, relay.NewItems(r.source, r.kind, entry.PendingOf(r.source.UID, &stored))...)
}

func (t *trail) persist(ctx context.Context, store *postgres.Store) error {
	for len(t.items) > 0 && t.err == nil {
		n := min(len(t.items), 500)
		outcomes, err := store.Persist(ctx, t.items[:n])
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			if o.Result != relay.Stored {
				return fmt.Errorf("%s %d: %+v", t.items[i].Source.Name, t.items[i].Sequence, o)
			}
		}
		t.items = t.items[n:]
	}
	return t.err
}

func (t *trail) uid() string {
	t.made++
	return fmt.Sprintf("%08x-5c1b-4e0f-8a3d-%012x", uint32(t.made)*2654435761, t.made) // pages show the first eight digits
}

// around is a duration whose logarithm is normal: most are near the median, few are long.
func (t *trail) around(median time.Duration, spread float64) time.Duration {
	return time.Duration(float64(median) * math.Exp(t.random.NormFloat64()*spread)).Round(time.Millisecond)
}

// month writes what happens in thirty days.
func (t *trail) month(remediations int) {
	for range remediations {
		w := &workloads[t.random.IntN(len(workloads))]
		at := now.Add(-time.Duration(t.random.Int64N(int64(30 * 24 * time.Hour))))
		if at.Hour() < 6 && t.random.IntN(3) > 0 {
			at = at.Add(9 * time.Hour)
		}
		if at.After(now.Add(-2 * time.Hour)) {
			at = at.AddDate(0, 0, -3)
		}
		t.remediation(w, w.targets[t.random.IntN(len(w.targets))], at, nil)
	}
}

// change adapts what a test looks for.
type change func(*models.Orchestration, *models.AIDecision, *models.Execution, *models.Notification)

// remediation writes one, and returns its id.
func (t *trail) remediation(w *workload, target [2]string, received time.Time, adapt change) string {
	if adapt == nil {
		adapt = func(*models.Orchestration, *models.AIDecision, *models.Execution, *models.Notification) {}
	}
	clock := received
	after := func(d time.Duration) *outboxapi.Time {
		clock = clock.Add(d)
		return outboxapi.NewTimePointer(clock)
	}
	id, analysisID, workflowID, noticeID := t.uid(), t.uid(), t.uid(), t.uid()
	// An alert of another container is another alert, so that few come back.
	container := t.random.IntN(30)
	if w.asExpected {
		container = -1
	}
	fingerprint := sha256.Sum256(fmt.Append(nil, w.alert, target, container))
	confidence := min(99, max(40, math.Round(w.usual+t.random.NormFloat64()*9)))
	works := t.random.Float64() < w.works-(w.usual-confidence)/100
	if w.asExpected {
		confidence, works = w.usual, true
	}
	name := target[1] + "-" + id[len(id)-4:]

	o := models.Orchestration{
		RemediationID: id, SignalFingerprint: hex.EncodeToString(fingerprint[:]), SignalReceivedAt: outboxapi.NewTime(received), RemediationCreatedAt: *after(t.around(3*time.Second, .4)),
		SignalContext: &models.SignalContext{Name: w.alert, Severity: w.severity, Source: "alertmanager", Labels: map[string]string{"namespace": target[0], "deployment": target[1]}},
		Target:        &models.Target{APIVersion: "apps/v1", Kind: w.kind, Name: target[1], UID: id}, RequestedBy: "system:serviceaccount:holdfast-system:gateway",
		Policy: &models.Policy{ServiceAccountName: "remediator", ApprovalMode: "Auto", AutoApproveAbove: ptr.To(int64(80)), Channels: []string{"console", "slack"},
			TimeoutSeconds: map[string]int64{"analysis": 600, "approval": 3600, "execution": 1800, "notification": 600, "total": 7200}},
	}
	a := models.AIDecision{RemediationID: id, Investigator: w.investigator, Model: w.model, Attempts: ptr.To(int64(1)), ApprovalMode: "Auto", ApprovalThreshold: ptr.To(80.0)}
	e := models.Execution{RemediationID: id, WorkflowID: w.action, WorkflowVersion: "sha256:" + hex.EncodeToString(fingerprint[:]), ActedAs: "system:serviceaccount:" + target[0] + ":remediator", TotalSteps: ptr.To(int64(1)),
		StepsSucceeded: ptr.To(int64(0)), StepsFailed: ptr.To(int64(0)), RetriesPerformed: ptr.To(int64(0)), RollbacksPerformed: ptr.To(int64(0)), PreConditionsPassed: ptr.To(true)}
	n := models.Notification{RemediationID: id, Channels: []string{"console", "slack"}, Purpose: "Outcome"}

	request := t.resource(entry.KindOrchestration, target[0], name, id, clock)
	request.record(clock, "Received", "Pending", o, false)
	o.ServicesInvoked, o.Children = []string{"AIAnalysis"}, []models.Child{{Service: "AIAnalysis", Name: name + "-analysis", UID: analysisID}}
	a.InvestigationStartedAt = *after(t.around(time.Second, .3))
	o.AIAnalysisStartedAt = &a.InvestigationStartedAt
	request.record(clock, "AnalysisStarted", "Analyzing", o, false)

	analysis := t.resource(entry.KindAIDecision, target[0], name+"-analysis", analysisID, clock)
	analysis.record(clock, "InvestigationStarted", "Investigating", a, false)
	median := 70 * time.Second
	if w.investigator == "rules" {
		median = 4 * time.Second
	}
	a.InvestigationCompletedAt = after(t.around(median, .45))
	a.RootCause, a.RootCauseConfidence = w.cause, ptr.To(min(99, confidence+6))
	a.RecommendedAction, a.ActionConfidence, a.ActionRationale = w.action, &confidence, w.why
	a.AlternativesConsidered = []models.Alternative{{Action: w.instead, WorkflowID: w.instead, Confidence: confidence - 25, RejectedReason: w.against}}
	a.Evidence = []models.Evidence{{Tool: "kubectl_describe", Purpose: "state of the pods", Excerpt: "Last State: Terminated\nReason: OOMKilled\nExit Code: 137"}}
	if w.model != "" {
		a.PromptTokens, a.CompletionTokens = ptr.To(int64(4000+t.random.IntN(3000))), ptr.To(int64(500+t.random.IntN(700)))
	}
	a.ApprovalRequired = ptr.To(confidence < 80)
	longest, long := "ai_analysis", a.InvestigationCompletedAt.Time.Sub(a.InvestigationStartedAt.Time)
	outcome, reason := "", ""
	if *a.ApprovalRequired {
		wait := t.around(4*time.Minute, 1)
		if hour := clock.Hour(); hour < 7 || hour > 19 {
			wait *= 3
		}
		a.ApprovalRequestedAt, a.ApprovalDeadline = after(time.Second), outboxapi.NewTimePointer(clock.Add(time.Hour))
		analysis.record(clock, "ApprovalRequested", "AwaitingApproval", a, false)
		request.record(clock, "ApprovalRequested", "AwaitingApproval", o, false)
		status, event, phase := "approved", "Approved", "Completed"
		refused := t.random.IntN(14) == 0
		if w.asExpected {
			wait, refused = 165*time.Second, false
		}
		switch {
		case wait > time.Hour:
			wait, status, event, phase, outcome, reason = time.Hour, "expired", "ApprovalExpired", "TimedOut", "timed-out", "Nobody decided within 1h0m0s"
			a.FailureReason = reason
		case refused:
			status, event, phase, outcome, reason = "rejected", "Rejected", "Rejected", "rejected", "The recommendation was rejected by boris@example.com: A fix is on its way."
			a.RejectedBy, a.RejectionReason = "boris@example.com", "A fix is on its way."
		default:
			a.ApprovedBy, a.ApprovalJustification = []string{"anna@example.com", "boris@example.com", "ops@example.com"}[t.random.IntN(3)], "Known; safe outside of the batch window."
		}
		if wait > long {
			longest, long = "approval_wait", wait
		}
		a.ApprovalMethod = "slack"
		a.ApprovalTime, a.ApprovalStatus, a.ApprovalDurationSeconds = after(wait), status, ptr.To(int64(wait.Seconds()))
		adapt(&o, &a, &e, &n)
		analysis.record(clock, event, phase, a, true)
	} else {
		a.ApprovalStatus, a.ApprovalTime, a.ApprovalDurationSeconds, a.ApprovedBy, a.ApprovalJustification = "auto-approved", a.InvestigationCompletedAt, ptr.To(int64(0)), "policy", fmt.Sprintf("confidence %v reaches 80", confidence)
		adapt(&o, &a, &e, &n)
		analysis.record(clock, "AutoApproved", "Completed", a, true)
	}
	analysis.close()

	if outcome == "" {
		o.ServicesInvoked, o.Children = append(o.ServicesInvoked, "WorkflowExecution"), append(o.Children, models.Child{Service: "WorkflowExecution", Name: name + "-workflow", UID: workflowID})
		o.WorkflowStartedAt = after(time.Second)
		request.record(clock, "WorkflowStarted", "Executing", o, false)
		workflow := t.resource(entry.KindExecution, target[0], name+"-workflow", workflowID, clock)
		e.ExecutionStartedAt = *outboxapi.NewTimePointer(clock)
		step := models.Step{Step: 1, Name: w.action, Action: w.action, Status: "running", Attempts: 1, StartedAt: after(time.Second)}
		e.StepsExecuted = []models.Step{step}
		workflow.record(clock, "ValidationPassed", "Executing", e, false)
		took := t.around(20*time.Second, .5)
		step.Status, step.CompletedAt, step.Duration = "success", after(took), int64(took.Seconds())
		if t.random.IntN(5) == 0 {
			step.Attempts, e.RetriesPerformed = 2, ptr.To(int64(1))
		}
		e.StepsExecuted, e.StepsSucceeded = []models.Step{step}, ptr.To(int64(1))
		workflow.record(clock, "StepCompleted", "Verifying", e, false)
		result := models.ValidationResult{Name: "all replicas are available", Stage: "post", Passed: works, Message: "2 of 2", Time: after(5 * time.Second)}
		outcome, e.Outcome, e.EffectivenessScore = "remediated", "success", ptr.To(100.0)
		phase := "Completed"
		if !works {
			result.Message, e.Outcome, e.EffectivenessScore, phase = "0 of 2", "failure", ptr.To(0.0), "Failed"
			outcome, reason = "failed", `Condition "all replicas are available" did not hold within 2m0s`
			e.FailureReason, e.RollbacksPerformed = reason, ptr.To(int64(1))
			e.StepsExecuted[0].Status = "rolled-back"
			after(2 * time.Minute)
		}
		e.ValidationResults, e.PostConditionsPassed = []models.ValidationResult{result}, &works
		e.ExecutionCompletedAt, e.TotalDurationSeconds = outboxapi.NewTimePointer(clock), ptr.To(int64(clock.Sub(e.ExecutionStartedAt.Time).Seconds()))
		if d := clock.Sub(e.ExecutionStartedAt.Time); d > long {
			longest, long = "workflow_execution", d
		}
		workflow.record(clock, phase, phase, e, true)
		workflow.close()
	}

	o.ServicesInvoked, o.Children = append(o.ServicesInvoked, "Notification"), append(o.Children, models.Child{Service: "Notification", Name: name + "-notification", UID: noticeID})
	o.Outcome, o.FailureReason = outcome, reason
	request.record(clock, "NotificationStarted", "Notifying", o, false)
	notice := t.resource(entry.KindNotification, target[0], name+"-notification", noticeID, clock)
	n.NotificationRequestedAt, n.Subject = *outboxapi.NewTimePointer(clock), w.alert+" on "+target[1]+": "+outcome
	n.DeliveryAttempts = []models.DeliveryAttempt{{Channel: "console", Attempt: 1, Status: "success", Duration: 2, StartedAt: after(200 * time.Millisecond)}}
	slack := models.DeliveryAttempt{Channel: "slack", Attempt: 1, Status: "success", Duration: 300, StartedAt: outboxapi.NewTimePointer(clock), StatusCode: ptr.To(int32(200))}
	n.NotificationSentAt = outboxapi.NewTimePointer(clock.Add(2 * time.Millisecond))
	if t.random.IntN(12) == 0 {
		slack.Status, slack.StatusCode, slack.Error, slack.Duration = "failed", ptr.To(int32(503)), "503 Service Unavailable", 5000
		n.DeliveryAttempts = append(n.DeliveryAttempts, slack)
		after(5 * time.Second)
		notice.record(clock, "DeliveryFailed", "Retrying", n, false)
		slack = models.DeliveryAttempt{Channel: "slack", Attempt: 2, Status: "success", Duration: 300, StartedAt: after(3 * time.Second), StatusCode: ptr.To(int32(200))}
	}
	n.DeliveryAttempts = append(n.DeliveryAttempts, slack)
	n.DeliveryConfirmedAt, n.DeliveryStatus = after(300*time.Millisecond), "success"
	adapt(&o, &a, &e, &n)
	notice.record(clock, "Sent", "Sent", n, true)
	notice.close()
	o.NotificationSentAt, o.CompletedAt = n.NotificationSentAt, after(200*time.Millisecond)
	o.TotalDurationSeconds, o.BottleneckPhase, o.BottleneckDurationSeconds = ptr.To(int64(clock.Sub(o.RemediationCreatedAt.Time).Seconds())), longest, ptr.To(int64(long.Seconds()))
	end := map[string]string{"remediated": "Completed", "rejected": "Rejected", "timed-out": "TimedOut", "failed": "Failed"}[outcome]
	adapt(&o, &a, &e, &n)
	request.record(clock, end, end, o, true)
	request.close()
	return id
}

// open writes one that waits for a person, and returns its id.
func (t *trail) open(w *workload, target [2]string, received time.Time) string {
	id, analysisID := t.uid(), t.uid()
	fingerprint := sha256.Sum256([]byte(w.alert + target[0] + target[1]))
	at := func(seconds int) *outboxapi.Time {
		return outboxapi.NewTimePointer(received.Add(time.Duration(seconds) * time.Second))
	}
	name := target[1] + "-" + id[len(id)-4:]
	o := models.Orchestration{RemediationID: id, SignalFingerprint: hex.EncodeToString(fingerprint[:]), SignalReceivedAt: *at(0), RemediationCreatedAt: *at(2), AIAnalysisStartedAt: at(3),
		SignalContext: &models.SignalContext{Name: w.alert, Severity: w.severity, Source: "alertmanager"}, Target: &models.Target{APIVersion: "apps/v1", Kind: w.kind, Name: target[1]},
		ServicesInvoked: []string{"AIAnalysis"}, Children: []models.Child{{Service: "AIAnalysis", Name: name + "-analysis", UID: analysisID}}}
	a := models.AIDecision{RemediationID: id, InvestigationStartedAt: *at(3), InvestigationCompletedAt: at(70), Investigator: w.investigator, Model: w.model, RootCause: w.cause, RecommendedAction: w.action,
		ActionConfidence: ptr.To(64.0), ActionRationale: w.why, ApprovalRequired: ptr.To(true), ApprovalRequestedAt: at(71), ApprovalDeadline: at(3671)}
	request, analysis := t.resource(entry.KindOrchestration, target[0], name, id, at(2).Time), t.resource(entry.KindAIDecision, target[0], name+"-analysis", analysisID, at(3).Time)
	request.record(at(2).Time, "Received", "Pending", o, false)
	request.record(at(71).Time, "ApprovalRequested", "AwaitingApproval", o, false)
	analysis.record(at(71).Time, "ApprovalRequested", "AwaitingApproval", a, false)
	request.close()
	analysis.close()
	return id
}

func newTrail() *trail {
	return &trail{ids: map[string]string{}, random: rand.New(rand.NewPCG(7, 11))}
}

// inThirtyDays is how many remediations fill writes.
const inThirtyDays = 323

// fill writes a month, and some that the tests look at one by one.
func (t *trail) fill() {
	t.month(inThirtyDays - 3)
	worked := workloads[0]
	worked.asExpected = true
	t.ids["worked"] = t.remediation(&worked, worked.targets[0], now.AddDate(0, 0, -1).Add(time.Hour), nil)
	t.ids["open"] = t.open(&workloads[3], workloads[3].targets[1], now.Add(-9*time.Minute))
	t.ids["today"] = t.remediation(&workloads[1], workloads[1].targets[0], now.Add(-47*time.Minute), nil)
}
