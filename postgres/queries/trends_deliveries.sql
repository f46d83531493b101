-- Deliveries by channel, how many attempts failed, and the newest notifications with one. The row without a channel is of notifications that were not attempted: it comes first, and takes no channel's place.
-- Nearly every notification has one attempt, which needs no grouping. Examples are sorted apart, and few: an aggregate with an order would sort all rows.
-- An attempt without an answer failed. A question is called off when somebody decides: an attempt that this breaks off says nothing of the channel, and is counted apart.
-- $1, $2: the window, half-open, of the request. $3: the namespaces that the caller may read. $4: how many channels.
WITH asked AS MATERIALIZED (
    SELECT n.id, n.remediation_id, n.notification_requested_at, coalesce(n.purpose, 'Outcome') <> 'Outcome' AS question,
        CASE WHEN jsonb_typeof(n.delivery_attempts) = 'array' THEN n.delivery_attempts END AS attempts
    FROM notification_audit AS n
    WHERE (n.final OR n.sequence IS NULL) AND n.notification_requested_at >= $1 AND n.notification_requested_at < $2 AND n.source_namespace = ANY($3::text[])
), tried AS MATERIALIZED (
    SELECT a.id, a.remediation_id, a.notification_requested_at, a.channel, (NOT a.called_off)::integer AS attempts, (NOT a.called_off AND a.status IN ('failed', 'unknown'))::integer AS failed,
        a.status = 'success' AS delivered, a.called_off
    FROM (
        SELECT o.id, o.remediation_id, o.notification_requested_at, left(o.attempt ->> 'channel', 63) AS channel, o.status, o.question AND o.status = 'unknown' AS called_off
        FROM (
            SELECT n.id, n.remediation_id, n.notification_requested_at, n.question, n.attempts -> 0 AS attempt, coalesce(n.attempts -> 0 ->> 'status', '') AS status
            FROM asked AS n WHERE jsonb_array_length(n.attempts) = 1
        ) AS o OFFSET 0
    ) AS a
    UNION ALL
    SELECT n.id, n.remediation_id, n.notification_requested_at, left(t.attempt ->> 'channel', 63), count(t.attempt) FILTER (WHERE NOT t.called_off), count(*) FILTER (WHERE NOT t.called_off AND t.status IN ('failed', 'unknown')),
        coalesce(bool_or(t.status = 'success'), false), coalesce(bool_or(t.called_off), false)
    FROM asked AS n LEFT JOIN LATERAL (
        SELECT e.attempt, e.attempt ->> 'status' AS status, coalesce(n.question AND e.attempt ->> 'status' = 'unknown', false) AS called_off FROM jsonb_array_elements(n.attempts) AS e(attempt)
    ) AS t ON true
    WHERE (jsonb_array_length(n.attempts) = 1) IS NOT TRUE GROUP BY 1, 2, 3, 4
), newest AS (
    SELECT f.channel, array_agg(f.remediation_id::text ORDER BY f.place) AS examples
    FROM (SELECT t.channel, t.remediation_id, row_number() OVER (PARTITION BY t.channel ORDER BY t.notification_requested_at DESC, t.id) AS place FROM tried AS t WHERE t.failed > 0) AS f
    WHERE f.place <= 3 GROUP BY 1
)
SELECT c.*, n.examples, count(c.channel) OVER () AS groups, (SELECT count(*) FROM asked) AS total
FROM (
    SELECT t.channel, count(*) AS n, count(*) FILTER (WHERE NOT t.delivered AND NOT t.called_off) AS undelivered, count(*) FILTER (WHERE NOT t.delivered AND t.called_off) AS called_off,
        sum(t.attempts)::bigint AS attempts, sum(t.failed)::bigint AS failed
    FROM tried AS t GROUP BY 1
) AS c LEFT JOIN newest AS n ON n.channel IS NOT DISTINCT FROM c.channel
ORDER BY c.channel IS NOT NULL, c.failed DESC, c.attempts DESC, c.channel LIMIT $4::bigint + 1
