package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// AnalysisPhase is the phase of an analysis.
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

// ConditionDecisionRefused is True when the decision of a person is ignored: the admission policy that verifies its author was not enforced, or the decision came too late. It stays.
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

// AIAnalysisSpec defines what to investigate and who approves the recommendation.
// +kubebuilder:validation:XValidation:rule="self.remediationRef == oldSelf.remediationRef",fieldPath=".remediationRef",message="remediationRef is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.signal.fingerprint == oldSelf.signal.fingerprint && self.signal.name == oldSelf.signal.name && self.signal.severity == oldSelf.signal.severity && self.signal.source == oldSelf.signal.source && timestamp(self.signal.receivedTime) - timestamp(oldSelf.signal.receivedTime) < duration('1us') && timestamp(oldSelf.signal.receivedTime) - timestamp(self.signal.receivedTime) < duration('1us') && (has(self.signal.labels) && self.signal.labels.size() > 0) == (has(oldSelf.signal.labels) && oldSelf.signal.labels.size() > 0) && (!has(self.signal.labels) || !has(oldSelf.signal.labels) || self.signal.labels == oldSelf.signal.labels) && (has(self.signal.annotations) && self.signal.annotations.size() > 0) == (has(oldSelf.signal.annotations) && oldSelf.signal.annotations.size() > 0) && (!has(self.signal.annotations) || !has(oldSelf.signal.annotations) || self.signal.annotations == oldSelf.signal.annotations)",fieldPath=".signal",message="signal is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.target == oldSelf.target",fieldPath=".target",message="target is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.approval) == has(oldSelf.approval) && (!has(self.approval) || self.approval == oldSelf.approval)",fieldPath=".approval",message="approval is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.timeout) == has(oldSelf.timeout) && (!has(self.timeout) || duration(self.timeout) == duration(oldSelf.timeout))",fieldPath=".timeout",message="timeout is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.approvalTimeout) == has(oldSelf.approvalTimeout) && (!has(self.approvalTimeout) || duration(self.approvalTimeout) == duration(oldSelf.approvalTimeout))",fieldPath=".approvalTimeout",message="approvalTimeout is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="cancel cannot be unset once it is true"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.decision) || (has(self.decision) && self.decision == oldSelf.decision)",fieldPath=".decision",message="decision is immutable once it is set"
type AIAnalysisSpec struct {
	// remediationRef names the RemediationRequest that this analysis belongs to.
	// +required
	RemediationRef RemediationRef `json:"remediationRef"`

	// signal is the alert to remediate.
	// +required
	Signal Signal `json:"signal"`

	// target is the workload to investigate, in the same namespace.
	// +required
	Target Target `json:"target"`

	// approval defines who approves the recommendation. Default: a person (mode Manual).
	// +optional
	// +kubebuilder:default={mode: Manual}
	Approval ApprovalPolicy `json:"approval,omitzero"`

	// timeout of the investigation.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="10m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// approvalTimeout is the timeout of the wait for a decision.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="1h"
	ApprovalTimeout *metav1.Duration `json:"approvalTimeout,omitempty"`

	// cancel stops the work. It can be set at any time and cannot be unset.
	// +optional
	Cancel bool `json:"cancel,omitempty"`

	// decision of a person on the recommendation. It is set once, for example with kubectl patch aianalysis … --type=merge. The admission policy holdfast-approval requires that decidedBy is
	// the user name of the caller, and that the caller has the verb approve on the analysis.
	// +optional
	Decision *Decision `json:"decision,omitempty"`
}

// Decision is the decision of a person on the recommendation.
type Decision struct {
	// verdict is Approved or Rejected.
	// +required
	Verdict Verdict `json:"verdict"`

	// decidedBy is the user name of the person who decides. It must be the user name of the caller.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	DecidedBy string `json:"decidedBy"`

	// method is how the decision was made: console, slack or api.
	// +required
	// +kubebuilder:validation:Enum=console;slack;api
	Method string `json:"method"`

	// justification of the decision.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Justification string `json:"justification,omitempty"`
}

// AIAnalysisStatus is the result of the investigation, the recommendation and the decision.
type AIAnalysisStatus struct {
	// phase of the analysis.
	// +optional
	Phase AnalysisPhase `json:"phase,omitempty"`

	// investigation that led to the result.
	// +optional
	Investigation *Investigation `json:"investigation,omitempty"`

	// rootCause that was found.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	RootCause string `json:"rootCause,omitempty"`

	// rootCauseConfidence is the confidence in the root cause, in percent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	RootCauseConfidence *int32 `json:"rootCauseConfidence,omitempty"`

	// recommendation of the investigator. It is absent if no action is recommended.
	// +optional
	Recommendation *Recommendation `json:"recommendation,omitempty"`

	// noActionReason is why no action is recommended.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	NoActionReason string `json:"noActionReason,omitempty"`

	// alternatives that were considered, each with the reason why it was rejected.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Alternatives []Alternative `json:"alternatives,omitempty"`

	// evidence that the investigator used.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Evidence []Evidence `json:"evidence,omitempty"`

	// approval of the recommendation.
	// +optional
	Approval *Approval `json:"approval,omitempty"`

	// failureReason is why the analysis did not complete.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// completedTime is when the analysis ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// conditions of the resource. Ready: True if it ended successfully. Finished: True once it has ended. OutboxBlocked: True while a change waits because the outbox is full.
	// DecisionRefused: True if a decision was ignored, because no admission policy verified its author or because it came too late.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() < 2900)",message="expected times in RFC 3339 from the years 1970 to 2899"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	outboxapi.Status `json:",inline"`
}

