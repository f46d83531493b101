package rar

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// purposeOutcome is the purpose of a notification that tells the end. The others ask for a decision.
const purposeOutcome = "Outcome"

// tellsOutcome reports whether a notification tells the end. Old rows, and those that were posted, may not say.
func tellsOutcome(n *models.NotificationRow) bool {
	return n.Purpose == purposeOutcome || n.Purpose == ""
}

func (b *builder) approval() *Approval {
	a := b.analysis
	if a == nil || a.ApprovalRequired == nil && a.ApprovalStatus == "" && a.ApprovalRequestedAt == nil {
		return nil
	}
	s := &Approval{
		Required: a.ApprovalRequired, Mode: a.ApprovalMode, Threshold: a.ApprovalThreshold, Confidence: a.ActionConfidence, RequestedAt: a.ApprovalRequestedAt,
		Deadline: a.ApprovalDeadline, DecidedAt: a.ApprovalTime, Status: a.ApprovalStatus, By: a.ApprovedBy, Method: a.ApprovalMethod,
		Justification: a.ApprovalJustification, Refs: b.analysisRefs(),
	}
	if a.ApprovalStatus == approvalRejected {
		s.By, s.Justification = a.RejectedBy, a.RejectionReason
	}
	if s.Status == "" && a.ApprovalRequestedAt != nil {
		s.Status = approvalPending
		if b.analysisTrail.closed() {
			s.Status = "" // it ended without a decision
		}
	}
	switch {
	case a.ApprovalRequestedAt != nil && a.ApprovalTime != nil:
		s.WaitSeconds = ptr.To(max(0, seconds(a.ApprovalRequestedAt.Time, a.ApprovalTime.Time)))
	case a.ApprovalDurationSeconds != nil:
		s.WaitSeconds = ptr.To(float64(max(0, *a.ApprovalDurationSeconds)))
	}
	return s
}

func (b *builder) executed() *Execution {
	e := b.execution
	if e == nil {
		return nil
	}
	s := &Execution{
		WorkflowID: e.WorkflowID, Version: e.WorkflowVersion, ActedAs: e.ActedAs, Outcome: e.Outcome, FailureReason: e.FailureReason,
		StartedAt: e.ExecutionStartedAt, CompletedAt: e.ExecutionCompletedAt, Steps: notEmpty(e.StepsExecuted), StepsTotal: value(e.TotalSteps), StepsSucceeded: value(e.StepsSucceeded),
		StepsFailed: value(e.StepsFailed), Validations: notEmpty(e.ValidationResults), PreConditionsPassed: e.PreConditionsPassed, PostConditionsPassed: e.PostConditionsPassed,
		Retries: value(e.RetriesPerformed), Rollbacks: value(e.RollbacksPerformed), Adjustments: notEmpty(e.AdaptiveAdjustments), Refs: b.executionRefs(),
	}
	switch {
	case e.ExecutionCompletedAt != nil:
		s.Seconds = ptr.To(max(0, seconds(e.ExecutionStartedAt.Time, e.ExecutionCompletedAt.Time)))
	case e.TotalDurationSeconds != nil:
		s.Seconds = ptr.To(float64(max(0, *e.TotalDurationSeconds)))
	}
	return s
}

