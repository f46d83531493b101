package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// RemediationPhase is where a remediation stands.
// +kubebuilder:validation:Enum=Pending;Analyzing;AwaitingApproval;Executing;Notifying;Completed;Failed;Rejected;TimedOut;Cancelled
type RemediationPhase string

const (
	RemediationPending          RemediationPhase = "Pending"
	RemediationAnalyzing        RemediationPhase = "Analyzing"
	RemediationAwaitingApproval RemediationPhase = "AwaitingApproval"
	RemediationExecuting        RemediationPhase = "Executing"
	RemediationNotifying        RemediationPhase = "Notifying"
	RemediationCompleted        RemediationPhase = "Completed"
	RemediationFailed           RemediationPhase = "Failed"
	RemediationRejected         RemediationPhase = "Rejected"
	RemediationTimedOut         RemediationPhase = "TimedOut"
	RemediationCancelled        RemediationPhase = "Cancelled"
)

// ConditionForeignChild is True once a resource that the request did not make was found under the name of one of its children. It stays.
const ConditionForeignChild = "ForeignChild"

// Conditions that are True while the API server does not take a child that is due, because of a full quota or the like.
const (
	ConditionAnalysisBlocked     = "AnalysisBlocked"
	ConditionWorkflowBlocked     = "WorkflowBlocked"
	ConditionNotificationBlocked = "NotificationBlocked"
)

// ConditionCoolingDown is True for a request that was held back, because another had repaired the same target for the same alert not long before, and for that other one if it is kept beyond its TTL. It stays.
// It is False for a request whose workflow is known to have changed nothing: that one holds nothing back.
const ConditionCoolingDown = "CoolingDown"

// Final reports whether the record has ended with this phase.
func (p RemediationPhase) Final() bool {
	switch p {
	case RemediationCompleted, RemediationFailed, RemediationRejected, RemediationTimedOut, RemediationCancelled:
		return true
	}
	return false
}

// Outcomes of a remediation.
const (
	OutcomeRemediated = "remediated"
	OutcomeNoAction   = "no-action"
	OutcomeRejected   = "rejected"
	OutcomeFailed     = "failed"
	OutcomeTimedOut   = "timed-out"
	OutcomeCancelled  = "cancelled"
)

// Services that a remediation invokes, as the audit trail names them.
const (
	ServiceAIAnalysis        = "AIAnalysis"
	ServiceWorkflowExecution = "WorkflowExecution"
	ServiceNotification      = "Notification"
)

