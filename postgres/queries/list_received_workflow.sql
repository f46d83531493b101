-- A page of the list by received time, of the remediations that ran one workflow.
-- $1, $2: the window, half-open. $3, $4: time and id of the last row of the page before; for the first page $2 and the greatest id. $5: rows of a page. $6: the workflow.
-- Executions count in the remediation's own namespace only: strangers may post some under its id.
-- The page walks the window and asks each remediation for its execution, by remediation_id, or starts from the workflow's executions: the planner knows how many there are.
SELECT f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.source_name, f.source_uid, f.alert_name, f.signal_context ->> 'severity' AS severity, f.target, f.signal_received_at,
    coalesce(n.id, f.id) AS newest, coalesce(n.phase, f.phase) AS phase, coalesce(n.outcome, f.outcome) AS outcome, coalesce(n.completed_at, f.completed_at) AS completed_at,
    coalesce(n.total_duration_seconds, f.total_duration_seconds) AS total_duration_seconds, coalesce(n.bottleneck_phase, f.bottleneck_phase) AS bottleneck_phase
FROM orchestration_audit AS f
LEFT JOIN LATERAL (SELECT n.* FROM orchestration_audit AS n WHERE n.source_uid = f.source_uid ORDER BY n.sequence DESC LIMIT 1) AS n ON true
WHERE (f.sequence = 1 OR f.sequence IS NULL) AND f.signal_received_at >= $1 AND f.signal_received_at < $2 AND (f.signal_received_at, f.id) < ($3, $4)
    AND EXISTS (SELECT FROM workflow_execution_audit AS w WHERE w.remediation_id = f.remediation_id AND w.workflow_id = $6 AND (w.sequence = 1 OR w.sequence IS NULL)
        AND w.source_namespace IS NOT DISTINCT FROM f.source_namespace AND w.source_cluster IS NOT DISTINCT FROM f.source_cluster)
ORDER BY f.signal_received_at DESC, f.id DESC LIMIT $5
