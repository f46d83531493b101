package rar

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// builder is one report in the making. Everything after gather reads the facts and adds a section.
type builder struct {
	in *Input
	*subject
	ledger *ledger
	report *Report

	// The newest rows of the request, its analysis and its execution, and their trails; nil if there is none. The report's figures are theirs, since each row is the whole record as of its moment.
	request        *models.OrchestrationRow
	analysis       *models.AIDecisionRow
	execution      *models.ExecutionRow
	requestTrail   *trail
	analysisTrail  *trail
	executionTrail *trail

	// received and completed bound the remediation; zero if no row says so.
	received, completed outboxapi.Time
	// phases are its parts, in the order of time, none of which overlap.
	phases []phase
	// recurrences are those that count: of the same place, after the end, oldest first.
	recurrences []RecurrenceReported
	// newest are the comparable remediations before this one, the newest first.
	newest []Case
	// faulty are the refs of entries that do not agree with their hash, their text or their place.
	faulty map[string]bool
}

// Build makes the report.
func Build(in *Input) *Report {
	b := &builder{in: in, subject: findSubject(in), ledger: newLedger(), faulty: map[string]bool{}}
	b.report = &Report{RemediationID: in.RemediationID, AsOf: outboxapi.NewTime(in.AsOf), Template: Template, OtherRows: b.other}
	b.gather()
	r := b.report
	r.Complete = b.complete()
	r.Timeline = Timeline{Events: b.events(), Spans: b.spans()}
	r.Bottleneck = b.bottleneck()
	r.Approval = b.approval()
	r.Execution = b.executed()
	r.Effectiveness = b.effectiveness()
	r.Notifications = b.notifications()
	r.History = b.history()
	r.AI = b.ai()
	r.Summary = b.summary()
	r.Recommendations = b.recommendations()
	r.Compliance = b.compliance()
	r.Narrative = b.narrative()
	r.Evidence = b.ledger.entries
	return r
}

// gather finds the facts, and numbers the rows: the remediation's own come first in the evidence, in their order.
func (b *builder) gather() {
	b.findRows()
	for _, t := range b.trails {
		for _, r := range t.rows {
			b.ledger.row(r)
		}
		for _, d := range t.letters {
			b.ledger.letter(d)
		}
	}
	b.newest = newestFirst(b.in.Earlier)
	b.phases = b.findPhases()
	b.recurrences = b.findRecurrences()
}

func (b *builder) findRows() {
	b.request, b.requestTrail = last[*models.OrchestrationRow](b.subject)
	b.analysis, b.analysisTrail = last[*models.AIDecisionRow](b.subject)
	b.execution, b.executionTrail = last[*models.ExecutionRow](b.subject)
	if b.request != nil {
		b.received = b.request.SignalReceivedAt
		if c := b.request.CompletedAt; c != nil {
			b.completed = *c
		}
	}
}

// refs of rows; nil ones are passed over.
func (b *builder) refs(rows ...models.Row) []string {
	all := []string{}
	for _, r := range rows {
		if r != nil {
			all = append(all, b.ledger.row(r))
		}
	}
	return all
}

// requestRefs, analysisRefs and executionRefs cite the newest row of each, if there is one.
func (b *builder) requestRefs() []string {
	if b.request == nil {
		return []string{}
	}
	return b.refs(b.request)
}

func (b *builder) analysisRefs() []string {
	if b.analysis == nil {
		return []string{}
	}
	return b.refs(b.analysis)
}

func (b *builder) executionRefs() []string {
	if b.execution == nil {
		return []string{}
	}
	return b.refs(b.execution)
}

// total is how long it took from signal to completion, nil while it is open, and where the clocks say that it ended before it began.
func (b *builder) total() *float64 {
	if b.received.IsZero() || b.completed.IsZero() || b.completed.Before(b.received.Time) {
		return nil
	}
	return ptr.To(seconds(b.received.Time, b.completed.Time))
}

// totalMicros is the total in microseconds, 0 where there is none.
func (b *builder) totalMicros() int64 {
	if b.total() == nil {
		return 0
	}
	return micros(b.received.Time, b.completed.Time)
}

// over reports whether a window has ended.
func (b *builder) over(end time.Time) bool { return !b.in.AsOf.Before(end) }

// notEmpty makes an empty list of a nil one: JSON has [].
func notEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
