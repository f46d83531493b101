-- Bottlenecks, by the time that they took (Pareto), with the longest row of each. It reads the index alone. A record that names none is in the row without a phase.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read.
SELECT f.bottleneck_phase, count(*) AS n, sum(greatest(f.bottleneck_duration_seconds, 0))::bigint AS seconds,
    right(max(lpad(greatest(f.bottleneck_duration_seconds, 0)::text, 10, '0') || f.id), 36) AS example
FROM orchestration_audit AS f
WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[])
GROUP BY 1 ORDER BY seconds DESC NULLS LAST, 1
