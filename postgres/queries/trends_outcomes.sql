-- Counts and times by outcome, with the newest row of each. It reads the index alone. Times are from signal to completion; one that ends before its signal has none.
-- A record may name any outcome. Those that Holdfast gives come first, then the most frequent: only these are looked at for their newest row. Total and backwards are of all.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read. $4: how many outcomes.
SELECT o.outcome, o.n, o.total, o.backwards, o.p50_p90, (
    SELECT f.id::text FROM orchestration_audit AS f
    WHERE (f.final OR f.sequence IS NULL) AND f.completed_at = o.newest AND f.outcome IS NOT DISTINCT FROM o.outcome AND f.source_namespace = ANY($3::text[]) ORDER BY f.id DESC LIMIT 1
) AS example
FROM (
    SELECT f.outcome, count(*) AS n, (sum(count(*)) OVER ())::bigint AS total, (sum(count(*) FILTER (WHERE f.seconds < 0)) OVER ())::bigint AS backwards, max(f.completed_at) AS newest,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY f.seconds) FILTER (WHERE f.seconds >= 0) AS p50_p90
    FROM (
        SELECT f.outcome, f.completed_at, date_part('epoch', f.completed_at - f.signal_received_at) AS seconds
        FROM orchestration_audit AS f
        WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2 AND f.source_namespace = ANY($3::text[])
        OFFSET 0
    ) AS f
    GROUP BY f.outcome
    ORDER BY f.outcome IN ('remediated', 'no-action', 'rejected', 'failed', 'timed-out', 'cancelled') DESC NULLS LAST, n DESC, f.outcome LIMIT $4::bigint
) AS o
ORDER BY o.n DESC, o.outcome
