package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// NotificationPhase is where a notification stands.
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

// NotificationPurpose is what a notification is for.
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
	// AttemptSending is written down, and not known to have ended.
	AttemptSending = "Sending"
	// AttemptSucceeded means that the receiver took it.
	AttemptSucceeded = "Succeeded"
	// AttemptFailed means that the receiver did not take it, or could not be asked.
	AttemptFailed = "Failed"
	// AttemptUnknown means that it was begun, and nobody knows whether it was delivered.
	AttemptUnknown = "Unknown"
)

// NotificationRequestSpec is what to tell, and by which channels. Its rule for retry compares durations, not their texts, since Go writes "5m" back as
// "5m0s".
// +kubebuilder:validation:XValidation:rule="self.remediationRef == oldSelf.remediationRef",fieldPath=".remediationRef",message="remediationRef is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.purpose) == has(oldSelf.purpose) && (!has(self.purpose) || self.purpose == oldSelf.purpose)",fieldPath=".purpose",message="purpose is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.subject == oldSelf.subject",fieldPath=".subject",message="subject is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.body) == has(oldSelf.body) && (!has(self.body) || self.body == oldSelf.body)",fieldPath=".body",message="body is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="self.channels == oldSelf.channels",fieldPath=".channels",message="channels is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="has(self.retry) == has(oldSelf.retry) && (!has(self.retry) || (self.retry.maxAttempts == oldSelf.retry.maxAttempts && duration(self.retry.initialBackoff) == duration(oldSelf.retry.initialBackoff) && duration(self.retry.maxBackoff) == duration(oldSelf.retry.maxBackoff) && duration(self.retry.timeout) == duration(oldSelf.retry.timeout)))",fieldPath=".retry",message="retry is immutable; make a new resource instead"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",fieldPath=".cancel",message="a cancellation can't be taken back"
type NotificationRequestSpec struct {
	// remediationRef names the remediation that this notification belongs to.
	// +required
	RemediationRef RemediationRef `json:"remediationRef"`

	// purpose is what the notification is for: Outcome, ApprovalNeeded or ApprovalReminder.
	// +optional
	// +kubebuilder:default=Outcome
	Purpose NotificationPurpose `json:"purpose,omitempty"`

	// subject in one line.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject"`

	// body of the message.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Body string `json:"body,omitempty"`

	// channels to deliver to; each on its own.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	Channels []Channel `json:"channels"`

	// retry of failed deliveries, for each channel.
	// +optional
	// +kubebuilder:default={}
	Retry RetryPolicy `json:"retry,omitzero"`

	// cancel ends the work; it can be set at any time and not be taken back.
	// +optional
	Cancel bool `json:"cancel,omitempty"`
}

// RetryPolicy is an exponential backoff with a cap; a server's Retry-After is honoured beyond it.
type RetryPolicy struct {
	// maxAttempts for a channel, the first included.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	MaxAttempts int32 `json:"maxAttempts,omitempty"`

	// initialBackoff before the second attempt; it doubles with each. A random half of it is taken off.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="expected a duration from 100ms to 1h"
	// +kubebuilder:default="2s"
	InitialBackoff *metav1.Duration `json:"initialBackoff,omitempty"`

	// maxBackoff between two attempts.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('24h')",message="expected a duration from 100ms to 24h"
	// +kubebuilder:default="5m"
	MaxBackoff *metav1.Duration `json:"maxBackoff,omitempty"`

	// timeout of one attempt.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('5m')",message="expected a duration from 100ms to 5m"
	// +kubebuilder:default="10s"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// NotificationRequestStatus is what was delivered.
type NotificationRequestStatus struct {
	// phase is where the notification stands.
	// +optional
	Phase NotificationPhase `json:"phase,omitempty"`

	// sentTime is when the first channel took the message.
	// +optional
	SentTime *outboxapi.Time `json:"sentTime,omitempty"`

	// confirmedTime is when every channel had confirmed it.
	// +optional
	ConfirmedTime *outboxapi.Time `json:"confirmedTime,omitempty"`

	// completedTime is when the notification ended.
	// +optional
	CompletedTime *outboxapi.Time `json:"completedTime,omitempty"`

	// deliveryStatus is success, partial or failed.
	// +optional
	// +kubebuilder:validation:MaxLength=50
	DeliveryStatus string `json:"deliveryStatus,omitempty"`

	// failureReason says why not every channel was reached.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	FailureReason string `json:"failureReason,omitempty"`

	// attempts in the order in which they began. An attempt is written down before it is made.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	Attempts []DeliveryAttempt `json:"attempts,omitempty"`

	// conditions of the resource: Ready, Finished once it has ended, and OutboxBlocked while a change is held back because the outbox is full.
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

	// attempt counts from 1 for each channel.
	// +required
	Attempt int32 `json:"attempt"`

	// state is Sending, Succeeded, Failed, or Unknown when nobody knows whether it was delivered: the manager restarted or the
	// notification was cancelled in the middle.
	// +required
	// +kubebuilder:validation:Enum=Sending;Succeeded;Failed;Unknown
	State string `json:"state"`

	// startedTime of the attempt.
	// +required
	StartedTime outboxapi.Time `json:"startedTime"`

	// durationMilliseconds until the answer.
	// +optional
	DurationMilliseconds *int64 `json:"durationMilliseconds,omitempty"`

	// statusCode of an HTTP answer.
	// +optional
	StatusCode *int32 `json:"statusCode,omitempty"`

	// error of a failed attempt, at most 200 bytes. It never holds the URL.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Error string `json:"error,omitempty"`

	// permanent is true when another attempt cannot help.
	// +optional
	Permanent bool `json:"permanent,omitempty"`

	// retryTime is when the next attempt is due.
	// +optional
	RetryTime *outboxapi.Time `json:"retryTime,omitempty"`
}

// NotificationRequest tells people, by each channel that it names.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=notificationrequests,shortName=nr,categories=holdfast
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="SUBJECT",type=string,JSONPath=`.spec.subject`
// +kubebuilder:printcolumn:name="DELIVERY",type=string,JSONPath=`.status.deliveryStatus`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,priority=1,description="Entries that the resource still carries. Durable ones stay until the next write or trim, some seconds later."
// +kubebuilder:printcolumn:name="LAST-SEQ",type=integer,JSONPath=`.status.outbox.lastSequence`,priority=1,description="Newest entry."
// +kubebuilder:printcolumn:name="PERSISTED",type=integer,JSONPath=`.status.outbox.persistedSequence`,priority=1,description="Newest entry that the resource knows to be durable."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationRef.uid`
type NotificationRequest struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the resource.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +required
	Spec NotificationRequestSpec `json:"spec"`

	// status is what has happened.
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
