-- The uids that a name has had, with the time of each.
-- $1: the kind of entry, empty for all. $2: the namespace. $3: the name.
SELECT kind, source_uid, source_cluster, min(created_at) AS created, min(recorded_at) AS first, max(recorded_at) AS last, max(sequence) AS sequence, bool_or(final) AS final FROM (
    SELECT 'orchestration' AS kind, source_uid, source_cluster, created_at, recorded_at, sequence, final FROM orchestration_audit WHERE source_namespace = $2 AND source_name = $3 AND source_uid IS NOT NULL
    UNION ALL SELECT 'ai-decision' AS kind, source_uid, source_cluster, created_at, recorded_at, sequence, final FROM ai_analysis_audit WHERE source_namespace = $2 AND source_name = $3 AND source_uid IS NOT NULL
    UNION ALL SELECT 'execution' AS kind, source_uid, source_cluster, created_at, recorded_at, sequence, final FROM workflow_execution_audit WHERE source_namespace = $2 AND source_name = $3 AND source_uid IS NOT NULL
    UNION ALL SELECT 'notification' AS kind, source_uid, source_cluster, created_at, recorded_at, sequence, final FROM notification_audit WHERE source_namespace = $2 AND source_name = $3 AND source_uid IS NOT NULL
    UNION ALL SELECT kind AS kind, source_uid, source_cluster, created_at, recorded_at, sequence, final FROM resource_audit WHERE source_namespace = $2 AND source_name = $3 AND source_uid IS NOT NULL
) AS r WHERE $1 IN ('', kind) GROUP BY kind, source_uid, source_cluster ORDER BY last DESC, source_uid
