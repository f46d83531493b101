-- The AI's confidence in ten bins beside what came of it, by investigator and model, for reliability and Brier score. Only what was executed has a label.
-- $1, $2: the window, half-open, of the start of the investigation. $3: the namespaces that the caller may read.
SELECT a.investigator, a.model, least(floor(a.action_confidence / 10), 9)::integer AS bin, count(*) AS n, count(o.labelled) AS labelled, sum(o.success) AS success,
    avg(a.action_confidence) FILTER (WHERE o.labelled IS NOT NULL) AS confidence, avg((a.action_confidence / 100 - o.success) ^ 2) AS brier
FROM ai_analysis_audit AS a
LEFT JOIN LATERAL (
    SELECT true AS labelled, (f.outcome = 'remediated')::integer AS success FROM orchestration_audit AS f
    WHERE f.remediation_id = a.remediation_id AND (f.final OR f.sequence IS NULL) AND f.workflow_started_at IS NOT NULL AND f.source_namespace = ANY($3::text[]) LIMIT 1) AS o ON true
WHERE (a.final OR a.sequence IS NULL) AND a.investigation_started_at >= $1 AND a.investigation_started_at < $2 AND a.source_namespace = ANY($3::text[])
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
