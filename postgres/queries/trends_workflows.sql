-- Workflows: how often, how well, with how many rollbacks, and the newest that failed. It reads the index alone. Scores are added in ten-thousandths, so that the sum is exact in any order; what is no score, as
-- a record may have, does not count.
-- $1, $2: the window, half-open, of the start of the execution. $3: the namespaces that the caller may read. $4: how many.
SELECT w.workflow_id, count(*) AS n, count(*) FILTER (WHERE w.outcome = 'success') AS success, count(s.score) AS scored,
    (sum(s.score) / 10000 / nullif(count(s.score), 0))::double precision AS effectiveness, coalesce(sum(w.rollbacks_performed), 0)::bigint AS rollbacks,
    ((array_agg(w.id ORDER BY w.execution_started_at DESC, w.id) FILTER (WHERE w.outcome IS DISTINCT FROM 'success'))[1:3])::text[] AS examples,
    count(*) OVER () AS groups, (sum(count(*)) OVER ())::bigint AS total
FROM workflow_execution_audit AS w CROSS JOIN LATERAL (SELECT CASE WHEN w.effectiveness_score BETWEEN 0 AND 100 THEN round(w.effectiveness_score * 10000)::bigint END AS score) AS s
WHERE (w.final OR w.sequence IS NULL) AND w.execution_started_at >= $1 AND w.execution_started_at < $2 AND w.source_namespace = ANY($3::text[])
GROUP BY 1 ORDER BY n DESC, 1 LIMIT $4::bigint
