-- Bottlenecks, by the time that they took (Pareto). It reads the index alone.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read.
SELECT f.bottleneck_phase, count(*) AS n, sum(f.bottleneck_duration_seconds) AS seconds
FROM orchestration_audit AS f WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[]) GROUP BY 1 ORDER BY seconds DESC NULLS LAST
