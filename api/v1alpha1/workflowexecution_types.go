package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// WorkflowPhase is where a workflow stands.
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

// FailurePolicy is what a step's failure leads to.
// +kubebuilder:validation:Enum=Abort;Continue;Rollback
type FailurePolicy string

const (
	// FailureAbort ends the workflow and leaves what was changed.
	FailureAbort FailurePolicy = "Abort"
	// FailureContinue goes on with the next step.
	FailureContinue FailurePolicy = "Continue"
	// FailureRollback undoes, newest first, what the workflow has changed.
	FailureRollback FailurePolicy = "Rollback"
)

// WorkflowExecutionSpec is what to do to the target, and how to tell that it helped. Its rules compare durations by value, and take what is absent for what is
// empty: a Go client that reads and writes the resource turns 2m into 2m0s, and drops what is empty.
// +kubebuilder:validation:XValidation:rule="self.remediationRef == oldSelf.remediationRef",fieldPath=".remediationRef",message="remediationRef is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.workflowID == oldSelf.workflowID",fieldPath=".workflowID",message="workflowID is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.target == oldSelf.target",fieldPath=".target",message="target is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccountName) == has(oldSelf.serviceAccountName) && (!has(self.serviceAccountName) || self.serviceAccountName == oldSelf.serviceAccountName)",fieldPath=".serviceAccountName",message="serviceAccountName is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.timeout) == has(oldSelf.timeout) && (!has(self.timeout) || duration(self.timeout) == duration(oldSelf.timeout))",fieldPath=".timeout",message="timeout is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.steps.size() == oldSelf.steps.size() && self.steps.all(i, s, s.name == oldSelf.steps[i].name && s.action == oldSelf.steps[i].action && (has(s.parameters) && s.parameters.size() > 0) == (has(oldSelf.steps[i].parameters) && oldSelf.steps[i].parameters.size() > 0) && (!has(s.parameters) || !has(oldSelf.steps[i].parameters) || s.parameters == oldSelf.steps[i].parameters) && has(s.timeout) == has(oldSelf.steps[i].timeout) && (!has(s.timeout) || duration(s.timeout) == duration(oldSelf.steps[i].timeout)) && (has(s.retries) ? s.retries : 0) == (has(oldSelf.steps[i].retries) ? oldSelf.steps[i].retries : 0) && has(s.onFailure) == has(oldSelf.steps[i].onFailure) && (!has(s.onFailure) || s.onFailure == oldSelf.steps[i].onFailure))",fieldPath=".steps",message="steps is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="(has(self.preConditions) && self.preConditions.size() > 0) == (has(oldSelf.preConditions) && oldSelf.preConditions.size() > 0) && (!has(self.preConditions) || !has(oldSelf.preConditions) || self.preConditions == oldSelf.preConditions)",fieldPath=".preConditions",message="preConditions is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="(has(self.postConditions) && self.postConditions.size() > 0) == (has(oldSelf.postConditions) && oldSelf.postConditions.size() > 0) && (!has(self.postConditions) || !has(oldSelf.postConditions) || self.postConditions == oldSelf.postConditions)",fieldPath=".postConditions",message="postConditions is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="a cancellation can't be taken back"
type WorkflowExecutionSpec struct {
	// remediationRef names the remediation that this workflow belongs to.
	// +required
	RemediationRef RemediationRef `json:"remediationRef"`

	// workflowID names the workflow, as in the catalogue.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	WorkflowID string `json:"workflowID"`

	// target is the workload to act on, in this namespace.
	// +required
	Target Target `json:"target"`

	// serviceAccountName is the account of this namespace that the steps act as. Without one no step runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// timeout bounds the whole workflow, rollback not included.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="30m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// steps are run one after the other.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	Steps []WorkflowStep `json:"steps"`

	// preConditions must hold before the first step, at the first look.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	PreConditions []WorkflowCondition `json:"preConditions,omitempty"`

	// postConditions must hold after the last step, within a minute, or the last step's timeout if that is shorter, and the target's minReadySeconds; else what was changed is rolled back.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	PostConditions []WorkflowCondition `json:"postConditions,omitempty"`

	// cancel ends the work; it can be set at any time and not be taken back.
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

	// action is RestartPods, RolloutRestart, RolloutUndo, Scale, SetResources, SetImage, Wait or WaitForRollout. An unknown one fails as an attempt.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Action string `json:"action"`

	// parameters of the action.
	// +optional
	// +kubebuilder:validation:MaxProperties=20
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 63)",message="expected keys of at most 63 characters"
	Parameters map[string]ParameterValue `json:"parameters,omitempty"`

	// timeout bounds one attempt, from the moment that its intent is written down.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="5m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// retries is how often a failed attempt is repeated.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	Retries int32 `json:"retries,omitempty"`

	// onFailure is what follows when the last attempt has failed: Abort, Continue or Rollback.
	// +optional
	// +kubebuilder:default=Abort
	OnFailure FailurePolicy `json:"onFailure,omitempty"`
}

// ParameterValue is the value of a step's parameter.
// +kubebuilder:validation:MaxLength=1024
type ParameterValue string

// WorkflowCondition is a CEL expression over the live target, which is called `target`.
type WorkflowCondition struct {
	// name of the condition.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// expression in CEL that gives true or false, such as target.spec.replicas >= 1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Expression string `json:"expression"`
}

