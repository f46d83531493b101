package rar

import (
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// skewTolerance is how far two times may contradict each other without a word: resources have creation times in whole seconds.
const skewTolerance = time.Second

// order adds a pair of times if the second is earlier than the first by more than the tolerance, although it must have come later.
func order(all []ClockSkew, text string, first, second *outboxapi.Time, refs []string) []ClockSkew {
	if first == nil || second == nil || first.IsZero() || second.IsZero() || !second.Add(skewTolerance).Before(first.Time) {
		return all
	}
	return append(all, ClockSkew{Text: text, Seconds: seconds(second.Time, first.Time), Refs: refs})
}

// skew lists pairs of times whose order contradicts what must have come first. Nothing is corrected: the report shows the times as they are.
func (b *builder) skew() []ClockSkew {
	all := []ClockSkew{}
	for i, t := range b.trails {
		all = b.skewWithin(all, t)
		if q := b.requestTrail; i > 0 && !t.posted && q != nil && len(t.rows) > 0 {
			all = b.skewAcross(all, q, t)
		}
	}
	return b.skewOfFacts(all)
}

// skewWithin compares the rows of one resource with each other, and with when the database stored them.
func (b *builder) skewWithin(all []ClockSkew, t *trail) []ClockSkew {
	for j, r := range t.rows {
		h := r.Head()
		if j > 0 && !t.posted {
			before := t.rows[j-1].Head()
			all = order(all, fmt.Sprintf("Entry %d of %s is recorded before entry %d.", h.Sequence, t.title(), before.Sequence), &before.RecordedAt, &h.RecordedAt, b.refs(t.rows[j-1], r))
		}
		all = order(all, fmt.Sprintf("The database stored a row of %s (%s) before it was recorded.", t.title(), h.Event), &h.RecordedAt, &h.CreatedAt, b.refs(r))
	}
	return all
}

// skewAcross compares a child with its request, which is there before it and ends after it.
func (b *builder) skewAcross(all []ClockSkew, request, child *trail) []ClockSkew {
	first, final := request.rows[0], request.rows[len(request.rows)-1]
	all = order(all, child.title()+" is recorded before the request that made it.", &first.Head().RecordedAt, &child.rows[0].Head().RecordedAt, b.refs(first, child.rows[0]))
	if final.Head().Final && child.closed() {
		end := child.rows[len(child.rows)-1]
		all = order(all, "The request is recorded as closed before "+child.title()+".", &end.Head().RecordedAt, &final.Head().RecordedAt, b.refs(end, final))
	}
	return all
}

// skewOfFacts compares the times within the newest rows.
func (b *builder) skewOfFacts(all []ClockSkew) []ClockSkew {
	if r := b.request; r != nil {
		all = order(all, "The signal was received after the request was created.", &r.SignalReceivedAt, &r.RemediationCreatedAt, b.requestRefs())
		all = order(all, "The request was completed before it was created.", &r.RemediationCreatedAt, r.CompletedAt, b.requestRefs())
	}
	if a := b.analysis; a != nil {
		all = order(all, "The investigation ended before it began.", &a.InvestigationStartedAt, a.InvestigationCompletedAt, b.analysisRefs())
		all = order(all, "The approval was decided before it was asked for.", a.ApprovalRequestedAt, a.ApprovalTime, b.analysisRefs())
	}
	if e := b.execution; e != nil {
		all = order(all, "The workflow ended before it began.", &e.ExecutionStartedAt, e.ExecutionCompletedAt, b.executionRefs())
		for _, s := range e.StepsExecuted {
			all = order(all, fmt.Sprintf("Step %d ended before it began.", s.Step), s.StartedAt, s.CompletedAt, b.executionRefs())
		}
		if a := b.analysis; a != nil && a.ApprovalStatus != approvalRejected {
			all = order(all, "The workflow began before it was approved.", a.ApprovalTime, &e.ExecutionStartedAt, join(b.analysisRefs(), b.executionRefs()))
		}
	}
	for _, t := range b.trails {
		if n, ok := lastOf[*models.NotificationRow](t); ok {
			all = order(all, "A notification was sent before it was asked for.", &n.NotificationRequestedAt, n.NotificationSentAt, b.refs(n))
		}
	}
	return all
}
