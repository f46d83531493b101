-- What the reports of some remediations must say, reckoned from their rows by another way than package rar's.
-- $1: the ids. $2: the namespaces of the reader, NULL for all. $3: as_of.
WITH RECURSIVE every AS (
    SELECT 'o' AS of, remediation_id, source_namespace, source_uid, sequence, final, event, recorded_at, to_jsonb(t) AS row FROM orchestration_audit AS t
    UNION ALL SELECT 'a', remediation_id, source_namespace, source_uid, sequence, final, event, recorded_at, to_jsonb(t) FROM ai_analysis_audit AS t
    UNION ALL SELECT 'w', remediation_id, source_namespace, source_uid, sequence, final, event, recorded_at, to_jsonb(t) FROM workflow_execution_audit AS t
    UNION ALL SELECT 'n', remediation_id, source_namespace, source_uid, sequence, final, event, recorded_at, to_jsonb(t) FROM notification_audit AS t
), readable AS MATERIALIZED (
    SELECT *, remediation_id AS id FROM every WHERE remediation_id = ANY($1) AND recorded_at <= $3 AND ($2::text[] IS NULL OR source_namespace = ANY($2))
), children AS MATERIALIZED (
    SELECT DISTINCT r.id, (c ->> 'uid')::uuid AS uid FROM readable AS r, jsonb_array_elements(coalesce(nullif(r.row -> 'children', 'null'), '[]')) AS c WHERE r.source_uid::text = r.id
), own AS MATERIALIZED (
    SELECT r.* FROM readable AS r WHERE r.source_uid::text = r.id OR (r.id, r.source_uid) IN (SELECT id, uid FROM children)
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (source_uid) *, CASE WHEN final THEN recorded_at END AS closed FROM own ORDER BY source_uid, sequence DESC
), claims AS (
    SELECT id, row_number() OVER (PARTITION BY id ORDER BY k) AS k, name, start, CASE WHEN finish IS NOT NULL THEN greatest(finish, start) END AS finish FROM (
        SELECT id, 1 AS k, 'Intake' AS name, (row ->> 'signal_received_at')::timestamptz AS start, (row ->> 'remediation_created_at')::timestamptz AS finish FROM newest WHERE of = 'o'
        UNION ALL SELECT id, 2, 'AI analysis', (row ->> 'investigation_started_at')::timestamptz,
            coalesce(row ->> 'investigation_completed_at', row ->> 'approval_requested_at', closed::text)::timestamptz FROM newest WHERE of = 'a'
        UNION ALL SELECT id, 2, 'AI analysis', (row ->> 'ai_analysis_started_at')::timestamptz, coalesce(row ->> 'workflow_started_at', row ->> 'notification_sent_at', row ->> 'completed_at')::timestamptz
            FROM newest AS o WHERE of = 'o' AND NOT EXISTS (SELECT FROM newest AS a WHERE a.id = o.id AND a.of = 'a')
        UNION ALL SELECT id, 3, 'Wait for approval', (row ->> 'approval_requested_at')::timestamptz, coalesce(row ->> 'approval_time', closed::text)::timestamptz FROM newest WHERE of = 'a'
        UNION ALL SELECT id, 4, 'Workflow', (row ->> 'execution_started_at')::timestamptz, coalesce(row ->> 'execution_completed_at', closed::text)::timestamptz FROM newest WHERE of = 'w'
        UNION ALL SELECT id, 4, 'Workflow', (row ->> 'workflow_started_at')::timestamptz, coalesce(row ->> 'notification_sent_at', row ->> 'completed_at')::timestamptz
            FROM newest AS o WHERE of = 'o' AND NOT EXISTS (SELECT FROM newest AS w WHERE w.id = o.id AND w.of = 'w')
        UNION ALL SELECT id, 5, 'Notification', (row ->> 'notification_requested_at')::timestamptz, coalesce(row ->> 'delivery_confirmed_at', row ->> 'notification_sent_at', closed::text)::timestamptz
            FROM newest WHERE of = 'n' AND coalesce(row ->> 'purpose', '') IN ('', 'Outcome')
    ) AS c WHERE start IS NOT NULL AND EXISTS (SELECT FROM newest AS o WHERE o.id = c.id AND o.of = 'o')
), request AS MATERIALIZED (
    SELECT id, source_namespace, row, (row ->> 'signal_received_at')::timestamptz AS received, (row ->> 'completed_at')::timestamptz AS completed FROM newest WHERE of = 'o'
), laid AS ( -- one after the other, each for as long as its own clock says, none beyond the end
    SELECT c.*, r.completed, c.start AS begins, CASE WHEN c.finish IS NOT NULL THEN least(c.finish, r.completed) END AS until FROM claims AS c JOIN request AS r USING (id) WHERE c.k = 1
    UNION ALL SELECT c.id, c.k, c.name, c.start, c.finish, l.completed, b.begins, CASE WHEN c.finish IS NOT NULL THEN least(b.begins + (c.finish - c.start), CASE WHEN l.completed IS NOT NULL THEN greatest(l.completed, b.begins) END) END
    FROM laid AS l JOIN claims AS c ON c.id = l.id AND c.k = l.k + 1, LATERAL (SELECT greatest(least(c.start, l.completed), l.until) AS begins) AS b
    WHERE l.finish IS NOT NULL
), phases AS (
    SELECT id, 2 * k AS k, name, start, finish, until - begins AS length FROM laid
    UNION ALL SELECT id, 2 * k - 1, 'Hand-overs', before, begins, begins - before FROM (SELECT *, lag(until) OVER (PARTITION BY id ORDER BY k) AS before FROM laid) AS l WHERE begins > before
    UNION ALL SELECT id, 99, 'Hand-overs', max(until), completed, completed - max(until) FROM laid GROUP BY id, completed HAVING completed > max(until) AND bool_and(finish IS NOT NULL)
), told AS ( -- what rows tell, and the events of the rows that tell nothing new
    SELECT id, source_uid, sequence, v.event, v.at::timestamptz AS at, '' AS what FROM own, LATERAL (VALUES
        ('SignalReceived', row ->> 'signal_received_at'), ('RequestCreated', row ->> 'remediation_created_at'), ('RequestCompleted', row ->> 'completed_at'),
        ('InvestigationStarted', row ->> 'investigation_started_at'), ('InvestigationCompleted', row ->> 'investigation_completed_at'), ('ApprovalRequested', row ->> 'approval_requested_at'),
        (CASE row ->> 'approval_status' WHEN 'approved' THEN 'Approved' WHEN 'auto-approved' THEN 'AutoApproved' WHEN 'rejected' THEN 'Rejected' WHEN 'expired' THEN 'ApprovalExpired' END, row ->> 'approval_time'),
        ('ExecutionStarted', CASE WHEN row -> 'steps_executed' IS DISTINCT FROM 'null' THEN row ->> 'execution_started_at' END), ('ExecutionCompleted', row ->> 'execution_completed_at'),
        ('NotificationRequested', row ->> 'notification_requested_at')) AS v(event, at)
    UNION ALL SELECT id, source_uid, sequence, 'StepCompleted', (s ->> 'completed_at')::timestamptz, s ->> 'name' FROM own, jsonb_array_elements(coalesce(nullif(row -> 'steps_executed', 'null'), '[]')) AS s WHERE of = 'w'
    UNION ALL SELECT id, source_uid, sequence, 'DeliveryAttempted', (d ->> 'started_at')::timestamptz + (d ->> 'duration')::bigint * interval '1 millisecond', d ->> 'attempt'
        FROM own, jsonb_array_elements(coalesce(nullif(row -> 'delivery_attempts', 'null'), '[]')) AS d WHERE of = 'n'
), first_told AS MATERIALIZED (
    SELECT id, source_uid, event, at, what, min(sequence) AS sequence FROM told WHERE event IS NOT NULL AND at IS NOT NULL GROUP BY 1, 2, 3, 4, 5
), events AS (
    SELECT id, event, at FROM first_told
    UNION ALL SELECT id, event, recorded_at FROM own AS r WHERE NOT EXISTS (SELECT FROM first_told AS f WHERE f.source_uid = r.source_uid AND f.sequence = r.sequence)
), resources AS (
    SELECT id, source_uid, count(*) AS rows, max(sequence) AS last FROM own GROUP BY 1, 2
), done AS MATERIALIZED (
    SELECT signal_context ->> 'name' AS alert, target ->> 'kind' AS kind, outcome, signal_received_at AS received, completed_at AS completed, extract(epoch FROM completed_at - signal_received_at)::float8 AS seconds
    FROM orchestration_audit WHERE final AND ($2::text[] IS NULL OR source_namespace = ANY($2))
), cohort AS (
    SELECT r.id, count(f.alert) AS n, count(f.alert) FILTER (WHERE f.outcome = 'remediated') AS success, avg(f.seconds) AS mean, percentile_cont(0.5) WITHIN GROUP (ORDER BY f.seconds) AS p50,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY f.seconds) AS p90
    FROM request AS r LEFT JOIN done AS f ON f.alert = r.row #>> '{signal_context,name}' AND f.kind = r.row #>> '{target,kind}' AND f.completed < r.received AND f.received >= r.received - interval '30 days'
    GROUP BY r.id
), firsts AS MATERIALIZED (
    SELECT remediation_id, signal_fingerprint AS fingerprint, target ->> 'name' AS target, source_namespace, signal_received_at AS received FROM orchestration_audit WHERE sequence = 1
), again AS (
    SELECT r.id, count(*) AS n FROM request AS r JOIN firsts AS f ON f.remediation_id <> r.id AND f.fingerprint = r.row ->> 'signal_fingerprint' AND f.target = r.row #>> '{target,name}'
        AND f.source_namespace = r.source_namespace AND f.received > r.completed AND f.received <= r.completed + interval '7 days' GROUP BY r.id
), counts AS (
    SELECT id, max((row ->> 'retries_performed')::bigint) FILTER (WHERE of = 'w') AS retries,
        max(jsonb_array_length(coalesce(nullif(row -> 'steps_executed', 'null'), '[]'))) FILTER (WHERE of = 'w') AS steps, sum(jsonb_array_length(coalesce(nullif(row -> 'delivery_attempts', 'null'), '[]'))) FILTER (WHERE of = 'n') AS attempts,
        max(extract(epoch FROM greatest((row ->> 'approval_time')::timestamptz, (row ->> 'approval_requested_at')::timestamptz) - (row ->> 'approval_requested_at')::timestamptz)::float8)
            FILTER (WHERE of = 'a' AND row ->> 'approval_time' IS NOT NULL AND row ->> 'approval_requested_at' IS NOT NULL) AS wait
    FROM newest GROUP BY id
)
SELECT r.id, jsonb_build_object(
    'total', extract(epoch FROM r.completed - r.received)::float8, 'outcome', coalesce(r.row ->> 'outcome', 'open'), 'phases', p.spans, 'events', e.told, 'wait', c.wait, 'retries', c.retries, 'steps', coalesce(c.steps, 0),
    'attempts', coalesce(c.attempts, 0), 'rows', s.rows, 'lost', s.lost, 'others', x.rows - s.rows, 'recurrences', coalesce(again.n, 0), 'cohort', jsonb_build_array(h.n, h.success, h.mean, h.p50, h.p90))
FROM request AS r JOIN counts AS c USING (id) JOIN cohort AS h USING (id) LEFT JOIN again USING (id)
LEFT JOIN (SELECT p.id, jsonb_agg(jsonb_build_array(p.name, extract(epoch FROM p.start) * 1000000, extract(epoch FROM p.finish) * 1000000,
    CASE WHEN p.finish IS NOT NULL AND r.completed > r.received THEN floor(extract(epoch FROM p.length) / extract(epoch FROM r.completed - r.received) * 10000) END) ORDER BY p.k) AS spans
    FROM phases AS p JOIN request AS r USING (id) GROUP BY p.id) AS p USING (id)
LEFT JOIN (SELECT id, jsonb_agg(event || ' ' || (extract(epoch FROM at) * 1000000)::bigint) AS told FROM events GROUP BY id) AS e USING (id)
LEFT JOIN (SELECT id, sum(rows) AS rows, sum(last - rows) AS lost FROM resources GROUP BY id) AS s USING (id)
LEFT JOIN (SELECT id, count(*) AS rows FROM readable GROUP BY id) AS x USING (id)
