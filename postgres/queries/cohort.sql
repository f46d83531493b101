-- The cohorts of some reports: of each, the newest that were received and ended in the 30 days before its signal, of the same alert and kind of target. Times are from signal to completion.
-- Whoever may read everything needs the index alone. For a caller who may read some namespaces the index gives the rows of the namespaces' names, and only these are read.
-- When a row was recorded is not in the index. A request's own row is recorded when the request ends, so its completion is compared with as_of. What was posted may have ended long before: such a row has
-- no namespace, and is read.
-- $1: alerts' names. $2: targets' kinds. $3: when the signals were received. $4: seconds that these took. $5: how many of each cohort. $6: as_of. $7: the namespaces that the caller may read.
SELECT q.place, f.*
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::double precision[]) WITH ORDINALITY AS q(alert, kind, received, seconds, place)
CROSS JOIN LATERAL (
    SELECT count(*) AS n, count(*) FILTER (WHERE f.outcome = 'remediated') AS success, avg(f.seconds) AS mean,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.seconds) AS p50_p90, count(*) FILTER (WHERE f.seconds <= q.seconds) AS not_slower
    FROM (
        (SELECT c.outcome, extract(epoch FROM c.completed_at - c.signal_received_at)::double precision AS seconds
        FROM orchestration_audit AS c
        WHERE $7::text[] IS NULL AND (c.final OR c.sequence IS NULL) AND c.alert_name = left(q.alert, 255) AND c.target_kind = left(q.kind, 63)
            AND c.completed_at >= q.received - interval '30 days' AND c.completed_at < q.received AND c.signal_received_at >= q.received - interval '30 days' AND c.completed_at <= $6::timestamptz
            AND (c.source_namespace IS NOT NULL OR EXISTS (SELECT FROM orchestration_audit AS f WHERE f.id = c.id AND f.recorded_at <= $6))
        ORDER BY c.completed_at DESC, c.id DESC LIMIT $5)
        UNION ALL
        (SELECT c.outcome, extract(epoch FROM c.completed_at - c.signal_received_at)::double precision AS seconds
        FROM (
            SELECT c.id, c.outcome, c.signal_received_at, c.completed_at FROM orchestration_audit AS c
            WHERE $7::text[] IS NOT NULL AND (c.final OR c.sequence IS NULL) AND c.alert_name = left(q.alert, 255) AND c.target_kind = left(q.kind, 63)
                AND c.completed_at >= q.received - interval '30 days' AND c.completed_at < q.received AND c.signal_received_at >= q.received - interval '30 days' AND c.completed_at <= $6
                AND c.source_namespace = ANY($7)
            ORDER BY c.completed_at DESC, c.id DESC OFFSET 0) AS c
        CROSS JOIN LATERAL (SELECT FROM orchestration_audit AS f WHERE f.id = c.id AND f.source_namespace = ANY($7::text[]) AND f.recorded_at <= $6) AS f
        ORDER BY c.completed_at DESC, c.id DESC LIMIT $5)
    ) AS f
) AS f
ORDER BY q.place
