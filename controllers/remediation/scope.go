package remediation

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

// scope holds the facts of one reconcile.
type scope struct {
	rr    *v1alpha1.RemediationRequest
	draft *outbox.Draft
	now   time.Time
	// The children's slots, with whatever has the children's names, whoever made it.
	slots
}

func (r *Reconciler) newScope(ctx context.Context, rr *v1alpha1.RemediationRequest, draft *outbox.Draft) (*scope, error) {
	s := &scope{rr: rr, draft: draft, now: r.clock.Now(), slots: slotsOf(rr)}
	if err := r.find(ctx, s, s.analysisSlot, &v1alpha1.AIAnalysis{}); err != nil {
		return nil, err
	}
	if err := r.find(ctx, s, s.workflowSlot, &v1alpha1.WorkflowExecution{}); err != nil {
		return nil, err
	}
	for _, l := range []*slot{s.notificationSlot, s.askingSlot, s.remindingSlot} {
		if err := r.find(ctx, s, l, &v1alpha1.NotificationRequest{}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// find reads the resource that has a child's name. A cache without it may be older than its creation. So a live read confirms that a child is gone, if the status
// names the child or if this reconcile acts on its absence. Nothing follows from the absence of a child that nothing waits for.
func (r *Reconciler) find(ctx context.Context, s *scope, l *slot, into outbox.Object) error {
	key := client.ObjectKey{Namespace: s.rr.Namespace, Name: l.childName(s.rr)}
	err := r.client.Get(ctx, key, into)
	late, _ := overdue(s.rr, s.now)
	ending := s.rr.Spec.Cancel || s.rr.DeletionTimestamp != nil || late != ""
	if apierrors.IsNotFound(err) && !l.aside && (*l.name != "" || ending) {
		err = r.live.Get(ctx, key, into)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read child %s: %w", key.Name, err)
	}
	if *l.uid != "" && (lifecycle.Released(into) && !lifecycle.Closed(into) || outbox.Oversized(into)) {
		return nil // its controller does no more work for it: it counts as gone
	}
	l.found = into
	return nil
}

// The adopted children, nil while they do not exist.

func (s *scope) analysis() *v1alpha1.AIAnalysis { return child[*v1alpha1.AIAnalysis](s.analysisSlot) }

func (s *scope) workflow() *v1alpha1.WorkflowExecution {
	return child[*v1alpha1.WorkflowExecution](s.workflowSlot)
}

func (s *scope) notification() *v1alpha1.NotificationRequest {
	return child[*v1alpha1.NotificationRequest](s.notificationSlot)
}

func child[T outbox.Object](l *slot) (none T) {
	if !l.adopted() {
		return none
	}
	return l.found.(T)
}

// ended reports whether a child's controller will do no more work for it.
func ended(o outbox.Object) bool {
	return lifecycle.Closed(o) || lifecycle.Released(o) || outbox.Oversized(o)
}

// enter moves the request to a phase and saves that, with its entry.
func (r *Reconciler) enter(ctx context.Context, s *scope, phase v1alpha1.RemediationPhase, event string) error {
	st := &s.rr.Status
	copyTimes(s)
	s.unblock()
	move(st, phase, s.now)
	if phase.Final() {
		finish(s.rr, s.now)
	}
	succeeded := phase == v1alpha1.RemediationCompleted
	note := noteOf(s)
	lifecycle.SetReady(s.rr, phase, v1alpha1.RemediationCompleted, note)
	err := s.draft.Save(ctx, &outbox.Change{Kind: entry.KindOrchestration, Event: event, Phase: string(phase), Record: Record(s.rr), Final: phase.Final()})
	if err != nil {
		return fmt.Errorf("enter phase %s: %w", phase, err)
	}
	eventType := lifecycle.Normal
	if phase.Final() && !succeeded {
		eventType = lifecycle.Warning
	}
	lifecycle.Announce(r.recorder, s.rr, eventType, event, note)
	return nil
}

// copyTimes copies from the children the times that the timeline needs.
func copyTimes(s *scope) {
	st := &s.rr.Status
	if a := s.analysis(); a != nil {
		if i := a.Status.Investigation; i != nil {
			st.AnalysisStartedTime = outboxapi.NewTimePointer(i.StartedTime.Time)
		}
		if p := a.Status.Approval; p != nil {
			st.ApprovalRequestedTime, st.ApprovalDecidedTime = p.RequestedTime, p.DecidedTime
		}
	}
	if w := s.workflow(); w != nil && w.Status.StartedTime != nil {
		st.WorkflowStartedTime = w.Status.StartedTime
	}
	if n := s.notification(); n != nil && n.Status.SentTime != nil {
		st.NotificationSentTime = n.Status.SentTime
	}
}
