-- The rows of some reports. Within a resource their order is sequence, across resources it is time.
-- $1: the remediation ids. $2: as_of.
SELECT 'orchestration_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM orchestration_audit AS t WHERE t.remediation_id = ANY($1::text[]) AND t.recorded_at <= $2
UNION ALL SELECT 'ai_analysis_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM ai_analysis_audit AS t WHERE t.remediation_id = ANY($1::text[]) AND t.recorded_at <= $2
UNION ALL SELECT 'workflow_execution_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM workflow_execution_audit AS t WHERE t.remediation_id = ANY($1::text[]) AND t.recorded_at <= $2
UNION ALL SELECT 'notification_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM notification_audit AS t WHERE t.remediation_id = ANY($1::text[]) AND t.recorded_at <= $2
