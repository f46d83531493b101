-- Counts and times by outcome. It reads the index alone.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read.
SELECT f.outcome, count(*) AS n, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.total_duration_seconds) AS p50_p90
FROM orchestration_audit AS f WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[]) GROUP BY f.outcome
