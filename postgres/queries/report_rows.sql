-- The rows of some reports: of the remediation's own resource, and of the children that its records name; and whose other rows stand under its id, by resource, or by caller where they were posted.
-- Within a resource the order is sequence, across resources it is time. Where the request's records say which services it invoked and name none of their resources, as another program may write them, the
-- first resource of each kind under the id counts, in the request's own namespace and cluster. Not where the
-- id is crowded: which rows are at hand there is chance.
-- What stands under an id is read by the id, up to a bound of rows of each table. Anybody may post any number of them: where a table has more, the rows of the report are found by resource, no row is
-- counted here, and the id is said to be crowded. Then the id is no condition of an index (|| ''), or all those would be read.
-- $1, $2: remediation ids and the uids that are known to be each one's: the id where it is a UUID, and children that only a dead letter names; NULL for none. $3: as_of. $4: the bound. $5: how many
-- resources and callers of a table are named. $6: the namespaces that the caller may read.
WITH known AS MATERIALIZED (
    SELECT q.id, q.uid FROM unnest($1::text[], $2::uuid[]) AS q(id, uid)
), ids AS MATERIALIZED (
    SELECT DISTINCT q.id FROM known AS q
), orchestration AS MATERIALIZED (
    SELECT t.* FROM ids AS q CROSS JOIN LATERAL (SELECT t.* FROM orchestration_audit AS t WHERE t.remediation_id = q.id LIMIT $4) AS t
), ai_analysis AS MATERIALIZED (
    SELECT t.* FROM ids AS q CROSS JOIN LATERAL (SELECT t.* FROM ai_analysis_audit AS t WHERE t.remediation_id = q.id LIMIT $4) AS t
), workflow_execution AS MATERIALIZED (
    SELECT t.* FROM ids AS q CROSS JOIN LATERAL (SELECT t.* FROM workflow_execution_audit AS t WHERE t.remediation_id = q.id LIMIT $4) AS t
), notification AS MATERIALIZED (
    SELECT t.* FROM ids AS q CROSS JOIN LATERAL (SELECT t.* FROM notification_audit AS t WHERE t.remediation_id = q.id LIMIT $4) AS t
), crowded AS MATERIALIZED (
    SELECT t.remediation_id AS id FROM orchestration AS t GROUP BY 1 HAVING count(*) >= $4
    UNION SELECT t.remediation_id AS id FROM ai_analysis AS t GROUP BY 1 HAVING count(*) >= $4
    UNION SELECT t.remediation_id AS id FROM workflow_execution AS t GROUP BY 1 HAVING count(*) >= $4
    UNION SELECT t.remediation_id AS id FROM notification AS t GROUP BY 1 HAVING count(*) >= $4
), named AS MATERIALIZED (
    SELECT t.remediation_id AS id, t.children FROM orchestration AS t JOIN known AS q ON q.id = t.remediation_id AND q.uid = t.source_uid
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) AND t.remediation_id NOT IN (SELECT c.id FROM crowded AS c)
    UNION ALL SELECT q.id, t.children FROM (SELECT q.* FROM known AS q WHERE q.id IN (SELECT c.id FROM crowded AS c) OFFSET 0) AS q JOIN orchestration_audit AS t ON t.source_uid = q.uid AND t.remediation_id || '' = q.id
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[])
), silent AS MATERIALIZED (
    SELECT t.remediation_id AS id, t.source_namespace AS namespace, t.source_cluster AS cluster FROM orchestration AS t JOIN known AS q ON q.id = t.remediation_id AND q.uid = t.source_uid
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) AND t.remediation_id NOT IN (SELECT c.id FROM crowded AS c) GROUP BY 1, 2, 3
    HAVING bool_or(jsonb_typeof(t.services_invoked) = 'array' AND t.services_invoked <> '[]') AND NOT coalesce(bool_or(jsonb_typeof(t.children) = 'array' AND t.children <> '[]'), false)
), own AS MATERIALIZED (
    SELECT q.id, q.uid FROM known AS q
    UNION SELECT t.id, CASE WHEN c ->> 'uid' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (c ->> 'uid')::uuid END
    FROM named AS t CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(t.children) = 'array' THEN t.children ELSE '[]' END) AS c
    UNION (SELECT DISTINCT ON (t.remediation_id) t.remediation_id, t.source_uid FROM ai_analysis AS t JOIN silent AS s ON s.id = t.remediation_id
        AND s.namespace IS NOT DISTINCT FROM t.source_namespace AND s.cluster IS NOT DISTINCT FROM t.source_cluster
        WHERE t.source_uid IS NOT NULL AND t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) ORDER BY t.remediation_id, t.recorded_at, t.id)
    UNION (SELECT DISTINCT ON (t.remediation_id) t.remediation_id, t.source_uid FROM workflow_execution AS t JOIN silent AS s ON s.id = t.remediation_id
        AND s.namespace IS NOT DISTINCT FROM t.source_namespace AND s.cluster IS NOT DISTINCT FROM t.source_cluster
        WHERE t.source_uid IS NOT NULL AND t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) ORDER BY t.remediation_id, t.recorded_at, t.id)
    UNION (SELECT DISTINCT ON (t.remediation_id) t.remediation_id, t.source_uid FROM notification AS t JOIN silent AS s ON s.id = t.remediation_id
        AND s.namespace IS NOT DISTINCT FROM t.source_namespace AND s.cluster IS NOT DISTINCT FROM t.source_cluster
        WHERE t.source_uid IS NOT NULL AND t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) ORDER BY t.remediation_id, t.recorded_at, t.id)
), far AS MATERIALIZED (
    SELECT own.* FROM own WHERE own.id IN (SELECT c.id FROM crowded AS c)
)
SELECT 'orchestration_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM orchestration AS t JOIN own ON own.id = t.remediation_id AND own.uid = t.source_uid
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) AND t.remediation_id NOT IN (SELECT c.id FROM crowded AS c)
UNION ALL SELECT 'orchestration_audit', t.remediation_id, to_json(t) FROM far CROSS JOIN LATERAL (
    SELECT t.* FROM orchestration_audit AS t WHERE t.source_uid = far.uid AND t.remediation_id || '' = far.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) OFFSET 0) AS t
