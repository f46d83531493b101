-- Whether alerts came back: of each, the first remediations of its fingerprint and target that were received in a window, oldest first, in the place of the request that ended.
-- $1: fingerprints. $2: targets as JSON. $3, $4: namespaces and clusters, empty for none. $5, $6: windows, without their beginning. $7: how many of each. $8: the namespaces that the caller may read.
SELECT q.place, f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.source_uid, f.sequence, f.entry_hash, f.signal_received_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[]) WITH ORDINALITY AS q(fingerprint, target, namespace, cluster, after, until, place)
CROSS JOIN LATERAL (
    SELECT f.* FROM orchestration_audit AS f
    WHERE (f.sequence = 1 OR f.sequence IS NULL) AND f.signal_fingerprint = q.fingerprint AND f.signal_received_at > q.after AND f.signal_received_at <= q.until
        AND f.target -> 'apiVersion' = q.target::jsonb -> 'apiVersion' AND f.target -> 'kind' = q.target::jsonb -> 'kind' AND f.target -> 'name' = q.target::jsonb -> 'name'
        AND coalesce(f.source_namespace, '') = q.namespace AND coalesce(f.source_cluster, '') = q.cluster AND f.source_namespace = ANY($8::text[])
    ORDER BY f.signal_received_at, f.id LIMIT $7) AS f
ORDER BY q.place, f.signal_received_at, f.id
