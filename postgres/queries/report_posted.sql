-- The rows that were posted under the id of a report that has no resource: in each table those of the caller who came first. Nobody but who may see everything may see them.
-- $1: the remediation id. $2: as_of.
SELECT 'orchestration_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM orchestration_audit AS t
    WHERE t.remediation_id = $1 AND t.sequence IS NULL AND t.recorded_at <= $2
        AND t.recorded_by IS NOT DISTINCT FROM (SELECT f.recorded_by FROM orchestration_audit AS f WHERE f.remediation_id = $1 AND f.sequence IS NULL AND f.recorded_at <= $2 ORDER BY f.recorded_at, f.id LIMIT 1)
UNION ALL SELECT 'ai_analysis_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM ai_analysis_audit AS t
    WHERE t.remediation_id = $1 AND t.sequence IS NULL AND t.recorded_at <= $2
        AND t.recorded_by IS NOT DISTINCT FROM (SELECT f.recorded_by FROM ai_analysis_audit AS f WHERE f.remediation_id = $1 AND f.sequence IS NULL AND f.recorded_at <= $2 ORDER BY f.recorded_at, f.id LIMIT 1)
UNION ALL SELECT 'workflow_execution_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM workflow_execution_audit AS t
    WHERE t.remediation_id = $1 AND t.sequence IS NULL AND t.recorded_at <= $2
        AND t.recorded_by IS NOT DISTINCT FROM (SELECT f.recorded_by FROM workflow_execution_audit AS f WHERE f.remediation_id = $1 AND f.sequence IS NULL AND f.recorded_at <= $2 ORDER BY f.recorded_at, f.id LIMIT 1)
UNION ALL SELECT 'notification_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM notification_audit AS t
    WHERE t.remediation_id = $1 AND t.sequence IS NULL AND t.recorded_at <= $2
        AND t.recorded_by IS NOT DISTINCT FROM (SELECT f.recorded_by FROM notification_audit AS f WHERE f.remediation_id = $1 AND f.sequence IS NULL AND f.recorded_at <= $2 ORDER BY f.recorded_at, f.id LIMIT 1)
