-- The remediations of rows that an index named. Who may read a row is asked again.
-- $1: the ids of requests. $2: the ids of executions. $3: the namespaces that the caller may read.
SELECT f.id, f.remediation_id FROM orchestration_audit AS f WHERE f.id = ANY($1::uuid[]) AND f.source_namespace = ANY($3::text[])
UNION ALL
SELECT w.id, w.remediation_id FROM workflow_execution_audit AS w WHERE w.id = ANY($2::uuid[]) AND w.source_namespace = ANY($3::text[])
