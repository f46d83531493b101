package reportsapi

// properties describe the fields of the schemas: by the schema's name and the field's, else by the field's alone. A test holds that none is missing.
var properties = map[string]string{ //nolint:gosec // the tokens are a model's
	// In many schemas.
	"as_of": "Instant that the answer is of.", "at": "When it happened.", "basis": "Which rows count, and by which time they lie in the window.", "channel": "Channel of the delivery.",
	"cluster": "Cluster of the row; absent for none.", "namespace": "Namespace of the row; absent for none.", "completed_at": "When it ended; null while it is open.", "confidence": "Confidence in percent.",
	"end": "End; null while it is open.", "examples": "Ids of remediations that show single cases, at most three.", "failed": "How many failed.", "failure_reason": "Why it failed.",
	"groups": "The groups, the largest first.", "id": "Id.", "interval": "Wilson's interval at 95 %, from 0 to 1; null without cases.", "investigator": "Investigator, as the record names it.", "kind": "Kind.",
	"model": "Model, as the record names it.", "n": "How many cases count.", "name": "Name.", "outcome": "How it ended; empty while it is open.", "p50": "Median in seconds; null without cases.",
	"p90": "90th percentile in seconds; null without cases.", "phase": "Phase.", "rate": "Share of successes, from 0 to 1; null without cases.", "received_at": "When the signal was received.",
	"refs": "What it rests on: the ref of each row or query in evidence.", "rejected": "How many were refused.", "remediation_id": "Id of the remediation.", "rows": "How many rows.",
	"seconds": "Seconds; null where the rows do not say.", "share": "Share, from 0 to 1.", "source_uid": "Uid of the resource.", "start": "Beginning.", "started_at": "When it began.", "status": "Status.",
	"success": "How many succeeded.", "text": "The same as a sentence.", "template": "Version of the template that made the answer.", "uid": "Uid.", "verdict": "What the figures say.",
	"workflow_id": "Workflow, as the record names it.", "alert": "Name of the alert.", "severity": "Severity of the alert.", "sequence": "Place in the resource's outbox, from 1.", "table": "Table of the row.",
	"recorded_at": "When it was recorded.", "recorded_by": "Caller that posted the row; empty for entries of an outbox.", "entry_hash": "SHA-256 of the entry's text, in hex.", "event": "What happened.", "final": "Whether the entry closes the record.",
	"attempts": "Attempts, in their order.", "duration": "Duration.", "decisions": "How many decisions there are.", "labelled": "How many have a label: something was executed, and it is known how that ended.", "total": "How many in all.",

	// A report.
	"Report.ai": "The analysis, and how its recommendation turned out; null without one.", "Report.approval": "The decision; null if none was asked for.", "Report.execution": "What the workflow did; null without one.", "Report.history": "Similar remediations before and after.",
	"Report.complete": "How far the report can be relied on.", "Report.other_rows": "Rows under the id that do not belong to the remediation.", "Report.evidence": "The rows and queries that figures rest on.", "Report.notifications": "Notifications, one for each channel.",
	"Report.recommendations": "At most five, by what they would have saved.", "Report.compliance": "An auditor's questions. They are answered by evidence, not by an opinion.",
	"state": "final, open or partial.", "reasons": "Why the record is not final.", "missing": "Entries that must be there and are not.", "dead_letters": "Entries that could not become rows.", "clock_skew": "Times that contradict each other.",
	"verified": "Whether every hash is right and every column says what its text says.", "faults": "What is wrong with the chain.", "Missing.from": "First sequence that is missing; 0 if not known.", "Missing.to": "Last sequence that is missing.", "Missing.resource": "Resource whose entries are missing.",
	"error": "Why it could not become a row.", "redriven": "Whether it became a row later.", "Checkpoint.size": "How many rows it covers.", "Checkpoint.time": "When it was made.",
	"total_seconds": "Seconds from signal to completion; null while it is open.", "held": "Whether the alert stayed away, by window: yes, no or too-early.", "Summary.held": "Whether the repair held, by the longest window that is over.", "one_line": "The remediation in one sentence.",
	"reason": "Why.", "requested_by": "Who requested it.", "cancelled_by": "Who cancelled it.", "labels": "Labels of the alert.", "annotations": "Annotations of the alert.", "bottleneck": "Phase that took the longest.", "api_version": "API version of the workload.",
	"actor": "Who did it.", "offset_ms": "Milliseconds since the signal.", "events": "What happened, in the order of time.", "spans": "Phases, then steps and deliveries.", "lane": "Lane of the chart.",
	"breakdown": "The phases.", "excess_seconds": "Seconds beyond the cohort's mean; null without a cohort.", "mean": "Mean in seconds.",
	"root_cause": "What the investigator found.", "root_cause_confidence": "Confidence in the root cause, in percent.", "action": "Action.", "action_confidence": "Confidence in the action, in percent.", "parameters": "Parameters.", "rationale": "Why this action.",
	"no_action_reason": "Why nothing was recommended.", "AI.evidence": "What the investigator looked at.", "AI.attempts": "How many investigations there were, the last one included.", "verdict_reason": "Why that is the verdict.", "verdict_refs": "Rows that the verdict rests on.",
	"AI.verdict": "correct, incorrect, unproven or not-executed.", "alternatives": "Actions that were considered and not taken.", "prompt": "Tokens that the model read.", "completion": "Tokens that the model wrote.", "bin": "Ten percent of confidence.",
	"observed": "Share that was right, from 0 to 1; null without a label.", "rejected_reason": "Why it was not taken.", "Hindsight.verdict": "rightly-not-taken, might-have-been-better or unknown.",
	"required": "Whether a decision was needed.", "mode": "Auto or Manual.", "threshold": "Confidence from which approval is automatic, in percent.", "deadline": "When the decision expires.", "by": "Who decided.", "method": "How they decided.", "justification": "Why they decided so.",
	"wait_seconds": "Seconds of waiting for the decision.", "requested_at": "When the decision was asked for.", "decided_at": "When it was decided.", "version": "Version.", "acted_as": "Account that the workflow acted as.", "steps": "Steps, in their order.",
	"steps_total": "How many steps the workflow has.", "steps_succeeded": "How many steps succeeded.", "steps_failed": "How many steps failed.", "validations": "Conditions that were evaluated.", "retries": "How many retries there were.", "rollbacks": "How many rollbacks there were.",
	"adjustments": "Deviations from the planned steps.", "pre_conditions_passed": "Whether the conditions before the steps passed; null if none was looked at.", "post_conditions_passed": "Whether the conditions after the steps passed; null if none was looked at.",
	"post_conditions": "Whether the conditions after the steps passed; null if none was looked at.", "score": "Score.", "Effectiveness.score": "Score of the workflow, 0 to 100.", "recurrences": "When the alert came back, the first 100.", "after_seconds": "Seconds after the end.",
	"purpose": "Purpose of the notification.", "subject": "Subject of the notification.", "delivered_at": "When it was delivered; null if it was not.", "definition": "Which remediations count.", "percentile": "Share of the cohort that took at most as long, from 0 to 1.",
	"longer": "By which share of the mean this one took longer; negative is shorter.", "cases": "The newest of the cohort.", "priority": "1 is the first.", "rule": "Rule that made it.", "origin": "rule, or model.", "Recommendation.basis": "The figures behind it.", "saving_seconds": "Seconds that it would have saved; null if none.",
	"question": "The question.", "answer": "The answer, as far as the rows are evidence for it.", "Question.evidence": "Rows that the answer rests on.", "section": "Section of the report.", "Claim.kind": "observation, inference or recommendation.", "facts": "Facts that it rests on.",
	"unit": "Unit of the value.", "value": "Value.", "claims": "The sentences.", "dropped": "How many claims of the model were not supported, and are not shown.", "prompt_tokens": "Tokens that the model read.", "completion_tokens": "Tokens that the model wrote.",
	"Provenance.prompt": "Version of the prompt.", "input_sha256": "Hash of what the model read.", "output_sha256": "Hash of what it answered.", "ref": "What refs name.", "query": "Query that gave the figure.", "why": "Why the rows do not count.", "at_least": "Whether there are more than were counted.",
	"RecordModelConfig.prompt_sha256": "Hash of the prompt template.", "catalogue_sha256": "Hash of the workflow catalogue.", "prompt_sha256": "Hash of the prompt.", "tool": "Tool.", "excerpt": "Excerpt of its output.", "RecordEvidence.purpose": "What it was for.",

	// Records.
	"apiVersion": "API version of the workload.", "step": "Number of the step.", "RecordStep.attempts": "How many attempts there were.", "RecordStep.duration": "Seconds.", "RecordDeliveryAttempt.duration": "Milliseconds.", "previous": "What was there before.", "stage": "pre or post.", "passed": "Whether it passed.",
	"message": "What it said.", "time": "When.", "adjustment": "What was done otherwise.", "attempt": "Number of the attempt.", "status_code": "HTTP status.", "output": "What it said.",

	// Lists, entries and resources.
	"source_cluster": "Cluster of the resource; absent for none.", "source_namespace": "Namespace of the resource; absent for none.", "source_name": "Name of the resource.", "created_at": "When it was made.", "entry": "The text that was hashed.", "first": "When its first entry was recorded.", "last": "When its last entry was recorded.",
	"ok": "How many reports there are.", "not_found": "How many are not there, or may not be read.", "items": "The items.",

	// Trends.
	"Trends.end": "End of the window, which is not in it.", "RepairBefore.end": "End of that window, which is not in it.", "scope": "everything, or namespaces.", "findings": "What to read first, at most five sentences.", "notes": "What limits the figures.", "Trends.evidence": "The queries that figures rest on.",
	"namespaces": "Namespaces that were asked for.", "workflow": "Workflow that was asked for.", "received": "How many signals were received.", "open": "How many have not ended.", "bucket": "day, week or month.", "buckets": "The time to repair over the window.",
	"cumulative": "Share of this and the larger ones, from 0 to 1.", "unknown": "How many do not say which phase it was.", "by_count": "The groups by count.", "by_time": "The groups by time lost.", "time_share": "Share of the time lost, from 0 to 1.", "returned": "How many came back.",
	"censored": "How many were watched for less than the whole window.", "curve": "Share that held, over time.", "windows": "Shares after some windows.", "window": "Window.", "after": "Seconds since the end.", "at_risk": "How many were still watched.", "RecurrenceStep.held": "Share that held, from 0 to 1.",
	"RecurrenceTrend.alerts": "Alerts that came back the most.", "effectiveness": "Mean score of the executions, 0 to 100; null without one.", "scored": "How many executions have a score.", "too_few": "Whether there are too few to judge.", "label": "What counts as right.",
	"coverage": "Share of decisions with a label, from 0 to 1.", "executed": "How many were executed.", "bins": "Ten bins of confidence.", "ReliabilityBin.from": "Least confidence, in percent.", "ReliabilityBin.to": "Next bin's least confidence, in percent.",
	"reliability": "How far confidences are from what was observed.", "resolution": "How far the bins are from the mean.", "uncertainty": "What nobody can help.", "within_bins": "What the bins do not show.", "skill": "1 minus the score over the uncertainty.",
	"asked": "How often people were asked.", "approved": "How often they approved.", "expired": "How often nobody decided in time.", "undecided": "How many have no decision yet.", "automatic": "How many were approved automatically.", "refusal": "Share that was refused, from 0 to 1.",
	"hours": "By hour of the day.", "weekdays": "By weekday.", "slot": "Hour, or weekday.", "time_zone": "Time zone of hours and weekdays.", "decided": "How many were decided.", "undelivered": "How many never arrived.", "channels": "Channels.",
	"DeliveryChannel.attempts": "How many attempts there were.", "DeliveryChannel.notifications": "How many notifications went there.", "DeliveryTrend.notifications": "How many notifications there are.", "ThresholdTrend.items": "The thresholds.", "Change.share": "Change as a share of the window before; null without one.",
	"brier": "Brier score and its parts; null without a label.", "change_p50": "Change of the median against the window before.", "change_p90": "Change of the 90th percentile against the window before.",
	"Change.interval": "The bootstrap's interval at 95 %, in seconds.",
}

func propertyOf(schema, name string) string {
	if d, ok := properties[schema+"."+name]; ok {
		return d
	}
	return properties[name]
}
