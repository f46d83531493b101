// Package v1alpha1 defines the four kinds of the remediation platform, group holdfast.dev.
//
// A RemediationRequest requests the remediation of an alert. Its orchestrator creates an AIAnalysis (cause, recommendation and approval), a WorkflowExecution (steps on
// the target) and a NotificationRequest (messages to people). Each has an outbox in its status: a change of the status and its audit entry are one write.
//
// Specs are immutable except `cancel` and the `decision` of an analysis. The rules are CEL, so the API server enforces them for every client.
//
// +kubebuilder:object:generate=true
// +groupName=holdfast.dev
package v1alpha1
