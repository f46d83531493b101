package workflowexecution

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/redact"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

// Events of the entries, beside the final one, whose event is its phase.
const (
	eventCreated            = "Created"
	eventValidationStarted  = "ValidationStarted"
	eventValidationPassed   = "ValidationPassed"
	eventStepAttemptFailed  = "StepAttemptFailed"
	eventStepCompleted      = "StepCompleted"
	eventStepFailed         = "StepFailed"
	eventVerificationFailed = "VerificationFailed"
	eventRollbackStarted    = "RollbackStarted"
	eventStepRolledBack     = "StepRolledBack"
	eventStepRollbackFailed = "StepRollbackFailed"
)

// record saves the status with an entry, and emits an Event. The watch event of the write starts the next pass.
func (r *Reconciler) record(ctx context.Context, s *scope, event, eventType, note string) (ctrl.Result, error) {
	note = redact.Text(note)
	lifecycle.SetReady(s.wfe, s.status.Phase, v1alpha1.WorkflowCompleted, note)
	change := &outbox.Change{Kind: entry.KindExecution, Event: event, Phase: string(s.status.Phase), Record: recordOf(s.wfe)}
	if err := s.draft.Save(ctx, change); err != nil {
		return ctrl.Result{}, fmt.Errorf("record %s: %w", event, err)
	}
	lifecycle.Announce(r.recorder, s.wfe, eventType, event, note)
	return ctrl.Result{}, nil
}

// end closes the record. The event of its last entry is the phase.
func (r *Reconciler) end(ctx context.Context, s *scope, phase v1alpha1.WorkflowPhase, reason string) (ctrl.Result, error) {
	return r.endWith(ctx, s, phase, string(phase), reason)
}

func (r *Reconciler) endWith(ctx context.Context, s *scope, phase v1alpha1.WorkflowPhase, event, reason string) (ctrl.Result, error) {
	reason = redact.Text(reason)
	s.status.Phase = phase
	s.status.CompletedTime = outboxapi.NewTimePointer(r.clock.Now())
	s.status.FailureReason = outbox.Bound(reason, reasonBytes)
	s.status.Outcome = outcome(s.status)
	score := effectiveness(&s.wfe.Spec, s.status)
	s.status.EffectivenessScore = &score
	succeeded, eventType := phase == v1alpha1.WorkflowCompleted, lifecycle.Normal
	if !succeeded {
		eventType = lifecycle.Warning
	}
	note := reason
	if note == "" {
		note = fmt.Sprintf("All %d steps succeeded and %d post-conditions hold; the effectiveness is %d %%.", len(s.status.Steps), len(s.wfe.Spec.PostConditions), score)
	}
	lifecycle.SetReady(s.wfe, phase, v1alpha1.WorkflowCompleted, note)
	change := &outbox.Change{Kind: entry.KindExecution, Event: event, Phase: string(phase), Record: recordOf(s.wfe), Final: true}
	if err := s.draft.Save(ctx, change); err != nil {
		return ctrl.Result{}, fmt.Errorf("record the end (%s): %w", phase, err)
	}
	lifecycle.Announce(r.recorder, s.wfe, eventType, event, note)
	return ctrl.Result{}, nil
}

// rollBackThen enters RollingBack, which ends in the phase ending. event says what happened.
func (r *Reconciler) rollBackThen(ctx context.Context, s *scope, ending v1alpha1.WorkflowPhase, event, reason string) (ctrl.Result, error) {
	s.status.Phase = v1alpha1.WorkflowRollingBack
	s.status.Ending = ending
	s.status.FailureReason = outbox.Bound(redact.Text(reason), reasonBytes)
	return r.record(ctx, s, event, lifecycle.Warning, reason)
}
