package models

import outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

// Orchestration is the record of a RemediationRequest: the whole of a remediation, as far as it has come.
type Orchestration struct {
	RemediationID             string              `json:"remediation_id" bun:"remediation_id,type:varchar(255),notnull"`
	SignalFingerprint         string              `json:"signal_fingerprint" bun:"signal_fingerprint,type:varchar(255),notnull"`
	SignalReceivedAt          outboxapi.Time      `json:"signal_received_at" bun:"signal_received_at,notnull"`
	RemediationCreatedAt      outboxapi.Time      `json:"remediation_created_at" bun:"remediation_created_at,notnull"`
	AIAnalysisStartedAt       *outboxapi.Time     `json:"ai_analysis_started_at,omitempty" bun:"ai_analysis_started_at"`
	WorkflowStartedAt         *outboxapi.Time     `json:"workflow_started_at,omitempty" bun:"workflow_started_at"`
	NotificationSentAt        *outboxapi.Time     `json:"notification_sent_at,omitempty" bun:"notification_sent_at"`
	CompletedAt               *outboxapi.Time     `json:"completed_at,omitempty" bun:"completed_at"`
	ServicesInvoked           []string            `json:"services_invoked,omitempty" bun:"services_invoked,type:jsonb,nullzero"`
	ServiceTransitions        []ServiceTransition `json:"service_transitions,omitempty" bun:"service_transitions,type:jsonb,nullzero"`
	TotalDurationSeconds      *int64              `json:"total_duration_seconds,omitempty" bun:"total_duration_seconds"`
	BottleneckPhase           string              `json:"bottleneck_phase,omitempty" bun:"bottleneck_phase,type:varchar(50),nullzero"`
	BottleneckDurationSeconds *int64              `json:"bottleneck_duration_seconds,omitempty" bun:"bottleneck_duration_seconds"`
	SignalContext             *SignalContext      `json:"signal_context,omitempty" bun:"signal_context,type:jsonb,nullzero"`
	Target                    *Target             `json:"target,omitempty" bun:"target,type:jsonb,nullzero"`
	Outcome                   string              `json:"outcome,omitempty" bun:"outcome,type:varchar(50),nullzero"`
	FailureReason             string              `json:"failure_reason,omitempty" bun:"failure_reason,nullzero"`
}

// ServiceTransition is the hand-over from one service to the next; Duration is the time spent in From, as Go writes durations ("2m30s").
type ServiceTransition struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Duration string `json:"duration"`
}