// Investigation records how the root cause was found. It is written before the investigator is asked.
type Investigation struct {
	// investigator that was asked: rules or holmesgpt.
	// +required
	// +kubebuilder:validation:MaxLength=50
	Investigator string `json:"investigator"`

	// attempt is the number of the attempt, from 1.
	// +required
	Attempt int32 `json:"attempt"`

	// startedTime is when the investigator was asked for the first time.
	// +required
	StartedTime outboxapi.Time `json:"startedTime"`

	// deadlineTime is when the current attempt times out, even if another process started it.
	// +optional
	DeadlineTime *outboxapi.Time `json:"deadlineTime,omitempty"`

	// nextAttemptTime is when the investigator is asked again. It is set between a failed attempt and the next one. If neither it nor completedTime is set, an attempt is in progress.
	// +optional
	NextAttemptTime *outboxapi.Time `json:"nextAttemptTime,omitempty"`

	// completedTime is when the investigator answered.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// responseTimeMilliseconds is the response time of the investigator, in milliseconds.
	// +optional
	ResponseTimeMilliseconds *int64 `json:"responseTimeMilliseconds,omitempty"`

	// model that answered, if any.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Model string `json:"model,omitempty"`

	// promptTokens is the number of tokens that the model read.
	// +optional
	PromptTokens *int32 `json:"promptTokens,omitempty"`

	// completionTokens is the number of tokens that the model wrote.
	// +optional
	CompletionTokens *int32 `json:"completionTokens,omitempty"`

	// modelConfig is the version of the investigator, and hashes of its input.
	// +optional
	ModelConfig *ModelConfig `json:"modelConfig,omitempty"`

	// lastError is the error of the latest failed attempt.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	LastError string `json:"lastError,omitempty"`
}

// ModelConfig is the version of the investigator, and hashes of its input. It is equal for investigations with the same version, prompt and catalogue.
type ModelConfig struct {
	// version of the investigator.
	// +optional
	// +kubebuilder:validation:MaxLength=100
	Version string `json:"version,omitempty"`

	// promptSHA256 is the SHA-256, in hex, of the prompt template without case data. It is empty for an investigator without a prompt.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PromptSHA256 string `json:"promptSHA256,omitempty"`

	// catalogueSHA256 is the SHA-256, in hex, of the workflow catalogue.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	CatalogueSHA256 string `json:"catalogueSHA256,omitempty"`
}

// Evidence is one item of information that the investigator used.
type Evidence struct {
	// tool that was used.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Tool string `json:"tool"`

	// purpose of the tool call.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Purpose string `json:"purpose,omitempty"`

	// excerpt of the output, without credentials.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Excerpt string `json:"excerpt,omitempty"`
}

// Recommendation is a workflow of the catalogue, with its parameters.
type Recommendation struct {
	// workflowID is the ID of the workflow in the catalogue.
	// +required
	// +kubebuilder:validation:MaxLength=63
	WorkflowID string `json:"workflowID"`

	// action is a description of what the workflow does.
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

	// rationale of the recommendation.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Rationale string `json:"rationale,omitempty"`
}

// Alternative is an action that was considered and rejected.
type Alternative struct {
	// action that was considered.
	// +required
	// +kubebuilder:validation:MaxLength=255
	Action string `json:"action"`

	// confidence in percent.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Confidence int32 `json:"confidence"`

	// rejectedReason is why the action was rejected.
	// +required
	// +kubebuilder:validation:MaxLength=8192
	RejectedReason string `json:"rejectedReason"`

	// workflowID is the ID of the workflow in the catalogue, if the action is one.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	WorkflowID string `json:"workflowID,omitempty"`
}

// Approval records the decision on a recommendation.
type Approval struct {
	// required is true if a person has to decide.
	// +required
	Required bool `json:"required"`

	// requestedTime is when the approval of a person was requested.
	// +optional
	RequestedTime *outboxapi.Time `json:"requestedTime,omitempty"`

	// status is approved, rejected, auto-approved or expired. It is empty while the decision is open.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Status string `json:"status,omitempty"`

	// decidedTime is when the controller recorded the decision.
	// +optional
	DecidedTime *outboxapi.Time `json:"decidedTime,omitempty"`

	// durationSeconds is the time from the request to the decision, in whole seconds.
	// +optional
	DurationSeconds *int64 `json:"durationSeconds,omitempty"`

	// decidedBy is the user who decided, or "policy" for an automatic approval.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	DecidedBy string `json:"decidedBy,omitempty"`

	// method is how the decision was made: console, slack or api.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Method string `json:"method,omitempty"`

	// justification of the decision.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Justification string `json:"justification,omitempty"`
}

// AIAnalysis investigates an alert, recommends a workflow and records its approval.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=aianalyses,shortName=aia,categories=holdfast
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="RECOMMENDATION",type=string,JSONPath=`.status.recommendation.workflowID`
// +kubebuilder:printcolumn:name="APPROVAL",type=string,JSONPath=`.status.approval.status`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,description="Number of entries in the resource. Durable entries stay until the next write or trim, seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Sequence of the newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Sequence of the newest entry that is recorded as durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.uid`
type AIAnalysis struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec AIAnalysisSpec `json:"spec"`

	// status is the observed state.
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
