package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// GetOutbox returns the outbox of the status, nil before the first entry.
func (r *RemediationRequest) GetOutbox() *outboxapi.Outbox { return r.Status.Outbox }

// SetOutbox replaces the outbox of the status.
func (r *RemediationRequest) SetOutbox(o *outboxapi.Outbox) { r.Status.Outbox = o }

// GetConditions returns the conditions of the status.
func (r *RemediationRequest) GetConditions() []metav1.Condition { return r.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (r *RemediationRequest) SetConditions(c []metav1.Condition) { r.Status.Conditions = c }

// GetOutbox returns the outbox of the status, nil before the first entry.
func (r *AIAnalysis) GetOutbox() *outboxapi.Outbox { return r.Status.Outbox }

// SetOutbox replaces the outbox of the status.
func (r *AIAnalysis) SetOutbox(o *outboxapi.Outbox) { r.Status.Outbox = o }

// GetConditions returns the conditions of the status.
func (r *AIAnalysis) GetConditions() []metav1.Condition { return r.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (r *AIAnalysis) SetConditions(c []metav1.Condition) { r.Status.Conditions = c }

// GetOutbox returns the outbox of the status, nil before the first entry.
func (r *WorkflowExecution) GetOutbox() *outboxapi.Outbox { return r.Status.Outbox }

// SetOutbox replaces the outbox of the status.
func (r *WorkflowExecution) SetOutbox(o *outboxapi.Outbox) { r.Status.Outbox = o }

// GetConditions returns the conditions of the status.
func (r *WorkflowExecution) GetConditions() []metav1.Condition { return r.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (r *WorkflowExecution) SetConditions(c []metav1.Condition) { r.Status.Conditions = c }

// GetOutbox returns the outbox of the status, nil before the first entry.
func (r *NotificationRequest) GetOutbox() *outboxapi.Outbox { return r.Status.Outbox }

// SetOutbox replaces the outbox of the status.
func (r *NotificationRequest) SetOutbox(o *outboxapi.Outbox) { r.Status.Outbox = o }

// GetConditions returns the conditions of the status.
func (r *NotificationRequest) GetConditions() []metav1.Condition { return r.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (r *NotificationRequest) SetConditions(c []metav1.Condition) { r.Status.Conditions = c }
