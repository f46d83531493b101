package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// NotificationPhase is the phase of a notification.
// +kubebuilder:validation:Enum=Pending;Sending;Retrying;Sent;PartiallySent;Failed;Cancelled
type NotificationPhase string

const (
	NotificationPending       NotificationPhase = "Pending"
	NotificationSending       NotificationPhase = "Sending"
	NotificationRetrying      NotificationPhase = "Retrying"
	NotificationSent          NotificationPhase = "Sent"
	NotificationPartiallySent NotificationPhase = "PartiallySent"
	NotificationFailed        NotificationPhase = "Failed"
	NotificationCancelled     NotificationPhase = "Cancelled"
)

// Final reports whether the record has ended with this phase.
func (p NotificationPhase) Final() bool {
	switch p {
	case NotificationSent, NotificationPartiallySent, NotificationFailed, NotificationCancelled:
		return true
	}
	return false
}

// NotificationPurpose is the purpose of a notification.
// +kubebuilder:validation:Enum=ApprovalNeeded;ApprovalReminder;Outcome
type NotificationPurpose string

const (
	// PurposeOutcome says how a remediation ended.
	PurposeOutcome NotificationPurpose = "Outcome"
	// PurposeApprovalNeeded asks a person to decide.
	PurposeApprovalNeeded NotificationPurpose = "ApprovalNeeded"
	// PurposeApprovalReminder asks again.
	PurposeApprovalReminder NotificationPurpose = "ApprovalReminder"
)

// Values of delivery_status.
const (
	DeliverySuccess = "success"
	DeliveryPartial = "partial"
	DeliveryFailed  = "failed"
)

// States of a delivery attempt.
const (
	// AttemptSending was recorded before sending; its result is not known yet.
	AttemptSending = "Sending"
	// AttemptSucceeded means that the receiver accepted the message.
	AttemptSucceeded = "Succeeded"
	// AttemptFailed means that the receiver refused the message or could not be reached.
	AttemptFailed = "Failed"
	// AttemptUnknown means that sending started, but it is not known whether the message was delivered.
	AttemptUnknown = "Unknown"
)

// NotificationRequestSpec defines the message and the channels. The rule for retry compares durations by value, because a Go client writes 5m as 5m0s.
// +kubebuilder:validation:XValidation:rule="self.remediationRef == oldSelf.remediationRef",fieldPath=".remediationRef",message="remediationRef is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.purpose) == has(oldSelf.purpose) && (!has(self.purpose) || self.purpose == oldSelf.purpose)",fieldPath=".purpose",message="purpose is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.subject == oldSelf.subject",fieldPath=".subject",message="subject is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.body) == has(oldSelf.body) && (!has(self.body) || self.body == oldSelf.body)",fieldPath=".body",message="body is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.channels == oldSelf.channels",fieldPath=".channels",message="channels is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.retry) == has(oldSelf.retry) && (!has(self.retry) || (self.retry.maxAttempts == oldSelf.retry.maxAttempts && duration(self.retry.initialBackoff) == duration(oldSelf.retry.initialBackoff) && duration(self.retry.maxBackoff) == duration(oldSelf.retry.maxBackoff) && duration(self.retry.timeout) == duration(oldSelf.retry.timeout)))",fieldPath=".retry",message="retry is immutable; create a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="cancel cannot be unset once it is true"
type NotificationRequestSpec struct {
	// remediationRef names the RemediationRequest that this notification belongs to.
	// +required
	RemediationRef RemediationRef `json:"remediationRef"`

	// purpose of the notification: Outcome (how the remediation ended), ApprovalNeeded (a decision is requested) or ApprovalReminder.
	// +optional
	// +kubebuilder:default=Outcome
	Purpose NotificationPurpose `json:"purpose,omitempty"`

	// subject of the message, one line.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject"`

	// body of the message.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Body string `json:"body,omitempty"`

	// channels to deliver to. Each channel is tried independently.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	Channels []Channel `json:"channels"`

	// retry policy for failed deliveries, per channel.
	// +optional
	// +kubebuilder:default={}
	Retry RetryPolicy `json:"retry,omitzero"`

	// cancel stops the work. It can be set at any time and cannot be unset.
	// +optional
	Cancel bool `json:"cancel,omitempty"`
}

