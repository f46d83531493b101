package aianalysis

import (
	"encoding/json"
	"fmt"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/redact"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

// recordBytes bounds a record within an entry's 64 KiB. The rest is for the envelope.
const recordBytes = 60 << 10

// excerptBytes are tried in this order, until the record fits. The first cuts nothing that the status has not cut.
var excerptBytes = []int{investigator.MaxExcerpt, 512, 256, 128}

// recordOf is the audit record of an analysis as it is now. It is pure. Evidence has the room that the other texts leave.
func recordOf(a *v1alpha1.AIAnalysis) models.AIDecision {
	d := findingOf(a)
	for _, bytes := range excerptBytes {
		if d.Evidence = evidenceOf(a.Status.Evidence, bytes); fits(&d) {
			return d
		}
	}
	d.Evidence = []models.Evidence{{Tool: "holdfast", Purpose: fmt.Sprintf("%d things were looked at; the other texts leave no room for them", len(a.Status.Evidence))}}
	return d
}

func fits(d *models.AIDecision) bool {
	text, err := json.Marshal(d)
	return err != nil || len(text) <= recordBytes
}

func evidenceOf(all []v1alpha1.Evidence, bytes int) []models.Evidence {
	var kept []models.Evidence
	for _, e := range all {
		kept = append(kept, models.Evidence{Tool: e.Tool, Purpose: e.Purpose, Excerpt: outbox.Bound(e.Excerpt, bytes)})
	}
	return kept
}

// findingOf is the record without its evidence. recommended_action is the workflow's id. investigation_started_at is the creation time until an investigator was asked.
func findingOf(a *v1alpha1.AIAnalysis) models.AIDecision {
	status := &a.Status
	d := models.AIDecision{
		RemediationID:          lifecycle.RemediationID(a, a.Spec.RemediationRef),
		InvestigationStartedAt: outboxapi.NewTime(a.CreationTimestamp.Time),
		RootCause:              status.RootCause,
		RootCauseConfidence:    percent(status.RootCauseConfidence),
		NoActionReason:         status.NoActionReason,
		FailureReason:          status.FailureReason,
		ApprovalMode:           string(a.Spec.Approval.Mode),
	}
	if i := status.Investigation; i != nil {
		recordInvestigation(&d, i)
	}
	if rec := status.Recommendation; rec != nil {
		d.RecommendedAction, d.ActionConfidence, d.ActionRationale = rec.WorkflowID, percent(&rec.Confidence), rec.Rationale
		for name, value := range rec.Parameters {
			if d.RecommendedParameters == nil {
				d.RecommendedParameters = map[string]string{}
			}
			d.RecommendedParameters[name] = redact.Text(value)
		}
	}
	for _, alt := range status.Alternatives {
		d.AlternativesConsidered = append(d.AlternativesConsidered, models.Alternative{
			Action: alt.Action, Confidence: float64(alt.Confidence), RejectedReason: alt.RejectedReason, WorkflowID: alt.WorkflowID})
	}
	if a.Spec.Approval.Mode == v1alpha1.ApprovalAuto {
		d.ApprovalThreshold = percent(a.Spec.Approval.AutoApproveAbove)
	}
	recordApproval(&d, status.Approval)
	if p := status.Approval; p != nil && p.RequestedTime != nil {
		d.ApprovalDeadline = outboxapi.NewTimePointer(lifecycle.ApprovalDeadline(a))
	}
	return d
}

func recordInvestigation(d *models.AIDecision, i *v1alpha1.Investigation) {
	d.InvestigationStartedAt, d.InvestigationCompletedAt = i.StartedTime, i.CompletedTime
	d.HolmesGPTResponseTimeMs = i.ResponseTimeMilliseconds
	d.Investigator, d.Model, d.Attempts = i.Investigator, i.Model, count(&i.Attempt)
	d.PromptTokens, d.CompletionTokens = count(i.PromptTokens), count(i.CompletionTokens)
	if m := i.ModelConfig; m != nil {
		d.ModelConfig = &models.ModelConfig{Version: m.Version, PromptSHA256: m.PromptSHA256, CatalogueSHA256: m.CatalogueSHA256}
	}
	if i.NextAttemptTime != nil && d.FailureReason == "" {
		d.FailureReason = i.LastError // that of the last attempt: there is no finding yet
	}
}

func recordApproval(d *models.AIDecision, a *v1alpha1.Approval) {
	if a == nil {
		return
	}
	d.ApprovalRequired, d.ApprovalRequestedAt = ptr.To(a.Required), a.RequestedTime
	d.ApprovalStatus, d.ApprovalTime, d.ApprovalDurationSeconds, d.ApprovalMethod = a.Status, a.DecidedTime, a.DurationSeconds, a.Method
	switch a.Status {
	case v1alpha1.ApprovalRejected:
		d.RejectedBy, d.RejectionReason = a.DecidedBy, a.Justification
	default:
		d.ApprovedBy, d.ApprovalJustification = a.DecidedBy, a.Justification
	}
}

func percent(p *int32) *float64 {
	if p == nil {
		return nil
	}
	return ptr.To(float64(*p))
}

func count(n *int32) *int64 {
	if n == nil {
		return nil
	}
	return ptr.To(int64(*n))
}
