-- What stands beside the rows of some reports: rows of kinds that have no table of their own, and entries that could not become rows. Neither has a remediation_id: they are
-- found by the resources of the reports.
-- as_of cuts dead letters by first_attempt. That is what the writer said, as recorded_at of a row is: of a dead letter the database itself says only tx.
-- $1: source_uid of the reports' rows, uid of the children that they name, and the remediation id where it is a UUID. $2: as_of.
SELECT 'resource_audit' AS relation, t.source_uid::text, to_json(t) AS columns
    FROM resource_audit AS t WHERE t.source_uid = ANY($1::uuid[]) AND t.recorded_at <= $2
UNION ALL SELECT 'audit_dead_letter', d.source_uid::text, to_json(d)
    FROM audit_dead_letter AS d WHERE d.source_uid = ANY($1::uuid[]) AND d.first_attempt <= $2
