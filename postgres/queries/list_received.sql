-- A page of the list by received time, newest first, of a caller who may read everything. Open remediations are in it.
-- $1, $2: the window, half-open. $3, $4: time and id of the last row of the page before; for the first page $2 and the greatest id. $5: rows of a page.
SELECT f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.source_name, f.source_uid, f.alert_name, f.signal_context ->> 'severity' AS severity, f.target, f.signal_received_at,
    coalesce(n.id, f.id) AS newest, coalesce(n.phase, f.phase) AS phase, coalesce(n.outcome, f.outcome) AS outcome, coalesce(n.completed_at, f.completed_at) AS completed_at,
    coalesce(n.total_duration_seconds, f.total_duration_seconds) AS total_duration_seconds, coalesce(n.bottleneck_phase, f.bottleneck_phase) AS bottleneck_phase
FROM orchestration_audit AS f
LEFT JOIN LATERAL (SELECT n.* FROM orchestration_audit AS n WHERE n.source_uid = f.source_uid ORDER BY n.sequence DESC LIMIT 1) AS n ON true
WHERE (f.sequence = 1 OR f.sequence IS NULL) AND f.signal_received_at >= $1 AND f.signal_received_at < $2 AND (f.signal_received_at, f.id) < ($3, $4)
ORDER BY f.signal_received_at DESC, f.id DESC LIMIT $5