// SignalContext is what the alert said.
type SignalContext struct {
	Name     string            `json:"name"`
	Severity string            `json:"severity"`
	Source   string            `json:"source"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// Target is the workload that the remediation is for.
type Target struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
}

// AIDecision is the record of an AIAnalysis. Confidences are percentages, 0 to 100.
type AIDecision struct {
	RemediationID            string          `json:"remediation_id" bun:"remediation_id,type:varchar(255),notnull"`
	InvestigationStartedAt   outboxapi.Time  `json:"investigation_started_at" bun:"investigation_started_at,notnull"`
	InvestigationCompletedAt *outboxapi.Time `json:"investigation_completed_at,omitempty" bun:"investigation_completed_at"`
	HolmesGPTResponseTimeMs  *int64          `json:"holmesgpt_response_time_ms,omitempty" bun:"holmesgpt_response_time_ms"`
	RootCause                string          `json:"root_cause,omitempty" bun:"root_cause,nullzero"`
	RootCauseConfidence      *float64        `json:"root_cause_confidence,omitempty" bun:"root_cause_confidence"`
	RecommendedAction        string          `json:"recommended_action,omitempty" bun:"recommended_action,type:varchar(255),nullzero"`
	ActionConfidence         *float64        `json:"action_confidence,omitempty" bun:"action_confidence"`
	ActionRationale          string          `json:"action_rationale,omitempty" bun:"action_rationale,nullzero"`
	AlternativesConsidered   []Alternative   `json:"alternatives_considered,omitempty" bun:"alternatives_considered,type:jsonb,nullzero"`
	ApprovalStatus           string          `json:"approval_status,omitempty" bun:"approval_status,type:varchar(50),nullzero"`
	ApprovalTime             *outboxapi.Time `json:"approval_time,omitempty" bun:"approval_time"`
	ApprovalDurationSeconds  *int64          `json:"approval_duration_seconds,omitempty" bun:"approval_duration_seconds"`
	ApprovalMethod           string          `json:"approval_method,omitempty" bun:"approval_method,type:varchar(50),nullzero"`
	ApprovalJustification    string          `json:"approval_justification,omitempty" bun:"approval_justification,nullzero"`
	ApprovedBy               string          `json:"approved_by,omitempty" bun:"approved_by,type:varchar(255),nullzero"`
	RejectedBy               string          `json:"rejected_by,omitempty" bun:"rejected_by,type:varchar(255),nullzero"`
	RejectionReason          string          `json:"rejection_reason,omitempty" bun:"rejection_reason,nullzero"`
	Investigator             string          `json:"investigator,omitempty" bun:"investigator,type:varchar(100),nullzero"`
	Model                    string          `json:"model,omitempty" bun:"model,type:varchar(255),nullzero"`
	PromptTokens             *int64          `json:"prompt_tokens,omitempty" bun:"prompt_tokens"`
	CompletionTokens         *int64          `json:"completion_tokens,omitempty" bun:"completion_tokens"`
	ApprovalRequired         *bool           `json:"approval_required,omitempty" bun:"approval_required"`
	ApprovalRequestedAt      *outboxapi.Time `json:"approval_requested_at,omitempty" bun:"approval_requested_at"`
}

// Alternative is an action that was weighed and why it was not recommended.
type Alternative struct {
	Action         string  `json:"action"`
	Confidence     float64 `json:"confidence"`
	RejectedReason string  `json:"rejected_reason"`
}

// Execution is the record of a WorkflowExecution. EffectivenessScore is a percentage, 0 to 100.
type Execution struct {
	RemediationID        string             `json:"remediation_id" bun:"remediation_id,type:varchar(255),notnull"`
	WorkflowID           string             `json:"workflow_id" bun:"workflow_id,type:varchar(255),notnull"`
	ExecutionStartedAt   outboxapi.Time     `json:"execution_started_at" bun:"execution_started_at,notnull"`
	ExecutionCompletedAt *outboxapi.Time    `json:"execution_completed_at,omitempty" bun:"execution_completed_at"`
	TotalDurationSeconds *int64             `json:"total_duration_seconds,omitempty" bun:"total_duration_seconds"`
	StepsExecuted        []Step             `json:"steps_executed,omitempty" bun:"steps_executed,type:jsonb,nullzero"`
	TotalSteps           *int64             `json:"total_steps,omitempty" bun:"total_steps"`
	StepsSucceeded       *int64             `json:"steps_succeeded,omitempty" bun:"steps_succeeded"`
	StepsFailed          *int64             `json:"steps_failed,omitempty" bun:"steps_failed"`
	RetriesPerformed     *int64             `json:"retries_performed,omitempty" bun:"retries_performed"`
	PreConditionsPassed  *bool              `json:"pre_conditions_passed,omitempty" bun:"pre_conditions_passed"`
	PostConditionsPassed *bool              `json:"post_conditions_passed,omitempty" bun:"post_conditions_passed"`
	ValidationResults    []ValidationResult `json:"validation_results,omitempty" bun:"validation_results,type:jsonb,nullzero"`
	Outcome              string             `json:"outcome,omitempty" bun:"outcome,type:varchar(50),nullzero"`
	EffectivenessScore   *float64           `json:"effectiveness_score,omitempty" bun:"effectiveness_score"`
	RollbacksPerformed   *int64             `json:"rollbacks_performed,omitempty" bun:"rollbacks_performed"`
	AdaptiveAdjustments  []Adjustment       `json:"adaptive_adjustments,omitempty" bun:"adaptive_adjustments,type:jsonb,nullzero"`
	FailureReason        string             `json:"failure_reason,omitempty" bun:"failure_reason,nullzero"`
}

// Step is one step of a workflow, from 1. Duration is in whole seconds; Status is running, success, failure or rolled-back.
type Step struct {
	Step        int               `json:"step"`
	Name        string            `json:"name"`
	Action      string            `json:"action"`
	Status      string            `json:"status"`
	Duration    int64             `json:"duration"`
	Attempts    int32             `json:"attempts"`
	StartedAt   *outboxapi.Time   `json:"started_at,omitempty"`
	CompletedAt *outboxapi.Time   `json:"completed_at,omitempty"`
	Message     string            `json:"message,omitempty"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	Previous    map[string]string `json:"previous,omitempty"`
}

// ValidationResult is one evaluation of a condition; Stage is pre or post.
type ValidationResult struct {
	Name    string          `json:"name"`
	Stage   string          `json:"stage"`
	Passed  bool            `json:"passed"`
	Message string          `json:"message,omitempty"`
	Time    *outboxapi.Time `json:"time,omitempty"`
}

// Adjustment is one thing that was done differently from the plan, and why.
type Adjustment struct {
	Step       string `json:"step,omitempty"`
	Adjustment string `json:"adjustment"`
	Reason     string `json:"reason"`
}

// Notification is the record of a NotificationRequest.
type Notification struct {
	RemediationID           string            `json:"remediation_id" bun:"remediation_id,type:varchar(255),notnull"`
	NotificationRequestedAt outboxapi.Time    `json:"notification_requested_at" bun:"notification_requested_at,notnull"`
	NotificationSentAt      *outboxapi.Time   `json:"notification_sent_at,omitempty" bun:"notification_sent_at"`
	DeliveryConfirmedAt     *outboxapi.Time   `json:"delivery_confirmed_at,omitempty" bun:"delivery_confirmed_at"`
	Channels                []string          `json:"channels,omitempty" bun:"channels,type:jsonb,nullzero"`
	DeliveryAttempts        []DeliveryAttempt `json:"delivery_attempts,omitempty" bun:"delivery_attempts,type:jsonb,nullzero"`
	DeliveryStatus          string            `json:"delivery_status,omitempty" bun:"delivery_status,type:varchar(50),nullzero"`
	Subject                 string            `json:"subject,omitempty" bun:"subject,nullzero"`
	FailureReason           string            `json:"failure_reason,omitempty" bun:"failure_reason,nullzero"`
}

// DeliveryAttempt is one attempt on one channel. Duration is in milliseconds; Status is sending, success, failed or unknown.
type DeliveryAttempt struct {
	Channel    string          `json:"channel"`
	Attempt    int32           `json:"attempt"`
	Status     string          `json:"status"`
	Duration   int64           `json:"duration"`
	StartedAt  *outboxapi.Time `json:"started_at,omitempty"`
	StatusCode *int32          `json:"status_code,omitempty"`
	Error      string          `json:"error,omitempty"`
}
