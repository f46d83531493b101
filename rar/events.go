package rar

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// eventRolledBack is the event of a step that was undone. Its step does not say when.
const eventRolledBack = "StepRolledBack"

// happening is an event that a row tells. index is the place of the first row that tells it.
type happening struct {
	index int
	Event
}

// events merges what the trails tell. Within a trail the order is that of its rows, whatever their clocks say; across trails it is time.
func (b *builder) events() []Event {
	heads := make([][]happening, len(b.trails))
	for i, t := range b.trails {
		heads[i] = b.told(t)
	}
	all := []Event{}
	for {
		next := -1
		for i, h := range heads {
			if len(h) > 0 && (next < 0 || h[0].At.Before(heads[next][0].At.Time)) {
				next = i
			}
		}
		if next < 0 {
			return all
		}
		e := heads[next][0].Event
		heads[next] = heads[next][1:]
		if !b.received.IsZero() && !e.At.IsZero() {
			e.OffsetMS = micros(b.received.Time, e.At.Time) / 1000
		}
		all = append(all, e)
	}
}

// told is what a trail tells, in the order of its rows. A row that tells nothing new is told by its own event, so that every row is in the timeline.
func (b *builder) told(t *trail) []happening {
	w := &teller{b: b, t: t}
	known := map[string]bool{}
	for i, r := range t.rows {
		w.index, w.row, w.found = i, r, nil
		switch r := r.(type) {
		case *models.OrchestrationRow:
			w.orchestration(r)
		case *models.AIDecisionRow:
			w.decision(r)
		case *models.ExecutionRow:
			w.execution(r)
		case *models.NotificationRow:
			w.notification(r)
		}
		fresh := 0
		for _, h := range w.found {
			key := h.Event.Event + "\x00" + h.Text
			if h.Event.Event != eventRolledBack { // its time is that of the row
				key += "\x00" + h.At.String()
			}
			if !known[key] {
				known[key] = true
				w.all = append(w.all, h)
				fresh++
			}
		}
		if fresh == 0 {
			h := r.Head()
			w.all = append(w.all, happening{i, Event{At: h.RecordedAt, Actor: w.recorder(), Event: h.Event, Phase: h.Phase, Text: rowText(t, h), Refs: b.refs(r)}})
		}
	}
	slices.SortStableFunc(w.all, func(x, y happening) int { return cmp.Or(cmp.Compare(x.index, y.index), x.At.Compare(y.At.Time)) })
	return w.all
}

func rowText(t *trail, h *models.Envelope) string {
	switch {
	case h.Final:
		return fmt.Sprintf("%s ended as %s.", t.service, cmp.Or(shownName(h.Phase), "posted"))
	case h.Phase != "":
		return fmt.Sprintf("%s is in phase %s.", t.service, shownName(h.Phase))
	}
	return t.service + " was recorded."
}

// teller reads the events out of one row after the other.
type teller struct {
	b     *builder
	t     *trail
	index int
	row   models.Row
	found []happening
	all   []happening
}

// tell adds an event, unless its time is not known.
func (w *teller) tell(at *outboxapi.Time, actor, event, format string, arguments ...any) {
	if at == nil || at.IsZero() {
		return
	}
	w.found = append(w.found, happening{w.index, Event{At: *at, Actor: cmp.Or(actor, w.recorder()), Event: event, Phase: w.row.Head().Phase, Text: fmt.Sprintf(format, arguments...), Refs: w.b.refs(w.row)}})
}

// recorder is who wrote the row.
func (w *teller) recorder() string { return cmp.Or(w.row.Head().RecordedBy, w.t.service+" controller") }

func (w *teller) orchestration(r *models.OrchestrationRow) {
	alert, severity, source := "An alert", "", ""
	if c := r.SignalContext; c != nil {
		alert, severity, source = "Alert "+shownName(c.Name), " ("+shownName(c.Severity)+")", c.Source
	}
	w.tell(&r.SignalReceivedAt, source, "SignalReceived", "%s%s was received.", alert, severity)
	target := "an unknown target"
	if x := r.Target; x != nil {
		target = shownName(x.Kind) + " " + shownName(Target{Namespace: r.SourceNamespace, Name: x.Name}.String())
	}
	w.tell(&r.RemediationCreatedAt, r.RequestedBy, "RequestCreated", "A remediation of %s was requested.", target)
	if r.CompletedAt != nil {
		w.tell(r.CompletedAt, r.CancelledBy, "RequestCompleted", "The remediation ended: %s.%s", cmp.Or(shownName(r.Outcome), "no outcome"), because(r.FailureReason))
	}
}

