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

// recordBytes is what a record may have of an entry's 64 KiB; the rest is the envelope's, and room for the escapes of odd characters.
const recordBytes = 56 << 10

// tightness bounds the parts of a record.
type tightness struct {
	text, name, reason int // bytes
	items              int // adjustments, and validations of each stage
}

// tightnesses are tried one after the other. The first cuts nothing that the status has not cut; the last fits whatever the spec holds (a test proves it).
var tightnesses = []tightness{
	{text: messageBytes, name: 256, reason: reasonBytes, items: mostAdjustments},
	{text: 256, name: 256, reason: reasonBytes, items: mostAdjustments},
	{text: 100, name: 40, reason: 512, items: 10},
}

// recordOf is the audit record of the workflow as it is: complete, and small enough for an entry.
func recordOf(wfe *v1alpha1.WorkflowExecution) *models.Execution {
	var record *models.Execution
	for _, t := range tightnesses {
		record = t.record(wfe)
		if text, err := json.Marshal(record); err != nil || len(text) <= recordBytes {
			break
		}
	}
	return record
}

func (t tightness) record(wfe *v1alpha1.WorkflowExecution) *models.Execution {
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
		StepsExecuted:        t.steps(spec, status),
		TotalSteps:           ptr.To(int64(len(spec.Steps))),
		StepsSucceeded:       ptr.To(int64(0)),
		StepsFailed:          ptr.To(int64(0)),
		RetriesPerformed:     ptr.To(int64(0)),
		PreConditionsPassed:  passed(status.Validations, v1alpha1.StagePre),
		PostConditionsPassed: passed(status.Validations, v1alpha1.StagePost),
		ValidationResults:    t.validations(status.Validations),
		Outcome:              status.Outcome,
		RollbacksPerformed:   ptr.To(int64(status.RollbacksPerformed)),
		AdaptiveAdjustments:  t.adjustments(status.Adjustments),
		FailureReason:        outbox.Bound(status.FailureReason, t.reason),
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
			*record.StepsSucceeded++ // also when it was rolled back later: it did succeed
		}
	}
	return record
}

func (t tightness) steps(spec *v1alpha1.WorkflowExecutionSpec, status *v1alpha1.WorkflowExecutionStatus) []models.Step {
	steps := make([]models.Step, 0, len(status.Steps))
	for i := range status.Steps {
		st := &status.Steps[i]
		step := models.Step{
			Step:        i + 1,
			Name:        outbox.Bound(st.Name, t.name),
			Action:      outbox.Bound(st.Action, t.name),
			Status:      stepStatus(st),
			Attempts:    st.Attempt,
			StartedAt:   &st.StartedTime,
			CompletedAt: st.CompletedTime,
			Message:     outbox.Bound(st.Message, t.text),
			Parameters:  t.parameters(&spec.Steps[i]),
			Previous:    t.texts(st.Previous),
		}
		if st.CompletedTime != nil {
			step.Duration = int64(math.Max(0, st.CompletedTime.Sub(&st.StartedTime).Seconds()))
		}
		if rb := st.Rollback; rb != nil && rb.Message != "" {
			step.Message = outbox.Bound(st.Message+" | rollback: "+rb.Message, t.text)
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

// parameters are those that the action knows: the names of others are as long as somebody made them.
func (t tightness) parameters(step *v1alpha1.WorkflowStep) map[string]string {
	known := map[string]string{}
	for _, name := range action.Parameters(step.Action) {
		if value, given := step.Parameters[name]; given {
			known[name] = string(value)
		}
	}
	return t.texts(known)
}

func (t tightness) texts(values map[string]string) map[string]string {
	if len(values) == 0 {
		return nil
	}
	bounded := make(map[string]string, len(values))
	for k, v := range values {
		bounded[k] = outbox.Bound(v, t.text)
	}
	return bounded
}

// passed is nil as long as no condition of the stage was looked at.
func passed(results []v1alpha1.ValidationResult, stage v1alpha1.ValidationStage) *bool {
	var all *bool
	for i := range results {
		if results[i].Stage == stage {
			all = ptr.To((all == nil || *all) && results[i].Passed)
		}
	}
	return all
}

// validations keeps, when it has to choose, those that failed.
func (t tightness) validations(results []v1alpha1.ValidationResult) []models.ValidationResult {
	kept := make([]models.ValidationResult, 0, len(results))
	for i := range results {
		v := &results[i]
		kept = append(kept, models.ValidationResult{Name: outbox.Bound(v.Name, t.name), Stage: string(v.Stage), Passed: v.Passed, Message: outbox.Bound(v.Message, t.text), Time: &v.Time})
	}
	if len(kept) > 2*t.items {
		slices.SortStableFunc(kept, func(a, b models.ValidationResult) int {
			switch {
			case a.Passed == b.Passed:
				return 0
			case b.Passed:
				return -1
			}
			return 1
		})
		kept = kept[:2*t.items]
	}
	return kept
}

func (t tightness) adjustments(all []v1alpha1.Adjustment) []models.Adjustment {
	kept := make([]models.Adjustment, 0, len(all))
	for _, a := range all[:min(len(all), t.items)] {
		kept = append(kept, models.Adjustment{Step: outbox.Bound(a.Step, t.name), Adjustment: outbox.Bound(a.Adjustment, t.text), Reason: outbox.Bound(a.Reason, t.text)})
	}
	return kept
}
