-- Approvals: how long people took, in all, by hour and by weekday (1 is Monday) of the question, and how often they refused. It reads the index alone. The row of both nulls has those that
-- nobody was asked about, too.
-- $1, $2: the window, half-open, of the start of the investigation. $3: the namespaces that the caller may read.
SELECT a.weekday, a.hour, count(*) AS asked, count(*) FILTER (WHERE a.approval_status = 'approved') AS approved,
    count(*) FILTER (WHERE a.approval_status = 'rejected') AS rejected, count(*) FILTER (WHERE a.approval_status = 'expired') AS expired,
    count(*) FILTER (WHERE a.approval_status = 'auto-approved') + CASE WHEN grouping(a.weekday, a.hour) = 3 THEN (
        SELECT count(*) FROM ai_analysis_audit AS a
        WHERE (a.final OR a.sequence IS NULL) AND a.investigation_started_at >= $1 AND a.investigation_started_at < $2 AND a.approval_requested_at IS NULL AND a.approval_status = 'auto-approved'
            AND a.source_namespace = ANY($3::text[])) ELSE 0 END AS automatic,
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY a.approval_duration_seconds) FILTER (WHERE a.approval_status IN ('approved', 'rejected')) AS p50_p90
FROM (
    SELECT a.approval_status, a.approval_duration_seconds, date_part('isodow', a.approval_requested_at)::integer AS weekday, date_part('hour', a.approval_requested_at)::integer AS hour
    FROM ai_analysis_audit AS a
    WHERE (a.final OR a.sequence IS NULL) AND a.investigation_started_at >= $1 AND a.investigation_started_at < $2 AND a.approval_requested_at IS NOT NULL AND a.source_namespace = ANY($3::text[])
    OFFSET 0
) AS a
GROUP BY GROUPING SETS ((), (a.weekday), (a.hour)) ORDER BY a.weekday, a.hour
