-- The rows of some reports: of the remediation's own resource, and of the children that its records name. Within a resource their order is sequence, across resources it is time.
-- They are found by resource: anybody may post any number of rows under an id. The id is no condition of an index here (|| ''), or those would be read, too.
-- $1, $2: remediation ids and the uids that are known to be each one's: the id where it is a UUID, and children that only a dead letter names. $3: as_of. $4: the namespaces that the caller may read.
WITH own AS MATERIALIZED (
    SELECT id, uid FROM unnest($1::text[], $2::uuid[]) AS q(id, uid)
    UNION SELECT q.id, CASE WHEN c ->> 'uid' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (c ->> 'uid')::uuid END
    FROM unnest($1::text[], $2::uuid[]) AS q(id, uid) JOIN orchestration_audit AS t ON t.source_uid = q.uid AND t.remediation_id || '' = q.id
    CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(t.children) = 'array' THEN t.children ELSE '[]' END) AS c
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($4::text[])
)
SELECT 'orchestration_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM own CROSS JOIN LATERAL (
    SELECT t.* FROM orchestration_audit AS t WHERE t.source_uid = own.uid AND t.remediation_id || '' = own.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($4::text[]) OFFSET 0) AS t
UNION ALL SELECT 'ai_analysis_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM own CROSS JOIN LATERAL (
    SELECT t.* FROM ai_analysis_audit AS t WHERE t.source_uid = own.uid AND t.remediation_id || '' = own.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($4::text[]) OFFSET 0) AS t
UNION ALL SELECT 'workflow_execution_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM own CROSS JOIN LATERAL (
    SELECT t.* FROM workflow_execution_audit AS t WHERE t.source_uid = own.uid AND t.remediation_id || '' = own.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($4::text[]) OFFSET 0) AS t
UNION ALL SELECT 'notification_audit' AS relation, t.remediation_id, to_jsonb(t) AS columns FROM own CROSS JOIN LATERAL (
    SELECT t.* FROM notification_audit AS t WHERE t.source_uid = own.uid AND t.remediation_id || '' = own.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($4::text[]) OFFSET 0) AS t
