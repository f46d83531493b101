-- Alerts by count and by time lost: the first of each order, with the longest row of each. It reads the index alone. Time lost is from signal to completion, in milliseconds and
-- 31 years at most: a sum of what a record may claim must fit.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read. $4: how many of each order.
SELECT g.*
FROM (
    SELECT f.alert_name, count(*) AS n, sum(f.milliseconds)::bigint AS milliseconds, count(*) FILTER (WHERE f.outcome = 'remediated') AS success,
        right(max(lpad(f.milliseconds::text, 19, '0') || f.id), 36) AS example,
        row_number() OVER (ORDER BY count(*) DESC, sum(f.milliseconds) DESC, f.alert_name) AS by_count, row_number() OVER (ORDER BY sum(f.milliseconds) DESC, count(*) DESC, f.alert_name) AS by_time,
        count(*) OVER () AS groups, (sum(count(*)) OVER ())::bigint AS total, (sum(sum(f.milliseconds)) OVER ())::bigint AS all_milliseconds
    FROM (
        SELECT f.id, coalesce(f.alert_name, '') AS alert_name, f.outcome, least(1e12, greatest(0, 1000 * date_part('epoch', f.completed_at - f.signal_received_at)))::bigint AS milliseconds
        FROM orchestration_audit AS f
        WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[])
    ) AS f
    GROUP BY f.alert_name
) AS g
WHERE g.by_count <= $4::bigint OR g.by_time <= $4 ORDER BY g.by_count
