package storageapi

import "github.com/holdfast-dev/holdfast/models"

// example is a body that the document shows and the tests send.
type example struct{ name, summary, text string }

func examplesOf(table string) []example {
	one, two := example{"one", "One record", records[table][0]}, example{"several", "Several records, all or nothing", "[" + records[table][1] + "," + records[table][2] + "]"}
	return []example{one, two}
}

// records by their table: the least that is taken, one as it begins, and one with every field.
var records = map[string][3]string{
	models.TableOrchestration: {
		`{"remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "signal_fingerprint": "c1f2a3b4d5e6f708",
 "signal_received_at": "2026-11-23T04:05:06Z", "remediation_created_at": "2026-11-23T04:05:07Z"}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a01", "event": "RemediationStarted", "phase": "Analyzing", "recorded_at": "2026-11-23T04:05:07.5+01:00",
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "signal_fingerprint": "c1f2a3b4d5e6f708",
 "signal_received_at": "2026-11-23T04:05:06Z", "remediation_created_at": "2026-11-23T04:05:07Z", "ai_analysis_started_at": "2026-11-23T04:05:08Z"}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a02", "event": "RemediationCompleted", "phase": "Completed", "final": true, "schema_version": 1,
 "recorded_at": "2026-11-23T04:09:10.123456Z", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "signal_fingerprint": "c1f2a3b4d5e6f708",
 "signal_received_at": "2026-11-23T04:05:06Z", "remediation_created_at": "2026-11-23T04:05:07Z", "ai_analysis_started_at": "2026-11-23T04:05:08Z",
 "workflow_started_at": "2026-11-23T04:07:00Z", "notification_sent_at": "2026-11-23T04:09:09Z", "completed_at": "2026-11-23T04:09:10Z",
 "services_invoked": ["AIAnalysis", "WorkflowExecution", "Notification"],
 "service_transitions": [{"from": "AIAnalysis", "to": "WorkflowExecution", "duration": "1m52s"}],
 "total_duration_seconds": 243, "bottleneck_phase": "workflow_execution", "bottleneck_duration_seconds": 129,
 "signal_context": {"name": "PodOutOfMemory", "severity": "critical", "source": "alertmanager", "labels": {"app.kubernetes.io/name": "cart"},
  "annotations": {"summary": "A container of cart was killed at its memory limit."}},
 "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart", "uid": "7d1c9a44-3f2b-4c5e-8a6d-0e9f1b2c3d4e"}, "outcome": "success", "failure_reason": null,
 "policy": {"service_account_name": "remediator", "approval_mode": "Manual", "channels": ["slack", "console"], "timeout_seconds": {"approval": 3600, "total": 7200}, "ttl_after_finished_seconds": 86400},
 "children": [{"service": "AIAnalysis", "name": "cart-analysis", "uid": "1f0e9d8c-7b6a-4594-8372-615043f2e1d0"}], "requested_by": "system:serviceaccount:shop:gateway", "cancelled_by": null}`,
	},
	models.TableAIAnalysis: {
		`{"remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "investigation_started_at": "2026-11-23T04:05:08Z"}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a03", "event": "InvestigationStarted", "phase": "Investigating",
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "investigation_started_at": "2026-11-23T04:05:08Z", "investigator": "rules"}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a04", "event": "DecisionRecorded", "phase": "Completed", "final": true,
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "investigation_started_at": "2026-11-23T04:05:08Z", "investigation_completed_at": "2026-11-23T04:05:20Z",
 "holmesgpt_response_time_ms": 11875, "root_cause": "The container needs more memory than its limit.", "root_cause_confidence": 92.5,
 "recommended_action": "increase-memory", "action_confidence": 88, "action_rationale": "It was killed three times at its limit.",
 "alternatives_considered": [{"action": "restart-pod", "confidence": 20, "rejected_reason": "It would be killed again.", "workflow_id": "restart-pods"}],
 "approval_status": "approved", "approval_time": "2026-11-23T04:06:59Z", "approval_duration_seconds": 99, "approval_method": "console",
 "approval_justification": "Looks right.", "approved_by": "alex@example.com", "rejected_by": null, "rejection_reason": null,
 "investigator": "holmesgpt", "model": "example-model", "prompt_tokens": 5120, "completion_tokens": 380,
 "approval_required": true, "approval_requested_at": "2026-11-23T04:05:20Z", "approval_mode": "Auto", "approval_threshold": 90, "approval_deadline": "2026-11-23T05:05:20Z",
 "model_config": {"version": "0.14.2", "prompt_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "catalogue_sha256": "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"},
 "attempts": 1, "evidence": [{"tool": "kubectl describe pod", "purpose": "why it was killed", "excerpt": "Last State: Terminated, Reason: OOMKilled"}],
 "recommended_parameters": {"memoryLimit": "512Mi"}, "no_action_reason": null, "failure_reason": null}`,
	},
	models.TableExecution: {
		`{"remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "workflow_id": "increase-memory", "execution_started_at": "2026-11-23T04:07:00Z"}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a05", "event": "ExecutionStarted", "phase": "Executing",
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "workflow_id": "increase-memory", "execution_started_at": "2026-11-23T04:07:00Z", "total_steps": 1}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a06", "event": "ExecutionCompleted", "phase": "Completed", "final": true,
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "workflow_id": "increase-memory", "execution_started_at": "2026-11-23T04:07:00Z",
 "execution_completed_at": "2026-11-23T04:09:08Z", "total_duration_seconds": 128,
 "steps_executed": [{"step": 1, "name": "raise", "action": "SetResources", "status": "success", "duration": 120, "attempts": 2,
  "started_at": "2026-11-23T04:07:01Z", "completed_at": "2026-11-23T04:09:01Z", "message": "rolled out", "parameters": {"memory": "512Mi"}, "previous": {"memory": "256Mi"}}],
 "total_steps": 1, "steps_succeeded": 1, "steps_failed": 0, "retries_performed": 1, "pre_conditions_passed": true, "post_conditions_passed": true,
 "validation_results": [{"name": "available", "stage": "post", "passed": true, "message": "3 of 3", "time": "2026-11-23T04:09:07Z"}],
 "outcome": "success", "effectiveness_score": 96.5, "rollbacks_performed": 0,
 "adaptive_adjustments": [{"step": "raise", "adjustment": "waited longer", "reason": "the rollout was slow"}], "failure_reason": null,
 "workflow_version": "1", "acted_as": "system:serviceaccount:shop:remediator"}`,
	},
	models.TableNotification: {
		`{"remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "notification_requested_at": "2026-11-23T04:09:08Z"}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a07", "event": "NotificationRequested", "phase": "Sending",
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "notification_requested_at": "2026-11-23T04:09:08Z", "channels": ["slack", "console"]}`,
		`{"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a08", "event": "NotificationSent", "phase": "Sent", "final": true,
 "remediation_id": "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", "notification_requested_at": "2026-11-23T04:09:08Z",
 "notification_sent_at": "2026-11-23T04:09:09Z", "delivery_confirmed_at": "2026-11-23T04:09:09.25Z", "channels": ["slack", "console"],
 "delivery_attempts": [{"channel": "slack", "attempt": 1, "status": "success", "duration": 250, "started_at": "2026-11-23T04:09:09Z", "status_code": 200, "error": ""}],
 "delivery_status": "success", "purpose": "Outcome", "subject": "cart has recovered", "failure_reason": null}`,
	},
}
