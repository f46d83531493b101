-- The time to repair, of what was remediated in the window and in the one before it. It reads the index alone. Times are from signal to completion.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read. $4: when the window before began.
SELECT f.before, count(*) AS n, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.seconds) AS p50_p90
FROM (
    SELECT f.completed_at < $1 AS before, date_part('epoch', f.completed_at - f.signal_received_at) AS seconds
    FROM orchestration_audit AS f
    WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $4 AND f.completed_at < $2 AND f.outcome = 'remediated' AND f.completed_at >= f.signal_received_at AND f.source_namespace = ANY($3::text[])
) AS f
GROUP BY 1 ORDER BY 1
