-- Workflows: how often, how well, with how many rollbacks. It reads the index alone.
-- $1, $2: the window, half-open, of the start of the execution. $3: the namespaces that the caller may read.
SELECT f.workflow_id, count(*) AS n, count(*) FILTER (WHERE f.outcome = 'success') AS success, avg(f.effectiveness_score) AS effectiveness, sum(f.rollbacks_performed) AS rollbacks
FROM workflow_execution_audit AS f
WHERE (f.final OR f.sequence IS NULL) AND f.execution_started_at >= $1 AND f.execution_started_at < $2 AND f.source_namespace = ANY($3::text[])
GROUP BY 1 ORDER BY n DESC, 1
