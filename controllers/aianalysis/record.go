package aianalysis

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/models"
)

// recordOf is the audit record of an analysis as it is now. It is pure.
//
// recommended_action is the workflow's id. action_rationale holds, beside the rationale, what has no column of its own: the workflow's parameters, why nothing was recommended, and why
// the analysis did not complete. investigation_started_at is the creation time until an investigator was asked.
func recordOf(a *v1alpha1.AIAnalysis) models.AIDecision {
	status := &a.Status
	d := models.AIDecision{
		RemediationID:          lifecycle.RemediationID(a, a.Spec.RemediationRef),
		InvestigationStartedAt: outboxapi.NewTime(a.CreationTimestamp.Time),
		RootCause:              status.RootCause,
		RootCauseConfidence:    percent(status.RootCauseConfidence),
		ActionRationale:        rationale(a),
	}
	if i := status.Investigation; i != nil {
		d.InvestigationStartedAt, d.InvestigationCompletedAt = i.StartedTime, i.CompletedTime
		d.HolmesGPTResponseTimeMs = i.ResponseTimeMilliseconds
		d.Investigator, d.Model = i.Investigator, i.Model
		d.PromptTokens, d.CompletionTokens = count(i.PromptTokens), count(i.CompletionTokens)
	}
	if rec := status.Recommendation; rec != nil {
		d.RecommendedAction, d.ActionConfidence = rec.WorkflowID, percent(&rec.Confidence)
	}
	for _, alt := range status.Alternatives {
		d.AlternativesConsidered = append(d.AlternativesConsidered, models.Alternative{Action: alt.Action, Confidence: float64(alt.Confidence), RejectedReason: alt.RejectedReason})
	}
	recordApproval(&d, status.Approval)
	return d
}

func recordApproval(d *models.AIDecision, a *v1alpha1.Approval) {
	if a == nil {
		return
	}
	d.ApprovalRequired, d.ApprovalRequestedAt = new(a.Required), a.RequestedTime
	d.ApprovalStatus, d.ApprovalTime, d.ApprovalDurationSeconds, d.ApprovalMethod = a.Status, a.DecidedTime, a.DurationSeconds, a.Method
	switch a.Status {
	case v1alpha1.ApprovalRejected:
		d.RejectedBy, d.RejectionReason = a.DecidedBy, a.Justification
	default:
		d.ApprovedBy, d.ApprovalJustification = a.DecidedBy, a.Justification
	}
}

func rationale(a *v1alpha1.AIAnalysis) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if rec := a.Status.Recommendation; rec != nil {
		add(rec.Rationale)
		if len(rec.Parameters) > 0 {
			var pairs []string
			for _, name := range slices.Sorted(maps.Keys(rec.Parameters)) {
				pairs = append(pairs, name+"="+rec.Parameters[name])
			}
			add("Parameters: " + strings.Join(pairs, ", "))
		}
	}
	add(a.Status.NoActionReason)
	if a.Status.FailureReason != "" {
		add(string(a.Status.Phase) + ": " + a.Status.FailureReason)
	} else if i := a.Status.Investigation; i != nil && i.NextAttemptTime != nil {
		add("The last attempt failed: " + i.LastError)
	}
	return strings.Join(parts, "\n")
}

func percent(p *int32) *float64 {
	if p == nil {
		return nil
	}
	return new(float64(*p))
}

func count(n *int32) *int64 {
	if n == nil {
		return nil
	}
	return new(int64(*n))
}
