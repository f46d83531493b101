//go:build unix

package e2e

import "slices"

// ending is how a remediation ends, in the test and in docs/captured.md.
type ending string

const (
	automatic ending = "remediated automatically"
	byModel   ending = "remediated as a model recommended"
	approved  ending = "approved by a person"
	rejected  ending = "rejected"
	expired   ending = "expired"
	rolled    ending = "failed and rolled back"
	noAction  ending = "no action"
	cancelled ending = "cancelled"
	deleted   ending = "deleted while it ran"
)

// Sets of endings.
var (
	every       = []ending{automatic, byModel, approved, rejected, expired, rolled, noAction, cancelled, deleted}
	recommended = without(noAction)
	asked       = []ending{approved, rejected, expired, cancelled, deleted}
	auto        = []ending{automatic, byModel, rolled}
	executed    = append([]ending{approved}, auto...)
	decided     = append([]ending{rejected, expired}, executed...)
	told        = without(cancelled, deleted)
)

func without(some ...ending) []ending {
	return slices.DeleteFunc(slices.Clone(every), func(e ending) bool { return slices.Contains(some, e) })
}

// Tables, with short names.
const (
	orchestration = "orchestration_audit"
	analysis      = "ai_analysis_audit"
	execution     = "workflow_execution_audit"
	notification  = "notification_audit"
)

// column is one that a report needs. filled are the endings whose last row must have it; empty says when it is empty, and why.
type column struct {
	table, name string
	filled      []ending
	empty       string
}

const never = "never"

