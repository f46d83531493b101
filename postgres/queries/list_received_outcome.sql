-- A page of the list by received time, of one outcome. Only what has ended has an outcome, so the final rows are read.
-- $1, $2: the window, half-open. $3, $4: time and id of the last row of the page before; for the first page $2 and the greatest id. $5: rows of a page. $6: the outcome.
SELECT f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.source_name, f.source_uid, f.alert_name, f.signal_context ->> 'severity' AS severity, f.target, f.signal_received_at,
    f.id AS newest, f.phase, f.outcome, f.completed_at, f.total_duration_seconds, f.bottleneck_phase
FROM orchestration_audit AS f
WHERE (f.final OR f.sequence IS NULL) AND f.signal_received_at >= $1 AND f.signal_received_at < $2 AND (f.signal_received_at, f.id) < ($3, $4)
    AND f.outcome = $6
ORDER BY f.signal_received_at DESC, f.id DESC LIMIT $5
