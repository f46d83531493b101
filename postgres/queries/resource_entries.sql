-- The entries of one resource with their texts, any kind's, those that could not become rows too. A page of each table, in the order of the sequence.
-- $1: the resource's uid. $2: the last sequence of the page before, 0 for the first page. $3: rows of a page.
SELECT * FROM (
    (SELECT 'orchestration_audit' AS relation, id, sequence, event, phase, final, recorded_at, entry_hash, entry FROM orchestration_audit WHERE source_uid = $1 AND sequence > $2 ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'ai_analysis_audit' AS relation, id, sequence, event, phase, final, recorded_at, entry_hash, entry FROM ai_analysis_audit WHERE source_uid = $1 AND sequence > $2 ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'workflow_execution_audit' AS relation, id, sequence, event, phase, final, recorded_at, entry_hash, entry FROM workflow_execution_audit WHERE source_uid = $1 AND sequence > $2 ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'notification_audit' AS relation, id, sequence, event, phase, final, recorded_at, entry_hash, entry FROM notification_audit WHERE source_uid = $1 AND sequence > $2 ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'resource_audit' AS relation, id, sequence, event, phase, final, recorded_at, entry_hash, entry FROM resource_audit WHERE source_uid = $1 AND sequence > $2 ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'audit_dead_letter', id, sequence, kind, '', false, first_attempt, entry_hash, entry FROM audit_dead_letter WHERE source_uid = $1 AND sequence > $2 ORDER BY sequence LIMIT $3)
) AS e ORDER BY sequence, relation LIMIT $3
