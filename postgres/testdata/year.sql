-- A year of remediations, evenly spread up to 2026-11-23: %[1]d of them with ten rows each. Each signal has 4 rows of its request, 2 of the analysis, 2 of the execution, 1 of the
-- notification and 1 of a kind without a table. One in 50 was posted over REST instead; one in 100 is still open; one in ten has a dead letter; one in 20 is the
-- alert before it, back within the day (k is that one's number).
CREATE TEMPORARY TABLE remediations AS
SELECT g, ('2025-11-23'::timestamptz + g * interval '365 days' / %[1]d) AS received, md5('request' || g)::uuid AS uid, md5('analysis' || g)::uuid AS analysis, md5('execution' || g)::uuid AS execution,
    g %% 50 = 0 AS posted, g %% 100 = 1 AS open, 'shop-' || floor(50 * power(h, 2)) AS namespace, 'PodAlert' || floor(40 * power(h2, 2)) AS alert, 'web-' || k %% 997 AS target, k,
    'restart-' || floor(25 * power(h, 3)) AS workflow, (ARRAY['remediated', 'remediated', 'remediated', 'remediated', 'failed', 'rejected'])[1 + floor(6 * h)::integer] AS outcome,
    (30 + 900 * power(h2, 4))::integer AS seconds, h, repeat(md5('entry' || g), 22) AS entry, sha256(g::text::bytea) AS hash
FROM (SELECT g, k, (hashint8(k)::bigint + 2147483648) / 4294967296.0 AS h, (hashint8(-k)::bigint + 2147483648) / 4294967296.0 AS h2
    FROM (SELECT g, CASE WHEN g %% 20 = 3 THEN g - 1 ELSE g END AS k FROM generate_series(1, %[1]d) AS g) AS n) AS r;

-- Ids begin with the time, as ours do, so that rows and keys come in one order.
CREATE FUNCTION pg_temp.id(at timestamptz, of text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '8' || substr(md5(of), 1, 3) || '8' || substr(md5(of), 4, 15))::uuid $$;

INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, workflow_started_at, completed_at, total_duration_seconds, bottleneck_phase,
    bottleneck_duration_seconds, signal_context, target, outcome, children, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, previous_hash, entry_hash, entry)
SELECT pg_temp.id(received, 'request' || g || '/' || s), uid::text, md5('fingerprint' || k %% (%[1]d / 5 + 1)), received, received + interval '1 second',
    CASE WHEN last AND outcome <> 'rejected' THEN received + interval '10 seconds' END, CASE WHEN last THEN received + seconds * interval '1 second' END,
    CASE WHEN last THEN seconds END, CASE WHEN last THEN (ARRAY['Approval', 'Analysis', 'Execution'])[1 + g %% 3] END, CASE WHEN last THEN seconds / 2 END,
    jsonb_build_object('name', alert, 'severity', 'critical', 'source', 'prometheus', 'labels', jsonb_build_object('pod', target)),
    jsonb_build_object('apiVersion', 'apps/v1', 'kind', CASE WHEN k %% 4 = 0 THEN 'StatefulSet' ELSE 'Deployment' END, 'name', target), CASE WHEN last THEN outcome END,
    CASE WHEN NOT posted AND last THEN jsonb_build_array(jsonb_build_object('service', 'AIAnalysis', 'uid', analysis), jsonb_build_object('service', 'WorkflowExecution', 'uid', execution),
        jsonb_build_object('service', 'Notification', 'uid', md5('notification' || g)::uuid)) END,
    CASE WHEN NOT posted THEN namespace END, CASE WHEN NOT posted THEN 'request-' || g END, CASE WHEN NOT posted THEN uid END, CASE WHEN NOT posted THEN s END,
    'Changed', CASE WHEN last THEN 'Completed' ELSE 'Working' END, last AND NOT posted, received + s * interval '5 seconds', 1, hash, hash, entry
FROM remediations, generate_series(1, 4) AS s, LATERAL (SELECT posted OR s = 4 AND NOT open AS last) AS l
WHERE NOT posted OR s = 1 ORDER BY g, s;

INSERT INTO ai_analysis_audit (id, remediation_id, investigation_started_at, root_cause, recommended_action, action_confidence, approval_status, approval_time, approval_duration_seconds,
    approval_requested_at, investigator, model, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry_hash, entry)
SELECT pg_temp.id(received, 'analysis' || g || '/' || s), uid::text, received + interval '2 seconds', 'memory', workflow, 100 * h, CASE WHEN outcome = 'rejected' THEN 'rejected' ELSE 'approved' END,
    received + interval '9 seconds', seconds / 2, received + interval '5 seconds', 'holmesgpt', 'model-' || g %% 3, namespace, 'request-' || g, analysis, s, 'Changed', 'Working', s = 2,
    received + s * interval '3 seconds', 1, hash, entry
FROM remediations, generate_series(1, 2) AS s WHERE NOT posted ORDER BY g, s;

INSERT INTO workflow_execution_audit (id, remediation_id, workflow_id, execution_started_at, execution_completed_at, post_conditions_passed, outcome, effectiveness_score, rollbacks_performed, source_namespace, source_name,
    source_uid, sequence, event, phase, final, recorded_at, schema_version, entry_hash, entry)
SELECT pg_temp.id(received, 'execution' || g || '/' || s), uid::text, workflow, received + interval '10 seconds', received + interval '20 seconds', CASE WHEN outcome = 'remediated' AND g %% 10 < 9 THEN true END, CASE WHEN outcome = 'remediated' THEN 'success' ELSE 'failure' END,
    100 * h, g %% 7 / 6, namespace, 'request-' || g, execution, s, 'Changed', 'Working', s = 2, received + (10 + s) * interval '1 second', 1, hash, entry
FROM remediations, generate_series(1, 2) AS s WHERE NOT posted AND outcome <> 'rejected' ORDER BY g, s;

INSERT INTO notification_audit (id, remediation_id, notification_requested_at, delivery_attempts, delivery_status, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at,
    schema_version, entry_hash, entry)
SELECT pg_temp.id(received, 'notification' || g), uid::text, received + interval '30 seconds',
    jsonb_build_array(jsonb_build_object('channel', 'console', 'attempt', 1, 'status', CASE WHEN g %% 20 = 0 THEN 'failed' ELSE 'success' END, 'duration', 3)), 'delivered',
    namespace, 'request-' || g, md5('notification' || g)::uuid, 1, 'Sent', 'Sent', true, received + interval '31 seconds', 1, hash, entry
FROM remediations WHERE NOT posted ORDER BY g;

INSERT INTO resource_audit (id, kind, record, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry_hash, entry)
SELECT pg_temp.id(received, 'backup' || g), 'backups.example.com', '{"size": 7}', CASE WHEN g %% 10 > 0 THEN namespace END, 'backup-' || g / 10, md5('backup' || g / 5)::uuid, 1 + g %% 5, 'Changed', 'Working',
    g %% 5 = 4, received, 1, hash, entry
FROM remediations ORDER BY g;

INSERT INTO audit_dead_letter (id, entry_hash, kind, entry, error, source_namespace, source_name, source_uid, sequence, first_attempt, last_attempt, attempts)
SELECT pg_temp.id(received, 'dead' || g), hash, 'orchestration', entry, 'refused', namespace, 'request-' || g, uid, 5, received, received, 1 FROM remediations WHERE g %% 10 = 7;

DROP TABLE remediations;
