-- The newest remediations of an alert and kind of target that were received and ended in a window, with the last rows of their analysis and execution, and when their alert came back: of some reports.
-- Each look-up of an analysis, an execution or a return costs an index and a row, so they are made only for the cases of which a report says something that rests on them ($5, rar.Needs).
-- Analyses and executions are found by the uids of the children that the request's last row names: strangers may post any number of rows under its id. What was posted names none: of
-- the rows under its id no more than a bound are looked at.
-- For a caller who may read some namespaces the index gives the rows of the namespaces' names, and only these are read.
-- places has the places of the reports that a case is of: in a stream many have the same.
-- A report asks twice: for the 30 days before its signal, and for what was received after its end. Whether an alert came back counts only where it was remediated, as do post-conditions.
-- $1: alerts' names. $2: targets' kinds. $3, $4: windows, half-open. $5: needs, as JSON, with how many cases. $6: how many at most of each. $7: as_of. $8: how many rows under the id of what was posted are looked at.
-- $9: the namespaces that the caller may read.
WITH asked AS MATERIALIZED (
    SELECT q.place, q.needs::jsonb AS needs, f.id, f.remediation_id, f.source_cluster, f.source_namespace, f.source_uid, f.sequence, f.entry_hash, f.outcome, f.signal_fingerprint, f.target,
        f.signal_received_at, f.workflow_started_at, f.completed_at, CASE WHEN jsonb_typeof(f.children) = 'array' THEN f.children ELSE '[]' END AS children
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[]) WITH ORDINALITY AS q(alert, kind, start, until, needs, place)
    CROSS JOIN LATERAL (
        (SELECT f.* FROM orchestration_audit AS f
        WHERE $9::text[] IS NULL AND (f.final OR f.sequence IS NULL) AND f.alert_name = left(q.alert, 255) AND f.target_kind = left(q.kind, 63)
            AND f.completed_at >= q.start AND f.completed_at < q.until AND f.signal_received_at >= q.start AND f.recorded_at <= $7::timestamptz
        ORDER BY f.completed_at DESC, f.id DESC LIMIT least($6::bigint, (q.needs::jsonb ->> 'cases')::bigint))
        UNION ALL
        (SELECT f.* FROM (
            SELECT c.id, c.completed_at FROM orchestration_audit AS c
            WHERE $9::text[] IS NOT NULL AND (c.final OR c.sequence IS NULL) AND c.alert_name = left(q.alert, 255) AND c.target_kind = left(q.kind, 63)
                AND c.completed_at >= q.start AND c.completed_at < q.until AND c.signal_received_at >= q.start AND c.source_namespace = ANY($9)
            ORDER BY c.completed_at DESC, c.id DESC OFFSET 0) AS c
        CROSS JOIN LATERAL (SELECT f.* FROM orchestration_audit AS f WHERE f.id = c.id AND f.source_namespace = ANY($9::text[]) AND f.recorded_at <= $7) AS f
        ORDER BY c.completed_at DESC, c.id DESC LIMIT least($6, (q.needs::jsonb ->> 'cases')::bigint))
    ) AS f
), cases AS MATERIALIZED (
    SELECT DISTINCT ON (f.id) f.*, array_agg(f.place) OVER of AS places, f.workflow_started_at IS NOT NULL OR bool_or((f.needs ->> 'refusals')::boolean) OVER of AS analysed
    FROM asked AS f WINDOW of AS (PARTITION BY f.id)
), decided AS MATERIALIZED (
    SELECT f.*, a.id AS analysis_id, a.source_uid AS analysis_source_uid, a.sequence AS analysis_sequence, a.entry_hash AS analysis_entry_hash, a.investigator, a.model, a.recommended_action, a.action_confidence,
        extract(epoch FROM a.investigation_completed_at - a.investigation_started_at)::double precision AS investigation_seconds, a.approval_status, a.approval_requested_at, a.approval_duration_seconds,
        CASE WHEN f.workflow_started_at IS NOT NULL THEN a.recommended_action END AS workflow_id
    FROM cases AS f
    LEFT JOIN LATERAL (
        SELECT a.* FROM (
            SELECT a.* FROM jsonb_array_elements(f.children) AS c CROSS JOIN LATERAL (
                SELECT a.* FROM ai_analysis_audit AS a
                WHERE a.source_uid = CASE WHEN c ->> 'uid' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (c ->> 'uid')::uuid END AND a.remediation_id || '' = f.remediation_id AND a.final
                    AND a.source_namespace = ANY($9::text[]) AND a.source_namespace IS NOT DISTINCT FROM f.source_namespace AND a.source_cluster IS NOT DISTINCT FROM f.source_cluster AND a.recorded_at <= $7
                ORDER BY a.sequence DESC LIMIT 1) AS a
            WHERE c ->> 'service' = 'AIAnalysis' AND f.sequence IS NOT NULL AND f.analysed
            UNION ALL
            SELECT a.* FROM (SELECT a.* FROM ai_analysis_audit AS a WHERE a.remediation_id = f.remediation_id LIMIT $8) AS a
            WHERE f.sequence IS NULL AND f.analysed AND a.sequence IS NULL AND a.source_namespace = ANY($9::text[]) AND a.source_namespace IS NOT DISTINCT FROM f.source_namespace
                AND a.source_cluster IS NOT DISTINCT FROM f.source_cluster AND a.recorded_at <= $7
        ) AS a ORDER BY a.recorded_at DESC, a.id DESC LIMIT 1) AS a ON true
), needed AS MATERIALIZED (
    SELECT f.id, bool_or(v.verdict AND f.outcome = 'remediated' OR v.retries) AS execution, bool_or((v.verdict OR v.returns) AND f.outcome = 'remediated') AS returns
    FROM asked AS f JOIN decided AS d ON d.id = f.id CROSS JOIN LATERAL (
        SELECT f.needs -> 'verdicts' ? d.workflow_id OR d.workflow_id IS NOT NULL AND coalesce(d.investigator, '') = f.needs ->> 'investigator' AND coalesce(d.model, '') = f.needs ->> 'model'
                AND d.action_confidence >= 0 AND least(floor(d.action_confidence / 10), 9) = (f.needs ->> 'bin')::integer AS verdict,
            d.workflow_id = f.needs ->> 'returns' AS returns, d.workflow_id = f.needs ->> 'retries' AS retries) AS v
    GROUP BY 1
)
SELECT f.places, f.id, f.remediation_id, f.source_uid, f.sequence, f.entry_hash, f.outcome, f.signal_received_at, f.completed_at, b.came_back_at,
    f.analysis_id, f.analysis_source_uid, f.analysis_sequence, f.analysis_entry_hash, f.investigator, f.model, f.recommended_action, f.action_confidence, f.investigation_seconds, f.approval_status,
    f.approval_requested_at, f.approval_duration_seconds, f.workflow_id, floor(extract(epoch FROM f.completed_at - f.workflow_started_at))::bigint AS execution_seconds,
    w.id AS execution_id, w.source_uid AS execution_source_uid, w.sequence AS execution_sequence, w.entry_hash AS execution_entry_hash, w.outcome AS execution_outcome, w.retries_performed,
    w.post_conditions_passed
