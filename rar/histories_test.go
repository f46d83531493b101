package rar_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/rar"
)

// story makes the rows of a remediation of KubeImagePull on shop/cart, one phase after the other. Times are in seconds after the signal.
type story struct {
	t        *testing.T
	start    time.Time
	o        models.Orchestration
	a        models.AIDecision
	e        models.Execution
	request  *resource
	analysis *resource
	workflow *resource
	notice   *resource
	// asked and reminder are the notifications that ask for a decision, nil without one.
	asked, reminder *resource
}

func (s *story) at(seconds float64) time.Time {
	return s.start.Add(time.Duration(seconds * float64(time.Second)))
}

func (s *story) stamp(seconds float64) *outboxapi.Time {
	return outboxapi.NewTimePointer(s.at(seconds))
}

func newStory(t *testing.T) *story {
	s := &story{t: t, start: at("14:00:00")}
	s.o = models.Orchestration{
		RemediationID: uid(1), SignalFingerprint: strings.Repeat("5e", 32), SignalReceivedAt: *s.stamp(0), RemediationCreatedAt: *s.stamp(2),
		SignalContext: &models.SignalContext{Name: "KubeImagePull", Severity: "warning", Source: "alertmanager", Labels: map[string]string{"team": "checkout"}},
		Target:        &models.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart", UID: uid(9)}, RequestedBy: "anna@example.com",
		Policy: &models.Policy{ServiceAccountName: "remediator", ApprovalMode: "Auto", AutoApproveAbove: ptr.To(int64(80)), Channels: []string{"console", "slack"}, TimeoutSeconds: map[string]int64{"approval": 3600, "execution": 600}},
	}
	s.request = newResource(t, entry.KindOrchestration, "cart-pull", 1, s.at(2))
	s.analysis = newResource(t, entry.KindAIDecision, "cart-pull-analysis", 2, s.at(3))
	s.workflow = newResource(t, entry.KindExecution, "cart-pull-workflow", 3, s.at(20))
	s.notice = newResource(t, entry.KindNotification, "cart-pull-notification", 4, s.at(40))
	s.request.record(s.at(2.1), "Received", "Pending", s.o, false)
	s.child("AIAnalysis", "cart-pull-analysis", 2)
	s.o.AIAnalysisStartedAt = s.stamp(3)
	s.request.record(s.at(3.1), "AnalysisStarted", "Analyzing", s.o, false)
	s.a = models.AIDecision{RemediationID: uid(1), InvestigationStartedAt: *s.stamp(3), Investigator: "rules", Attempts: ptr.To(int64(1)), ApprovalMode: "Auto", ApprovalThreshold: ptr.To(80.0)}
	s.analysis.record(s.at(3.2), "InvestigationStarted", "Investigating", s.a, false)
	return s
}

func (s *story) child(service, name string, n int) {
	s.o.ServicesInvoked = append(s.o.ServicesInvoked, service)
	s.children(service, name, n)
}

func (s *story) children(service, name string, n int) {
	s.o.Children = append(s.o.Children, child(service, name, n))
}

// recommends ends the investigation with a recommendation.
func (s *story) recommends(confidence float64) *story {
	s.a.InvestigationCompletedAt, s.a.RootCause, s.a.RootCauseConfidence = s.stamp(12), "The image tag v2.3.9 does not exist in the registry.\n- event Failed: not found", ptr.To(90.0)
	s.a.RecommendedAction, s.a.ActionConfidence, s.a.ActionRationale = "rollback-deployment", ptr.To(confidence), "The revision before pulled without an error."
	s.a.AlternativesConsidered = []models.Alternative{{Action: "restart-rollout", WorkflowID: "restart-rollout", Confidence: 20, RejectedReason: "a restart pulls the same image"}}
	s.a.ApprovalRequired = ptr.To(confidence < 80)
	return s
}

