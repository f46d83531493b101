package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// WorkflowPhase is the phase of a workflow.
// +kubebuilder:validation:Enum=Pending;Validating;Executing;Verifying;RollingBack;Completed;Failed;TimedOut;Cancelled
type WorkflowPhase string

const (
	WorkflowPending     WorkflowPhase = "Pending"
	WorkflowValidating  WorkflowPhase = "Validating"
	WorkflowExecuting   WorkflowPhase = "Executing"
	WorkflowVerifying   WorkflowPhase = "Verifying"
	WorkflowRollingBack WorkflowPhase = "RollingBack"
	WorkflowCompleted   WorkflowPhase = "Completed"
	WorkflowFailed      WorkflowPhase = "Failed"
	WorkflowTimedOut    WorkflowPhase = "TimedOut"
	WorkflowCancelled   WorkflowPhase = "Cancelled"
)

// Final reports whether the record has ended with this phase.
func (p WorkflowPhase) Final() bool {
	switch p {
	case WorkflowCompleted, WorkflowFailed, WorkflowTimedOut, WorkflowCancelled:
		return true
	}
	return false
}

// Outcomes of a workflow.
const (
	WorkflowSuccess = "success"
	WorkflowFailure = "failure"
	WorkflowPartial = "partial"
)

// FailurePolicy defines what happens after a step failed.
// +kubebuilder:validation:Enum=Abort;Continue;Rollback
type FailurePolicy string

const (
	// FailureAbort ends the workflow and keeps its changes.
	FailureAbort FailurePolicy = "Abort"
	// FailureContinue continues with the next step.
	FailureContinue FailurePolicy = "Continue"
	// FailureRollback undoes the changes of the workflow, newest first.
	FailureRollback FailurePolicy = "Rollback"
)

// WorkflowExecutionSpec defines the steps to run on the target and the conditions to check. Rules compare durations by value and treat absent fields as empty, because a Go client writes 2m as
// 2m0s and omits empty fields.
// +kubebuilder:validation:XValidation:rule="self.remediationRef == oldSelf.remediationRef",fieldPath=".remediationRef",message="remediationRef is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.workflowID == oldSelf.workflowID",fieldPath=".workflowID",message="workflowID is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.target == oldSelf.target",fieldPath=".target",message="target is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccountName) == has(oldSelf.serviceAccountName) && (!has(self.serviceAccountName) || self.serviceAccountName == oldSelf.serviceAccountName)",fieldPath=".serviceAccountName",message="serviceAccountName is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.timeout) == has(oldSelf.timeout) && (!has(self.timeout) || duration(self.timeout) == duration(oldSelf.timeout))",fieldPath=".timeout",message="timeout is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.steps.size() == oldSelf.steps.size() && self.steps.all(i, s, s.name == oldSelf.steps[i].name && s.action == oldSelf.steps[i].action && (has(s.parameters) && s.parameters.size() > 0) == (has(oldSelf.steps[i].parameters) && oldSelf.steps[i].parameters.size() > 0) && (!has(s.parameters) || !has(oldSelf.steps[i].parameters) || s.parameters == oldSelf.steps[i].parameters) && has(s.timeout) == has(oldSelf.steps[i].timeout) && (!has(s.timeout) || duration(s.timeout) == duration(oldSelf.steps[i].timeout)) && (has(s.retries) ? s.retries : 0) == (has(oldSelf.steps[i].retries) ? oldSelf.steps[i].retries : 0) && has(s.onFailure) == has(oldSelf.steps[i].onFailure) && (!has(s.onFailure) || s.onFailure == oldSelf.steps[i].onFailure))",fieldPath=".steps",message="steps is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="(has(self.preConditions) && self.preConditions.size() > 0) == (has(oldSelf.preConditions) && oldSelf.preConditions.size() > 0) && (!has(self.preConditions) || !has(oldSelf.preConditions) || self.preConditions == oldSelf.preConditions)",fieldPath=".preConditions",message="preConditions is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="(has(self.postConditions) && self.postConditions.size() > 0) == (has(oldSelf.postConditions) && oldSelf.postConditions.size() > 0) && (!has(self.postConditions) || !has(oldSelf.postConditions) || self.postConditions == oldSelf.postConditions)",fieldPath=".postConditions",message="postConditions is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="cancel cannot be unset once it is true"
type WorkflowExecutionSpec struct {
	// remediationRef names the RemediationRequest that this workflow belongs to.
	// +required
	RemediationRef RemediationRef `json:"remediationRef"`

	// workflowID is the ID of the workflow, as in the catalogue.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	WorkflowID string `json:"workflowID"`

	// target is the workload to change, in the same namespace.
	// +required
	Target Target `json:"target"`

	// serviceAccountName is the service account, in the same namespace, that the steps use. Without it no step runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// timeout of the workflow as a whole, without the rollback.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="30m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// steps of the workflow, run in order.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	Steps []WorkflowStep `json:"steps"`

	// preConditions must be true before the first step. They are evaluated once.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	PreConditions []WorkflowCondition `json:"preConditions,omitempty"`

	// postConditions must become true after the last step; otherwise the changes are rolled back. The time limit is one minute (or the timeout of the last step, if shorter) plus the minReadySeconds of the target.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	PostConditions []WorkflowCondition `json:"postConditions,omitempty"`

	// cancel stops the work. It can be set at any time and cannot be unset.
	// +optional
	Cancel bool `json:"cancel,omitempty"`
}

