package aianalysis

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

// Events of the entries.
const (
	eventCreated       = "Created"
	eventStarted       = "InvestigationStarted"
	eventAttemptFailed = "InvestigationAttemptFailed"
	eventCompleted     = "InvestigationCompleted"
	eventFailed        = "InvestigationFailed"
	eventTimedOut      = "InvestigationTimedOut"
	eventApproved      = "Approved"
	eventRejected      = "Rejected"
	eventAutoApproved  = "AutoApproved"
	eventExpired       = "ApprovalExpired"
	eventCancelled     = "Cancelled"
)

// save moves the analysis to a phase, with the entry that says so. note is for people: the Ready condition, and the Kubernetes Event.
func (r *Reconciler) save(ctx context.Context, s *scope, phase v1alpha1.AnalysisPhase, event, note string) error {
	a := s.analysis
	a.Status.Phase = phase
	succeeded := phase == v1alpha1.AnalysisCompleted
	lifecycle.SetReady(a, phase, v1alpha1.AnalysisCompleted, note)
	change := &outbox.Change{Kind: entry.KindAIDecision, Event: event, Phase: string(phase), Record: recordOf(a), Final: phase.Final()}
	if err := s.draft.Save(ctx, change); err != nil {
		return err
	}
	eventType := lifecycle.Normal
	if phase.Final() && !succeeded || event == eventAttemptFailed {
		eventType = lifecycle.Warning
	}
	lifecycle.Announce(r.recorder, a, eventType, event, note)
	return nil
}

// finish ends the analysis. reason is why it did not complete, empty if it did.
func (r *Reconciler) finish(ctx context.Context, s *scope, phase v1alpha1.AnalysisPhase, event, note, reason string) (ctrl.Result, error) {
	s.analysis.Status.CompletedTime = outboxapi.NewTimePointer(s.now)
	s.analysis.Status.FailureReason = investigator.Clean(reason, investigator.MaxError)
	s.refuseLateDecision(phase)
	if err := r.save(ctx, s, phase, event, note); err != nil {
		return ctrl.Result{}, err
	}
	r.attempts.DropAll(s.key)
	return ctrl.Result{}, nil
}

// refuse ends an analysis that may not write into the trail of the remediation that it names.
func (r *Reconciler) refuse(ctx context.Context, s *scope, why string, err error) (ctrl.Result, error) {
	if err != nil {
		return ctrl.Result{}, err
	}
	lifecycle.RefuseRemediation(s.analysis, why)
	return r.finish(ctx, s, v1alpha1.AnalysisFailed, lifecycle.EventRefused, why, why)
}

// cancel ends an analysis that is cancelled or deleted, and stops its investigation.
func (r *Reconciler) cancel(ctx context.Context, s *scope) (ctrl.Result, error) {
	r.attempts.DropAll(s.key)
	reason := "cancelled by spec.cancel"
	if s.analysis.DeletionTimestamp != nil {
		reason = "deleted before it was over"
	}
	return r.finish(ctx, s, v1alpha1.AnalysisCancelled, eventCancelled, "The analysis was "+reason+".", reason)
}
