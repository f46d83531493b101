package rar

import (
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// skewTolerance is how far two times may contradict each other without a word: resources have creation times in whole seconds.
const skewTolerance = time.Second

// skew lists pairs of times whose order contradicts what must have come first. Nothing is corrected: the report shows the times as they are.
func (b *builder) skew() []ClockSkew {
	all := []ClockSkew{}
	order := func(text string, first, second *outboxapi.Time, refs []string) {
		if first == nil || second == nil || first.IsZero() || second.IsZero() || !second.Add(skewTolerance).Before(first.Time) {
			return
		}
		all = append(all, ClockSkew{Text: text, Seconds: seconds(second.Time, first.Time), Refs: refs})
	}
	for i, t := range b.trails {
		for j, r := range t.rows {
			h := r.Head()
			if j > 0 && !t.posted {
				before := t.rows[j-1].Head()
				order(fmt.Sprintf("Entry %d of %s is recorded before entry %d.", h.Sequence, t.title(), before.Sequence), &before.RecordedAt, &h.RecordedAt, b.refs(t.rows[j-1], r))
			}
			order(fmt.Sprintf("The database stored a row of %s (%s) before it was recorded.", t.title(), h.Event), &h.RecordedAt, &h.CreatedAt, b.refs(r))
		}
		if q := b.requestTrail; i > 0 && !t.posted && q != nil && len(q.rows) > 0 && len(t.rows) > 0 {
			first, final := q.rows[0], q.rows[len(q.rows)-1]
			order(t.title()+" is recorded before the request that made it.", &first.Head().RecordedAt, &t.rows[0].Head().RecordedAt, b.refs(first, t.rows[0]))
			if final.Head().Final && t.closed() {
				end := t.rows[len(t.rows)-1]
				order("The request is recorded as closed before "+t.title()+".", &end.Head().RecordedAt, &final.Head().RecordedAt, b.refs(end, final))
			}
		}
	}
	if r := b.request; r != nil {
		order("The signal was received after the request was created.", &r.SignalReceivedAt, &r.RemediationCreatedAt, b.requestRefs())
		order("The request was completed before it was created.", &r.RemediationCreatedAt, r.CompletedAt, b.requestRefs())
	}
	if a := b.analysis; a != nil {
		order("The investigation ended before it began.", &a.InvestigationStartedAt, a.InvestigationCompletedAt, b.analysisRefs())
		order("The approval was decided before it was asked for.", a.ApprovalRequestedAt, a.ApprovalTime, b.analysisRefs())
	}
	if e := b.execution; e != nil {
		order("The workflow ended before it began.", &e.ExecutionStartedAt, e.ExecutionCompletedAt, b.executionRefs())
		for _, s := range e.StepsExecuted {
			order(fmt.Sprintf("Step %d ended before it began.", s.Step), s.StartedAt, s.CompletedAt, b.executionRefs())
		}
		if a := b.analysis; a != nil && a.ApprovalStatus != approvalRejected {
			order("The workflow began before it was approved.", a.ApprovalTime, &e.ExecutionStartedAt, join(b.analysisRefs(), b.executionRefs()))
		}
	}
	for _, t := range b.trails {
		if n, ok := lastOf[*models.NotificationRow](t); ok {
			order("A notification was sent before it was asked for.", &n.NotificationRequestedAt, n.NotificationSentAt, b.refs(n))
		}
	}
	return all
}
