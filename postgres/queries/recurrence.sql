-- Whether the same alert came back: the remediations of a fingerprint and target that were received in a window, oldest first.
-- $1: the fingerprint. $2: the target as JSON. $3, $4: the window, without its beginning. $5: the namespaces that the caller may read.
SELECT f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.source_uid, f.sequence, f.entry_hash, f.signal_received_at
FROM orchestration_audit AS f
WHERE (f.sequence = 1 OR f.sequence IS NULL) AND f.signal_fingerprint = $1 AND f.signal_received_at > $3 AND f.signal_received_at <= $4
    AND f.target -> 'apiVersion' = $2::jsonb -> 'apiVersion' AND f.target -> 'kind' = $2::jsonb -> 'kind' AND f.target -> 'name' = $2::jsonb -> 'name' AND f.source_namespace = ANY($5::text[])
ORDER BY f.signal_received_at, f.id
