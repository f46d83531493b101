package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// AnalysisPhase is where an analysis stands.
// +kubebuilder:validation:Enum=Pending;Investigating;AwaitingApproval;Completed;Rejected;Failed;TimedOut;Cancelled
type AnalysisPhase string

const (
	AnalysisPending          AnalysisPhase = "Pending"
	AnalysisInvestigating    AnalysisPhase = "Investigating"
	AnalysisAwaitingApproval AnalysisPhase = "AwaitingApproval"
	AnalysisCompleted        AnalysisPhase = "Completed"
	AnalysisRejected         AnalysisPhase = "Rejected"
	AnalysisFailed           AnalysisPhase = "Failed"
	AnalysisTimedOut         AnalysisPhase = "TimedOut"
	AnalysisCancelled        AnalysisPhase = "Cancelled"
)

// Final reports whether the record has ended with this phase.
func (p AnalysisPhase) Final() bool {
	switch p {
	case AnalysisCompleted, AnalysisRejected, AnalysisFailed, AnalysisTimedOut, AnalysisCancelled:
		return true
	}
	return false
}

// ConditionDecisionRefused is True when a person's decision does not count: the admission policy that makes sure who wrote it was not in force, or the decision came too late. It stays.
const ConditionDecisionRefused = "DecisionRefused"

// Verdict is a person's decision on a recommendation.
// +kubebuilder:validation:Enum=Approved;Rejected
type Verdict string

const (
	VerdictApproved Verdict = "Approved"
	VerdictRejected Verdict = "Rejected"
)

// Values of approval_status.
const (
	ApprovalApproved     = "approved"
	ApprovalRejected     = "rejected"
	ApprovalAutoApproved = "auto-approved"
	ApprovalExpired      = "expired"
)

// AIAnalysisSpec is what to investigate, and who approves what it finds.
// +kubebuilder:validation:XValidation:rule="self.remediationRef == oldSelf.remediationRef",fieldPath=".remediationRef",message="remediationRef is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.signal.fingerprint == oldSelf.signal.fingerprint && self.signal.name == oldSelf.signal.name && self.signal.severity == oldSelf.signal.severity && self.signal.source == oldSelf.signal.source && timestamp(self.signal.receivedTime) - timestamp(oldSelf.signal.receivedTime) < duration('1us') && timestamp(oldSelf.signal.receivedTime) - timestamp(self.signal.receivedTime) < duration('1us') && (has(self.signal.labels) && self.signal.labels.size() > 0) == (has(oldSelf.signal.labels) && oldSelf.signal.labels.size() > 0) && (!has(self.signal.labels) || !has(oldSelf.signal.labels) || self.signal.labels == oldSelf.signal.labels) && (has(self.signal.annotations) && self.signal.annotations.size() > 0) == (has(oldSelf.signal.annotations) && oldSelf.signal.annotations.size() > 0) && (!has(self.signal.annotations) || !has(oldSelf.signal.annotations) || self.signal.annotations == oldSelf.signal.annotations)",fieldPath=".signal",message="signal is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.target == oldSelf.target",fieldPath=".target",message="target is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.approval) == has(oldSelf.approval) && (!has(self.approval) || self.approval == oldSelf.approval)",fieldPath=".approval",message="approval is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.timeout) == has(oldSelf.timeout) && (!has(self.timeout) || duration(self.timeout) == duration(oldSelf.timeout))",fieldPath=".timeout",message="timeout is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.approvalTimeout) == has(oldSelf.approvalTimeout) && (!has(self.approvalTimeout) || duration(self.approvalTimeout) == duration(oldSelf.approvalTimeout))",fieldPath=".approvalTimeout",message="approvalTimeout is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="a cancellation can't be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.decision) || (has(self.decision) && self.decision == oldSelf.decision)",fieldPath=".decision",message="a decision is made once"
type AIAnalysisSpec struct {
	// remediationRef names the remediation that this analysis belongs to.
	// +required
	RemediationRef RemediationRef `json:"remediationRef"`

	// signal is the alert.
	// +required
	Signal Signal `json:"signal"`

	// target is the workload to investigate, in this namespace.
	// +required
	Target Target `json:"target"`

	// approval says who approves the recommendation; a person does unless it says otherwise.
	// +optional
	// +kubebuilder:default={mode: Manual}
	Approval ApprovalPolicy `json:"approval,omitzero"`

	// timeout bounds the investigation.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="10m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// approvalTimeout bounds the wait for a decision.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="1h"
	ApprovalTimeout *metav1.Duration `json:"approvalTimeout,omitempty"`

	// cancel ends the work; it can be set at any time and not be taken back.
	// +optional
	Cancel bool `json:"cancel,omitempty"`

	// decision is a person's, made once: kubectl patch aianalysis … --type=merge. The admission policy holdfast-approval makes sure that decidedBy is the caller, and that
	// the caller may `approve` the analysis.
	// +optional
	Decision *Decision `json:"decision,omitempty"`
}

