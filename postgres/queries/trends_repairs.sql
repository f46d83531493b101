-- The time to repair, of what was remediated in the window and in the one before it. It reads the index alone. Times are from signal to completion.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read. $4: when the window before began.
SELECT false AS before, count(*) AS n, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY date_part('epoch', f.completed_at - f.signal_received_at)) AS p50_p90
FROM orchestration_audit AS f
WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.outcome = 'remediated' AND f.completed_at >= f.signal_received_at AND f.source_namespace = ANY($3::text[])
HAVING count(*) > 0
UNION ALL
SELECT true, count(*), percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY date_part('epoch', f.completed_at - f.signal_received_at))
FROM orchestration_audit AS f
WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $4 AND f.completed_at < $1 AND f.outcome = 'remediated' AND f.completed_at >= f.signal_received_at AND f.source_namespace = ANY($3::text[])
HAVING count(*) > 0