func (s *story) nothing() *story {
	s.a.InvestigationCompletedAt, s.a.RootCause, s.a.NoActionReason = s.stamp(12), "The registry had an outage that has ended.", "All pods run by now."
	s.analysis.record(s.at(12), "InvestigationCompleted", "Completed", s.a, true)
	return s
}

func (s *story) auto() *story {
	s.a.ApprovalStatus, s.a.ApprovalTime, s.a.ApprovalDurationSeconds, s.a.ApprovedBy, s.a.ApprovalJustification = "auto-approved", s.stamp(12), ptr.To(int64(0)), "policy", "confidence 90 reaches 80"
	s.analysis.record(s.at(12), "AutoApproved", "Completed", s.a, true)
	return s
}

// asks for a decision, on the console.
func (s *story) asks() *story {
	s.a.ApprovalRequestedAt, s.a.ApprovalDeadline = s.stamp(12), s.stamp(3612)
	s.analysis.record(s.at(12), "ApprovalRequested", "AwaitingApproval", s.a, false)
	s.asked = newResource(s.t, entry.KindNotification, "cart-pull-approval", 5, s.at(12))
	s.children("Notification", "cart-pull-approval", 5)
	s.request.record(s.at(12.1), "ApprovalRequested", "AwaitingApproval", s.o, false)
	s.asked.record(s.at(12.3), "DeliverySucceeded", "Sent", s.question("ApprovalNeeded", 12), true)
	return s
}

// reminds at half of the time.
func (s *story) reminds() *story {
	s.reminder = newResource(s.t, entry.KindNotification, "cart-pull-reminder", 6, s.at(1812))
	s.children("Notification", "cart-pull-reminder", 6)
	s.request.record(s.at(1812.1), "ApprovalReminderStarted", "AwaitingApproval", s.o, false)
	s.reminder.record(s.at(1812.3), "DeliverySucceeded", "Sent", s.question("ApprovalReminder", 1812), true)
	return s
}

func (s *story) question(purpose string, seconds float64) models.Notification {
	n := models.Notification{RemediationID: uid(1), NotificationRequestedAt: *s.stamp(seconds), Channels: []string{"console"}, Purpose: purpose, Subject: "Approval needed: KubeImagePull on Deployment production/cart",
		NotificationSentAt: s.stamp(seconds + 0.2), DeliveryConfirmedAt: s.stamp(seconds + 0.2), DeliveryStatus: "success"}
	n.DeliveryAttempts = []models.DeliveryAttempt{{Channel: "console", Attempt: 1, Status: "success", Duration: 2, StartedAt: s.stamp(seconds + 0.198)}}
	return n
}

func (s *story) decides(seconds float64, status, by, why string) *story {
	s.a.ApprovalStatus, s.a.ApprovalTime, s.a.ApprovalDurationSeconds = status, s.stamp(seconds), ptr.To(int64(seconds-12))
	event, phase := "Approved", "Completed"
	switch status {
	case "approved":
		s.a.ApprovedBy, s.a.ApprovalMethod, s.a.ApprovalJustification = by, "console", why
	case "rejected":
		s.a.RejectedBy, s.a.ApprovalMethod, s.a.RejectionReason, event, phase = by, "console", why, "Rejected", "Rejected"
	default:
		s.a.FailureReason, event, phase = "Nobody decided within 1h0m0s", "ApprovalExpired", "TimedOut"
	}
	s.analysis.record(s.at(seconds), event, phase, s.a, true)
	return s
}

