package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// historyEnd is where the year of remediations ends. It is a constant, so that every run has the same rows but for created_at and tx.
var historyEnd = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

const (
	historyNamespaces = 300
	historyAlerts     = 50
	historyActions    = 30
	historyBatch      = 1000
)

// history is a year of remediations, as controllers and the relay write them: every entry is appended, hashed and chained, and stored by Persist. Few alerts make most of the signals.
type history struct {
	remediations int
	rows         int
	random       *rand.Rand
	received     time.Time
}

// fillHistory writes so many rows, nearly, oldest first.
func fillHistory(ctx context.Context, s *postgres.Store, rows int) (*history, error) {
	const each = 12.4 // rows of a remediation, by the odds in draw
	remediations := int(float64(rows) / each)
	h := &history{random: rand.New(rand.NewPCG(2026, 17)), received: historyEnd.AddDate(-1, 0, 0)}
	apart := historyEnd.Sub(h.received) / time.Duration(remediations+1)
	batches := make(chan []relay.Item, 2)
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for batch := range batches {
			if _, err := s.Persist(ctx, batch); err != nil {
				failed <- err
				return
			}
		}
	}()
	err := h.generate(remediations, apart, func(batch []relay.Item) error {
		select {
		case batches <- batch:
			return nil
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(batches)
	if err == nil {
		err = <-failed
	}
	if err != nil {
		return nil, fmt.Errorf("fill the year: %w", err)
	}
	for _, table := range append(models.Tables(), models.TableDeadLetter) { // as autovacuum would have, which index-only scans need
		if _, err := s.DB().ExecContext(ctx, "VACUUM (ANALYZE) "+table); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *history) generate(remediations int, apart time.Duration, write func([]relay.Item) error) error {
	var batch []relay.Item
	flush := func() error {
		slices.SortFunc(batch, relay.ByID)
		err := write(batch)
		batch = nil
		return err
	}
	for h.remediations < remediations {
		items, err := h.remediation()
		if err != nil {
			return err
		}
		h.received = h.received.Add(apart)
		h.remediations++
		h.rows += len(items)
		if batch = append(batch, items...); len(batch) >= historyBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// skewed is one of n, the first ones far more often than the last.
func (h *history) skewed(n int) int {
	x := h.random.Float64()
	return int(float64(n) * x * x)
}

// uid is one of a year's resources.
func (h *history) uid() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], h.random.Uint64())
	binary.BigEndian.PutUint64(b[8:], h.random.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return uuid.UUID(b).String()
}

// historyCase is one remediation in the making.
type historyCase struct {
	id, namespace, name, alert, kind, target, action, other string
	received                                                time.Time
	manual, refused, acted, worked                          bool
	investigation, wait, work                               int // seconds
}

func (h *history) draw() *historyCase {
	alert := h.skewed(historyAlerts)
	c := &historyCase{
		id: h.uid(), namespace: fmt.Sprintf("team-%03d", h.skewed(historyNamespaces)), alert: fmt.Sprintf("PodAlert%02d", alert), kind: "Deployment", received: h.received,
		action: fmt.Sprintf("repair-%02d", (alert+h.skewed(4))%historyActions), other: fmt.Sprintf("repair-%02d", (alert+1+h.skewed(4))%historyActions),
		manual: h.random.IntN(10) < 3, investigation: 20 + h.random.IntN(100), work: 10 + h.random.IntN(60),
	}
	if h.random.IntN(6) == 0 {
		c.kind = "StatefulSet"
	}
	c.target = fmt.Sprintf("web-%03d", h.random.IntN(200)) // now and then the same target as before
	c.name = fmt.Sprintf("%s-%s", c.target, c.id[:8])
	if c.manual {
		c.wait, c.refused = 30+h.random.IntN(600), h.random.IntN(12) == 0
	}
	c.acted = !c.refused && h.random.IntN(20) > 0
	c.worked = c.acted && h.random.IntN(10) > 0
	return c
}

// remediation appends the entries of a request and its children, and returns them as the relay has them.
func (h *history) remediation() ([]relay.Item, error) {
	c := h.draw()
	r := &recorder{c: c, salt: entry.Salt{}}
	binary.BigEndian.PutUint64(r.salt[:], h.random.Uint64())
	c.write(r, h.uid(), h.uid(), h.uid())
	return r.items()
}

// recorder appends to the outboxes of one remediation's resources.
type recorder struct {
	c         *historyCase
	salt      entry.Salt
	resources []*recorded
	err       error
}

type recorded struct {
	kind, of string
	source   entry.Source
	box      *outboxapi.Outbox
}

func (r *recorder) resource(kind, of, name, uid string, created int) *recorded {
	one := &recorded{kind: kind, of: of, source: entry.Source{Namespace: r.c.namespace, Name: name, UID: types.UID(uid), Created: r.c.received.Add(time.Duration(created) * time.Second)}}
	r.resources = append(r.resources, one)
	return one
}

func (r *recorder) record(on *recorded, second float64, event, phase string, record any, final bool) {
	if r.err != nil {
		return
	}
	at := r.c.received.Add(time.Duration(second * float64(time.Second)))
	on.box, _, r.err = entry.Append(on.box, on.source, entry.Change{Kind: on.kind, Event: event, Phase: phase, Record: record, Final: final}, at, r.salt, entry.DefaultLimits())
}

func (r *recorder) items() ([]relay.Item, error) {
	var all []relay.Item
	for _, one := range r.resources {
		if r.err != nil {
			return nil, r.err
		}
		all = append(all, relay.NewItems(one.source, one.of, entry.PendingOf(one.source.UID, one.box))...)
	}
	return all, r.err
}

func (c *historyCase) at(second int) *outboxapi.Time {
	return outboxapi.NewTimePointer(c.received.Add(time.Duration(second) * time.Second))
}

func (c *historyCase) fingerprint() string {
	sum := sha256.Sum256([]byte(c.alert + c.namespace + c.kind + c.target))
	return hex.EncodeToString(sum[:])
}

// write is the life of the remediation, in seconds from its signal.
func (c *historyCase) write(r *recorder, analysisUID, executionUID, notificationUID string) {
	request := r.resource(entry.KindOrchestration, "RemediationRequest", c.name, c.id, 2)
	o := models.Orchestration{
		RemediationID: c.id, SignalFingerprint: c.fingerprint(), SignalReceivedAt: *c.at(0), RemediationCreatedAt: *c.at(2), RequestedBy: "system:serviceaccount:holdfast-system:gateway",
		SignalContext: &models.SignalContext{Name: c.alert, Severity: "critical", Source: "alertmanager", Labels: map[string]string{"namespace": c.namespace, "workload": c.target},
			Annotations: map[string]string{"summary": "Pods of " + c.target + " are not ready for five minutes."}},
		Target: &models.Target{APIVersion: "apps/v1", Kind: c.kind, Name: c.target},
		Policy: &models.Policy{ServiceAccountName: "remediator", ApprovalMode: "Automatic", Channels: []string{"slack"}, TimeoutSeconds: map[string]int64{"analysis": 600, "approval": 3600, "execution": 1800, "total": 7200}},
	}
	if c.manual {
		o.Policy.ApprovalMode = "Manual"
	}
	r.record(request, 2, "Received", "Pending", o, false)
	o.ServicesInvoked, o.Children, o.AIAnalysisStartedAt = []string{"AIAnalysis"}, []models.Child{{Service: "AIAnalysis", Name: c.name + "-analysis", UID: analysisUID}}, c.at(3)
	r.record(request, 3, "AnalysisStarted", "Analyzing", o, false)
	decided := c.analyse(r, analysisUID)
	end, outcome := decided+1, "rejected"
	if c.acted {
		o.ServicesInvoked, o.Children = append(o.ServicesInvoked, "WorkflowExecution"), append(o.Children, models.Child{Service: "WorkflowExecution", Name: c.name + "-workflow", UID: executionUID})
		o.WorkflowStartedAt = c.at(decided + 2)
		r.record(request, float64(decided+2), "WorkflowStarted", "Executing", o, false)
		end, outcome = c.execute(r, executionUID, decided+2), "failed"
	} else if !c.refused {
		outcome = "no-action"
	}
	if c.worked {
		outcome = "remediated"
	}
	o.Outcome = outcome
	o.ServicesInvoked, o.Children = append(o.ServicesInvoked, "Notification"), append(o.Children, models.Child{Service: "Notification", Name: c.name + "-notification", UID: notificationUID})
	r.record(request, float64(end)+0.1, "NotificationStarted", "Notifying", o, false)
	c.notify(r, notificationUID, end)
	o.NotificationSentAt, o.CompletedAt, o.TotalDurationSeconds = c.at(end+2), c.at(end+2), ptr.To(int64(end))
	o.BottleneckPhase, o.BottleneckDurationSeconds = "ai_analysis", ptr.To(int64(c.investigation))
	if c.wait > c.investigation {
		o.BottleneckPhase, o.BottleneckDurationSeconds = "approval_wait", ptr.To(int64(c.wait))
	}
	r.record(request, float64(end+2), "Completed", "Completed", o, true)
}

// analyse returns when it was decided.
func (c *historyCase) analyse(r *recorder, uid string) int {
	analysis := r.resource(entry.KindAIDecision, "AIAnalysis", c.name+"-analysis", uid, 3)
	a := models.AIDecision{RemediationID: c.id, InvestigationStartedAt: *c.at(3), Investigator: "holmesgpt", Model: "gpt-4o", ApprovalMode: "Automatic", ApprovalThreshold: ptr.To(60.0), Attempts: ptr.To(int64(1))}
	r.record(analysis, 3, "InvestigationStarted", "Investigating", a, false)
	found := 3 + c.investigation
	a.InvestigationCompletedAt, a.HolmesGPTResponseTimeMs = c.at(found), ptr.To(int64(1000*c.investigation))
	a.RootCause, a.RootCauseConfidence = "The containers of "+c.target+" exceed their memory limit: the session cache grows by 40 MiB an hour, and the readiness probe fails while the collector runs.", ptr.To(80.0)
	a.RecommendedAction, a.ActionConfidence, a.ActionRationale = c.action, ptr.To(float64(55+c.investigation%45)), "A restart frees the memory that leaked; a further replica keeps headroom until the leak is fixed."
	a.AlternativesConsidered = []models.Alternative{{Action: c.other, WorkflowID: c.other, Confidence: 50, RejectedReason: "the nodes have no capacity for a larger limit"}}
	a.Evidence = []models.Evidence{{Tool: "kubectl_describe", Purpose: "state of the pods", Excerpt: "Last State: Terminated, Reason: OOMKilled, Exit Code: 137"},
		{Tool: "prometheus", Purpose: "memory over a day", Excerpt: "working set 498Mi, rising"}}
	a.PromptTokens, a.CompletionTokens, a.ApprovalRequired = ptr.To(int64(5230)), ptr.To(int64(812)), ptr.To(c.manual)
	if !c.manual {
		a.ApprovalStatus, a.ApprovalTime, a.ApprovalMethod = "auto-approved", c.at(found), "threshold"
		r.record(analysis, float64(found), "AutoApproved", "Completed", a, true)
		return found
	}
	a.ApprovalMode = "Manual"
	r.record(analysis, float64(found), "InvestigationCompleted", "Investigating", a, false)
	a.ApprovalRequestedAt, a.ApprovalDeadline = c.at(found+1), c.at(found+3601)
	r.record(analysis, float64(found+1), "ApprovalRequested", "AwaitingApproval", a, false)
	decided := found + 1 + c.wait
	a.ApprovalStatus, a.ApprovalTime, a.ApprovalDurationSeconds, a.ApprovalMethod = "approved", c.at(decided), ptr.To(int64(c.wait)), "slack"
	a.ApprovedBy, a.ApprovalJustification = "on-call@example.com", "Known leak; a restart is safe outside of the batch window."
	if c.refused {
		a.ApprovalStatus, a.ApprovedBy, a.RejectedBy = "rejected", "", "on-call@example.com"
	}
	r.record(analysis, float64(decided), "Decided", "Completed", a, true)
	return decided
}

// execute returns when it ended.
func (c *historyCase) execute(r *recorder, uid string, begin int) int {
	execution := r.resource(entry.KindExecution, "WorkflowExecution", c.name+"-workflow", uid, begin)
	half, end := begin+c.work/2, begin+c.work
	e := models.Execution{RemediationID: c.id, WorkflowID: c.action, WorkflowVersion: "sha256:" + c.fingerprint(), ActedAs: "system:serviceaccount:" + c.namespace + ":remediator", ExecutionStartedAt: *c.at(begin),
		TotalSteps: ptr.To(int64(2)), RetriesPerformed: ptr.To(int64(0)), RollbacksPerformed: ptr.To(int64(0)), PreConditionsPassed: ptr.To(true),
		ValidationResults: []models.ValidationResult{{Name: "the workload exists", Stage: "pre", Passed: true, Time: c.at(begin)}}}
	e.StepsExecuted = []models.Step{{Step: 1, Name: "restart", Action: "restart-rollout", Status: "running", Attempts: 1, StartedAt: c.at(begin)}}
	r.record(execution, float64(begin), "StepStarted", "Executing", e, false)
	e.StepsExecuted = []models.Step{{Step: 1, Name: "restart", Action: "restart-rollout", Status: "success", Attempts: 1, Duration: int64(c.work / 2), StartedAt: c.at(begin), CompletedAt: c.at(half)}}
	e.StepsSucceeded = ptr.To(int64(1))
	r.record(execution, float64(half), "StepCompleted", "Executing", e, false)
	second := models.Step{Step: 2, Name: "scale", Action: "scale", Status: "success", Attempts: 1, Duration: int64(c.work - c.work/2), StartedAt: c.at(half), CompletedAt: c.at(end), Parameters: map[string]string{"replicas": "3"}}
	e.Outcome, e.PostConditionsPassed, e.EffectivenessScore = "success", ptr.To(true), ptr.To(100.0)
	if !c.worked {
		second.Status, second.Attempts, e.Outcome, e.PostConditionsPassed, e.EffectivenessScore, e.RetriesPerformed = "failed", 2, "failure", ptr.To(false), ptr.To(20.0), ptr.To(int64(1))
	}
	e.StepsExecuted = append(e.StepsExecuted, second)
	e.ValidationResults = append(e.ValidationResults, models.ValidationResult{Name: "all replicas are available", Stage: "post", Passed: c.worked, Message: "3 of 3 available", Time: c.at(end)})
	e.ExecutionCompletedAt, e.TotalDurationSeconds = c.at(end), ptr.To(int64(c.work))
	r.record(execution, float64(end), "Completed", "Completed", e, true)
	return end
}

func (c *historyCase) notify(r *recorder, uid string, end int) {
	notice := r.resource(entry.KindNotification, "NotificationRequest", c.name+"-notification", uid, end)
	n := models.Notification{RemediationID: c.id, NotificationRequestedAt: *c.at(end), Channels: []string{"slack"}, Purpose: "Outcome", Subject: c.alert + " on " + c.kind + " " + c.namespace + "/" + c.target,
		DeliveryAttempts: []models.DeliveryAttempt{{Channel: "slack", Attempt: 1, Status: "sending", StartedAt: c.at(end + 1)}}}
	r.record(notice, float64(end+1), "DeliveryStarted", "Sending", n, false)
	n.DeliveryAttempts = []models.DeliveryAttempt{{Channel: "slack", Attempt: 1, Status: "success", Duration: 250, StartedAt: c.at(end + 1), StatusCode: ptr.To(int32(200))}}
	n.NotificationSentAt, n.DeliveryConfirmedAt, n.DeliveryStatus = c.at(end+2), c.at(end+2), "success"
	r.record(notice, float64(end+2), "Sent", "Sent", n, true)
}
