package workflowexecution

import (
	"encoding/json"
	"math"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

// recordBytes bounds a record within an entry's 64 KiB. The rest is for the envelope, and for characters that JSON escapes.
const recordBytes = 56 << 10

// bounds are the limits of a record's parts.
type bounds struct {
	text, name, reason int // bytes
	items              int // adjustments, and validations of each stage
}

// allBounds are tried in this order. The first cuts nothing that the status has not cut. With the last, a record fits whatever the spec contains (a test proves it).
var allBounds = []bounds{
	{text: messageBytes, name: 256, reason: reasonBytes, items: maxAdjustments},
	{text: 256, name: 256, reason: reasonBytes, items: maxAdjustments},
	{text: 100, name: 40, reason: 512, items: 10},
}

// recordOf is the audit record of the workflow's present state: complete, and small enough for an entry.
func recordOf(wfe *v1alpha1.WorkflowExecution) *models.Execution {
	var record *models.Execution
	for _, b := range allBounds {
		record = b.record(wfe)
		if text, err := json.Marshal(record); err != nil || len(text) <= recordBytes {
			break
		}
	}
	return record
}

func (b bounds) record(wfe *v1alpha1.WorkflowExecution) *models.Execution {
	spec, status := &wfe.Spec, &wfe.Status
	started := outboxapi.NewTime(wfe.CreationTimestamp.Time)
	if status.StartedTime != nil {
		started = *status.StartedTime
	}
	record := &models.Execution{
		RemediationID:        lifecycle.RemediationID(wfe, spec.RemediationRef),
		WorkflowID:           spec.WorkflowID,
		ExecutionStartedAt:   started,
		ExecutionCompletedAt: status.CompletedTime,
		StepsExecuted:        b.steps(spec, status),
		TotalSteps:           ptr.To(int64(len(spec.Steps))),
		StepsSucceeded:       ptr.To(int64(0)),
		StepsFailed:          ptr.To(int64(0)),
		RetriesPerformed:     ptr.To(int64(0)),
		PreConditionsPassed:  passed(status.Validations, v1alpha1.StagePre),
		PostConditionsPassed: passed(status.Validations, v1alpha1.StagePost),
		ValidationResults:    b.validations(status.Validations),
		Outcome:              status.Outcome,
		RollbacksPerformed:   ptr.To(int64(status.RollbacksPerformed)),
		AdaptiveAdjustments:  b.adjustments(status.Adjustments),
		WorkflowVersion:      status.WorkflowVersion,
		FailureReason:        outbox.Bound(status.FailureReason, b.reason),
	}
	if spec.ServiceAccountName != "" {
		record.ActedAs = userOf(wfe.Namespace, spec.ServiceAccountName)
	}
	if status.CompletedTime != nil {
		record.TotalDurationSeconds = ptr.To(int64(max(0, status.CompletedTime.Sub(&started)).Seconds()))
	}
	if status.EffectivenessScore != nil {
		record.EffectivenessScore = ptr.To(float64(*status.EffectivenessScore))
	}
	for i := range status.Steps {
		st := &status.Steps[i]
		*record.RetriesPerformed += int64(max(0, st.Attempt-1))
		switch {
		case st.Failed:
			*record.StepsFailed++
		case st.State != v1alpha1.StepRunning:
			*record.StepsSucceeded++ // even if it was rolled back later
		}
	}
	return record
}

func (b bounds) steps(spec *v1alpha1.WorkflowExecutionSpec, status *v1alpha1.WorkflowExecutionStatus) []models.Step {
	steps := make([]models.Step, 0, len(status.Steps))
	for i := range status.Steps {
		st := &status.Steps[i]
		step := models.Step{
			Step:        i + 1,
			Name:        outbox.Bound(st.Name, b.name),
			Action:      outbox.Bound(st.Action, b.name),
			Status:      stepStatus(st),
			Attempts:    st.Attempt,
			StartedAt:   &st.StartedTime,
			CompletedAt: st.CompletedTime,
			Message:     outbox.Bound(st.Message, b.text),
			Parameters:  b.parameters(&spec.Steps[i]),
			Previous:    b.texts(st.Previous),
		}
		if st.CompletedTime != nil {
			step.Duration = int64(math.Max(0, st.CompletedTime.Sub(&st.StartedTime).Seconds()))
		}
		if rb := st.Rollback; rb != nil && rb.Message != "" {
			step.Message = outbox.Bound(st.Message+" | rollback: "+rb.Message, b.text)
		}
		steps = append(steps, step)
	}
	return steps
}

func stepStatus(st *v1alpha1.StepStatus) string {
	switch {
	case st.State == v1alpha1.StepRolledBack:
		return "rolled-back"
	case st.State == v1alpha1.StepRunning:
		return "running"
	case st.Failed:
		return "failure"
	}
	return "success"
}

// parameters are those that the action knows. Others are left out, since their names have no bound.
func (b bounds) parameters(step *v1alpha1.WorkflowStep) map[string]string {
	known := map[string]string{}
	for _, name := range action.Parameters(step.Action) {
		if value, given := step.Parameters[name]; given {
			known[name] = string(value)
		}
	}
	return b.texts(known)
}

func (b bounds) texts(values map[string]string) map[string]string {
	if len(values) == 0 {
		return nil
	}
	bounded := make(map[string]string, len(values))
	for k, v := range values {
		bounded[k] = outbox.Bound(v, b.text)
	}
	return bounded
}

// passed is nil until a condition of the stage was checked.
func passed(results []v1alpha1.ValidationResult, stage v1alpha1.ValidationStage) *bool {
	var all *bool
	for i := range results {
		if results[i].Stage == stage {
			all = ptr.To((all == nil || *all) && results[i].Passed)
		}
	}
	return all
}

// validations prefers those that failed if not all fit.
func (b bounds) validations(results []v1alpha1.ValidationResult) []models.ValidationResult {
	kept := make([]models.ValidationResult, 0, len(results))
	for i := range results {
		v := &results[i]
		kept = append(kept, models.ValidationResult{Name: outbox.Bound(v.Name, b.name), Stage: string(v.Stage), Passed: v.Passed, Message: outbox.Bound(v.Message, b.text), Time: &v.Time})
	}
	if len(kept) > 2*b.items {
		slices.SortStableFunc(kept, func(x, y models.ValidationResult) int {
			switch {
			case x.Passed == y.Passed:
				return 0
			case y.Passed:
				return -1
			}
			return 1
		})
		kept = kept[:2*b.items]
	}
	return kept
}

func (b bounds) adjustments(all []v1alpha1.Adjustment) []models.Adjustment {
	kept := make([]models.Adjustment, 0, len(all))
	for _, a := range all[:min(len(all), b.items)] {
		kept = append(kept, models.Adjustment{Step: outbox.Bound(a.Step, b.name), Adjustment: outbox.Bound(a.Adjustment, b.text), Reason: outbox.Bound(a.Reason, b.text)})
	}
	return kept
}