// runs begins the workflow, whose first step succeeds.
func (s *story) runs(seconds float64) *story {
	s.child("WorkflowExecution", "cart-pull-workflow", 3)
	s.o.WorkflowStartedAt = s.stamp(seconds)
	s.request.record(s.at(seconds+0.1), "WorkflowStarted", "Executing", s.o, false)
	s.e = models.Execution{RemediationID: uid(1), WorkflowID: "rollback-deployment", WorkflowVersion: "sha256:" + strings.Repeat("9a", 32), ActedAs: "system:serviceaccount:production:remediator",
		ExecutionStartedAt: *s.stamp(seconds), TotalSteps: ptr.To(int64(1)), StepsSucceeded: ptr.To(int64(0)), StepsFailed: ptr.To(int64(0)), RetriesPerformed: ptr.To(int64(0)), RollbacksPerformed: ptr.To(int64(0))}
	s.e.StepsExecuted = []models.Step{{Step: 1, Name: "roll-back", Action: "rollback-rollout", Status: "running", Attempts: 1, StartedAt: s.stamp(seconds + 1)}}
	s.workflow.record(s.at(seconds+1), "ValidationPassed", "Executing", s.e, false)
	s.e.StepsExecuted = []models.Step{{Step: 1, Name: "roll-back", Action: "rollback-rollout", Status: "success", Attempts: 1, Duration: 8, StartedAt: s.stamp(seconds + 1), CompletedAt: s.stamp(seconds + 9),
		Parameters: map[string]string{"revision": "previous"}, Previous: map[string]string{"revision": "7"}}}
	s.e.StepsSucceeded = ptr.To(int64(1))
	s.workflow.record(s.at(seconds+9), "StepCompleted", "Verifying", s.e, false)
	return s
}

func (s *story) works(seconds float64) *story {
	s.e.ValidationResults = []models.ValidationResult{{Name: "all replicas are available", Stage: "post", Passed: true, Message: "2 of 2", Time: s.stamp(seconds)}}
	s.e.PostConditionsPassed, s.e.Outcome, s.e.EffectivenessScore = ptr.To(true), "success", ptr.To(100.0)
	s.e.ExecutionCompletedAt, s.e.TotalDurationSeconds = s.stamp(seconds), ptr.To(int64(15))
	s.workflow.record(s.at(seconds), "Completed", "Completed", s.e, true)
	return s
}

// fails: the post-conditions do not pass after three attempts, and the step is rolled back.
func (s *story) fails(seconds float64) *story {
	step := &s.e.StepsExecuted[0]
	step.Attempts, s.e.RetriesPerformed = 3, ptr.To(int64(2))
	s.e.ValidationResults = []models.ValidationResult{{Name: "all replicas are available", Stage: "post", Passed: false, Message: "0 of 2", Time: s.stamp(seconds)}}
	s.e.PostConditionsPassed = ptr.To(false)
	s.workflow.record(s.at(seconds), "VerificationFailed", "RollingBack", s.e, false)
	s.e.StepsExecuted = []models.Step{*step}
	s.e.StepsExecuted[0].Status, s.e.StepsExecuted[0].Message = "rolled-back", "revision 7 again"
	s.e.RollbacksPerformed = ptr.To(int64(1))
	s.workflow.record(s.at(seconds+4), "StepRolledBack", "RollingBack", s.e, false)
	s.e.Outcome, s.e.EffectivenessScore, s.e.FailureReason = "failure", ptr.To(0.0), "Condition \"all replicas are available\" did not hold within 2m0s"
	s.e.ExecutionCompletedAt, s.e.TotalDurationSeconds = s.stamp(seconds+5), ptr.To(int64(seconds-15))
	s.workflow.record(s.at(seconds+5), "Failed", "Failed", s.e, true)
	return s
}