// RemediationRequestSpec is the alert, what to repair, and by which rules. Durations and times are compared as such: a Go client writes 5m back as 5m0s, and times with six digits.
// +kubebuilder:validation:XValidation:rule="self.signal.fingerprint == oldSelf.signal.fingerprint && self.signal.name == oldSelf.signal.name && self.signal.severity == oldSelf.signal.severity && self.signal.source == oldSelf.signal.source && timestamp(self.signal.receivedTime) - timestamp(oldSelf.signal.receivedTime) < duration('1us') && timestamp(oldSelf.signal.receivedTime) - timestamp(self.signal.receivedTime) < duration('1us') && (has(self.signal.labels) && self.signal.labels.size() > 0) == (has(oldSelf.signal.labels) && oldSelf.signal.labels.size() > 0) && (!has(self.signal.labels) || !has(oldSelf.signal.labels) || self.signal.labels == oldSelf.signal.labels) && (has(self.signal.annotations) && self.signal.annotations.size() > 0) == (has(oldSelf.signal.annotations) && oldSelf.signal.annotations.size() > 0) && (!has(self.signal.annotations) || !has(oldSelf.signal.annotations) || self.signal.annotations == oldSelf.signal.annotations)",fieldPath=".signal",message="signal is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.target == oldSelf.target",fieldPath=".target",message="target is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccountName) == has(oldSelf.serviceAccountName) && (!has(self.serviceAccountName) || self.serviceAccountName == oldSelf.serviceAccountName)",fieldPath=".serviceAccountName",message="serviceAccountName is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.approval) == has(oldSelf.approval) && (!has(self.approval) || self.approval == oldSelf.approval)",fieldPath=".approval",message="approval is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.notification) == has(oldSelf.notification) && (!has(self.notification) || self.notification == oldSelf.notification)",fieldPath=".notification",message="notification is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.timeouts) == has(oldSelf.timeouts) && (!has(self.timeouts) || (has(self.timeouts.analysis) == has(oldSelf.timeouts.analysis) && (!has(self.timeouts.analysis) || duration(self.timeouts.analysis) == duration(oldSelf.timeouts.analysis)) && has(self.timeouts.approval) == has(oldSelf.timeouts.approval) && (!has(self.timeouts.approval) || duration(self.timeouts.approval) == duration(oldSelf.timeouts.approval)) && has(self.timeouts.execution) == has(oldSelf.timeouts.execution) && (!has(self.timeouts.execution) || duration(self.timeouts.execution) == duration(oldSelf.timeouts.execution)) && has(self.timeouts.notification) == has(oldSelf.timeouts.notification) && (!has(self.timeouts.notification) || duration(self.timeouts.notification) == duration(oldSelf.timeouts.notification)) && has(self.timeouts.total) == has(oldSelf.timeouts.total) && (!has(self.timeouts.total) || duration(self.timeouts.total) == duration(oldSelf.timeouts.total))))",fieldPath=".timeouts",message="timeouts is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.ttlAfterFinished) == has(oldSelf.ttlAfterFinished) && (!has(self.ttlAfterFinished) || duration(self.ttlAfterFinished) == duration(oldSelf.ttlAfterFinished))",fieldPath=".ttlAfterFinished",message="ttlAfterFinished is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="a cancellation can't be taken back"
// +kubebuilder:validation:XValidation:rule="has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)",fieldPath=".requestedBy",message="requestedBy is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancelledBy) == has(oldSelf.cancelledBy) && (!has(self.cancelledBy) || self.cancelledBy == oldSelf.cancelledBy))",fieldPath=".cancelledBy",message="cancelledBy is set with cancel, and only once"
// +kubebuilder:validation:XValidation:rule="!has(self.cancelledBy) || (has(self.cancel) && self.cancel)",fieldPath=".cancelledBy",message="expected no cancelledBy without cancel"
type RemediationRequestSpec struct {
	// signal is the alert.
	// +required
	Signal Signal `json:"signal"`

	// target is the workload to repair, in this namespace.
	// +required
	Target Target `json:"target"`

	// serviceAccountName is the account of this namespace that workflow steps act as. Without one no step runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// approval says who approves the recommendation; a person does unless it says otherwise.
	// +optional
	// +kubebuilder:default={mode: Manual}
	Approval ApprovalPolicy `json:"approval,omitzero"`

	// notification says who is told at the end.
	// +optional
	// +kubebuilder:default={channels: {{type: console}}}
	Notification NotificationPolicy `json:"notification,omitzero"`

	// timeouts of the phases and of the whole.
	// +optional
	// +kubebuilder:default={}
	Timeouts RemediationTimeouts `json:"timeouts,omitzero"`

	// ttlAfterFinished is how long the finished request and its children stay before they are deleted.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('8760h')",message="expected a duration from 0s to 8760h"
	// +kubebuilder:default="24h"
	TTLAfterFinished *metav1.Duration `json:"ttlAfterFinished,omitempty"`

	// cancel ends the work; it can be set at any time and not be taken back.
	// +optional
	Cancel bool `json:"cancel,omitempty"`

	// requestedBy is the user name of who made the request. The admission policy holdfast-identity sets it, and refuses another name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedBy string `json:"requestedBy,omitempty"`

	// cancelledBy is the user name of who set cancel. The admission policy holdfast-identity sets it, and refuses another name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	CancelledBy string `json:"cancelledBy,omitempty"`
}

// NotificationPolicy names the channels.
type NotificationPolicy struct {
	// channels that are told at the end; none tells nobody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Channels []Channel `json:"channels,omitempty"`
}

// RemediationTimeouts bound the phases of a remediation.
type RemediationTimeouts struct {
	// analysis bounds the investigation.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="10m"
	Analysis *metav1.Duration `json:"analysis,omitempty"`

	// approval bounds the wait for a decision.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="1h"
	Approval *metav1.Duration `json:"approval,omitempty"`

	// execution bounds the workflow.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="30m"
	Execution *metav1.Duration `json:"execution,omitempty"`

	// notification bounds the delivery of the notification.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="10m"
	Notification *metav1.Duration `json:"notification,omitempty"`

	// total bounds the whole, from the creation of the request.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h"
	// +kubebuilder:default="2h"
	Total *metav1.Duration `json:"total,omitempty"`
}