FROM decided AS f JOIN needed AS n ON n.id = f.id
LEFT JOIN LATERAL (
    SELECT w.* FROM (
        SELECT w.* FROM jsonb_array_elements(f.children) AS c CROSS JOIN LATERAL (
            SELECT w.* FROM workflow_execution_audit AS w
            WHERE w.source_uid = CASE WHEN c ->> 'uid' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (c ->> 'uid')::uuid END AND w.remediation_id || '' = f.remediation_id AND w.final
                AND w.source_namespace = ANY($9::text[]) AND w.source_namespace IS NOT DISTINCT FROM f.source_namespace AND w.source_cluster IS NOT DISTINCT FROM f.source_cluster AND w.recorded_at <= $7
            ORDER BY w.sequence DESC LIMIT 1) AS w
        WHERE c ->> 'service' = 'WorkflowExecution' AND f.sequence IS NOT NULL AND n.execution
        UNION ALL
        SELECT w.* FROM (SELECT w.* FROM workflow_execution_audit AS w WHERE w.remediation_id = f.remediation_id LIMIT $8) AS w
        WHERE f.sequence IS NULL AND n.execution AND w.sequence IS NULL AND w.source_namespace = ANY($9::text[]) AND w.source_namespace IS NOT DISTINCT FROM f.source_namespace
            AND w.source_cluster IS NOT DISTINCT FROM f.source_cluster AND w.recorded_at <= $7
    ) AS w ORDER BY w.recorded_at DESC, w.id DESC LIMIT 1) AS w ON true
LEFT JOIN LATERAL (
    SELECT r.signal_received_at AS came_back_at FROM orchestration_audit AS r
    WHERE n.returns AND (r.sequence = 1 OR r.sequence IS NULL) AND r.signal_fingerprint = f.signal_fingerprint AND r.signal_received_at > f.completed_at
        AND r.signal_received_at <= least(f.completed_at + interval '7 days', $7::timestamptz) AND r.source_namespace = f.source_namespace AND r.source_cluster IS NOT DISTINCT FROM f.source_cluster
        AND r.target -> 'apiVersion' = f.target -> 'apiVersion' AND r.target -> 'kind' = f.target -> 'kind' AND r.target -> 'name' = f.target -> 'name'
    ORDER BY r.signal_received_at LIMIT 1) AS b ON true
ORDER BY f.completed_at DESC, f.id DESC