// tells the outcome: the console takes it, slack at the second attempt.
func (s *story) tells(seconds float64, outcome, reason string) *story {
	s.child("Notification", "cart-pull-notification", 4)
	s.o.Outcome, s.o.FailureReason = outcome, reason
	s.request.record(s.at(seconds+0.1), "NotificationStarted", "Notifying", s.o, false)
	n := models.Notification{RemediationID: uid(1), NotificationRequestedAt: *s.stamp(seconds), Channels: []string{"console", "slack"}, Purpose: "Outcome", Subject: "KubeImagePull on cart: " + outcome}
	n.DeliveryAttempts = []models.DeliveryAttempt{
		{Channel: "console", Attempt: 1, Status: "success", Duration: 2, StartedAt: s.stamp(seconds + 0.2)},
		{Channel: "slack", Attempt: 1, Status: "failed", Duration: 5000, StartedAt: s.stamp(seconds + 0.2), StatusCode: ptr.To(int32(503)), Error: "503 Service Unavailable"},
	}
	n.NotificationSentAt = s.stamp(seconds + 0.202)
	s.notice.record(s.at(seconds+5.2), "DeliveryFailed", "Retrying", n, false)
	n.DeliveryAttempts = append(n.DeliveryAttempts, models.DeliveryAttempt{Channel: "slack", Attempt: 2, Status: "success", Duration: 300, StartedAt: s.stamp(seconds + 8), StatusCode: ptr.To(int32(200))})
	n.DeliveryConfirmedAt, n.DeliveryStatus = s.stamp(seconds+8.3), "success"
	s.notice.record(s.at(seconds+8.3), "Sent", "Sent", n, true)
	s.o.NotificationSentAt = s.stamp(seconds + 0.202)
	return s.ends(seconds+8.5, outcome, reason)
}

func (s *story) ends(seconds float64, outcome, reason string) *story {
	s.o.Outcome, s.o.FailureReason, s.o.CompletedAt, s.o.TotalDurationSeconds = outcome, reason, s.stamp(seconds), ptr.To(int64(seconds-2))
	phase := map[string]string{"remediated": "Completed", "no-action": "Completed", "rejected": "Rejected", "timed-out": "TimedOut", "cancelled": "Cancelled"}[outcome]
	if phase == "" {
		phase = "Failed"
	}
	s.request.record(s.at(seconds), phase, phase, s.o, true)
	return s
}

func (s *story) cancels(seconds float64, by, reason string) *story {
	s.a.FailureReason = "Cancelled"
	s.analysis.record(s.at(seconds), "Cancelled", "Cancelled", s.a, true)
	s.o.CancelledBy = by
	return s.ends(seconds+0.2, "cancelled", reason)
}

// input is that of a reader ten days later.
func (s *story) input() *rar.Input {
	in := &rar.Input{RemediationID: uid(1), AsOf: s.start.AddDate(0, 0, 10), Rows: rowsOf(s.request, s.analysis, s.workflow, s.notice)}
	for _, r := range []*resource{s.asked, s.reminder} {
		if r != nil {
			in.Rows = append(in.Rows, r.rows...)
		}
	}
	in.Cohort = &rar.Cohort{}
	return in
}

