-- What an automatic approval at each threshold would have saved in waiting, and how many of those cases failed by the verdict, of how many that have one.
-- The verdict: 1 if the remediation succeeded, the post-conditions passed, and the same fingerprint and target did not come back within 24 hours of its end; 0 if one of these is not so; null, no label,
-- if no step ran (a refusal is not wrong), if somebody cancelled it, if nothing was checked after it, and as long as the 24 hours are not over.
-- $1, $2: the window, half-open, of the start of the investigation. $3: the namespaces that the caller may read. $4: as_of.
SELECT t.threshold, count(*) AS n, sum(a.approval_duration_seconds) AS seconds, count(a.success) AS labelled, count(*) FILTER (WHERE a.success = 0) AS failed
FROM generate_series(50, 95, 5) AS t(threshold)
JOIN (
    SELECT a.action_confidence, a.approval_duration_seconds, v.success
    FROM ai_analysis_audit AS a
    LEFT JOIN LATERAL (
        SELECT CASE WHEN f.outcome = 'remediated' AND w.post_conditions_passed IS NOT FALSE AND b.back IS NULL THEN CASE WHEN w.post_conditions_passed AND f.completed_at + interval '24 hours' <= $4 THEN 1 END
            WHEN f.outcome <> 'cancelled' THEN 0 END AS success
        FROM orchestration_audit AS f
        LEFT JOIN LATERAL (
            SELECT bool_and(w.post_conditions_passed) AS post_conditions_passed FROM workflow_execution_audit AS w
            WHERE w.remediation_id = f.remediation_id AND (w.final OR w.sequence IS NULL) AND w.source_namespace = ANY($3::text[])) AS w ON true
        LEFT JOIN LATERAL (
            SELECT true AS back FROM orchestration_audit AS r
            WHERE (r.sequence = 1 OR r.sequence IS NULL) AND r.signal_fingerprint = f.signal_fingerprint AND r.signal_received_at > f.completed_at
                AND r.signal_received_at <= least(f.completed_at + interval '24 hours', $4::timestamptz) AND r.source_namespace = f.source_namespace
                AND r.target -> 'apiVersion' = f.target -> 'apiVersion' AND r.target -> 'kind' = f.target -> 'kind' AND r.target -> 'name' = f.target -> 'name' LIMIT 1) AS b ON true
        WHERE f.remediation_id = a.remediation_id AND (f.final OR f.sequence IS NULL) AND f.workflow_started_at IS NOT NULL AND f.source_namespace = ANY($3::text[]) LIMIT 1) AS v ON true
    WHERE (a.final OR a.sequence IS NULL) AND a.investigation_started_at >= $1 AND a.investigation_started_at < $2 AND a.source_namespace = ANY($3::text[]) AND a.approval_status = 'approved'
) AS a ON a.action_confidence >= t.threshold
GROUP BY 1 ORDER BY 1
