-- What an automatic approval at each threshold would have saved in waiting, and how many of those cases failed.
-- $1, $2: the window, half-open, of the start of the investigation. $3: the namespaces that the caller may read.
SELECT t.threshold, count(*) AS n, sum(a.approval_duration_seconds) AS seconds, count(*) FILTER (WHERE NOT o.success) AS failed
FROM generate_series(50, 95, 5) AS t(threshold)
JOIN (
    SELECT f.remediation_id, f.action_confidence, f.approval_duration_seconds FROM ai_analysis_audit AS f
    WHERE (f.final OR f.sequence IS NULL) AND f.investigation_started_at >= $1 AND f.investigation_started_at < $2 AND f.source_namespace = ANY($3::text[]) AND f.approval_status = 'approved') AS a
    ON a.action_confidence >= t.threshold
LEFT JOIN LATERAL (
    SELECT f.outcome = 'remediated' AS success FROM orchestration_audit AS f
    WHERE f.remediation_id = a.remediation_id AND (f.final OR f.sequence IS NULL) AND f.source_namespace = ANY($3::text[]) LIMIT 1) AS o ON true
GROUP BY 1 ORDER BY 1