// histories are those whose reports are golden files.
var histories = map[string]func(*testing.T) *rar.Input{
	"worked-example": worked,
	"automatic": func(t *testing.T) *rar.Input {
		in := newStory(t).recommends(90).auto().runs(13).works(28).tells(28, "remediated", "").input()
		in.Cohort = &rar.Cohort{N: 48, Success: 41, Mean: ptr.To(95.5), P50: ptr.To(41.0), P90: ptr.To(260.25), NotSlower: 20}
		in.Recurrences = []rar.Recurrence{{ID: uid(700), RemediationID: uid(701), SourceNamespace: "production", SourceUID: uid(701), Sequence: 1, SignalReceivedAt: outboxapi.NewTime(at("14:00:00").Add(50 * time.Hour))}}
		in.Deliveries = []rar.Deliveries{{Channel: "slack", N: 46, Failed: 17, Lost: 2}}
		return in
	},
	"approved": func(t *testing.T) *rar.Input {
		return newStory(t).recommends(70).asks().decides(312, "approved", "boris@example.com", "The tag is a typo.").runs(313).works(330).tells(330, "remediated", "").input()
	},
	"rejected": func(t *testing.T) *rar.Input {
		return newStory(t).recommends(70).asks().decides(95, "rejected", "boris@example.com", "A fix is on its way.").tells(96, "rejected", "The recommendation was rejected by boris@example.com: A fix is on its way.").input()
	},
	"expired": func(t *testing.T) *rar.Input {
		return newStory(t).recommends(70).asks().reminds().decides(3612, "expired", "", "").tells(3613, "timed-out", "Nobody decided within 1h0m0s").input()
	},
	"rolled-back": func(t *testing.T) *rar.Input {
		return newStory(t).recommends(90).auto().runs(13).fails(140).tells(146, "failed", "Condition \"all replicas are available\" did not hold within 2m0s").input()
	},
	"no-action": func(t *testing.T) *rar.Input {
		return newStory(t).nothing().tells(13, "no-action", "").input()
	},
	"cancelled": func(t *testing.T) *rar.Input {
		return newStory(t).recommends(70).asks().cancels(44, "anna@example.com", "Cancelled by anna@example.com").input()
	},
	"deleted": func(t *testing.T) *rar.Input {
		s := newStory(t).recommends(90).auto().runs(13)
		s.e.Outcome, s.e.FailureReason, s.e.ExecutionCompletedAt, s.e.TotalDurationSeconds = "partial", "Cancelled", s.stamp(24), ptr.To(int64(11))
		s.workflow.record(s.at(24), "Cancelled", "Cancelled", s.e, true)
		return s.ends(24.4, "cancelled", "The request was deleted").input()
	},
	"open": func(t *testing.T) *rar.Input {
		in := newStory(t).recommends(70).asks().input()
		in.AsOf = at("14:20:00")
		return in
	},
	"gap": func(t *testing.T) *rar.Input {
		in := newStory(t).recommends(90).auto().runs(13).works(28).tells(28, "remediated", "").input()
		in.Rows = without(in.Rows, uid(3), 2)
		return in
	},
	"dead-letter": func(t *testing.T) *rar.Input {
		in := newStory(t).recommends(90).auto().runs(13).works(28).tells(28, "remediated", "").input()
		in.DeadLetters = []models.DeadLetter{letterOf(find(in.Rows, uid(4), 2))}
		in.Rows = without(in.Rows, uid(4), 2)
		return in
	},
	"broken-chain": func(t *testing.T) *rar.Input {
		in := newStory(t).recommends(70).asks().decides(312, "approved", "boris@example.com", "The tag is a typo.").runs(313).works(330).tells(330, "remediated", "").input()
		forged := find(in.Rows, uid(2), 3).(*models.AIDecisionRow)
		forged.ApprovedBy = "mallory@example.com"
		return in
	},
	"posted": postedOnly,
	"strangers": func(t *testing.T) *rar.Input {
		in := newStory(t).recommends(90).auto().runs(13).works(28).tells(28, "remediated", "").input()
		other := newResource(t, entry.KindExecution, "not-a-child", 50, at("14:00:00"))
		other.record(at("14:00:30"), "Completed", "Completed", models.Execution{RemediationID: uid(1), WorkflowID: "delete-everything", ExecutionStartedAt: *stamp("14:00:10"), Outcome: "failure", RollbacksPerformed: ptr.To(int64(9))}, true)
		in.Rows = append(in.Rows, other.rows...)
		in.Rows = append(in.Rows, post(60, "someone@example.com", &models.OrchestrationRow{Orchestration: models.Orchestration{RemediationID: uid(1), SignalFingerprint: "x", SignalReceivedAt: *stamp("13:00:00"),
			RemediationCreatedAt: *stamp("13:00:00"), Outcome: "failed", CompletedAt: stamp("23:00:00")}}, "14:10:00"),
			post(61, "someone@example.com", &models.NotificationRow{Notification: models.Notification{RemediationID: uid(1), NotificationRequestedAt: *stamp("14:00:00"), Channels: []string{"pager"}}}, "14:10:01"))
		return in
	},
	"clocks": func(t *testing.T) *rar.Input {
		// The clock of the node that ran the workflow is four minutes behind.
		s := newStory(t).recommends(90).auto()
		s.start = s.start.Add(-4 * time.Minute)
		s.runs(13).works(28)
		s.start = s.start.Add(4 * time.Minute)
		return s.tells(29, "remediated", "").input()
	},
}

