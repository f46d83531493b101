-- The same for a caller who may read some namespaces: the index gives those of the namespaces' names, and only these rows are read.
-- $1: alerts' names. $2: targets' kinds. $3: when the signals were received. $4: seconds that these took. $5: how many of each cohort. $6: the namespaces that the caller may read.
SELECT q.place, f.*
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::double precision[]) WITH ORDINALITY AS q(alert, kind, received, seconds, place)
CROSS JOIN LATERAL (
    SELECT count(*) AS n, count(*) FILTER (WHERE f.outcome = 'remediated') AS success, avg(f.seconds) AS mean,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.seconds) AS p50_p90, count(*) FILTER (WHERE f.seconds <= q.seconds) AS not_slower
    FROM (
        SELECT c.outcome, extract(epoch FROM c.completed_at - c.signal_received_at)::double precision AS seconds
        FROM (
            SELECT c.id, c.outcome, c.signal_received_at, c.completed_at FROM orchestration_audit AS c
            WHERE (c.final OR c.sequence IS NULL) AND c.alert_name = left(q.alert, 255) AND c.target_kind = left(q.kind, 63)
                AND c.completed_at >= q.received - interval '30 days' AND c.completed_at < q.received AND c.signal_received_at >= q.received - interval '30 days' AND c.source_namespace = ANY($6)
            ORDER BY c.completed_at DESC, c.id DESC OFFSET 0) AS c
        CROSS JOIN LATERAL (SELECT FROM orchestration_audit AS f WHERE f.id = c.id AND f.source_namespace = ANY($6::text[])) AS f
        ORDER BY c.completed_at DESC, c.id DESC LIMIT $5
    ) AS f
) AS f
ORDER BY q.place