func (w *teller) decision(r *models.AIDecisionRow) {
	if r.Investigator != "" || w.t.posted {
		w.tell(&r.InvestigationStartedAt, r.Investigator, "InvestigationStarted", "The investigation began.")
	}
	w.tell(r.InvestigationCompletedAt, r.Investigator, "InvestigationCompleted", "%s", found(&r.AIDecision))
	deadline := ""
	if r.ApprovalDeadline != nil {
		deadline = ", until " + moment(*r.ApprovalDeadline)
	}
	w.tell(r.ApprovalRequestedAt, "", "ApprovalRequested", "A person's approval was asked for%s.", deadline)
	switch r.ApprovalStatus {
	case approvalApproved:
		w.tell(r.ApprovalTime, r.ApprovedBy, "Approved", "%s", decided("Approved", r.ApprovalMethod, r.ApprovalJustification))
	case approvalAutoApproved:
		w.tell(r.ApprovalTime, r.ApprovedBy, "AutoApproved", "%s", decided("Approved by the policy", "", r.ApprovalJustification))
	case approvalRejected:
		w.tell(r.ApprovalTime, r.RejectedBy, "Rejected", "%s", decided("Rejected", r.ApprovalMethod, r.RejectionReason))
	case approvalExpired:
		w.tell(r.ApprovalTime, "", "ApprovalExpired", "Nobody decided in time.")
	}
}

func found(a *models.AIDecision) string {
	if a.RecommendedAction == "" {
		return "Nothing is recommended." + because(cmp.Or(a.NoActionReason, a.FailureReason))
	}
	text := "Recommended: " + shownName(a.RecommendedAction)
	if a.ActionConfidence != nil {
		text += ", confidence " + number(*a.ActionConfidence) + " %"
	}
	if n := len(a.AlternativesConsidered); n > 0 {
		text += "; " + plural(int64(n), "alternative was", "alternatives were") + " weighed"
	}
	return text + "."
}

func decided(what, method, why string) string {
	if method != "" {
		what += " by " + shownName(method)
	}
	return what + "." + because(why)
}

func (w *teller) execution(r *models.ExecutionRow) {
	if len(r.StepsExecuted) > 0 || w.t.posted {
		as := ""
		if r.ActedAs != "" {
			as = " as " + shownName(r.ActedAs)
		}
		w.tell(&r.ExecutionStartedAt, "", "ExecutionStarted", "Workflow %s began%s.", shownName(r.WorkflowID), as)
	}
	for _, s := range r.StepsExecuted {
		if s.Status == "running" {
			continue
		}
		if s.Status == "rolled-back" {
			w.tell(&w.row.Head().RecordedAt, "", eventRolledBack, "Step %d, %s, was rolled back.", s.Step, shownName(s.Name))
			continue
		}
		tries := ""
		if s.Attempts > 1 {
			tries = fmt.Sprintf(" at attempt %d", s.Attempts)
		}
		w.tell(s.CompletedAt, "", "StepCompleted", "Step %d, %s: %s after %s%s.", s.Step, shownName(s.Name), shownName(s.Status), duration(float64(s.Duration)), tries)
	}
	w.validations(r)
	if r.ExecutionCompletedAt != nil {
		w.tell(r.ExecutionCompletedAt, "", "ExecutionCompleted", "The workflow ended: %s.", cmp.Or(shownName(r.Outcome), "no outcome"))
	}
}

// validations tells each stage once, when its last condition was looked at.
func (w *teller) validations(r *models.ExecutionRow) {
	for _, stage := range []string{"pre", "post"} {
		var at *outboxapi.Time
		passed, n := 0, 0
		for _, v := range r.ValidationResults {
			if v.Stage != stage || v.Time == nil {
				continue
			}
			if n++; v.Passed {
				passed++
			}
			if at == nil || v.Time.After(at.Time) {
				at = v.Time
			}
		}
		if n > 0 {
			w.tell(at, "", "Validated", "%s-conditions: %d of %d passed.", strings.ToUpper(stage[:1])+stage[1:], passed, n)
		}
	}
}

func (w *teller) notification(r *models.NotificationRow) {
	w.tell(&r.NotificationRequestedAt, "", "NotificationRequested", "A notification was asked for (%s).", cmp.Or(shownName(r.Purpose), purposeOutcome))
	for _, a := range r.DeliveryAttempts {
		if a.Status == "sending" {
			continue
		}
		w.tell(attemptEnd(a), "", "DeliveryAttempted", "Delivery by %s, attempt %d: %s.", shownName(a.Channel), a.Attempt, shownName(a.Status))
	}
	if len(r.DeliveryAttempts) == 0 {
		w.tell(r.NotificationSentAt, "", "NotificationSent", "The notification was sent.")
	}
}
