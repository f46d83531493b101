-- The rows of one report. Within a resource their order is sequence, across resources it is time.
-- $1: the remediation id. $2: as_of.
SELECT 'orchestration_audit' AS relation, t.id, t.source_uid, t.sequence, t.recorded_at, t.entry_hash, to_jsonb(t) AS columns FROM orchestration_audit AS t WHERE t.remediation_id = $1 AND t.recorded_at <= $2
UNION ALL SELECT 'ai_analysis_audit' AS relation, t.id, t.source_uid, t.sequence, t.recorded_at, t.entry_hash, to_jsonb(t) AS columns FROM ai_analysis_audit AS t WHERE t.remediation_id = $1 AND t.recorded_at <= $2
UNION ALL SELECT 'workflow_execution_audit' AS relation, t.id, t.source_uid, t.sequence, t.recorded_at, t.entry_hash, to_jsonb(t) AS columns FROM workflow_execution_audit AS t WHERE t.remediation_id = $1 AND t.recorded_at <= $2
UNION ALL SELECT 'notification_audit' AS relation, t.id, t.source_uid, t.sequence, t.recorded_at, t.entry_hash, to_jsonb(t) AS columns FROM notification_audit AS t WHERE t.remediation_id = $1 AND t.recorded_at <= $2
