-- Targets by count and by time lost: the first of each order, with the longest remediation of each. The target's name is in the row only. Time lost is from signal to completion, in milliseconds and
-- 31 years at most: a sum of what a record may claim must fit. Of posted rows of a remediation the first counts: it is looked for once for each id, however many rows have it.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read. $4: how many of each order.
WITH every AS MATERIALIZED (
    SELECT f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.target_kind AS kind, left(f.target ->> 'name', 253) AS name, f.sequence IS NULL AS posted, f.outcome,
        least(1e12, greatest(0, 1000 * date_part('epoch', f.completed_at - f.signal_received_at)))::bigint AS milliseconds
    FROM orchestration_audit AS f
    WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[])
), first AS MATERIALIZED (
    SELECT (SELECT min(o.id::text COLLATE "C")::uuid FROM orchestration_audit AS o WHERE o.remediation_id = p.remediation_id AND o.sequence IS NULL AND o.completed_at IS NOT NULL) AS id
    FROM (SELECT DISTINCT e.remediation_id FROM every AS e WHERE e.posted) AS p
), ended AS MATERIALIZED (
    SELECT e.* FROM every AS e WHERE NOT e.posted OR e.id IN (SELECT f.id FROM first AS f)
), lost AS MATERIALIZED (
    SELECT e.source_cluster, e.source_namespace, e.kind, e.name, count(*) AS n, sum(e.milliseconds)::bigint AS milliseconds,
        count(*) FILTER (WHERE e.outcome = 'remediated') AS success, max(e.milliseconds) AS longest
    FROM ended AS e GROUP BY 1, 2, 3, 4
), targets AS MATERIALIZED (
    SELECT l.*, row_number() OVER (ORDER BY l.n DESC, l.milliseconds DESC, l.source_cluster, l.source_namespace, l.kind, l.name) AS by_count,
        row_number() OVER (ORDER BY l.milliseconds DESC, l.n DESC, l.source_cluster, l.source_namespace, l.kind, l.name) AS by_time
    FROM ((SELECT * FROM lost ORDER BY n DESC, milliseconds DESC, source_cluster, source_namespace, kind, name LIMIT $4)
        UNION (SELECT * FROM lost ORDER BY milliseconds DESC, n DESC, source_cluster, source_namespace, kind, name LIMIT $4)) AS l
), longest AS (
    SELECT t.by_count, max(e.remediation_id) AS example FROM targets AS t JOIN ended AS e ON e.milliseconds = t.longest AND e.source_cluster IS NOT DISTINCT FROM t.source_cluster
        AND e.source_namespace IS NOT DISTINCT FROM t.source_namespace AND e.kind IS NOT DISTINCT FROM t.kind AND e.name IS NOT DISTINCT FROM t.name GROUP BY 1
)
SELECT coalesce(t.source_cluster, '') AS source_cluster, coalesce(t.source_namespace, '') AS source_namespace, coalesce(t.kind, '') AS kind, coalesce(t.name, '') AS name,
    t.n, t.milliseconds, t.success, l.example, t.by_count, t.by_time, (SELECT count(*) FROM lost) AS groups, (SELECT sum(n)::bigint FROM lost) AS total,
    (SELECT sum(milliseconds)::bigint FROM lost) AS all_milliseconds
FROM targets AS t JOIN longest AS l USING (by_count) ORDER BY t.by_count
