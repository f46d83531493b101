-- What the end of each remediation shows, and what came after it. One statement, since all of it rests on the same rows, and whether the alert came back. Parts are rows of JSON:
--   bin: the AI's confidence beside the verdict on it, in ten bins by investigator and model, and in all (everyone), for reliability and Brier score.
--   band: what people were asked about, by confidence in steps of 5 from 50 to 95: how long was waited, and how it ended. A threshold takes all bands from its own on.
--   held: how long repairs held: minutes from the end of what was remediated until the same fingerprint and target was received again in the same namespace. Where it was not, the minutes that it was
--     watched: at most 7 days, less where as_of comes before (Kaplan and Meier's estimate counts it as censored). A return counts in the minute that it completes: it is in no shorter window.
--   alert: the alerts that came back most often, with those that did so soonest.
-- The verdict, as in trends_ai: 1 if the remediation succeeded, the post-conditions passed, and the same fingerprint and target did not come back within 24 hours of its end; 0 if one of these is
-- not so; null, no label, if no step ran (a refusal is not wrong), if somebody cancelled it, if nothing was checked after it, and as long as the 24 hours are not over. Ends later than 7 days
-- after the window are not looked for. Rows count in the analysis' own namespace only: strangers may post some under its id. Of posted ones the first with an end, with a
-- confidence, and with a result of the checks counts. It is looked for once for each id, however many rows have it.
-- Of most repairs nothing came back: the newest signal of each fingerprint, from an index alone, says so of nearly all, and a probe of the index of first rows of the others. No row of a signal is read for
-- them. What is left and the signals of its fingerprints are sorted into one row for each target, newest first: the next signal after an end is the least of those before it in that order. That is linear,
-- whatever somebody repeats.
-- Examples are sorted apart, and few: an aggregate with an order would sort all rows.
-- Confidences are added in ten-thousandths of a percent, so that the sums are exact in any order.
-- $1, $2: the window, half-open, of the start of the investigation; of what held, of the end. $3: the namespaces that the caller may read. $4: as_of. $5: how many investigators with models, or alerts.
WITH every AS MATERIALIZED (
    SELECT f.id, f.remediation_id, f.signal_fingerprint, f.source_namespace, f.source_cluster, f.sequence IS NULL AS posted, f.outcome, f.alert_name, f.workflow_started_at IS NOT NULL AS ran, f.completed_at AS at,
        f.target ->> 'name' AS name, f.target ->> 'kind' AS kind, f.target ->> 'apiVersion' AS version
    FROM orchestration_audit AS f
    WHERE (f.final OR f.sequence IS NULL) AND f.completed_at >= $1 AND f.completed_at < $2::timestamptz + interval '7 days' AND f.source_namespace = ANY($3::text[])
), first AS MATERIALIZED (
    SELECT (SELECT min(o.id::text COLLATE "C")::uuid FROM orchestration_audit AS o WHERE o.remediation_id = p.remediation_id AND o.sequence IS NULL AND o.completed_at IS NOT NULL) AS id
    FROM (SELECT DISTINCT e.remediation_id FROM every AS e WHERE e.posted) AS p
), ended AS MATERIALIZED (
    SELECT e.* FROM every AS e WHERE NOT e.posted OR e.id IN (SELECT f.id FROM first AS f)
), heard AS (
    SELECT o.signal_fingerprint, max(o.signal_received_at) AS newest
    FROM orchestration_audit AS o
    WHERE (o.sequence = 1 OR o.sequence IS NULL) AND o.signal_received_at > $1 AND o.signal_received_at <= least($2::timestamptz + interval '8 days', $4::timestamptz)
    GROUP BY 1
), repaired AS MATERIALIZED (
    SELECT r.* FROM (
        SELECT e.id, e.signal_fingerprint, e.source_namespace, e.source_cluster, e.name, e.kind, e.version, e.at, least(e.at + interval '7 days', $2::timestamptz + interval '8 days', $4::timestamptz) AS until
        FROM ended AS e JOIN heard AS h ON h.signal_fingerprint = e.signal_fingerprint AND h.newest > e.at WHERE e.outcome = 'remediated' AND e.source_namespace IS NOT NULL OFFSET 0
    ) AS r
    WHERE (SELECT true FROM orchestration_audit AS o
        WHERE (o.sequence = 1 OR o.sequence IS NULL) AND o.signal_fingerprint = r.signal_fingerprint AND o.signal_received_at > r.at AND o.signal_received_at <= r.until LIMIT 1)
), signals AS (
    SELECT s.* FROM (SELECT r.signal_fingerprint, min(r.at) AS since, max(r.until) AS until FROM repaired AS r GROUP BY 1) AS r
    CROSS JOIN LATERAL (
        SELECT s.signal_fingerprint, s.source_namespace, s.source_cluster, s.target ->> 'name' AS name, s.target ->> 'kind' AS kind, s.target ->> 'apiVersion' AS version, s.signal_received_at AS received
        FROM orchestration_audit AS s
        WHERE (s.sequence = 1 OR s.sequence IS NULL) AND s.signal_fingerprint = r.signal_fingerprint AND s.signal_received_at > r.since AND s.signal_received_at <= r.until AND s.source_namespace = ANY($3::text[]) OFFSET 0
    ) AS s
), followed AS (
    SELECT h.id, h.at, min(h.received) OVER (
        PARTITION BY h.signal_fingerprint COLLATE "C", h.source_namespace COLLATE "C", h.source_cluster COLLATE "C", h.name COLLATE "C", h.kind COLLATE "C", h.version COLLATE "C"
        ORDER BY h.at DESC, h.received IS NOT NULL ROWS UNBOUNDED PRECEDING) AS again
    FROM (
        SELECT r.id, r.signal_fingerprint, r.source_namespace, r.source_cluster, r.name, r.kind, r.version, r.at, NULL::timestamptz AS received FROM repaired AS r
        UNION ALL SELECT NULL, s.signal_fingerprint, s.source_namespace, s.source_cluster, s.name, s.kind, s.version, s.received, s.received FROM signals AS s
    ) AS h
), returned AS MATERIALIZED (
    SELECT b.id, b.again FROM followed AS b WHERE b.id IS NOT NULL AND b.again <= b.at + interval '7 days'
), every_execution AS MATERIALIZED (
    SELECT w.id, w.remediation_id, w.source_namespace, w.source_cluster, w.sequence IS NULL AS posted, w.post_conditions_passed AS passed
    FROM workflow_execution_audit AS w
    WHERE (w.final OR w.sequence IS NULL) AND w.execution_started_at >= $1 AND w.execution_started_at < $2::timestamptz + interval '7 days' AND w.source_namespace = ANY($3::text[])
), first_execution AS MATERIALIZED (
    SELECT (SELECT min(o.id::text COLLATE "C")::uuid FROM workflow_execution_audit AS o WHERE o.remediation_id = p.remediation_id AND o.sequence IS NULL AND o.post_conditions_passed IS NOT NULL) AS id
    FROM (SELECT DISTINCT e.remediation_id FROM every_execution AS e WHERE e.posted) AS p
), executed AS (
    SELECT e.remediation_id, e.source_namespace, e.source_cluster, e.posted, bool_and(e.passed) AS passed
    FROM every_execution AS e WHERE NOT e.posted OR e.id IN (SELECT f.id FROM first_execution AS f) GROUP BY 1, 2, 3, 4
), every_decision AS MATERIALIZED (
    SELECT a.id, a.remediation_id, a.source_namespace, a.source_cluster, a.sequence IS NULL AS posted, a.investigator, a.model, round(a.action_confidence * 10000)::bigint AS confidence,
        CASE WHEN a.approval_requested_at IS NOT NULL THEN a.approval_status END AS answer, greatest(a.approval_duration_seconds, 0) AS waited
    FROM ai_analysis_audit AS a
    WHERE (a.final OR a.sequence IS NULL) AND a.investigation_started_at >= $1 AND a.investigation_started_at < $2 AND a.action_confidence BETWEEN 0 AND 100 AND a.source_namespace = ANY($3::text[])
), first_decision AS MATERIALIZED (
    SELECT (SELECT min(o.id::text COLLATE "C")::uuid FROM ai_analysis_audit AS o WHERE o.remediation_id = p.remediation_id AND o.sequence IS NULL AND o.action_confidence IS NOT NULL) AS id
    FROM (SELECT DISTINCT e.remediation_id FROM every_decision AS e WHERE e.posted) AS p
), decided AS (
    SELECT e.* FROM every_decision AS e WHERE NOT e.posted OR e.id IN (SELECT f.id FROM first_decision AS f)
), judged AS MATERIALIZED (
    SELECT d.remediation_id, d.investigator, d.model, d.confidence, d.answer, d.waited, least(d.confidence / 100000, 9)::integer AS bin, e.remediation_id IS NOT NULL AS ran,
        CASE WHEN e.outcome = 'remediated' AND w.passed IS NOT FALSE AND (e.again <= e.at + interval '24 hours') IS NOT TRUE THEN CASE WHEN w.passed AND e.at + interval '24 hours' <= $4 THEN 1 END
            WHEN e.outcome <> 'cancelled' THEN 0 END AS success
    FROM decided AS d
    LEFT JOIN (SELECT e.*, b.again FROM ended AS e LEFT JOIN returned AS b ON b.id = e.id WHERE e.ran) AS e ON e.remediation_id = d.remediation_id AND e.posted = d.posted
        AND e.source_namespace IS NOT DISTINCT FROM d.source_namespace AND e.source_cluster IS NOT DISTINCT FROM d.source_cluster
    LEFT JOIN executed AS w ON w.remediation_id = d.remediation_id AND w.posted = d.posted
        AND w.source_namespace IS NOT DISTINCT FROM d.source_namespace AND w.source_cluster IS NOT DISTINCT FROM d.source_cluster
), watched AS MATERIALIZED (
    SELECT e.alert_name, e.remediation_id, b.id IS NOT NULL AS returned,
        CASE WHEN b.id IS NOT NULL THEN ceil(date_part('epoch', b.again - e.at) / 60) ELSE least(10080, floor(date_part('epoch', $4 - e.at) / 60)) END::integer AS minutes
    FROM ended AS e LEFT JOIN returned AS b ON b.id = e.id WHERE e.outcome = 'remediated' AND e.at < $2 AND e.at <= $4 AND e.source_namespace IS NOT NULL
), binned AS (
    SELECT j.investigator, j.model, j.bin, count(*) AS n, count(*) FILTER (WHERE j.ran) AS executed, count(j.success) AS labelled, count(*) FILTER (WHERE j.success = 1) AS success,
        coalesce(sum(j.confidence) FILTER (WHERE j.success IS NOT NULL), 0) AS confidence, coalesce(sum((j.confidence - 1000000 * j.success) * (j.confidence - 1000000 * j.success)), 0) AS squares
    FROM judged AS j GROUP BY 1, 2, 3
), sized AS (
    SELECT b.*, sum(b.n) OVER (PARTITION BY b.everyone, b.investigator, b.model) AS total
    FROM (SELECT false AS everyone, b.* FROM binned AS b
        UNION ALL SELECT true, NULL, NULL, b.bin, sum(b.n)::bigint, sum(b.executed)::bigint, sum(b.labelled)::bigint, sum(b.success)::bigint, sum(b.confidence), sum(b.squares) FROM binned AS b GROUP BY b.bin) AS b
), ranked AS MATERIALIZED (
    SELECT r.* FROM (SELECT z.*, dense_rank() OVER (ORDER BY z.everyone DESC, z.total DESC, z.investigator, z.model) AS place FROM sized AS z) AS r WHERE r.place <= $5 + 1
), missed AS MATERIALIZED (
    SELECT j.investigator, j.model, j.bin, j.remediation_id, j.confidence, j.answer FROM judged AS j WHERE j.success = 0
), banded AS (
    SELECT least(j.confidence / 50000 * 5, 95) AS threshold, count(*) FILTER (WHERE j.answer = 'approved') AS n, count(j.success) FILTER (WHERE j.answer = 'approved') AS labelled,
        count(*) FILTER (WHERE j.answer = 'approved' AND j.success = 1) AS success, coalesce(sum(j.waited) FILTER (WHERE j.answer = 'approved'), 0) AS seconds, count(*) FILTER (WHERE j.answer = 'rejected') AS rejected
    FROM judged AS j WHERE j.answer IN ('approved', 'rejected') AND j.confidence >= 500000 GROUP BY 1
), held AS (
    SELECT w.minutes, w.returned, count(*) AS n FROM watched AS w GROUP BY 1, 2
), alerts AS (
    SELECT coalesce(w.alert_name, '') AS alert_name, count(*) AS n, count(*) FILTER (WHERE w.returned) AS back, count(*) FILTER (WHERE NOT w.returned AND w.minutes < 10080) AS censored
    FROM watched AS w GROUP BY 1 HAVING bool_or(w.returned) ORDER BY back DESC, n, 1 LIMIT $5::bigint
), missed_most AS (
    SELECT m.everyone, m.investigator, m.model, m.bin, array_agg(m.remediation_id ORDER BY m.place) AS examples
    FROM (SELECT k.everyone, CASE WHEN NOT k.everyone THEN m.investigator END AS investigator, CASE WHEN NOT k.everyone THEN m.model END AS model, m.bin, m.remediation_id,
            row_number() OVER (PARTITION BY k.everyone, m.bin, CASE WHEN NOT k.everyone THEN m.investigator END, CASE WHEN NOT k.everyone THEN m.model END ORDER BY m.confidence DESC, m.remediation_id COLLATE "C") AS place
        FROM missed AS m CROSS JOIN (VALUES (true), (false)) AS k(everyone)) AS m
    WHERE m.place <= 3 GROUP BY 1, 2, 3, 4
), missed_asked AS (
    SELECT m.threshold, array_agg(m.remediation_id ORDER BY m.place) AS examples
    FROM (SELECT least(m.confidence / 50000 * 5, 95) AS threshold, m.remediation_id, row_number() OVER (PARTITION BY least(m.confidence / 50000 * 5, 95) ORDER BY m.confidence, m.remediation_id COLLATE "C") AS place
        FROM missed AS m WHERE m.answer = 'approved' AND m.confidence >= 500000) AS m
    WHERE m.place <= 3 GROUP BY 1
), back AS (
    SELECT w.alert_name, array_agg(w.remediation_id ORDER BY w.place) AS examples
    FROM (SELECT coalesce(w.alert_name, '') AS alert_name, w.remediation_id, row_number() OVER (PARTITION BY coalesce(w.alert_name, '') ORDER BY w.minutes, w.remediation_id COLLATE "C") AS place
        FROM watched AS w WHERE w.returned) AS w
    WHERE w.place <= 3 GROUP BY 1
)
SELECT 'bin' AS part, to_jsonb(r) - 'confidence' - 'squares' || jsonb_build_object('confidence', r.confidence / 1e4, 'squares', r.squares / 1e12, 'examples', m.examples) AS columns
FROM ranked AS r LEFT JOIN missed_most AS m ON m.bin = r.bin AND m.everyone = r.everyone AND m.investigator IS NOT DISTINCT FROM r.investigator AND m.model IS NOT DISTINCT FROM r.model
UNION ALL SELECT 'band', to_jsonb(b) || jsonb_build_object('examples', m.examples) FROM banded AS b LEFT JOIN missed_asked AS m USING (threshold)
UNION ALL SELECT 'held', to_jsonb(h) FROM held AS h
UNION ALL SELECT 'alert', to_jsonb(a) || jsonb_build_object('examples', w.examples) FROM alerts AS a LEFT JOIN back AS w USING (alert_name)
