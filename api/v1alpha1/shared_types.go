package v1alpha1

import (
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Conditions of the four kinds. OutboxBlocked is outbox.ConditionBlocked.
const (
	// ConditionReady is True when the resource has ended well, False while it works or when it failed; the reason is the phase.
	ConditionReady = "Ready"
	// ConditionFinished is True once the resource has ended, well or not; the reason is the phase. It is absent before.
	ConditionFinished = "Finished"
	// ConditionRemediationRefused is True on a child whose remediationRef is not that of a live request: it ends without having done anything, and its row is under
	// its own uid. It stays.
	ConditionRemediationRefused = "RemediationRefused"
)

// Signal is the alert that asks for a remediation.
// +kubebuilder:validation:XValidation:rule="timestamp(self.receivedTime.upperAscii()).getFullYear() >= 1970 && timestamp(self.receivedTime.upperAscii()).getFullYear() < 2900",fieldPath=".receivedTime",message="expected a time in RFC 3339 from the years 1970 to 2899, as in 2026-11-23T04:05:06Z"
type Signal struct {
	// fingerprint identifies the alert at its source: 16 to 64 lowercase hex digits. Alertmanager's own have 16, SHA-256 has 64.
	// +required
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{16,64}$`
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint"`

	// name of the alert, such as KubePodCrashLooping.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// severity is what the sender calls it, in the form of a label's value, such as critical, warning, info or page.
	// +required
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Severity string `json:"severity"`

	// source is who sent the alert, such as alertmanager.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Source string `json:"source"`

	// receivedTime is when the alert came in, in RFC 3339.
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

// LabelValue is the value of an alert's label.
// +kubebuilder:validation:MaxLength=256
type LabelValue string

// AnnotationValue is the value of an alert's annotation.
// +kubebuilder:validation:MaxLength=1024
type AnnotationValue string

// Target is the workload to repair, in the namespace of the resource that names it.
type Target struct {
	// apiVersion of the target, such as apps/v1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	APIVersion string `json:"apiVersion"`

	// kind of the target, such as Deployment.
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

// RemediationRef names the remediation that a resource belongs to, in its own namespace.
type RemediationRef struct {
	// name of the RemediationRequest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// uid of the RemediationRequest: the remediation_id of the audit trail.
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
	// ApprovalAuto approves by itself at or above the threshold; below it a person decides.
	ApprovalAuto ApprovalMode = "Auto"
	// ApprovalManual always asks a person.
	ApprovalManual ApprovalMode = "Manual"
)

// ApprovalPolicy says who may approve a recommendation.
// +kubebuilder:validation:XValidation:rule="self.mode != 'Auto' || has(self.autoApproveAbove)",fieldPath=".autoApproveAbove",reason=FieldValueRequired,message="mode Auto needs autoApproveAbove, a percentage"
type ApprovalPolicy struct {
	// mode is Auto (at or above the threshold no person is asked) or Manual.
	// +required
	Mode ApprovalMode `json:"mode"`

	// autoApproveAbove is the confidence, in percent, from which on mode Auto approves by itself.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	AutoApproveAbove *int32 `json:"autoApproveAbove,omitempty"`
}

// ChannelType is a way to tell people.
// +kubebuilder:validation:Enum=console;slack;webhook
type ChannelType string

const (
	// ChannelConsole writes to the log and makes a Kubernetes Event.
	ChannelConsole ChannelType = "console"
	// ChannelSlack posts to a Slack incoming webhook.
	ChannelSlack ChannelType = "slack"
	// ChannelWebhook posts JSON to a URL.
	ChannelWebhook ChannelType = "webhook"
)

// Channel is one way to tell people. The URL of slack and webhook is a credential and comes from a Secret.
// +kubebuilder:validation:XValidation:rule="(self.type == 'console') != has(self.secretRef)",fieldPath=".secretRef",message="slack and webhook need secretRef with the URL, console takes none"
type Channel struct {
	// type is console, slack or webhook.
	// +required
	Type ChannelType `json:"type"`

	// secretRef names the key of a Secret in the same namespace that holds the URL.
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

	// key within the Secret.
	// +required
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}
