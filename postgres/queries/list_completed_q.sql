-- A page of the list by completion, of what has a name, a fingerprint or a remediation id that begins with q. The first rows are matched, since the indexes are on those.
-- $1, $2: the window, half-open. $3, $4: time and id of the last row of the page before; for the first page $2 and the greatest id. $5: rows of a page. $6: the prefix. $7: the prefix and U+10FFFF.
-- Operators that compare bytes take a bound parameter; LIKE would need the pattern when the statement is planned.
SELECT f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.source_name, f.source_uid, f.alert_name, f.signal_context ->> 'severity' AS severity, f.target, f.signal_received_at,
    f.id AS newest, f.phase, f.outcome, f.completed_at, f.total_duration_seconds, f.bottleneck_phase
FROM orchestration_audit AS m
JOIN LATERAL (SELECT n.* FROM orchestration_audit AS n WHERE n.source_uid = m.source_uid AND n.final UNION ALL SELECT m.* WHERE m.sequence IS NULL) AS f ON true
WHERE (m.sequence = 1 OR m.sequence IS NULL) AND (m.source_name ~>=~ $6 AND m.source_name ~<~ $7 OR m.signal_fingerprint ~>=~ $6 AND m.signal_fingerprint ~<~ $7
        OR m.remediation_id ~>=~ $6 AND m.remediation_id ~<~ $7)
    AND f.completed_at >= $1 AND f.completed_at < $2 AND (f.completed_at, f.id) < ($3, $4)
ORDER BY f.completed_at DESC, f.id DESC LIMIT $5