// WorkflowStep is one action on the target.
type WorkflowStep struct {
	// name of the step, unique in the workflow.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// action is RestartPods, RolloutRestart, RolloutUndo, Scale, SetResources, SetImage, Wait or WaitForRollout. A step with an unknown action fails when it runs.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Action string `json:"action"`

	// parameters of the action.
	// +optional
	// +kubebuilder:validation:MaxProperties=20
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 63)",message="expected keys of at most 63 characters"
	Parameters map[string]ParameterValue `json:"parameters,omitempty"`

	// timeout of one attempt, from the time when its intent is recorded.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="5m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// retries is the maximum number of retries after a failed attempt.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	Retries int32 `json:"retries,omitempty"`

	// onFailure defines what happens after the last attempt failed: Abort (end the workflow, keep its changes), Continue (run the next step) or Rollback (undo its changes).
	// +optional
	// +kubebuilder:default=Abort
	OnFailure FailurePolicy `json:"onFailure,omitempty"`
}

// ParameterValue is the value of a parameter of a step.
// +kubebuilder:validation:MaxLength=1024
type ParameterValue string

// WorkflowCondition is a CEL expression on the live target, available as the variable target.
type WorkflowCondition struct {
	// name of the condition.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// expression in CEL that returns a boolean, for example target.spec.replicas >= 1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Expression string `json:"expression"`
}

// WorkflowExecutionStatus is the progress and the result of the workflow.
type WorkflowExecutionStatus struct {
	// phase of the workflow.
	// +optional
	Phase WorkflowPhase `json:"phase,omitempty"`

	// startedTime is when the execution started.
	// +optional
	StartedTime *outboxapi.Time `json:"startedTime,omitempty"`

	// completedTime is when the workflow ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// workflowVersion is the SHA-256, in hex, of the catalogue entry that the workflow was created from. It is empty for a workflow that was created by hand.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	WorkflowVersion string `json:"workflowVersion,omitempty"`

	// outcome is success, failure or partial.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Outcome string `json:"outcome,omitempty"`

	// failureReason is why the outcome is not success.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// ending is the final phase after the rollback: Failed or TimedOut.
	// +optional
	Ending WorkflowPhase `json:"ending,omitempty"`

	// verifyingTime is when the post-conditions were evaluated for the first time.
	// +optional
	VerifyingTime *outboxapi.Time `json:"verifyingTime,omitempty"`

	// steps that were started, in order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Steps []StepStatus `json:"steps,omitempty"`

	// validations are the results of the pre- and post-conditions.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Validations []ValidationResult `json:"validations,omitempty"`

	// rollbacksPerformed is the number of steps that were rolled back.
	// +optional
	RollbacksPerformed int32 `json:"rollbacksPerformed,omitempty"`

	// effectivenessScore in percent. docs/kinds/workflowexecution.md has the formula.
	// +optional
	EffectivenessScore *int32 `json:"effectivenessScore,omitempty"`

	// adjustments are deviations from the planned steps, each with the reason.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Adjustments []Adjustment `json:"adjustments,omitempty"`

	// conditions of the resource. Ready: True if it ended successfully. Finished: True once it has ended. OutboxBlocked: True while a change waits because the outbox is full.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() < 2900)",message="expected times in RFC 3339 from the years 1970 to 2899"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	outboxapi.Status `json:",inline"`
}

