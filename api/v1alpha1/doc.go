// Package v1alpha1 has the four kinds of the remediation platform, group holdfast.dev.
//
// A RemediationRequest asks for the remediation of an alert. Its orchestrator makes an AIAnalysis (what is wrong, what to do, who approved), a
// WorkflowExecution (the steps on the target) and a NotificationRequest (who was told). Each carries an outbox in its status: what
// changes there is audited in the same write.
//
// Specs are immutable but for `cancel` and an analysis's one `decision`. Rules live here as CEL, so that the API server holds them against everybody.
//
// +kubebuilder:object:generate=true
// +groupName=holdfast.dev
package v1alpha1
