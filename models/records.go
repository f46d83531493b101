package models

import outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

// Orchestration is the record of a RemediationRequest: the state of the whole remediation.
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
	Policy                    *Policy             `json:"policy,omitempty" bun:"policy,type:jsonb,nullzero"`
	Children                  []Child             `json:"children,omitempty" bun:"children,type:jsonb,nullzero"`
	RequestedBy               string              `json:"requested_by,omitempty" bun:"requested_by,type:varchar(255),nullzero"`
	CancelledBy               string              `json:"cancelled_by,omitempty" bun:"cancelled_by,type:varchar(255),nullzero"`
}

// Policy is the policy of the request: timeouts, notification channels, approval, and the service account of the workflow. Durations are whole seconds.
type Policy struct {
	ServiceAccountName      string           `json:"service_account_name,omitempty"`
	ApprovalMode            string           `json:"approval_mode,omitempty"`
	AutoApproveAbove        *int64           `json:"auto_approve_above,omitempty"`
	Channels                []string         `json:"channels,omitempty"`
	TimeoutSeconds          map[string]int64 `json:"timeout_seconds,omitempty"` // by phase: analysis, approval, execution, notification, total
	TTLAfterFinishedSeconds *int64           `json:"ttl_after_finished_seconds,omitempty"`
}

// Child is a resource that the controller of the request created, or accepted because it is identical to the one that it would create.
type Child struct {
	Service string `json:"service"` // as in services_invoked
	Name    string `json:"name"`
	UID     string `json:"uid"`
}

// ServiceTransition is the transition from one service to the next. Duration is the time spent in From, in Go's format ("2m30s").
type ServiceTransition struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Duration string `json:"duration"`
}

// SignalContext is the content of the alert.
type SignalContext struct {
	Name     string            `json:"name"`
	Severity string            `json:"severity"`
	Source   string            `json:"source"`
	Labels   map[string]string `json:"labels,omitempty"`
	// Annotations of the alert, for example its summary.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Target is the workload to repair.
type Target struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	// UID of the live workload, once the controller has read it.
	UID string `json:"uid,omitempty"`
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
	ModelConfig              *ModelConfig    `json:"model_config,omitempty" bun:"model_config,type:jsonb,nullzero"`
	PromptTokens             *int64          `json:"prompt_tokens,omitempty" bun:"prompt_tokens"`
	CompletionTokens         *int64          `json:"completion_tokens,omitempty" bun:"completion_tokens"`
	// Attempts counts the investigations, the one that succeeded included.
	Attempts *int64 `json:"attempts,omitempty" bun:"attempts"`
	// Evidence is what the investigator looked at.
	Evidence              []Evidence        `json:"evidence,omitempty" bun:"evidence,type:jsonb,nullzero"`
	RecommendedParameters map[string]string `json:"recommended_parameters,omitempty" bun:"recommended_parameters,type:jsonb,nullzero"`
	// NoActionReason is why nothing is recommended; FailureReason is why there is no finding.
	NoActionReason      string          `json:"no_action_reason,omitempty" bun:"no_action_reason,nullzero"`
	FailureReason       string          `json:"failure_reason,omitempty" bun:"failure_reason,nullzero"`
	ApprovalRequired    *bool           `json:"approval_required,omitempty" bun:"approval_required"`
	ApprovalRequestedAt *outboxapi.Time `json:"approval_requested_at,omitempty" bun:"approval_requested_at"`
	// ApprovalMode is Auto or Manual, ApprovalThreshold the confidence from which Auto approves, ApprovalDeadline when the decision expires.
	ApprovalMode      string          `json:"approval_mode,omitempty" bun:"approval_mode,type:varchar(50),nullzero"`
	ApprovalThreshold *float64        `json:"approval_threshold,omitempty" bun:"approval_threshold"`
	ApprovalDeadline  *outboxapi.Time `json:"approval_deadline,omitempty" bun:"approval_deadline"`
}

// ModelConfig is the version of the investigator, and hashes of its input. It is equal for two investigations with the same version, prompt and catalogue.
type ModelConfig struct {
	// Version of the investigator.
	Version string `json:"version,omitempty"`
	// PromptSHA256 and CatalogueSHA256 are hashes, in hex, of the prompt template without case data, and of the workflow catalogue.
	PromptSHA256    string `json:"prompt_sha256,omitempty"`
	CatalogueSHA256 string `json:"catalogue_sha256,omitempty"`
}

// Evidence is one item of information that the investigator used: the tool, its purpose, and an excerpt of its output.
type Evidence struct {
	Tool    string `json:"tool"`
	Purpose string `json:"purpose,omitempty"`
	Excerpt string `json:"excerpt,omitempty"`
}

// Alternative is an action that was considered, and the reason why it was rejected.
type Alternative struct {
	Action         string  `json:"action"`
	Confidence     float64 `json:"confidence"`
	RejectedReason string  `json:"rejected_reason"`
	// WorkflowID is set where the action is a workflow of the catalogue.
	WorkflowID string `json:"workflow_id,omitempty"`
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
	WorkflowVersion      string             `json:"workflow_version,omitempty" bun:"workflow_version,type:varchar(255),nullzero"`
	// ActedAs is the user name of the service account that the steps used, system:serviceaccount:NAMESPACE:NAME.
	ActedAs       string `json:"acted_as,omitempty" bun:"acted_as,type:varchar(512),nullzero"`
	FailureReason string `json:"failure_reason,omitempty" bun:"failure_reason,nullzero"`
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

// Adjustment is one deviation from the planned steps, and its reason.
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
	// Purpose is Outcome, ApprovalNeeded or ApprovalReminder.
	Purpose       string `json:"purpose,omitempty" bun:"purpose,type:varchar(50),nullzero"`
	Subject       string `json:"subject,omitempty" bun:"subject,nullzero"`
	FailureReason string `json:"failure_reason,omitempty" bun:"failure_reason,nullzero"`
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
