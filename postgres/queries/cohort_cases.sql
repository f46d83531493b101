-- The newest cases of that cohort, with the rows that they rest on.
-- $1: the alert's name. $2: the target's kind. $3: when the signal was received. $4: how many. $5: the namespaces that the caller may read.
SELECT f.id, f.remediation_id, f.source_uid, f.sequence, f.entry_hash, f.outcome, f.completed_at, f.total_duration_seconds
FROM orchestration_audit AS f
WHERE (f.final OR f.sequence IS NULL) AND f.alert_name = left($1, 255) AND f.target_kind = left($2, 63)
    AND f.completed_at >= $3::timestamptz - interval '30 days' AND f.completed_at < $3 AND f.signal_received_at >= $3::timestamptz - interval '30 days' AND f.source_namespace = ANY($5::text[])
ORDER BY f.completed_at DESC, f.id DESC LIMIT $4