func value(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// heldWindows are how long the alert must stay away, the shortest first.
var heldWindows = []struct {
	name   string
	length time.Duration
}{{"1h", time.Hour}, {"24h", 24 * time.Hour}, {"7d", RecurrenceWindow}}

func (b *builder) effectiveness() *Effectiveness {
	repaired := b.outcome() == outcomeRemediated
	if b.execution == nil && !repaired {
		return nil
	}
	s := &Effectiveness{Held: map[string]string{}, Recurrences: b.recurrences, Refs: join(b.executionRefs(), b.requestRefs())}
	if b.execution != nil {
		s.Score, s.PostConditions = b.execution.EffectivenessScore, b.execution.PostConditionsPassed
	}
	if repaired && !b.completed.IsZero() {
		for _, w := range heldWindows {
			s.Held[w.name] = b.held(w.length)
		}
		s.Refs = join(s.Refs, []string{b.recurrenceRef()})
	}
	return s
}

// held reports whether the alert stayed away for as long after the end.
func (b *builder) held(window time.Duration) string {
	switch {
	case b.cameBack(window):
		return HeldNo
	case b.over(b.completed.Add(window)):
		return HeldYes
	}
	return HeldTooEarly
}

func (b *builder) cameBack(window time.Duration) bool {
	return len(b.recurrences) > 0 && b.recurrences[0].AfterSeconds <= window.Seconds()
}

func (b *builder) recurrenceRef() string {
	return b.ledger.query(models.TableOrchestration, "recurrence.sql", "the same fingerprint and target, received up to 7 days after "+b.completed.String())
}

// findRecurrences are later requests of the same fingerprint and target in the same place. The query does not compare namespaces and clusters, and may be asked for a longer time.
func (b *builder) findRecurrences() []RecurrenceReported {
	found := []RecurrenceReported{}
	if b.completed.IsZero() {
		return found
	}
	h := b.request.Head()
	sorted := slices.SortedFunc(slices.Values(b.in.Recurrences), func(x, y Recurrence) int {
		return cmp.Or(x.SignalReceivedAt.Compare(y.SignalReceivedAt.Time), cmp.Compare(x.ID, y.ID))
	})
	known := map[string]bool{b.in.RemediationID: true}
	for _, r := range sorted {
		at := r.SignalReceivedAt
		inside := at.After(b.completed.Time) && !at.After(b.completed.Add(RecurrenceWindow)) && !at.After(b.in.AsOf)
		if !inside || known[r.RemediationID] || r.SourceNamespace != h.SourceNamespace || r.SourceCluster != h.SourceCluster {
			continue
		}
		known[r.RemediationID] = true
		found = append(found, RecurrenceReported{RemediationID: r.RemediationID, ReceivedAt: at, AfterSeconds: seconds(b.completed.Time, at.Time), Refs: b.ledger.place(models.TableOrchestration, Row{r.ID, r.SourceUID, r.Sequence, r.EntryHash})})
	}
	return found
}

// notifications are one for each channel of each notification of the remediation, in the order of the record.
func (b *builder) notifications() []Notification {
	all := []Notification{}
	for _, t := range b.trails {
		n, ok := lastOf[*models.NotificationRow](t)
		if !ok {
			continue
		}
		channels := slices.Clone(n.Channels)
		for _, a := range n.DeliveryAttempts {
			if !slices.Contains(channels, a.Channel) {
				channels = append(channels, a.Channel)
			}
		}
		for i, channel := range channels {
			if !slices.Contains(channels[:i], channel) {
				all = append(all, b.notification(n, channel))
			}
		}
	}
	return all
}

func (b *builder) notification(n *models.NotificationRow, channel string) Notification {
	s := Notification{Channel: channel, Purpose: n.Purpose, Subject: n.Subject, Attempts: []models.DeliveryAttempt{}, Status: "waiting", Refs: b.refs(n)}
	if n.Final {
		s.Status = "not sent"
	}
	for _, a := range n.DeliveryAttempts {
		if a.Channel != channel {
			continue
		}
		s.Attempts = append(s.Attempts, a)
		if s.DeliveredAt == nil {
			s.Status = a.Status
		}
		if a.Status == "success" && s.DeliveredAt == nil {
			if s.DeliveredAt = attemptEnd(a); s.DeliveredAt != nil {
				s.Seconds = ptr.To(max(0, seconds(n.NotificationRequestedAt.Time, s.DeliveredAt.Time)))
			}
		}
	}
	return s
}

// attemptEnd is when an attempt ended; nil while it runs, and where the row does not say when it began.
func attemptEnd(a models.DeliveryAttempt) *outboxapi.Time {
	if a.StartedAt == nil || a.Status == "sending" {
		return nil
	}
	return outboxapi.NewTimePointer(a.StartedAt.Add(time.Duration(max(0, min(a.Duration, 1e9))) * time.Millisecond))
}