// WorkflowExecutionStatus is what was done, and whether it helped.
type WorkflowExecutionStatus struct {
	// phase is where the workflow stands.
	// +optional
	Phase WorkflowPhase `json:"phase,omitempty"`

	// startedTime is when the execution began.
	// +optional
	StartedTime *outboxapi.Time `json:"startedTime,omitempty"`

	// completedTime is when it ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// workflowVersion is the SHA-256, in hex, of the catalogue's entry that the request's controller made this workflow of. A workflow made by hand has none.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	WorkflowVersion string `json:"workflowVersion,omitempty"`

	// outcome is success, failure or partial.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Outcome string `json:"outcome,omitempty"`

	// failureReason says why the outcome is not success.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// ending is the final phase that a rollback leads to: Failed or TimedOut.
	// +optional
	Ending WorkflowPhase `json:"ending,omitempty"`

	// verifyingTime is when the post-conditions were first looked at.
	// +optional
	VerifyingTime *outboxapi.Time `json:"verifyingTime,omitempty"`

	// steps are the steps that were begun, in order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Steps []StepStatus `json:"steps,omitempty"`

	// validations are the pre- and post-conditions as they were found.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Validations []ValidationResult `json:"validations,omitempty"`

	// rollbacksPerformed counts the steps that were undone.
	// +optional
	RollbacksPerformed int32 `json:"rollbacksPerformed,omitempty"`

	// effectivenessScore in percent, by the formula of docs/kinds/workflowexecution.md.
	// +optional
	EffectivenessScore *int32 `json:"effectivenessScore,omitempty"`

	// adjustments are what the controller did differently from the plan, and why.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Adjustments []Adjustment `json:"adjustments,omitempty"`

	// conditions of the resource: Ready, Finished once it has ended, and OutboxBlocked while a change is held back because the outbox is full.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() < 2900)",message="expected times in RFC 3339 from the years 1970 to 2899"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	outboxapi.Status `json:",inline"`
}

// StepStatus is one step's history.
type StepStatus struct {
	// name of the step.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// action of the step.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Action string `json:"action"`

	// state is Running, Succeeded, Failed, RollingBack or RolledBack. A step whose rollback failed goes back to what it was.
	// +required
	State StepState `json:"state"`

	// attempt counts from 1.
	// +required
	Attempt int32 `json:"attempt"`

	// startedTime of the first attempt.
	// +required
	StartedTime outboxapi.Time `json:"startedTime"`

	// attemptStartedTime of the attempt that is under way; absent while none is.
	// +optional
	AttemptStartedTime *outboxapi.Time `json:"attemptStartedTime,omitempty"`

	// nextAttemptTime is when the next attempt begins, while one is waited for.
	// +optional
	NextAttemptTime *outboxapi.Time `json:"nextAttemptTime,omitempty"`

	// completedTime of the step.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// failed is true if the last attempt failed. It stays when the step is rolled back.
	// +optional
	Failed bool `json:"failed,omitempty"`

	// message says what was done, or why it failed.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Message string `json:"message,omitempty"`

	// intent is what the step is about to do and, as `from.`, what it finds, written before anything is done.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Intent map[string]string `json:"intent,omitempty"`

	// previous are the values before the step, which a rollback restores. Absent when the step left nothing that could be undone.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Previous map[string]string `json:"previous,omitempty"`

	// progress is how far the attempt has come, for actions that take their time.
	// +optional
	Progress *StepProgress `json:"progress,omitempty"`

	// rollback of the step, once it was begun.
	// +optional
	Rollback *StepRollback `json:"rollback,omitempty"`
}

// StepProgress is how far an attempt has come. The step's message says it in words.
type StepProgress struct {
	// reached grows while the attempt comes further.
	// +required
	Reached int64 `json:"reached"`

	// time at which that was reached.
	// +required
	Time outboxapi.Time `json:"time"`
}

// StepState is where a step stands.
// +kubebuilder:validation:Enum=Running;Succeeded;Failed;RollingBack;RolledBack
type StepState string

const (
	StepRunning     StepState = "Running"
	StepSucceeded   StepState = "Succeeded"
	StepFailed      StepState = "Failed"
	StepRollingBack StepState = "RollingBack"
	StepRolledBack  StepState = "RolledBack"
)

// StepRollback is how a step was undone.
type StepRollback struct {
	// attempt counts from 1.
	// +required
	Attempt int32 `json:"attempt"`

	// nextAttemptTime is when the next attempt begins, while one is waited for.
	// +optional
	NextAttemptTime *outboxapi.Time `json:"nextAttemptTime,omitempty"`

	// completedTime is when it was undone, or given up.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// failed is true if it was given up.
	// +optional
	Failed bool `json:"failed,omitempty"`

	// message says what was undone, or why not.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Message string `json:"message,omitempty"`
}

// ValidationStage says when a condition is looked at: before the first step or after the last.
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

	// passed reports whether it held.
	// +required
	Passed bool `json:"passed"`

	// message says why not.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Message string `json:"message,omitempty"`

	// time of the evaluation.
	// +required
	Time outboxapi.Time `json:"time"`
}

// Adjustment is one thing that the controller did differently from the plan.
type Adjustment struct {
	// step that was adjusted.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Step string `json:"step,omitempty"`

	// adjustment that was made.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Adjustment string `json:"adjustment"`

	// reason for it.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
}

// WorkflowExecution runs steps on a workload, checks that they helped, and rolls back what did not.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=workflowexecutions,shortName=wfe,categories=holdfast
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="WORKFLOW",type=string,JSONPath=`.spec.workflowID`
// +kubebuilder:printcolumn:name="OUTCOME",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,priority=1,description="Entries that the resource still carries. Durable ones stay until the next write or trim, some seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Newest entry that the resource knows to be durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.uid`
type WorkflowExecution struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +required
	Spec WorkflowExecutionSpec `json:"spec"`

	// status is what has happened.
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
