package remediation

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/lifecycle"
	"github.com/holdfast-dev/holdfast/microtime"
	"github.com/holdfast-dev/holdfast/outbox"
)

// scope holds the facts of one reconcile.
type scope struct {
	rr    *v1alpha1.RemediationRequest
	draft *outbox.Draft
	now   time.Time
	// The children, nil while they are not there. A child of the right name that belongs to another request is not one of them.
	analysis     *v1alpha1.AIAnalysis
	workflow     *v1alpha1.WorkflowExecution
	notification *v1alpha1.NotificationRequest
}

func (r *Reconciler) newScope(ctx context.Context, rr *v1alpha1.RemediationRequest) (*scope, error) {
	s := &scope{rr: rr, draft: r.writer.Draft(rr), now: r.clock.Now()}
	var err error
	if s.analysis, err = fetch(ctx, r, rr, analysisName(rr), rr.Status.Analysis, &v1alpha1.AIAnalysis{}); err != nil {
		return nil, err
	}
	if s.workflow, err = fetch(ctx, r, rr, workflowName(rr), rr.Status.Workflow, &v1alpha1.WorkflowExecution{}); err != nil {
		return nil, err
	}
	s.notification, err = fetch(ctx, r, rr, notificationName(rr), rr.Status.Notification, &v1alpha1.NotificationRequest{})
	return s, err
}

// fetch reads a child. A cache that does not hold it may be older than its making, so a child that ought to be there, or whose absence will be acted
// upon, is looked up live before it counts as gone.
func fetch[T outbox.Object](ctx context.Context, r *Reconciler, rr *v1alpha1.RemediationRequest, name, recorded string, child T) (T, error) {
	var none T
	key := client.ObjectKey{Namespace: rr.Namespace, Name: name}
	err := r.client.Get(ctx, key, child)
	late, _ := overdue(rr, r.clock.Now())
	ending := rr.Spec.Cancel || rr.DeletionTimestamp != nil || late != ""
	if apierrors.IsNotFound(err) && (recorded != "" || ending) {
		err = r.live.Get(ctx, key, child)
	}
	switch {
	case apierrors.IsNotFound(err):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("read child %s: %w", name, err)
	case !metav1.IsControlledBy(child, rr):
		return none, nil
	}
	return child, nil
}

// children are those that are there.
func (s *scope) children() []outbox.Object {
	var all []outbox.Object
	if s.analysis != nil {
		all = append(all, s.analysis)
	}
	if s.workflow != nil {
		all = append(all, s.workflow)
	}
	if s.notification != nil {
		all = append(all, s.notification)
	}
	return all
}

func closed(o outbox.Object) bool { return o.GetOutbox() != nil && o.GetOutbox().Closed }

// enter moves the request to a phase and saves that, with its entry.
func (r *Reconciler) enter(ctx context.Context, s *scope, phase v1alpha1.RemediationPhase, event string) error {
	st := &s.rr.Status
	copyTimes(s)
	move(st, phase, s.now)
	if phase.Final() {
		finish(s.rr, s.now)
	}
	succeeded := phase == v1alpha1.RemediationCompleted
	lifecycle.SetReady(s.rr, string(phase), phase.Final(), succeeded, message(s.rr))
	err := s.draft.Save(ctx, &outbox.Change{Kind: outbox.KindOrchestration, Event: event, Phase: string(phase), Record: Record(s.rr), Final: phase.Final()})
	if err != nil {
		return fmt.Errorf("enter phase %s: %w", phase, err)
	}
	eventType := lifecycle.Normal
	if phase.Final() && !succeeded {
		eventType = lifecycle.Warning
	}
	lifecycle.Announce(r.recorder, s.rr, eventType, event, message(s.rr))
	return nil
}

func message(rr *v1alpha1.RemediationRequest) string {
	switch {
	case rr.Status.FailureReason != "":
		return rr.Status.FailureReason
	case rr.Status.Outcome != "":
		return "Outcome: " + rr.Status.Outcome + "."
	}
	return ""
}

// copyTimes takes over from the children what the timeline needs.
func copyTimes(s *scope) {
	st := &s.rr.Status
	if a := s.analysis; a != nil {
		if i := a.Status.Investigation; i != nil {
			st.AnalysisStartedTime = microtime.NewPointer(i.StartedTime.Time)
		}
		if p := a.Status.Approval; p != nil {
			st.ApprovalRequestedTime, st.ApprovalDecidedTime = p.RequestedTime, p.DecidedTime
		}
	}
	if w := s.workflow; w != nil && w.Status.StartedTime != nil {
		st.WorkflowStartedTime = w.Status.StartedTime
	}
	if n := s.notification; n != nil && n.Status.SentTime != nil {
		st.NotificationSentTime = n.Status.SentTime
	}
}
