-- The remediations that say that they ran a workflow, up to a bound: a list of a rare workflow starts from these. The index alone is read. Strangers' rows may be among them.
-- $1: the workflow. $2: how many.
SELECT w.remediation_id FROM workflow_execution_audit AS w WHERE w.workflow_id = $1 AND (w.sequence = 1 OR w.sequence IS NULL) LIMIT $2