UNION ALL SELECT 'ai_analysis_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM ai_analysis AS t JOIN own ON own.id = t.remediation_id AND own.uid = t.source_uid
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) AND t.remediation_id NOT IN (SELECT c.id FROM crowded AS c)
UNION ALL SELECT 'ai_analysis_audit', t.remediation_id, to_json(t) FROM far CROSS JOIN LATERAL (
    SELECT t.* FROM ai_analysis_audit AS t WHERE t.source_uid = far.uid AND t.remediation_id || '' = far.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) OFFSET 0) AS t
UNION ALL SELECT 'workflow_execution_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM workflow_execution AS t JOIN own ON own.id = t.remediation_id AND own.uid = t.source_uid
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) AND t.remediation_id NOT IN (SELECT c.id FROM crowded AS c)
UNION ALL SELECT 'workflow_execution_audit', t.remediation_id, to_json(t) FROM far CROSS JOIN LATERAL (
    SELECT t.* FROM workflow_execution_audit AS t WHERE t.source_uid = far.uid AND t.remediation_id || '' = far.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) OFFSET 0) AS t
UNION ALL SELECT 'notification_audit' AS relation, t.remediation_id, to_json(t) AS columns FROM notification AS t JOIN own ON own.id = t.remediation_id AND own.uid = t.source_uid
    WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) AND t.remediation_id NOT IN (SELECT c.id FROM crowded AS c)
UNION ALL SELECT 'notification_audit', t.remediation_id, to_json(t) FROM far CROSS JOIN LATERAL (
    SELECT t.* FROM notification_audit AS t WHERE t.source_uid = far.uid AND t.remediation_id || '' = far.id AND t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[]) OFFSET 0) AS t
UNION ALL SELECT 'crowded', c.id, NULL FROM crowded AS c
UNION ALL SELECT 'other', o.id, to_json(o) FROM (
    SELECT g.*, sum(g.n) OVER of::bigint AS total, row_number() OVER (of ORDER BY g.first, g.first_id) AS place FROM (
        SELECT t.remediation_id AS id, t.relation, t.source_namespace, t.source_name, t.source_uid, t.recorded_by, count(*) AS n, min(t.recorded_at) AS first, min(t.row_id) AS first_id FROM (
            SELECT 'orchestration_audit' AS relation, t.remediation_id, t.source_namespace, t.source_name, t.source_uid, CASE WHEN t.source_uid IS NULL THEN t.recorded_by END AS recorded_by, t.recorded_at, t.id::text AS row_id FROM orchestration AS t WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[])
            UNION ALL SELECT 'ai_analysis_audit' AS relation, t.remediation_id, t.source_namespace, t.source_name, t.source_uid, CASE WHEN t.source_uid IS NULL THEN t.recorded_by END AS recorded_by, t.recorded_at, t.id::text AS row_id FROM ai_analysis AS t WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[])
            UNION ALL SELECT 'workflow_execution_audit' AS relation, t.remediation_id, t.source_namespace, t.source_name, t.source_uid, CASE WHEN t.source_uid IS NULL THEN t.recorded_by END AS recorded_by, t.recorded_at, t.id::text AS row_id FROM workflow_execution AS t WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[])
            UNION ALL SELECT 'notification_audit' AS relation, t.remediation_id, t.source_namespace, t.source_name, t.source_uid, CASE WHEN t.source_uid IS NULL THEN t.recorded_by END AS recorded_by, t.recorded_at, t.id::text AS row_id FROM notification AS t WHERE t.recorded_at <= $3 AND t.source_namespace = ANY($6::text[])
        ) AS t
        WHERE NOT EXISTS (SELECT FROM own WHERE own.id = t.remediation_id AND own.uid = t.source_uid) AND t.remediation_id NOT IN (SELECT c.id FROM crowded AS c)
        GROUP BY 1, 2, 3, 4, 5, 6
    ) AS g WINDOW of AS (PARTITION BY g.id, g.relation)
) AS o WHERE o.place <= $5