// Decision is a person's verdict on the recommendation.
type Decision struct {
	// verdict is Approved or Rejected.
	// +required
	Verdict Verdict `json:"verdict"`

	// decidedBy is the user name of the person who decides: the caller's own.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	DecidedBy string `json:"decidedBy"`

	// method is where it was decided: console, slack or api.
	// +required
	// +kubebuilder:validation:Enum=console;slack;api
	Method string `json:"method"`

	// justification is why.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Justification string `json:"justification,omitempty"`
}

// AIAnalysisStatus is what was found, recommended and decided.
type AIAnalysisStatus struct {
	// phase is where the analysis stands.
	// +optional
	Phase AnalysisPhase `json:"phase,omitempty"`

	// investigation is how it was found.
	// +optional
	Investigation *Investigation `json:"investigation,omitempty"`

	// rootCause is what was found.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	RootCause string `json:"rootCause,omitempty"`

	// rootCauseConfidence in percent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	RootCauseConfidence *int32 `json:"rootCauseConfidence,omitempty"`

	// recommendation is what to do; absent when nothing should be done.
	// +optional
	Recommendation *Recommendation `json:"recommendation,omitempty"`

	// noActionReason says why nothing is recommended.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	NoActionReason string `json:"noActionReason,omitempty"`

	// alternatives are what was weighed and why it was not recommended.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Alternatives []Alternative `json:"alternatives,omitempty"`

	// evidence is what the investigator looked at.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Evidence []Evidence `json:"evidence,omitempty"`

	// approval is the decision on the recommendation.
	// +optional
	Approval *Approval `json:"approval,omitempty"`

	// failureReason says why the analysis did not complete.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// completedTime is when the analysis ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// conditions of the resource: Ready, Finished once it has ended, OutboxBlocked while a change is held back because the outbox is full, and DecisionRefused when a decision does not count,
	// because no admission policy makes sure who made it, or because it came too late.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() < 2900)",message="expected times in RFC 3339 from the years 1970 to 2899"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	outboxapi.Status `json:",inline"`
}

// Investigation is how the root cause was found. It is written down before the investigator is asked.
type Investigation struct {
	// investigator that was asked: rules or holmesgpt.
	// +required
	// +kubebuilder:validation:MaxLength=50
	Investigator string `json:"investigator"`

	// attempt counts from 1.
	// +required
	Attempt int32 `json:"attempt"`

	// startedTime is when the investigator was first asked.
	// +required
	StartedTime outboxapi.Time `json:"startedTime"`

	// deadlineTime is when the attempt that is under way is given up, also by a process that did not begin it.
	// +optional
	DeadlineTime *outboxapi.Time `json:"deadlineTime,omitempty"`

	// nextAttemptTime is when the investigator is asked again. It is there from the end of an attempt that failed to the beginning of the next; without it, and without
	// completedTime, an attempt is under way.
	// +optional
	NextAttemptTime *outboxapi.Time `json:"nextAttemptTime,omitempty"`

	// completedTime is when it answered.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// responseTimeMilliseconds of the answer.
	// +optional
	ResponseTimeMilliseconds *int64 `json:"responseTimeMilliseconds,omitempty"`

	// model that answered, if it was one.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Model string `json:"model,omitempty"`

	// promptTokens that the model read.
	// +optional
	PromptTokens *int32 `json:"promptTokens,omitempty"`

	// completionTokens that the model wrote.
	// +optional
	CompletionTokens *int32 `json:"completionTokens,omitempty"`

	// modelConfig says which version was asked, and what.
	// +optional
	ModelConfig *ModelConfig `json:"modelConfig,omitempty"`

	// lastError of the newest attempt that failed.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	LastError string `json:"lastError,omitempty"`
}

