package reportsapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// history is a generated one: what happened to one remediation, which may stop anywhere, with clocks that may disagree, and rows that may be lost.
type history struct {
	*rand.Rand
	s    *service
	n    int
	at   time.Time // as the request's clock has it
	skew time.Duration
	o    models.Orchestration
	// resources are the request, its children, and a stranger.
	resources []*generated
	left      int // entries until it stops, if it does
}

// generated is a resource with its outbox.
type generated struct {
	source entry.Source
	kind   string
	box    *outboxapi.Outbox
}

func (h *history) id(resource int) string {
	return fmt.Sprintf("5f8e0a52-%04x-4be0-9f0e-%012x", resource, h.n)
}

// pass lets time go by, from a microsecond to ten minutes.
func (h *history) pass() *outboxapi.Time {
	h.at = h.at.Add(time.Microsecond * time.Duration(1+h.Int64N([]int64{1000, 1_000_000, 60_000_000, 600_000_000}[h.IntN(4)])))
	return h.stamp()
}

// stamp is now, by the clock of whoever writes.
func (h *history) stamp() *outboxapi.Time { return outboxapi.NewTimePointer(h.at.Add(h.skew)) }

// clock changes the clock: that of one child in five is off by up to four minutes.
func (h *history) clock() {
	if h.skew = 0; h.IntN(5) == 0 {
		h.skew = time.Duration(h.Int64N(480e6)-240e6) * time.Microsecond
	}
}

func (h *history) namespace() string { return []string{"shop", "bank", "web"}[h.n%3] }

func (h *history) resource(kind, namespace string) *generated {
	n := len(h.resources) + 1
	r := &generated{kind: kind, source: entry.Source{Namespace: namespace, Name: fmt.Sprintf("r%d-%d", h.n, n), UID: types.UID(h.id(n)), Created: h.at}}
	h.resources = append(h.resources, r)
	return r
}

// child makes a resource that the request's next record names.
func (h *history) child(service, kind string) *generated {
	r := h.resource(kind, h.namespace())
	h.o.Children = append(h.o.Children, models.Child{Service: service, Name: r.source.Name, UID: string(r.source.UID)})
	return r
}

// stopped ends a history half-way.
type stopped struct{}

// record appends an entry, unless the history has stopped.
func (h *history) record(r *generated, event, phase string, record any, final bool) {
	if h.left--; h.left == 0 {
		panic(stopped{})
	}
	next, _, err := entry.Append(r.box, r.source, entry.Change{Kind: r.kind, Event: event, Phase: phase, Record: record, Final: final}, h.stamp().Add(time.Duration(h.IntN(9))*time.Microsecond), entry.Salt{}, entry.DefaultLimits())
	NewWithT(h.s.t).Expect(err).NotTo(HaveOccurred())
	r.box = next
}

// items are what a relay persists of it. One history in ten loses an entry.
func (h *history) items() []relay.Item {
	var all []relay.Item
	for _, r := range h.resources {
		if r.box == nil {
			continue
		}
		raw, err := json.Marshal(r.box)
		NewWithT(h.s.t).Expect(err).NotTo(HaveOccurred())
		var stored outboxapi.Outbox
		NewWithT(h.s.t).Expect(json.Unmarshal(raw, &stored)).To(Succeed())
		all = append(all, relay.NewItems(r.source, "Generated", entry.PendingOf(r.source.UID, &stored))...)
	}
	if lost := h.IntN(10 * len(all)); lost < len(all) && len(all) > 2 {
		all = append(all[:lost], all[lost+1:]...)
	}
	return all
}

// generate makes the nth history of a seed.
func (s *service) generate(seed uint64, n int) (h *history) {
	h = &history{Rand: rand.New(rand.NewPCG(seed, uint64(n))), s: s, n: n}
	if h.IntN(5) == 0 {
		h.left = 1 + h.IntN(14)
		if h.left == 1 {
			h.left = 2 // the request's first record
		}
	}
	defer func() {
		if stop := recover(); stop != nil {
			if _, ok := stop.(stopped); !ok {
				panic(stop)
			}
		}
	}()
	h.tell()
	return h
}

func (h *history) tell() {
	h.at = received.Add(time.Duration(h.Int64N(30*24*3600e6)) * time.Microsecond)
	alert := h.IntN(60)
	h.o = models.Orchestration{
		RemediationID: h.id(1), SignalFingerprint: fmt.Sprintf("f%d", alert), SignalReceivedAt: *h.stamp(), RemediationCreatedAt: *h.pass(),
		SignalContext: &models.SignalContext{Name: fmt.Sprintf("Alert%d", alert), Severity: "critical", Source: "alertmanager"},
		Target:        &models.Target{APIVersion: "apps/v1", Kind: []string{"Deployment", "StatefulSet"}[alert%2], Name: fmt.Sprintf("t%d", h.IntN(3))},
	}
	request := h.resource(entry.KindOrchestration, h.namespace())
	h.record(request, "Received", "Pending", h.o, false)
	if h.IntN(10) == 0 {
		h.record(h.resource(entry.KindExecution, "web"), "Completed", "Completed", models.Execution{RemediationID: h.id(1), WorkflowID: "stranger", ExecutionStartedAt: *h.stamp(), Outcome: "failure"}, true)
	}
	outcome := h.investigate(request)
	if outcome == "" {
		outcome = h.execute(request)
	}
	if h.IntN(4) > 0 {
		h.notify(request)
	}
	h.o.CompletedAt, h.o.Outcome = h.pass(), outcome
	h.o.TotalDurationSeconds = ptr.To(int64(h.o.CompletedAt.Time.Sub(h.o.RemediationCreatedAt.Time).Seconds()))
	h.record(request, "Completed", "Completed", h.o, true)
}

