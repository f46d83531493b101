-- Alerts by count and by time lost. It reads the index alone.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read.
SELECT f.alert_name, count(*) AS n, sum(f.total_duration_seconds) AS seconds, count(*) FILTER (WHERE f.outcome = 'remediated') AS success
FROM orchestration_audit AS f WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[]) GROUP BY 1 ORDER BY n DESC, 1 LIMIT 50