// ModelConfig is the version that was asked, and what it was asked. Two investigations that were asked the same have the same.
type ModelConfig struct {
	// version of the investigator.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	Version string `json:"version,omitempty"`

	// promptSHA256 is the hash, in hex, of the prompt without its case. It is empty for an investigator that has no prompt.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PromptSHA256 string `json:"promptSHA256,omitempty"`

	// catalogueSHA256 is the hash, in hex, of the catalogue of workflows.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CatalogueSHA256 string `json:"catalogueSHA256,omitempty"`
}

// Evidence is one thing that the investigator looked at.
type Evidence struct {
	// tool that was used.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Tool string `json:"tool"`

	// purpose is what it was used for.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Purpose string `json:"purpose,omitempty"`

	// excerpt of what it showed, without credentials.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Excerpt string `json:"excerpt,omitempty"`
}

// Recommendation is a workflow of the catalogue with its parameters.
type Recommendation struct {
	// workflowID names the workflow.
	// +required
	// +kubebuilder:validation:MaxLength=63
	WorkflowID string `json:"workflowID"`

	// action is what the workflow does, in words for people.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Action string `json:"action,omitempty"`

	// parameters of the workflow.
	// +optional
	// +kubebuilder:validation:MaxProperties=20
	Parameters map[string]string `json:"parameters,omitempty"`

	// confidence in percent.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Confidence int32 `json:"confidence"`

	// rationale is why.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Rationale string `json:"rationale,omitempty"`
}

// Alternative is an action that was weighed and not recommended.
type Alternative struct {
	// action that was weighed.
	// +required
	// +kubebuilder:validation:MaxLength=255
	Action string `json:"action"`

	// confidence in percent.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Confidence int32 `json:"confidence"`

	// rejectedReason is why it was not recommended.
	// +required
	// +kubebuilder:validation:MaxLength=8192
	RejectedReason string `json:"rejectedReason"`

	// workflowID is set where the action is a workflow of the catalogue.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	WorkflowID string `json:"workflowID,omitempty"`
}

// Approval is the decision on a recommendation, and how it came about.
type Approval struct {
	// required is true when a person had to decide.
	// +required
	Required bool `json:"required"`

	// requestedTime is when a person was asked.
	// +optional
	RequestedTime *outboxapi.Time `json:"requestedTime,omitempty"`

	// status is approved, rejected, auto-approved or expired; empty while it is open.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Status string `json:"status,omitempty"`

	// decidedTime is when the controller took the decision up.
	// +optional
	DecidedTime *outboxapi.Time `json:"decidedTime,omitempty"`

	// durationSeconds that the decision took, from the request.
	// +optional
	DurationSeconds *int64 `json:"durationSeconds,omitempty"`

	// decidedBy is who decided; "policy" for an automatic approval.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	DecidedBy string `json:"decidedBy,omitempty"`

	// method is where: console, slack or api.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Method string `json:"method,omitempty"`

	// justification is why.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Justification string `json:"justification,omitempty"`
}

// AIAnalysis finds out what is wrong, what to do, and who approves it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=aianalyses,shortName=aia,categories=holdfast
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="RECOMMENDATION",type=string,JSONPath=`.status.recommendation.workflowID`
// +kubebuilder:printcolumn:name="APPROVAL",type=string,JSONPath=`.status.approval.status`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,priority=1,description="Entries that the resource still carries. Durable ones stay until the next write or trim, some seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Newest entry that the resource knows to be durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.uid`
type AIAnalysis struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +required
	Spec AIAnalysisSpec `json:"spec"`

	// status is what has happened.
	// +kubebuilder:default={}
	// +optional
	Status AIAnalysisStatus `json:"status,omitempty"`
}

// AIAnalysisList is a list of AIAnalysis.
// +kubebuilder:object:root=true
type AIAnalysisList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AIAnalysis `json:"items"`
}
