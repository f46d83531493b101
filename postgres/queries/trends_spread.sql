-- How the times to repair are spread, in the window and in the one before it: how often each was, rounded to three digits. The bootstrap draws from it. It reads the index alone.
-- There are 900 values of three digits to each power of ten, so few rows come out, however many go in. OFFSET 0: a time is worked out once, a logarithm where the digits need one, and what goes in is not sorted.
-- $1, $2: the window, half-open. $3: the namespaces that the caller may read. $4: when the window before began.
SELECT g.* FROM (
    SELECT f.before, round(f.seconds / f.unit) * f.unit AS seconds, count(*) AS n
    FROM (
        SELECT f.before, f.seconds, CASE WHEN f.seconds >= 1000 OR f.seconds < 10 THEN 10 ^ (floor(log(greatest(f.seconds, 0.001))) - 2) WHEN f.seconds < 100 THEN 0.1 ELSE 1 END AS unit
        FROM (
            SELECT f.completed_at < $1 AS before, date_part('epoch', f.completed_at - f.signal_received_at) AS seconds
            FROM orchestration_audit AS f
            WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $4 AND f.completed_at < $2 AND f.outcome = 'remediated' AND f.completed_at >= f.signal_received_at AND f.source_namespace = ANY($3::text[])
            OFFSET 0
        ) AS f OFFSET 0
    ) AS f
    GROUP BY 1, 2 OFFSET 0
) AS g ORDER BY 1, 2
