package workflowexecution

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

// text is a text of up to limit characters, often one that JSON escapes.
func text(t *rapid.T, label string, limit int) string {
	unit := rapid.SampledFrom([]string{"a", "\x01", "\"", "\\", "<", "é", "𝄞", "\u2028", "\x00", "\xff"}).Draw(t, label)
	return strings.Repeat(unit, rapid.SampledFrom([]int{0, 1, limit / 2, limit}).Draw(t, label+" length"))
}

// anyWorkflow has as much in it as the CRD and the controller let in.
func anyWorkflow(t *rapid.T) *v1alpha1.WorkflowExecution {
	at := outboxapi.NewTime(time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC))
	wfe := &v1alpha1.WorkflowExecution{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "w", UID: "u", CreationTimestamp: metav1.NewTime(at.Time)}}
	wfe.Spec.RemediationRef.UID = "r"
	wfe.Spec.WorkflowID = text(t, "workflow", 253)
	message, value, name := text(t, "message", 4096), text(t, "value", 1024), text(t, "name", 63)
	actions := []string{"SetResources", "SetImage", "Wait", name}
	for i := range rapid.IntRange(0, 20).Draw(t, "steps") {
		s := v1alpha1.WorkflowStep{Name: name, Action: actions[i%len(actions)], Parameters: map[string]v1alpha1.ParameterValue{strings.Repeat("unknown", 1000): "x"}}
		for _, known := range action.Parameters(s.Action) {
			s.Parameters[known] = v1alpha1.ParameterValue(value)
		}
		wfe.Spec.Steps = append(wfe.Spec.Steps, s)
		wfe.Status.Steps = append(wfe.Status.Steps, v1alpha1.StepStatus{
			Name: name, Action: s.Action, State: v1alpha1.StepRolledBack, Failed: true, Attempt: 11, StartedTime: at, CompletedTime: &at, Message: bound(message),
			Intent: map[string]string{"pods": strings.Repeat("x", 30000)}, Previous: map[string]string{"container": value, "resources": strings.Repeat(value, 4)},
			Rollback: &v1alpha1.StepRollback{Attempt: 5, Message: bound(message), Failed: true},
		})
	}
	s := &scope{wfe: wfe, status: &wfe.Status, now: at.Time}
	for i := range rapid.IntRange(0, 40).Draw(t, "validations") {
		wfe.Status.Validations = append(wfe.Status.Validations, s.result(v1alpha1.StagePre, name, i%2 == 0, message))
	}
	for i := range 60 {
		s.adjust(name, []v1alpha1.Adjustment{{Adjustment: fmt.Sprint(i, message), Reason: message}})
	}
	wfe.Status.FailureReason = outbox.Bound(message+message, reasonBytes)
	wfe.Status.Outcome, wfe.Status.StartedTime, wfe.Status.CompletedTime = "partial", &at, &at
	wfe.Status.EffectivenessScore = ptr.To(int32(40))
	return wfe
}

func TestAnyRecordFitsAnEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wfe := anyWorkflow(t)
		change := outbox.Change{Kind: entry.KindExecution, Event: "StepCompleted", Phase: "Executing", Record: recordOf(wfe)}
		if _, _, err := entry.Append(nil, entry.SourceOf(wfe), change, time.Now(), entry.Salt{}, outbox.DefaultLimits()); err != nil {
			t.Fatalf("append: %v", err)
		}
	})
}

func TestAnOrdinaryRecordIsNotCut(t *testing.T) {
	g := NewWithT(t)
	wfe := &v1alpha1.WorkflowExecution{}
	wfe.Spec.Steps = []v1alpha1.WorkflowStep{{Name: "pause", Action: "Wait", Parameters: map[string]v1alpha1.ParameterValue{"for": v1alpha1.ParameterValue(strings.Repeat("target.a == 1 || ", 50))}}}
	wfe.Status.Steps = []v1alpha1.StepStatus{{Name: "pause", Action: "Wait", State: v1alpha1.StepRunning, Attempt: 1, Message: strings.Repeat("m", messageBytes)}}
	record := recordOf(wfe)
	g.Expect(record.StepsExecuted[0].Parameters["for"]).To(Equal(string(wfe.Spec.Steps[0].Parameters["for"])))
	g.Expect(record.StepsExecuted[0].Message).To(HaveLen(messageBytes))
	g.Expect(record.StepsExecuted[0].Status).To(Equal("running"))
	content, err := json.Marshal(record)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(content)).NotTo(ContainSubstring("execution_completed_at"))
}

func TestEffectivenessCountsWhatWasAchieved(t *testing.T) {
	succeeded := func(attempt int32) v1alpha1.StepStatus {
		return v1alpha1.StepStatus{State: v1alpha1.StepSucceeded, Attempt: attempt}
	}
	failed := v1alpha1.StepStatus{State: v1alpha1.StepFailed, Failed: true, Attempt: 1}
	kept := v1alpha1.StepStatus{State: v1alpha1.StepSucceeded, Attempt: 1, Previous: map[string]string{"replicas": "1"}}
	undone := v1alpha1.StepStatus{State: v1alpha1.StepRolledBack, Attempt: 1, Previous: map[string]string{"replicas": "1"}}
	verified := []v1alpha1.WorkflowCondition{{Name: "helped", Expression: "true"}}
	for name, tc := range map[string]struct {
		phase   v1alpha1.WorkflowPhase
		post    []v1alpha1.WorkflowCondition
		steps   []v1alpha1.StepStatus
		outcome string
		score   int32
	}{
		"all at once, verified":     {v1alpha1.WorkflowCompleted, verified, []v1alpha1.StepStatus{succeeded(1), succeeded(1)}, "success", 100},
		"nothing to verify":         {v1alpha1.WorkflowCompleted, nil, []v1alpha1.StepStatus{succeeded(1), succeeded(1)}, "success", 70},
		"with a retry":              {v1alpha1.WorkflowCompleted, verified, []v1alpha1.StepStatus{succeeded(1), succeeded(3)}, "success", 95},
		"a step passed over":        {v1alpha1.WorkflowCompleted, verified, []v1alpha1.StepStatus{succeeded(1), failed}, "partial", 80},
		"aborted, something stays":  {v1alpha1.WorkflowFailed, verified, []v1alpha1.StepStatus{kept, failed}, "partial", 20},
		"aborted, nothing stays":    {v1alpha1.WorkflowFailed, verified, []v1alpha1.StepStatus{succeeded(1), failed}, "failure", 0},
		"rolled back":               {v1alpha1.WorkflowFailed, verified, []v1alpha1.StepStatus{undone, failed}, "failure", 0},
		"cancelled before anything": {v1alpha1.WorkflowCancelled, verified, nil, "failure", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			status := &v1alpha1.WorkflowExecutionStatus{Phase: tc.phase, Steps: tc.steps}
			status.Outcome = outcome(status)
			spec := &v1alpha1.WorkflowExecutionSpec{Steps: make([]v1alpha1.WorkflowStep, 2), PostConditions: tc.post}
			g.Expect(status.Outcome).To(Equal(tc.outcome))
			g.Expect(effectiveness(spec, status)).To(Equal(tc.score))
		})
	}
}

func TestRetryDelayGrowsToALimit(t *testing.T) {
	g := NewWithT(t)
	for attempts, expected := range map[int32]time.Duration{0: 2 * time.Second, 1: 2 * time.Second, 2: 4 * time.Second, 4: 16 * time.Second, 5: 30 * time.Second, 1000: 30 * time.Second} {
		g.Expect(retryDelay(attempts)).To(Equal(expected))
	}
}