// columns are all of the four tables, the envelope's aside. A name with a path is a member of a JSON column.
var columns = []column{
	{orchestration, "remediation_id", every, never},
	{orchestration, "signal_fingerprint", every, never},
	{orchestration, "signal_received_at", every, never},
	{orchestration, "remediation_created_at", every, never},
	{orchestration, "ai_analysis_started_at", every, "until the analysis began"},
	{orchestration, "workflow_started_at", executed, "if no workflow ran"},
	{orchestration, "notification_sent_at", told, "if no channel took the notification, or none was due: a request that is cancelled or deleted tells nobody"},
	{orchestration, "completed_at", every, "while it is open"},
	{orchestration, "services_invoked", every, "until the first child was made"},
	{orchestration, "service_transitions", told, "until the second child was made"},
	{orchestration, "total_duration_seconds", every, "while it is open"},
	{orchestration, "bottleneck_phase", every, "while it is open"},
	{orchestration, "bottleneck_duration_seconds", every, "while it is open"},
	{orchestration, "signal_context", every, never},
	{orchestration, "signal_context.labels", every, "if the alert has none"},
	{orchestration, "signal_context.annotations", every, "if the alert has none"},
	{orchestration, "target", every, never},
	{orchestration, "target.uid", every, "if the target did not exist when the request was taken up, or is no Deployment, StatefulSet or DaemonSet of apps/v1: the manager may read no others"},
	{orchestration, "outcome", every, "until it is known"},
	{orchestration, "failure_reason", []ending{rejected, expired, rolled, cancelled, deleted}, "if the outcome is a good one, and the request was not held back"},
	{orchestration, "policy", every, never},
	{orchestration, "children", every, "until the first child was made"},
	{orchestration, "requested_by", every, "if the policy holdfast-identity was not in force when the request was made: nobody had checked the name"},
	{orchestration, "cancelled_by", []ending{cancelled}, "if nobody set spec.cancel, or the policy was not in force. Who deleted a request is in the API server's audit log"},

	{analysis, "remediation_id", every, never},
	{analysis, "investigation_started_at", every, "never; until an investigator was asked it is the creation time"},
	{analysis, "investigation_completed_at", every, "if there is no finding"},
	{analysis, "holmesgpt_response_time_ms", every, "if there is no finding; it is there for each investigator"},
	{analysis, "root_cause", every, "if there is no finding"},
	{analysis, "root_cause_confidence", every, "if there is no finding"},
	{analysis, "recommended_action", recommended, "if nothing is recommended"},
	{analysis, "action_confidence", recommended, "if nothing is recommended"},
	{analysis, "action_rationale", recommended, "if nothing is recommended"},
	{analysis, "alternatives_considered", recommended, "if none were weighed"},
	{analysis, "alternatives_considered[0].workflow_id", recommended, "if the alternative is no workflow of the catalogue"},
	{analysis, "approval_status", decided, "if nothing is recommended, and while the decision is open"},
	{analysis, "approval_time", decided, "while the decision is open"},
	{analysis, "approval_duration_seconds", decided, "while the decision is open"},
	{analysis, "approval_method", []ending{approved, rejected}, "if no person decided"},
	{analysis, "approval_justification", executed, "if nobody approved, or the person gave none"},
	{analysis, "approved_by", executed, "if nobody approved; `policy` if no person was asked"},
	{analysis, "rejected_by", []ending{rejected}, "if nobody rejected"},
	{analysis, "rejection_reason", []ending{rejected}, "if nobody rejected, or the person gave none"},
	{analysis, "investigator", every, "until one was asked"},
	{analysis, "model", []ending{byModel}, "for the investigator `rules`, which has none, and if the server does not name it"},
	{analysis, "model_config", every, "until an investigator was asked"},
	{analysis, "model_config.version", every, "for an investigator that has none"},
	{analysis, "model_config.prompt_sha256", []ending{byModel}, "for the investigator `rules`, which has no prompt"},
	{analysis, "model_config.catalogue_sha256", every, never},
	{analysis, "prompt_tokens", []ending{byModel}, "for the investigator `rules`, and if the server does not count them"},
	{analysis, "completion_tokens", []ending{byModel}, "for the investigator `rules`, and if the server does not count them"},
	{analysis, "attempts", every, "until an investigator was asked"},
	{analysis, "evidence", every, "if there is no finding, the server names no tools, or the rules do not know the target's kind"},
	{analysis, "recommended_parameters", recommended, "if nothing is recommended, or the workflow takes none"},
	{analysis, "no_action_reason", []ending{noAction}, "if something is recommended, or there is no finding"},
	{analysis, "failure_reason", []ending{rejected, expired, cancelled, deleted}, "if the analysis completed, or is under way and no attempt failed"},
	{analysis, "approval_required", recommended, "if nothing is recommended"},
	{analysis, "approval_requested_at", asked, "if no person was asked"},
	{analysis, "approval_mode", every, never},
	{analysis, "approval_threshold", auto, "if the mode is Manual"},
	{analysis, "approval_deadline", asked, "if no person was asked"},

	{execution, "remediation_id", executed, never},
	{execution, "workflow_id", executed, never},
	{execution, "execution_started_at", executed, "never; until the first step it is the creation time"},
	{execution, "execution_completed_at", executed, "while it is open"},
	{execution, "total_duration_seconds", executed, "while it is open"},
	{execution, "steps_executed", executed, "until the first step began"},
	{execution, "total_steps", executed, never},
	{execution, "steps_succeeded", executed, never},
	{execution, "steps_failed", executed, never},
	{execution, "retries_performed", executed, never},
	{execution, "pre_conditions_passed", executed, "if there are none, or they were not looked at"},
	{execution, "post_conditions_passed", []ending{automatic, byModel, approved}, "if there are none, or a step failed before they were looked at"},
	{execution, "validation_results", executed, "if no condition was looked at"},
	{execution, "outcome", executed, "while it is open"},
	{execution, "effectiveness_score", executed, "while it is open"},
	{execution, "rollbacks_performed", executed, never},
	{execution, "adaptive_adjustments", nil, "if everything was done as planned"},
	{execution, "workflow_version", executed, "if the workflow was made by hand, by another release of the manager, or was cancelled before it was taken up"},
	{execution, "acted_as", executed, "if the request names no account; then no step runs"},
	{execution, "failure_reason", []ending{rolled}, "if the outcome is success"},

	{notification, "remediation_id", told, never},
	{notification, "notification_requested_at", told, never},
	{notification, "notification_sent_at", told, "until a channel took it"},
	{notification, "delivery_confirmed_at", told, "until every channel took it"},
	{notification, "channels", told, never},
	{notification, "delivery_attempts", told, "until the first attempt began"},
	{notification, "delivery_status", told, "while it is open"},
	{notification, "purpose", told, never},
	{notification, "subject", told, never},
	{notification, "failure_reason", nil, "if every channel took it"},
}

