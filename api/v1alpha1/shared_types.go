package v1alpha1

import (
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Conditions of the four kinds. OutboxBlocked is outbox.ConditionBlocked.
const (
	// ConditionReady is True when the resource ended successfully. It is False while it is in progress or when it failed. The reason is the phase.
	ConditionReady = "Ready"
	// ConditionFinished is True once the resource has ended, successfully or not. It is absent before. The reason is the phase.
	ConditionFinished = "Finished"
	// ConditionRemediationRefused is True on a child whose remediationRef does not name a live request. The child ends without doing anything, and its row has its own
	// uid as remediation_id. The condition stays.
	ConditionRemediationRefused = "RemediationRefused"
)

// Signal is the alert to remediate.
// +kubebuilder:validation:XValidation:rule="timestamp(self.receivedTime.upperAscii()).getFullYear() >= 1970 && timestamp(self.receivedTime.upperAscii()).getFullYear() < 2900",fieldPath=".receivedTime",message="expected a time in RFC 3339 from the years 1970 to 2899, as in 2026-11-23T04:05:06Z"
type Signal struct {
	// fingerprint identifies the alert at its source: 16 to 64 lowercase hex digits. Alertmanager uses 16; a SHA-256 has 64.
	// +required
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{16,64}$`
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint"`

	// name of the alert, for example KubePodCrashLooping.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// severity of the alert, as the sender names it, for example critical, warning or info. It has the form of a label value.
	// +required
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Severity string `json:"severity"`

	// source is the sender of the alert, for example alertmanager.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Source string `json:"source"`

	// receivedTime is when the alert was received, in RFC 3339.
	// +required
	ReceivedTime outboxapi.Time `json:"receivedTime"`

	// labels of the alert.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 256)",message="expected keys of at most 256 characters"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations of the alert.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.size() <= 256)",message="expected keys of at most 256 characters"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`
}

// LabelValue is the value of a label of an alert.
// +kubebuilder:validation:MaxLength=256
type LabelValue string

// AnnotationValue is the value of an annotation of an alert.
// +kubebuilder:validation:MaxLength=1024
type AnnotationValue string

// Target is the workload to repair. It is in the same namespace as the resource.
type Target struct {
	// apiVersion of the target, for example apps/v1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	APIVersion string `json:"apiVersion"`

	// kind of the target, for example Deployment.
	// +required
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z0-9]*$`
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`

	// name of the target.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// RemediationRef names the RemediationRequest that a resource belongs to, in the same namespace.
type RemediationRef struct {
	// name of the RemediationRequest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// uid of the RemediationRequest. The audit trail stores it as remediation_id.
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	UID types.UID `json:"uid"`
}

// ApprovalMode is how a recommendation is approved.
// +kubebuilder:validation:Enum=Auto;Manual
type ApprovalMode string

const (
	// ApprovalAuto approves automatically at or above the threshold. Below it a person decides.
	ApprovalAuto ApprovalMode = "Auto"
	// ApprovalManual always asks a person.
	ApprovalManual ApprovalMode = "Manual"
)

// ApprovalPolicy defines how a recommendation is approved.
// +kubebuilder:validation:XValidation:rule="self.mode != 'Auto' || has(self.autoApproveAbove)",fieldPath=".autoApproveAbove",reason=FieldValueRequired,message="mode Auto requires autoApproveAbove, a percentage from 0 to 100"
type ApprovalPolicy struct {
	// mode is Auto or Manual. Auto approves automatically at or above autoApproveAbove; below it a person decides. Manual always asks a person.
	// +required
	Mode ApprovalMode `json:"mode"`

	// autoApproveAbove is the minimum confidence, in percent, for automatic approval in mode Auto.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	AutoApproveAbove *int32 `json:"autoApproveAbove,omitempty"`
}

// ChannelType is a type of notification channel.
// +kubebuilder:validation:Enum=console;slack;webhook
type ChannelType string

const (
	// ChannelConsole writes to the log of the manager and creates a Kubernetes Event.
	ChannelConsole ChannelType = "console"
	// ChannelSlack posts to a Slack incoming webhook.
	ChannelSlack ChannelType = "slack"
	// ChannelWebhook posts JSON to a URL.
	ChannelWebhook ChannelType = "webhook"
)

// Channel is a notification channel. The URL of slack and webhook is a credential, so it comes from a Secret.
// +kubebuilder:validation:XValidation:rule="(self.type == 'console') != has(self.secretRef)",fieldPath=".secretRef",message="slack and webhook require secretRef, the Secret key with the URL; console does not allow it"
type Channel struct {
	// type is console, slack or webhook.
	// +required
	Type ChannelType `json:"type"`

	// secretRef is the key of a Secret in the same namespace that contains the URL. Required for slack and webhook.
	// +optional
	SecretRef *SecretKeyRef `json:"secretRef,omitempty"`
}

// SecretKeyRef names one key of a Secret in the same namespace.
type SecretKeyRef struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// key in the Secret.
	// +required
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}
