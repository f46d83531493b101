-- The cohort of a report: what ended in the 30 days before its signal, of the same alert and kind of target. It reads the index alone. Times are from signal to completion.
-- $1: the alert's name. $2: the target's kind. $3: when the signal was received. $4: seconds that this one took. $5: the namespaces that the caller may read.
SELECT count(*) AS n, count(*) FILTER (WHERE f.outcome = 'remediated') AS success, avg(f.seconds) AS mean,
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.seconds) AS p50_p90, count(*) FILTER (WHERE f.seconds <= $4::double precision) AS not_slower
FROM (
    SELECT f.outcome, extract(epoch FROM f.completed_at - f.signal_received_at)::double precision AS seconds
    FROM orchestration_audit AS f
    WHERE (f.final OR f.sequence IS NULL) AND f.alert_name = left($1, 255) AND f.target_kind = left($2, 63)
        AND f.completed_at >= $3::timestamptz - interval '30 days' AND f.completed_at < $3 AND f.signal_received_at >= $3::timestamptz - interval '30 days' AND f.source_namespace = ANY($5::text[])
) AS f