// RemediationRequestStatus is where a remediation stands, and its timeline.
type RemediationRequestStatus struct {
	// phase is where the remediation stands.
	// +optional
	Phase RemediationPhase `json:"phase,omitempty"`

	// outcome is empty until it is known: then remediated, no-action, rejected, failed, timed-out or cancelled.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Outcome string `json:"outcome,omitempty"`

	// failureReason says why the outcome is not a good one.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// requestedBy is who made the request, once it was seen that the policy holdfast-identity had checked it.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	RequestedBy string `json:"requestedBy,omitempty"`

	// cancelledBy is who cancelled the request, once it was seen that the policy holdfast-identity had checked it.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	CancelledBy string `json:"cancelledBy,omitempty"`

	// targetUID is the uid of the target when the request was taken up. It is empty if there was none, or if its kind is not a Deployment, StatefulSet or DaemonSet of apps/v1.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	TargetUID types.UID `json:"targetUID,omitempty"`

	// analysis is the name of the AIAnalysis.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Analysis string `json:"analysis,omitempty"`

	// analysisUID is the uid of the AIAnalysis. Another resource of that name does not count.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	AnalysisUID types.UID `json:"analysisUID,omitempty"`

	// workflow is the name of the WorkflowExecution.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Workflow string `json:"workflow,omitempty"`

	// workflowUID is the uid of the WorkflowExecution. Another resource of that name does not count.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	WorkflowUID types.UID `json:"workflowUID,omitempty"`

	// notification is the name of the NotificationRequest.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Notification string `json:"notification,omitempty"`

	// notificationUID is the uid of the NotificationRequest. Another resource of that name does not count.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	NotificationUID types.UID `json:"notificationUID,omitempty"`

	// analysisStartedTime is when the investigation began.
	// +optional
	AnalysisStartedTime *outboxapi.Time `json:"analysisStartedTime,omitempty"`

	// approvalRequestedTime is when a person was asked to approve.
	// +optional
	ApprovalRequestedTime *outboxapi.Time `json:"approvalRequestedTime,omitempty"`

	// approvalDecidedTime is when the decision was taken up.
	// +optional
	ApprovalDecidedTime *outboxapi.Time `json:"approvalDecidedTime,omitempty"`

	// workflowStartedTime is when the workflow began.
	// +optional
	WorkflowStartedTime *outboxapi.Time `json:"workflowStartedTime,omitempty"`

	// notificationSentTime is when people were told.
	// +optional
	NotificationSentTime *outboxapi.Time `json:"notificationSentTime,omitempty"`

	// completedTime is when the remediation ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// transitions are the phases that it went through, with the time spent in the one before.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Transitions []PhaseTransition `json:"transitions,omitempty"`

	// totalDurationSeconds is the time from creation to the end, in whole seconds.
	// +optional
	TotalDurationSeconds *int64 `json:"totalDurationSeconds,omitempty"`

	// bottleneck is where most of the time went.
	// +optional
	Bottleneck *Bottleneck `json:"bottleneck,omitempty"`

	// conditions of the resource: Ready, Finished once it has ended, OutboxBlocked while a change is held back because the outbox is full, ForeignChild once a resource that this request did not
	// make was found under the name of one of its children, AnalysisBlocked, WorkflowBlocked and NotificationBlocked while that child is due and can't be made, and CoolingDown if nothing was
	// begun because another request had repaired the same target for the same alert not long before, or if this request is that other one and is kept beyond its TTL.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() < 2900)",message="expected times in RFC 3339 from the years 1970 to 2899"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	outboxapi.Status `json:",inline"`
}

// PhaseTransition is one step from phase to phase.
type PhaseTransition struct {
	// from is the phase before, empty at the first.
	// +optional
	From RemediationPhase `json:"from,omitempty"`

	// to is the phase after.
	// +required
	To RemediationPhase `json:"to"`

	// time of the change.
	// +required
	Time outboxapi.Time `json:"time"`

	// duration is the time spent in the phase before.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^-?((([0-9]{1,6}h)?[0-9]{1,2}m)?[0-9]{1,2}(\.[0-9]{1,9})?s|[0-9]{1,3}(\.[0-9]{1,6})?(ms|µs|ns))$`
	Duration *metav1.Duration `json:"duration,omitempty"`
}

// Bottleneck is the part of a remediation that took the longest.
type Bottleneck struct {
	// phase is ai_analysis, approval_wait, workflow_execution, notification or queueing.
	// +required
	// +kubebuilder:validation:MaxLength=50
	Phase string `json:"phase"`

	// durationSeconds spent there.
	// +required
	DurationSeconds int64 `json:"durationSeconds"`
}

// RemediationRequest asks for the remediation of an alert.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=remediationrequests,shortName=rr,categories=holdfast
// +kubebuilder:selectablefield:JSONPath=`.spec.signal.fingerprint`
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="TARGET",type=string,JSONPath=`.spec.target.name`
// +kubebuilder:printcolumn:name="OUTCOME",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,priority=1,description="Entries that the resource still carries. Durable ones stay until the next write or trim, some seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Newest entry that the resource knows to be durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type RemediationRequest struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +required
	Spec RemediationRequestSpec `json:"spec"`

	// status is what has happened.
	// +kubebuilder:default={}
	// +optional
	Status RemediationRequestStatus `json:"status,omitempty"`
}

// RemediationRequestList is a list of RemediationRequest.
// +kubebuilder:object:root=true
type RemediationRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RemediationRequest `json:"items"`
}
