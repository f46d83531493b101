-- How many signals came in the window, and how many of them have ended. Both read an index alone.
-- $1, $2: the window, half-open, of the signal. $3: the namespaces that the caller may read. $4: until when they may have ended.
SELECT (
    SELECT count(*) FROM orchestration_audit AS r
    WHERE (r.sequence = 1 OR r.sequence IS NULL) AND r.signal_received_at >= $1 AND r.signal_received_at < $2 AND r.source_namespace = ANY($3::text[])
) AS received, (
    SELECT count(*) FROM orchestration_audit AS f
    WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $4 AND f.signal_received_at >= $1 AND f.signal_received_at < $2 AND f.source_namespace = ANY($3::text[])
) AS ended
