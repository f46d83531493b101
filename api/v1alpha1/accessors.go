package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// OutboxStatus is where the outbox and the conditions of the resource are.
func (r *RemediationRequest) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &r.Status.Status, &r.Status.Conditions
}

// OutboxStatus is where the outbox and the conditions of the resource are.
func (r *AIAnalysis) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &r.Status.Status, &r.Status.Conditions
}

// OutboxStatus is where the outbox and the conditions of the resource are.
func (r *WorkflowExecution) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &r.Status.Status, &r.Status.Conditions
}

// OutboxStatus is where the outbox and the conditions of the resource are.
func (r *NotificationRequest) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &r.Status.Status, &r.Status.Conditions
}
