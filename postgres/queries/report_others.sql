-- Whose rows stand under the ids of some reports, beside the remediations' own: by resource, or by caller where they were posted, in each table those who came first.
-- Anybody may write any number of them, so they are counted, and of each table no more than a bound is looked at.
-- $1: the remediation ids. $2, $3: ids and the uids of each one's resources. $4: as_of. $5: how many rows of a table are looked at. $6: how many resources and callers of a table are named.
-- $7: the namespaces that the caller may read.
SELECT q.id, o.* FROM unnest($1::text[]) AS q(id) CROSS JOIN LATERAL (
    (SELECT 'orchestration_audit' AS relation, f.source_namespace, f.source_name, f.source_uid, CASE WHEN f.source_uid IS NULL THEN f.recorded_by END AS recorded_by, count(*) AS n, sum(count(*)) OVER ()::bigint AS total
        FROM (SELECT t.* FROM orchestration_audit AS t WHERE t.remediation_id = q.id AND t.recorded_at <= $4
            AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::uuid[]) AS own(id, uid) WHERE own.id = q.id AND own.uid = t.source_uid) LIMIT $5) AS f
        WHERE f.source_namespace = ANY($7::text[])
        GROUP BY 2, 3, 4, 5 ORDER BY min(f.recorded_at), min(f.id::text) LIMIT $6)
    UNION ALL     (SELECT 'ai_analysis_audit' AS relation, f.source_namespace, f.source_name, f.source_uid, CASE WHEN f.source_uid IS NULL THEN f.recorded_by END AS recorded_by, count(*) AS n, sum(count(*)) OVER ()::bigint AS total
        FROM (SELECT t.* FROM ai_analysis_audit AS t WHERE t.remediation_id = q.id AND t.recorded_at <= $4
            AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::uuid[]) AS own(id, uid) WHERE own.id = q.id AND own.uid = t.source_uid) LIMIT $5) AS f
        WHERE f.source_namespace = ANY($7::text[])
        GROUP BY 2, 3, 4, 5 ORDER BY min(f.recorded_at), min(f.id::text) LIMIT $6)
    UNION ALL     (SELECT 'workflow_execution_audit' AS relation, f.source_namespace, f.source_name, f.source_uid, CASE WHEN f.source_uid IS NULL THEN f.recorded_by END AS recorded_by, count(*) AS n, sum(count(*)) OVER ()::bigint AS total
        FROM (SELECT t.* FROM workflow_execution_audit AS t WHERE t.remediation_id = q.id AND t.recorded_at <= $4
            AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::uuid[]) AS own(id, uid) WHERE own.id = q.id AND own.uid = t.source_uid) LIMIT $5) AS f
        WHERE f.source_namespace = ANY($7::text[])
        GROUP BY 2, 3, 4, 5 ORDER BY min(f.recorded_at), min(f.id::text) LIMIT $6)
    UNION ALL     (SELECT 'notification_audit' AS relation, f.source_namespace, f.source_name, f.source_uid, CASE WHEN f.source_uid IS NULL THEN f.recorded_by END AS recorded_by, count(*) AS n, sum(count(*)) OVER ()::bigint AS total
        FROM (SELECT t.* FROM notification_audit AS t WHERE t.remediation_id = q.id AND t.recorded_at <= $4
            AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::uuid[]) AS own(id, uid) WHERE own.id = q.id AND own.uid = t.source_uid) LIMIT $5) AS f
        WHERE f.source_namespace = ANY($7::text[])
        GROUP BY 2, 3, 4, 5 ORDER BY min(f.recorded_at), min(f.id::text) LIMIT $6)
) AS o
