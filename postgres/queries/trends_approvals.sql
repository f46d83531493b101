-- Approvals: how long people took, by hour and weekday, and how often they refused. It reads the index alone.
-- $1, $2: the window, half-open, of the start of the investigation. $3: the namespaces that the caller may read.
SELECT extract(isodow FROM f.approval_requested_at)::integer AS weekday, extract(hour FROM f.approval_requested_at)::integer AS hour, count(*) AS n,
    count(*) FILTER (WHERE f.approval_status = 'rejected') AS refused, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.approval_duration_seconds) AS p50_p90
FROM ai_analysis_audit AS f
WHERE (f.final OR f.sequence IS NULL) AND f.investigation_started_at >= $1 AND f.investigation_started_at < $2 AND f.source_namespace = ANY($3::text[])
GROUP BY 1, 2 ORDER BY 1, 2
