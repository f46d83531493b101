-- How far a list goes, from a place on, until some executions of a workflow have begun: back to when, and in how many rows, up to a bound. The indexes alone are read. Strangers' executions may be among
-- them, so what it says is a guess.
-- $1: the workflow. $2, $3: the start of the window, and the time of the place. $4: how many executions. $5: the bound.
WITH near AS (
    SELECT greatest($2::timestamptz, (SELECT w.execution_started_at FROM workflow_execution_audit AS w
        WHERE w.workflow_id = $1 AND (w.sequence = 1 OR w.sequence IS NULL) AND w.execution_started_at < $3 ORDER BY w.execution_started_at DESC, w.id DESC OFFSET $4 LIMIT 1)) AS since
)
SELECT near.since, (SELECT count(*) FROM (
    SELECT FROM orchestration_audit AS f WHERE (f.sequence = 1 OR f.sequence IS NULL) AND f.signal_received_at >= (SELECT since FROM near) AND f.signal_received_at < $3 LIMIT $5) AS r) AS rows
FROM near
