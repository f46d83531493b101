-- Targets by count and by time lost. The target's name is in the row only.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read.
SELECT f.source_namespace, f.target ->> 'kind' AS kind, f.target ->> 'name' AS name, count(*) AS n, sum(f.total_duration_seconds) AS seconds
FROM orchestration_audit AS f WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[]) GROUP BY 1, 2, 3 ORDER BY n DESC, 1, 2, 3 LIMIT 50
