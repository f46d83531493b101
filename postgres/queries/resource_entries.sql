-- The entries of one resource with their texts, any kind's, those that could not become rows too. A page of each table, in the order of the sequence.
-- A sequence may have a row and several dead letters (two histories after a restored etcd), so a page begins after a whole key.
-- $1: the resource's uid. $2, $4, $5, $6: sequence, relation, id and entry_hash of the last row of the page before; for the first page the smallest
-- bigint (a forged row may say 0 or less), '', the nil UUID and no bytes. $3: rows of a page.
SELECT * FROM (
    (SELECT 'orchestration_audit' AS relation, id, source_cluster, source_namespace, source_name, sequence, event, phase, final, recorded_at, created_at, entry_hash, entry FROM orchestration_audit WHERE source_uid = $1 AND (sequence, 'orchestration_audit') > ($2, $4::text) ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'ai_analysis_audit' AS relation, id, source_cluster, source_namespace, source_name, sequence, event, phase, final, recorded_at, created_at, entry_hash, entry FROM ai_analysis_audit WHERE source_uid = $1 AND (sequence, 'ai_analysis_audit') > ($2, $4::text) ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'workflow_execution_audit' AS relation, id, source_cluster, source_namespace, source_name, sequence, event, phase, final, recorded_at, created_at, entry_hash, entry FROM workflow_execution_audit WHERE source_uid = $1 AND (sequence, 'workflow_execution_audit') > ($2, $4::text) ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'notification_audit' AS relation, id, source_cluster, source_namespace, source_name, sequence, event, phase, final, recorded_at, created_at, entry_hash, entry FROM notification_audit WHERE source_uid = $1 AND (sequence, 'notification_audit') > ($2, $4::text) ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'resource_audit' AS relation, id, source_cluster, source_namespace, source_name, sequence, event, phase, final, recorded_at, created_at, entry_hash, entry FROM resource_audit WHERE source_uid = $1 AND (sequence, 'resource_audit') > ($2, $4::text) ORDER BY sequence LIMIT $3)
    UNION ALL (SELECT 'audit_dead_letter', id, source_cluster, source_namespace, source_name, sequence, kind, '', false, first_attempt, first_attempt, entry_hash, entry FROM audit_dead_letter
        WHERE source_uid = $1 AND (sequence, 'audit_dead_letter', id, entry_hash) > ($2, $4::text, $5::uuid, $6::bytea) ORDER BY sequence, id, entry_hash LIMIT $3)
) AS e ORDER BY sequence, relation, id, entry_hash LIMIT $3
