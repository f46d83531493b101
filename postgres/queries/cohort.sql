-- The cohorts of some reports: of each, the newest that were received and ended in the 30 days before its signal, of the same alert and kind of target. It reads the index alone. Times are from
-- signal to completion.
-- $1: alerts' names. $2: targets' kinds. $3: when the signals were received. $4: seconds that these took. $5: how many of each cohort. $6: the namespaces that the caller may read.
SELECT q.place, f.*
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::double precision[]) WITH ORDINALITY AS q(alert, kind, received, seconds, place)
CROSS JOIN LATERAL (
    SELECT count(*) AS n, count(*) FILTER (WHERE f.outcome = 'remediated') AS success, avg(f.seconds) AS mean,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.seconds) AS p50_p90, count(*) FILTER (WHERE f.seconds <= q.seconds) AS not_slower
    FROM (
        SELECT f.outcome, extract(epoch FROM f.completed_at - f.signal_received_at)::double precision AS seconds
        FROM orchestration_audit AS f
        WHERE (f.final OR f.sequence IS NULL) AND f.alert_name = left(q.alert, 255) AND f.target_kind = left(q.kind, 63)
            AND f.completed_at >= q.received - interval '30 days' AND f.completed_at < q.received AND f.signal_received_at >= q.received - interval '30 days' AND f.source_namespace = ANY($6::text[])
        ORDER BY f.completed_at DESC, f.id DESC LIMIT $5
    ) AS f
) AS f
ORDER BY q.place