// RetryPolicy is an exponential backoff with an upper limit. A longer Retry-After of the server is honoured.
type RetryPolicy struct {
	// maxAttempts per channel, including the first.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	MaxAttempts int32 `json:"maxAttempts,omitempty"`

	// initialBackoff is the delay before the second attempt. It doubles with each attempt. Each delay is reduced at random by up to half.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="expected a duration from 100ms to 1h, such as 1m30s"
	// +kubebuilder:default="2s"
	InitialBackoff *metav1.Duration `json:"initialBackoff,omitempty"`

	// maxBackoff is the maximum delay between two attempts.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('100ms') && duration(self) <= duration('24h')",message="expected a duration from 100ms to 24h, such as 1m30s"
	// +kubebuilder:default="5m"
	MaxBackoff *metav1.Duration `json:"maxBackoff,omitempty"`

	// timeout of one attempt.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('100ms') && duration(self) <= duration('5m')",message="expected a duration from 100ms to 5m, such as 1m30s"
	// +kubebuilder:default="10s"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// NotificationRequestStatus is the state of the delivery.
type NotificationRequestStatus struct {
	// phase of the notification.
	// +optional
	Phase NotificationPhase `json:"phase,omitempty"`

	// sentTime is when the first channel accepted the message.
	// +optional
	SentTime *outboxapi.Time `json:"sentTime,omitempty"`

	// confirmedTime is when the last channel confirmed delivery. It is absent unless all channels did.
	// +optional
	ConfirmedTime *outboxapi.Time `json:"confirmedTime,omitempty"`

	// completedTime is when the notification ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// deliveryStatus is success, partial or failed.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	DeliveryStatus string `json:"deliveryStatus,omitempty"`

	// failureReason is why some channels were not reached.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// attempts in the order of their start. Each attempt is recorded before it is made.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	Attempts []DeliveryAttempt `json:"attempts,omitempty"`

	// conditions of the resource. Ready: True if it ended successfully. Finished: True once it has ended. OutboxBlocked: True while a change waits because the outbox is full.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() >= 1970 && c.lastTransitionTime.getFullYear() < 2900)",message="expected times in RFC 3339 from the years 1970 to 2899"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	outboxapi.Status `json:",inline"`
}

// DeliveryAttempt is one attempt to deliver to one channel.
type DeliveryAttempt struct {
	// channel is the index in spec.channels, from 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	Channel int32 `json:"channel"`

	// type of the channel.
	// +required
	Type ChannelType `json:"type"`

	// attempt is the number of the attempt on this channel, from 1.
	// +required
	Attempt int32 `json:"attempt"`

	// state is Sending, Succeeded, Failed or Unknown. Unknown means that the message may have been delivered: the manager restarted, or the notification was cancelled, during the attempt.
	// +required
	// +kubebuilder:validation:Enum=Sending;Succeeded;Failed;Unknown
	State string `json:"state"`

	// startedTime of the attempt.
	// +required
	StartedTime outboxapi.Time `json:"startedTime"`

	// durationMilliseconds is the time until the response, in milliseconds.
	// +optional
	DurationMilliseconds *int64 `json:"durationMilliseconds,omitempty"`

	// statusCode is the HTTP status of the response.
	// +optional
	StatusCode *int32 `json:"statusCode,omitempty"`

	// error of a failed attempt, at most 200 bytes. It never contains the URL.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Error string `json:"error,omitempty"`

	// permanent is true if a retry cannot succeed.
	// +optional
	Permanent bool `json:"permanent,omitempty"`

	// retryTime is when the next attempt is due.
	// +optional
	RetryTime *outboxapi.Time `json:"retryTime,omitempty"`
}

// NotificationRequest delivers a message to the given channels.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=notificationrequests,shortName=nr,categories=holdfast
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="SUBJECT",type=string,JSONPath=`.spec.subject`
// +kubebuilder:printcolumn:name="DELIVERY",type=string,JSONPath=`.status.deliveryStatus`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,description="Number of entries in the resource. Durable entries stay until the next write or trim, seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Sequence of the newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Sequence of the newest entry that is recorded as durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.uid`
type NotificationRequest struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec NotificationRequestSpec `json:"spec"`

	// status is the observed state.
	// +kubebuilder:default={}
	// +optional
	Status NotificationRequestStatus `json:"status,omitempty"`
}

// NotificationRequestList is a list of NotificationRequest.
// +kubebuilder:object:root=true
type NotificationRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NotificationRequest `json:"items"`
}