// investigate ends with an outcome, or "" where something is executed.
func (h *history) investigate(request *generated) string {
	if h.IntN(20) == 0 {
		return "cancelled"
	}
	analysis := h.child("AIAnalysis", entry.KindAIDecision)
	h.o.AIAnalysisStartedAt = h.pass()
	h.record(request, "AnalysisStarted", "Analyzing", h.o, false)
	h.clock()
	defer func() { h.skew = 0 }()
	a := models.AIDecision{RemediationID: h.id(1), InvestigationStartedAt: *h.pass(), Investigator: "rules"}
	h.record(analysis, "InvestigationStarted", "Investigating", a, false)
	a.InvestigationCompletedAt = h.pass()
	if h.IntN(10) == 0 {
		a.NoActionReason = "nothing to do"
		h.record(analysis, "Completed", "Completed", a, true)
		return "no-action"
	}
	a.RecommendedAction, a.ActionConfidence = "restart", ptr.To(float64(h.IntN(101)))
	if h.IntN(3) == 0 {
		a.ApprovalStatus, a.ApprovalTime, a.ApprovalDurationSeconds = "auto-approved", a.InvestigationCompletedAt, ptr.To(int64(0))
		h.record(analysis, "AutoApproved", "Completed", a, true)
		return ""
	}
	a.ApprovalRequestedAt = h.pass()
	h.record(analysis, "ApprovalRequested", "AwaitingApproval", a, false)
	if h.IntN(2) == 0 {
		h.deliver(h.child("Notification", entry.KindNotification), "ApprovalNeeded")
		h.record(request, "ApprovalRequested", "AwaitingApproval", h.o, false)
	}
	status := []string{"approved", "approved", "approved", "rejected", "expired", ""}[h.IntN(6)]
	decided := h.pass()
	if a.ApprovalStatus = status; status != "" {
		a.ApprovalTime, a.ApprovalDurationSeconds = decided, ptr.To(int64(decided.Time.Sub(a.ApprovalRequestedAt.Time).Seconds()))
	}
	h.record(analysis, "Decided", "Completed", a, true)
	return map[string]string{"approved": "", "rejected": "rejected", "expired": "timed-out", "": "cancelled"}[status]
}

func (h *history) execute(request *generated) string {
	workflow := h.child("WorkflowExecution", entry.KindExecution)
	h.o.WorkflowStartedAt = h.pass()
	h.record(request, "WorkflowStarted", "Executing", h.o, false)
	h.clock()
	defer func() { h.skew = 0 }()
	e := models.Execution{RemediationID: h.id(1), WorkflowID: "restart", ExecutionStartedAt: *h.pass(), RetriesPerformed: ptr.To(int64(0))}
	h.record(workflow, "Started", "Executing", e, false)
	outcome := "success"
	for i := range h.IntN(4) {
		step := models.Step{Step: i + 1, Name: fmt.Sprintf("step-%d", i+1), Status: "success", Attempts: int32(1 + h.IntN(3)), StartedAt: h.pass(), CompletedAt: h.pass()}
		if step.Duration = int64(step.CompletedAt.Time.Sub(step.StartedAt.Time).Seconds()); h.IntN(6) == 0 {
			step.Status, outcome = "failure", "failure"
		}
		*e.RetriesPerformed += int64(step.Attempts - 1)
		e.StepsExecuted = append(e.StepsExecuted, step)
		h.record(workflow, "StepCompleted", "Executing", e, false)
	}
	if e.Outcome = outcome; h.IntN(8) > 0 { // one that was cut off has no end
		e.ExecutionCompletedAt = h.pass()
	}
	e.PostConditionsPassed = ptr.To(outcome == "success")
	h.record(workflow, "Completed", "Completed", e, true)
	return map[string]string{"success": "remediated", "failure": "failed"}[outcome]
}

func (h *history) notify(request *generated) {
	notice := h.child("Notification", entry.KindNotification)
	h.o.NotificationSentAt = h.pass()
	h.record(request, "NotificationStarted", "Notifying", h.o, false)
	h.clock()
	defer func() { h.skew = 0 }()
	h.deliver(notice, "Outcome")
}

func (h *history) deliver(notice *generated, purpose string) {
	n := models.Notification{RemediationID: h.id(1), NotificationRequestedAt: *h.pass(), Channels: []string{"console", "slack"}, Purpose: purpose}
	h.record(notice, "Requested", "Sending", n, false)
	for attempt := int32(1); attempt <= 3; attempt++ {
		failed := h.IntN(3) == 0
		a := models.DeliveryAttempt{Channel: "slack", Attempt: attempt, Status: "success", StartedAt: h.pass(), Duration: h.Int64N(2000)}
		if h.at = h.at.Add(2 * time.Second); failed {
			a.Status = "failed"
		} else if n.NotificationSentAt = h.stamp(); h.IntN(2) == 0 {
			n.DeliveryConfirmedAt = h.pass()
		}
		n.DeliveryAttempts = append(n.DeliveryAttempts, a)
		h.record(notice, "Attempted", "Sending", n, false)
		if !failed {
			break
		}
	}
	h.record(notice, "Sent", "Sent", n, true)
}
