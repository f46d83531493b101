-- Deliveries by channel, how many attempts failed, and the newest notifications with one. The row without a channel is of notifications that were not attempted.
-- An attempt without an answer failed. A question is called off when somebody decides: an attempt that this breaks off says nothing of the channel, and is counted apart.
-- $1, $2: the window, half-open, of the request. $3: the namespaces that the caller may read. $4: how many channels.
WITH asked AS MATERIALIZED (
    SELECT n.id, n.remediation_id, n.notification_requested_at, coalesce(n.purpose, 'Outcome') <> 'Outcome' AS question,
        CASE WHEN jsonb_typeof(n.delivery_attempts) = 'array' THEN n.delivery_attempts END AS attempts
    FROM notification_audit AS n
    WHERE (n.final OR n.sequence IS NULL) AND n.notification_requested_at >= $1 AND n.notification_requested_at < $2 AND n.source_namespace = ANY($3::text[])
), tried AS (
    SELECT n.id, n.remediation_id, n.notification_requested_at, left(t.attempt ->> 'channel', 63) AS channel, count(t.attempt) FILTER (WHERE NOT (n.question AND t.attempt ->> 'status' = 'unknown')) AS attempts,
        count(*) FILTER (WHERE t.attempt ->> 'status' = 'failed' OR t.attempt ->> 'status' = 'unknown' AND NOT n.question) AS failed,
        coalesce(bool_or(t.attempt ->> 'status' = 'success'), false) AS delivered, coalesce(bool_or(n.question AND t.attempt ->> 'status' = 'unknown'), false) AS called_off
    FROM asked AS n LEFT JOIN LATERAL jsonb_array_elements(n.attempts) AS t(attempt) ON true
    GROUP BY 1, 2, 3, 4
)
SELECT t.channel, count(*) AS n, count(*) FILTER (WHERE NOT t.delivered AND NOT t.called_off) AS undelivered, count(*) FILTER (WHERE NOT t.delivered AND t.called_off) AS called_off,
    sum(t.attempts)::bigint AS attempts, sum(t.failed)::bigint AS failed,
    ((array_agg(t.remediation_id ORDER BY t.notification_requested_at DESC, t.id) FILTER (WHERE t.failed > 0))[1:3])::text[] AS examples,
    count(t.channel) OVER () AS groups, (SELECT count(*) FROM asked) AS total
FROM tried AS t GROUP BY 1 ORDER BY failed DESC, n DESC, 1 LIMIT $4::bigint
