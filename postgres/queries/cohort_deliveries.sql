-- How channels did in comparable remediations: of the cases that a report lists, the last rows of their notifications. A delivery is one notification on one channel; it failed where an attempt failed
-- or had no answer, and is lost where none succeeded. A question is called off when somebody decides: an attempt that this breaks off says nothing of the channel.
-- Notifications count in the request's own namespace only, and of each remediation no more rows than a bound are looked at: strangers may post any number under its id.
-- $1, $2: places of reports and ids of their cases' rows. $3, $4: places and their channels. $5: as_of. $6: how many rows of each remediation are looked at. $7: the namespaces that the caller
-- may read.
SELECT q.place, d.channel, count(*) AS n, count(*) FILTER (WHERE d.failed) AS failed, count(*) FILTER (WHERE NOT d.taken) AS lost
FROM unnest($1::int[], $2::uuid[]) AS q(place, id) JOIN orchestration_audit AS f ON f.id = q.id AND f.source_namespace = ANY($7::text[])
CROSS JOIN LATERAL (SELECT n.* FROM notification_audit AS n WHERE n.remediation_id = f.remediation_id LIMIT $6) AS n
CROSS JOIN LATERAL (
    SELECT a ->> 'channel' AS channel, bool_or(a ->> 'status' IN ('failed', 'unknown')) AS failed, bool_or(a ->> 'status' = 'success') AS taken
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(n.delivery_attempts) = 'array' THEN n.delivery_attempts ELSE '[]' END) AS a
    WHERE a ->> 'status' <> 'unknown' OR coalesce(n.purpose, 'Outcome') = 'Outcome' GROUP BY 1) AS d
WHERE (n.final OR n.sequence IS NULL) AND (n.sequence IS NULL) = (f.sequence IS NULL) AND n.source_namespace = ANY($7::text[]) AND n.source_namespace IS NOT DISTINCT FROM f.source_namespace
    AND n.source_cluster IS NOT DISTINCT FROM f.source_cluster AND n.recorded_at <= $5 AND (q.place, d.channel) IN (SELECT * FROM unnest($3::int[], $4::text[])) AND d.taken IS NOT NULL
GROUP BY q.place, d.channel ORDER BY q.place, d.channel
