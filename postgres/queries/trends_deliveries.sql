-- Deliveries by channel, and how many failed.
-- $1, $2: the window, half-open, of the request. $3: the namespaces that the caller may read.
SELECT a ->> 'channel' AS channel, count(*) AS attempts, count(*) FILTER (WHERE a ->> 'status' = 'failed') AS failed
FROM notification_audit AS f, jsonb_array_elements(CASE WHEN jsonb_typeof(f.delivery_attempts) = 'array' THEN f.delivery_attempts ELSE '[]' END) AS a
WHERE (f.final OR f.sequence IS NULL) AND f.notification_requested_at >= $1 AND f.notification_requested_at < $2 AND f.source_namespace = ANY($3::text[])
GROUP BY 1 ORDER BY 1