func find(rows []models.Row, uid string, sequence int64) models.Row {
	for _, r := range rows {
		if h := r.Head(); h.SourceUID == uid && h.Sequence == sequence {
			return r
		}
	}
	panic(fmt.Sprintf("no entry %d of %s", sequence, uid))
}

func without(rows []models.Row, uid string, sequence int64) []models.Row {
	var kept []models.Row
	for _, r := range rows {
		if h := r.Head(); h.SourceUID != uid || h.Sequence != sequence {
			kept = append(kept, r)
		}
	}
	return kept
}

// letterOf is the dead letter of an entry that the database refused.
func letterOf(r models.Row) models.DeadLetter {
	h := r.Head()
	return models.DeadLetter{ID: h.ID, EntryHash: h.EntryHash, Kind: "notification", Entry: h.Entry, Error: "value too long for type character varying(50)", SQLState: "22001", SourceNamespace: h.SourceNamespace,
		SourceName: h.SourceName, SourceUID: h.SourceUID, Sequence: h.Sequence, PreviousHash: h.PreviousHash, FirstAttempt: h.RecordedAt, LastAttempt: h.RecordedAt, Attempts: 1}
}

// post makes a row as the Data Storage API does: no origin, no hash, recorded when it arrived.
func post(n int, by string, row models.Row, arrived string) models.Row {
	text, err := json.Marshal(row)
	if err != nil {
		panic(err)
	}
	h := row.Head()
	h.ID, h.Event, h.RecordedAt, h.CreatedAt, h.RecordedBy, h.SchemaVersion, h.Entry = uid(n), "Posted", *stamp(arrived), *stamp(arrived), by, 1, string(text)
	return row
}

// postedOnly is work by hand, of which somebody posted a row of each kind afterwards.
func postedOnly(t *testing.T) *rar.Input {
	const by = "system:serviceaccount:tools:runbook"
	rows := []models.Row{
		post(80, by, &models.OrchestrationRow{Orchestration: models.Orchestration{RemediationID: "by-hand-17", SignalFingerprint: "disk-7", SignalReceivedAt: *stamp("09:00:00"), RemediationCreatedAt: *stamp("09:01:00"),
			CompletedAt: stamp("09:31:00"), TotalDurationSeconds: ptr.To(int64(1800)), SignalContext: &models.SignalContext{Name: "DiskFull", Severity: "warning"}, Target: &models.Target{APIVersion: "v1", Kind: "Node", Name: "worker-7"},
			Outcome: "remediated"}}, "09:40:00"),
		post(81, by, &models.ExecutionRow{Execution: models.Execution{RemediationID: "by-hand-17", WorkflowID: "clean-disk", ExecutionStartedAt: *stamp("09:10:00"), ExecutionCompletedAt: stamp("09:30:00"), Outcome: "success",
			StepsExecuted: []models.Step{{Step: 1, Name: "remove old images", Action: "crictl rmi --prune", Status: "success", Duration: 1200, StartedAt: stamp("09:10:00"), CompletedAt: stamp("09:30:00")}}}}, "09:40:01"),
		post(82, "someone@example.com", &models.ExecutionRow{Execution: models.Execution{RemediationID: "by-hand-17", WorkflowID: "clean-disk", ExecutionStartedAt: *stamp("09:10:00"), Outcome: "failure"}}, "09:55:00"),
	}
	return &rar.Input{RemediationID: "by-hand-17", AsOf: at("12:00:00"), Rows: rows}
}
