package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// RemediationPhase is the phase of a remediation.
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

// ConditionForeignChild is True once a resource that the request did not create was found with the name of one of its children. It stays.
const ConditionForeignChild = "ForeignChild"

// Conditions that are True while the API server refuses a child that must be created, for example because a quota is full.
const (
	ConditionAnalysisBlocked     = "AnalysisBlocked"
	ConditionWorkflowBlocked     = "WorkflowBlocked"
	ConditionNotificationBlocked = "NotificationBlocked"
	// ConditionApprovalNotificationBlocked regards the notifications that ask for a decision. The remediation does not wait for them.
	ConditionApprovalNotificationBlocked = "ApprovalNotificationBlocked"
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

// RemediationRequestSpec defines the alert, the workload to repair and the policy. Rules compare durations and times by value, because a Go client writes 5m as 5m0s and times with six fractional digits.
// +kubebuilder:validation:XValidation:rule="self.signal.fingerprint == oldSelf.signal.fingerprint && self.signal.name == oldSelf.signal.name && self.signal.severity == oldSelf.signal.severity && self.signal.source == oldSelf.signal.source && timestamp(self.signal.receivedTime) - timestamp(oldSelf.signal.receivedTime) < duration('1us') && timestamp(oldSelf.signal.receivedTime) - timestamp(self.signal.receivedTime) < duration('1us') && (has(self.signal.labels) && self.signal.labels.size() > 0) == (has(oldSelf.signal.labels) && oldSelf.signal.labels.size() > 0) && (!has(self.signal.labels) || !has(oldSelf.signal.labels) || self.signal.labels == oldSelf.signal.labels) && (has(self.signal.annotations) && self.signal.annotations.size() > 0) == (has(oldSelf.signal.annotations) && oldSelf.signal.annotations.size() > 0) && (!has(self.signal.annotations) || !has(oldSelf.signal.annotations) || self.signal.annotations == oldSelf.signal.annotations)",fieldPath=".signal",message="signal is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.target == oldSelf.target",fieldPath=".target",message="target is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccountName) == has(oldSelf.serviceAccountName) && (!has(self.serviceAccountName) || self.serviceAccountName == oldSelf.serviceAccountName)",fieldPath=".serviceAccountName",message="serviceAccountName is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.approval) == has(oldSelf.approval) && (!has(self.approval) || self.approval == oldSelf.approval)",fieldPath=".approval",message="approval is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.notification) == has(oldSelf.notification) && (!has(self.notification) || self.notification == oldSelf.notification)",fieldPath=".notification",message="notification is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.timeouts) == has(oldSelf.timeouts) && (!has(self.timeouts) || (has(self.timeouts.analysis) == has(oldSelf.timeouts.analysis) && (!has(self.timeouts.analysis) || duration(self.timeouts.analysis) == duration(oldSelf.timeouts.analysis)) && has(self.timeouts.approval) == has(oldSelf.timeouts.approval) && (!has(self.timeouts.approval) || duration(self.timeouts.approval) == duration(oldSelf.timeouts.approval)) && has(self.timeouts.execution) == has(oldSelf.timeouts.execution) && (!has(self.timeouts.execution) || duration(self.timeouts.execution) == duration(oldSelf.timeouts.execution)) && has(self.timeouts.notification) == has(oldSelf.timeouts.notification) && (!has(self.timeouts.notification) || duration(self.timeouts.notification) == duration(oldSelf.timeouts.notification)) && has(self.timeouts.total) == has(oldSelf.timeouts.total) && (!has(self.timeouts.total) || duration(self.timeouts.total) == duration(oldSelf.timeouts.total))))",fieldPath=".timeouts",message="timeouts is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.ttlAfterFinished) == has(oldSelf.ttlAfterFinished) && (!has(self.ttlAfterFinished) || duration(self.ttlAfterFinished) == duration(oldSelf.ttlAfterFinished))",fieldPath=".ttlAfterFinished",message="ttlAfterFinished is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="cancel cannot be unset once it is true"
// +kubebuilder:validation:XValidation:rule="has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)",fieldPath=".requestedBy",message="requestedBy is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancelledBy) == has(oldSelf.cancelledBy) && (!has(self.cancelledBy) || self.cancelledBy == oldSelf.cancelledBy))",fieldPath=".cancelledBy",message="cancelledBy is immutable once cancel is true"
// +kubebuilder:validation:XValidation:rule="!has(self.cancelledBy) || (has(self.cancel) && self.cancel)",fieldPath=".cancelledBy",message="cancelledBy requires cancel to be true"
type RemediationRequestSpec struct {
	// signal is the alert to remediate.
	// +required
	Signal Signal `json:"signal"`

	// target is the workload to repair, in the same namespace.
	// +required
	Target Target `json:"target"`

	// serviceAccountName is the service account, in the same namespace, that the workflow steps use. Without it no step runs.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// approval defines who approves the recommendation. Default: a person (mode Manual).
	// +optional
	// +kubebuilder:default={mode: Manual}
	Approval ApprovalPolicy `json:"approval,omitzero"`

	// notification defines the channels to notify. Default: console.
	// +optional
	// +kubebuilder:default={channels: {{type: console}}}
	Notification NotificationPolicy `json:"notification,omitzero"`

	// timeouts of the phases and of the remediation as a whole.
	// +optional
	// +kubebuilder:default={}
	Timeouts RemediationTimeouts `json:"timeouts,omitzero"`

	// ttlAfterFinished is how long the request and its children are kept after the request ends. Then they are deleted.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('8760h')",message="expected a duration from 0s to 8760h, such as 1m30s"
	// +kubebuilder:default="24h"
	TTLAfterFinished *metav1.Duration `json:"ttlAfterFinished,omitempty"`

	// cancel stops the work. It can be set at any time and cannot be unset.
	// +optional
	Cancel bool `json:"cancel,omitempty"`

	// requestedBy is the name of the user who created the request. The admission policy holdfast-identity sets it and refuses any other value.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedBy string `json:"requestedBy,omitempty"`

	// cancelledBy is the name of the user who set cancel. The admission policy holdfast-identity sets it and refuses any other value.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	CancelledBy string `json:"cancelledBy,omitempty"`
}

// NotificationPolicy defines the channels to notify.
type NotificationPolicy struct {
	// channels to notify. An empty list notifies nobody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Channels []Channel `json:"channels,omitempty"`
}

// RemediationTimeouts are the timeouts of a remediation.
type RemediationTimeouts struct {
	// analysis is the timeout of the investigation.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="10m"
	Analysis *metav1.Duration `json:"analysis,omitempty"`

	// approval is the timeout of the wait for a decision.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="1h"
	Approval *metav1.Duration `json:"approval,omitempty"`

	// execution is the timeout of the workflow.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="30m"
	Execution *metav1.Duration `json:"execution,omitempty"`

	// notification is the timeout of the delivery of the notification.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="10m"
	Notification *metav1.Duration `json:"notification,omitempty"`

	// total is the timeout of the remediation as a whole, from the creation of the request.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')",message="expected a duration from 1s to 720h, such as 1m30s"
	// +kubebuilder:default="2h"
	Total *metav1.Duration `json:"total,omitempty"`
}

// RemediationRequestStatus is the state and the timeline of a remediation.
type RemediationRequestStatus struct {
	// phase of the remediation.
	// +optional
	Phase RemediationPhase `json:"phase,omitempty"`

	// outcome is remediated, no-action, rejected, failed, timed-out or cancelled. It is empty until it is known.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	Outcome string `json:"outcome,omitempty"`

	// failureReason is why the remediation was not successful.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// requestedBy is the user who created the request. It is set only if the policy holdfast-identity verified the name.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	RequestedBy string `json:"requestedBy,omitempty"`

	// cancelledBy is the user who cancelled the request. It is set only if the policy holdfast-identity verified the name.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	CancelledBy string `json:"cancelledBy,omitempty"`

	// targetUID is the uid of the target when the controller first processed the request. It is empty if the target did not exist, or is not a Deployment, StatefulSet or DaemonSet of apps/v1.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	TargetUID types.UID `json:"targetUID,omitempty"`

	// analysis is the name of the AIAnalysis.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Analysis string `json:"analysis,omitempty"`

	// analysisUID is the uid of the AIAnalysis. A resource with the same name and another uid is ignored.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	AnalysisUID types.UID `json:"analysisUID,omitempty"`

	// workflow is the name of the WorkflowExecution.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Workflow string `json:"workflow,omitempty"`

	// workflowUID is the uid of the WorkflowExecution. A resource with the same name and another uid is ignored.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	WorkflowUID types.UID `json:"workflowUID,omitempty"`

	// approvalNotification is the name of the NotificationRequest that asks for a decision. The remediation does not wait for it.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ApprovalNotification string `json:"approvalNotification,omitempty"`

	// approvalNotificationUID is the uid of the NotificationRequest that asks for a decision. A resource with the same name and another uid is ignored.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	ApprovalNotificationUID types.UID `json:"approvalNotificationUID,omitempty"`

	// approvalReminder is the name of the NotificationRequest that asks again, at half of the time for a decision.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ApprovalReminder string `json:"approvalReminder,omitempty"`

	// approvalReminderUID is the uid of the NotificationRequest that asks again. A resource with the same name and another uid is ignored.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	ApprovalReminderUID types.UID `json:"approvalReminderUID,omitempty"`

	// notification is the name of the NotificationRequest of the outcome.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Notification string `json:"notification,omitempty"`

	// notificationUID is the uid of the NotificationRequest of the outcome. A resource with the same name and another uid is ignored.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=128
	NotificationUID types.UID `json:"notificationUID,omitempty"`

	// analysisStartedTime is when the investigation started.
	// +optional
	AnalysisStartedTime *outboxapi.Time `json:"analysisStartedTime,omitempty"`

	// approvalRequestedTime is when the approval of a person was requested.
	// +optional
	ApprovalRequestedTime *outboxapi.Time `json:"approvalRequestedTime,omitempty"`

	// approvalDecidedTime is when the controller recorded the decision.
	// +optional
	ApprovalDecidedTime *outboxapi.Time `json:"approvalDecidedTime,omitempty"`

	// workflowStartedTime is when the workflow started.
	// +optional
	WorkflowStartedTime *outboxapi.Time `json:"workflowStartedTime,omitempty"`

	// notificationSentTime is when the notification of the outcome was sent.
	// +optional
	NotificationSentTime *outboxapi.Time `json:"notificationSentTime,omitempty"`

	// completedTime is when the remediation ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// transitions are the phase changes, each with the time spent in the previous phase.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Transitions []PhaseTransition `json:"transitions,omitempty"`

	// totalDurationSeconds is the time from creation to the end of the remediation, in whole seconds.
	// +optional
	TotalDurationSeconds *int64 `json:"totalDurationSeconds,omitempty"`

	// bottleneck is the part that took the most time.
	// +optional
	Bottleneck *Bottleneck `json:"bottleneck,omitempty"`

	// conditions of the resource. Ready: True if it ended successfully. Finished: True once it has ended. OutboxBlocked: True while a change waits because the outbox is full.
	// ForeignChild: True once a resource that this request did not create was found with the name of one of its children. AnalysisBlocked, WorkflowBlocked, NotificationBlocked: True while
	// the child cannot be created. ApprovalNotificationBlocked: True while the request for a decision cannot be sent. CoolingDown: True if the request was not started because another
	// request recently repaired the same target for the same alert, or if this request is that other one and is kept longer than its TTL.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() < 2900)",message="expected times in RFC 3339 from the years 1970 to 2899"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	outboxapi.Status `json:",inline"`
}

// PhaseTransition is a change of the phase.
type PhaseTransition struct {
	// from is the previous phase. It is empty for the first transition.
	// +optional
	From RemediationPhase `json:"from,omitempty"`

	// to is the new phase.
	// +required
	To RemediationPhase `json:"to"`

	// time of the change.
	// +required
	Time outboxapi.Time `json:"time"`

	// duration is the time spent in the previous phase.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^-?((([0-9]{1,6}h)?[0-9]{1,2}m)?[0-9]{1,2}(\.[0-9]{1,9})?s|[0-9]{1,3}(\.[0-9]{1,6})?(ms|µs|ns))$`
	Duration *metav1.Duration `json:"duration,omitempty"`
}

// Bottleneck is the part of a remediation that took the most time.
type Bottleneck struct {
	// phase is ai_analysis, approval_wait, workflow_execution, notification or queueing.
	// +required
	// +kubebuilder:validation:MaxLength=50
	Phase string `json:"phase"`

	// durationSeconds is the time spent in this part, in whole seconds.
	// +required
	DurationSeconds int64 `json:"durationSeconds"`
}

// RemediationRequest requests the remediation of an alert: analysis, approval, workflow and notification.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=remediationrequests,shortName=rr,categories=holdfast
// +kubebuilder:selectablefield:JSONPath=`.spec.signal.fingerprint`
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="TARGET",type=string,JSONPath=`.spec.target.name`
// +kubebuilder:printcolumn:name="OUTCOME",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,description="Number of entries in the resource. Durable entries stay until the next write or trim, seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Sequence of the newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Sequence of the newest entry that is recorded as durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type RemediationRequest struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec RemediationRequestSpec `json:"spec"`

	// status is the observed state.
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
