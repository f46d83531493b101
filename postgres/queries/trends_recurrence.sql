-- After how long each signal of the window came back; null where it has not yet (Kaplan–Meier counts it as censored).
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read. $4: until when a signal may come back.
SELECT r.signal_received_at, r.again - r.signal_received_at AS after FROM (
    SELECT f.signal_received_at, lead(f.signal_received_at) OVER (PARTITION BY f.source_namespace, f.signal_fingerprint, f.target ->> 'kind', f.target ->> 'name' ORDER BY f.signal_received_at) AS again
    FROM orchestration_audit AS f
    WHERE (f.sequence = 1 OR f.sequence IS NULL) AND f.signal_received_at >= $1 AND f.signal_received_at < $4 AND f.source_namespace = ANY($3::text[])) AS r
WHERE r.signal_received_at < $2