// StepStatus is the history of one step.
type StepStatus struct {
	// name of the step.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// action of the step.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Action string `json:"action"`

	// state is Running, Succeeded, Failed, RollingBack or RolledBack. If the rollback fails, the step returns to its previous state.
	// +required
	State StepState `json:"state"`

	// attempt is the number of the attempt, from 1.
	// +required
	Attempt int32 `json:"attempt"`

	// startedTime of the first attempt.
	// +required
	StartedTime outboxapi.Time `json:"startedTime"`

	// attemptStartedTime is when the current attempt started. It is absent if no attempt is in progress.
	// +optional
	AttemptStartedTime *outboxapi.Time `json:"attemptStartedTime,omitempty"`

	// nextAttemptTime is when the next attempt starts, if a retry is pending.
	// +optional
	NextAttemptTime *outboxapi.Time `json:"nextAttemptTime,omitempty"`

	// completedTime of the step.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// failed is true if the last attempt failed. It stays true after a rollback.
	// +optional
	Failed bool `json:"failed,omitempty"`

	// message is what the step did, or why it failed.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Message string `json:"message,omitempty"`

	// intent is what the step is about to change, and the current values with the prefix from. It is recorded before the change.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Intent map[string]string `json:"intent,omitempty"`

	// previous are the values before the step, which a rollback restores. It is absent if there is nothing to undo.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Previous map[string]string `json:"previous,omitempty"`

	// progress of the attempt, for long actions.
	// +optional
	Progress *StepProgress `json:"progress,omitempty"`

	// rollback of the step, once it was started.
	// +optional
	Rollback *StepRollback `json:"rollback,omitempty"`
}

// StepProgress is the progress of an attempt. The message of the step describes it.
type StepProgress struct {
	// reached is a number that grows as the attempt progresses.
	// +required
	Reached int64 `json:"reached"`

	// time when reached was last increased.
	// +required
	Time outboxapi.Time `json:"time"`
}

// StepState is the state of a step.
// +kubebuilder:validation:Enum=Running;Succeeded;Failed;RollingBack;RolledBack
type StepState string

const (
	StepRunning     StepState = "Running"
	StepSucceeded   StepState = "Succeeded"
	StepFailed      StepState = "Failed"
	StepRollingBack StepState = "RollingBack"
	StepRolledBack  StepState = "RolledBack"
)

// StepRollback is the rollback of a step.
type StepRollback struct {
	// attempt is the number of the attempt, from 1.
	// +required
	Attempt int32 `json:"attempt"`

	// nextAttemptTime is when the next attempt starts, if a retry is pending.
	// +optional
	NextAttemptTime *outboxapi.Time `json:"nextAttemptTime,omitempty"`

	// completedTime is when the rollback succeeded, or failed for the last time.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// failed is true if the rollback failed.
	// +optional
	Failed bool `json:"failed,omitempty"`

	// message is what was rolled back, or why the rollback failed.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Message string `json:"message,omitempty"`
}

// ValidationStage is when a condition is evaluated: before the first step (pre) or after the last (post).
// +kubebuilder:validation:Enum=pre;post
type ValidationStage string

const (
	StagePre  ValidationStage = "pre"
	StagePost ValidationStage = "post"
)

// ValidationResult is one evaluation of a condition.
type ValidationResult struct {
	// name of the condition.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// stage is pre or post.
	// +required
	Stage ValidationStage `json:"stage"`

	// passed is true if the condition was true.
	// +required
	Passed bool `json:"passed"`

	// message is why the condition did not pass.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Message string `json:"message,omitempty"`

	// time of the evaluation.
	// +required
	Time outboxapi.Time `json:"time"`
}

// Adjustment is one deviation from the planned steps.
type Adjustment struct {
	// step that was adjusted.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Step string `json:"step,omitempty"`

	// adjustment that was made.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Adjustment string `json:"adjustment"`

	// reason of the adjustment.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
}

// WorkflowExecution runs steps on a workload, checks the result, and rolls the steps back if they did not help.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=workflowexecutions,shortName=wfe,categories=holdfast
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="WORKFLOW",type=string,JSONPath=`.spec.workflowID`
// +kubebuilder:printcolumn:name="OUTCOME",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,description="Number of entries in the resource. Durable entries stay until the next write or trim, seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Sequence of the newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Sequence of the newest entry that is recorded as durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.uid`
type WorkflowExecution struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec WorkflowExecutionSpec `json:"spec"`

	// status is the observed state.
	// +kubebuilder:default={}
	// +optional
	Status WorkflowExecutionStatus `json:"status,omitempty"`
}

// WorkflowExecutionList is a list of WorkflowExecution.
// +kubebuilder:object:root=true
type WorkflowExecutionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WorkflowExecution `json:"items"`
}