// envelope are the columns of every table. The audit trail itself stands on them, so other tests hold them: see docs/guarantees.md.
var envelope = []string{"id", "created_at", "source_cluster", "source_namespace", "source_name", "source_uid", "sequence", "event", "phase", "final", "recorded_at", "recorded_by",
	"schema_version", "previous_hash", "entry_hash", "traceparent", "entry", "tx"}

// question is one that a report answers, and the columns that answer it. A column without a table is the envelope's.
type question struct {
	text    string
	columns []string
}

func of(table string, names ...string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = table + "." + n
	}
	return all
}

// verdict on the AI: the remediation succeeded, the post-conditions passed, and the alert did not come back to its target within a day (queries trends_ai, trends_thresholds).
var verdict = slices.Concat(of(orchestration, "outcome", "workflow_started_at", "completed_at", "signal_fingerprint", "signal_received_at", "target"), of(execution, "post_conditions_passed"))

// questions are those of a report, by its members; then what trends need beside them.
var questions = []question{
	{"What happened, and when?", slices.Concat(of(orchestration, "signal_received_at", "remediation_created_at", "ai_analysis_started_at", "workflow_started_at", "notification_sent_at", "completed_at",
		"service_transitions", "signal_context"), []string{"event", "phase", "recorded_at", "sequence"})},
	{"Where did the time go?", slices.Concat(of(orchestration, "total_duration_seconds", "bottleneck_phase", "bottleneck_duration_seconds"), of(analysis, "holmesgpt_response_time_ms", "approval_duration_seconds"),
		of(execution, "total_duration_seconds", "steps_executed"), of(notification, "delivery_attempts"))},
	{"What was done?", slices.Concat(of(orchestration, "services_invoked", "children"), of(analysis, "recommended_action", "recommended_parameters"), of(execution, "workflow_id", "workflow_version", "steps_executed"))},
	{"Did it hold?", slices.Concat(of(orchestration, "outcome", "signal_fingerprint", "target", "target.uid", "signal_received_at"), of(execution, "outcome", "post_conditions_passed"))},
	{"Was the diagnosis right, and is its confidence worth anything?", slices.Concat(of(analysis, "root_cause", "root_cause_confidence", "action_confidence", "investigator", "model", "model_config", "model_config.version",
		"model_config.prompt_sha256", "model_config.catalogue_sha256"), verdict)},
	{"Why not another action, and would that have been better?", of(analysis, "alternatives_considered", "alternatives_considered[0].workflow_id", "action_rationale", "no_action_reason")},
	{"Who decided, and how long did we wait?", of(analysis, "approved_by", "rejected_by", "approval_requested_at", "approval_time", "approval_duration_seconds", "approval_deadline")},
	{"Who was asked for a decision, by which channels, and did they take it?", of(notification, "purpose", "subject", "notification_requested_at", "channels", "delivery_attempts", "failure_reason")},
	{"What would another threshold have saved, and at which risk?", slices.Concat(of(analysis, "approval_mode", "approval_threshold", "approval_required", "action_confidence"), verdict)},
	{"Who asked, who cancelled, and with which rights was it done?", slices.Concat(of(orchestration, "requested_by", "cancelled_by", "policy"), of(execution, "acted_as"))},
	{"Is anything missing or changed, and how do I check that?", slices.Concat([]string{"entry", "entry_hash", "previous_hash", "sequence", "final", "source_uid"}, of(orchestration, "children", "services_invoked"))},
	{"`complete`", slices.Concat([]string{"final", "sequence", "recorded_at", "entry_hash", "previous_hash"}, of(orchestration, "children"))},
	{"`summary`", of(orchestration, "outcome", "failure_reason", "signal_context", "signal_context.labels", "signal_context.annotations", "target", "target.uid", "total_duration_seconds", "bottleneck_phase")},
	{"`timeline`", slices.Concat([]string{"event", "phase", "recorded_at"}, of(orchestration, "signal_received_at", "remediation_created_at"), of(analysis, "investigation_started_at", "investigation_completed_at"),
		of(execution, "execution_started_at", "execution_completed_at"), of(notification, "notification_requested_at", "notification_sent_at", "delivery_confirmed_at"))},
	{"`bottleneck`", of(orchestration, "bottleneck_phase", "bottleneck_duration_seconds", "service_transitions")},
	{"`ai`", of(analysis, "investigator", "model", "root_cause", "root_cause_confidence", "recommended_action", "action_confidence", "recommended_parameters", "action_rationale", "evidence", "prompt_tokens",
		"completion_tokens", "attempts", "alternatives_considered", "no_action_reason", "failure_reason")},
	{"`approval`", of(analysis, "approval_required", "approval_mode", "approval_threshold", "approval_deadline", "approval_status", "approved_by", "rejected_by", "approval_method", "approval_justification",
		"rejection_reason", "approval_duration_seconds")},
	{"`execution`", of(execution, "workflow_id", "workflow_version", "acted_as", "steps_executed", "total_steps", "steps_succeeded", "steps_failed", "validation_results", "pre_conditions_passed", "retries_performed",
		"rollbacks_performed", "adaptive_adjustments", "failure_reason")},
	{"`effectiveness`", slices.Concat(of(execution, "effectiveness_score", "post_conditions_passed"), of(orchestration, "signal_fingerprint", "target.uid"))},
	{"`notifications`", of(notification, "remediation_id", "purpose", "subject", "channels", "delivery_attempts", "delivery_status", "delivery_confirmed_at", "failure_reason")},
	{"`history`", slices.Concat(of(orchestration, "signal_context", "target", "outcome", "total_duration_seconds", "signal_received_at"), of(execution, "workflow_id"))},
	{"`recommendations`", slices.Concat(of(analysis, "approval_duration_seconds", "approval_status"), of(execution, "retries_performed", "outcome"), of(notification, "delivery_status"), of(orchestration, "policy"))},
	{"`compliance`", slices.Concat(of(analysis, "approved_by", "approval_method"), of(orchestration, "requested_by", "children"), of(notification, "delivery_attempts"), []string{"final", "entry_hash"})},
	{"`narrative`", nil},
	{"`evidence`", slices.Concat([]string{"id", "source_uid", "sequence", "entry_hash"}, of(orchestration, "remediation_id"), of(analysis, "remediation_id"), of(execution, "remediation_id"))},
	{"Trends: recurrence, MTTR and Pareto", of(orchestration, "signal_fingerprint", "signal_received_at", "completed_at", "outcome", "bottleneck_phase")},
	{"Trends: workflows", of(execution, "workflow_id", "workflow_version", "outcome", "effectiveness_score", "rollbacks_performed")},
	{"Trends: calibration by investigator and model", slices.Concat(of(analysis, "action_confidence", "investigator", "model", "model_config"), verdict)},
	{"Trends: approvals by hour, refusals, thresholds", of(analysis, "approval_requested_at", "approval_duration_seconds", "approval_status", "approval_threshold")},
	{"Trends: deliveries that failed, by channel", of(notification, "channels", "delivery_attempts", "delivery_status")},
}
