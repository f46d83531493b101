package postgres

import (
	"context"
	"fmt"
)

// Services that a remediation invokes, as services_invoked names them.
const (
	ServiceAIAnalysis        = "AIAnalysis"
	ServiceWorkflowExecution = "WorkflowExecution"
	ServiceNotification      = "Notification"
)

// Incomplete is a remediation whose trail lacks something that its newest row mentions.
type Incomplete struct {
	ID              string `bun:"id"`
	RemediationID   string `bun:"remediation_id"`
	SourceCluster   string `bun:"source_cluster"`
	SourceNamespace string `bun:"source_namespace"`
	SourceName      string `bun:"source_name"`
	SourceUID       string `bun:"source_uid"`
	Sequence        int64  `bun:"sequence"`
	Outcome         string `bun:"outcome"`
	// Service is what has no entry in the trail, of a remediation that has ended. With Undecided it is the analysis.
	Service string `bun:"service"`
	// Undecided: a workflow was invoked, or the outcome is remediated, and no analysis has an approval.
	Undecided bool `bun:"undecided"`
}

// incomplete looks at the newest row of each request that was a resource: rows that were posted over REST are no trail of a resource, and prove nothing. Children live in their
// request's cluster and namespace. A dead letter that names the remediation may be what is missing. services_invoked and children may be any JSON: a row need not be an honest writer's.
// A row that names the children that it made has their rows, and their dead letters, there and nowhere else: anybody may make another analysis under the same remediation_id, by hand.
const incomplete = `
WITH newest AS (
	SELECT DISTINCT ON (source_uid) id, remediation_id, outcome, services_invoked, final, source_cluster, source_namespace, source_name, source_uid, sequence, children
	FROM orchestration_audit WHERE source_uid IS NOT NULL AND sequence IS NOT NULL ORDER BY source_uid, sequence DESC
), children AS (
	SELECT 'AIAnalysis' AS service, remediation_id, source_cluster, source_namespace, source_uid, final AND approval_status IN ('approved', 'auto-approved') AS decided
	FROM ai_analysis_audit WHERE source_uid IS NOT NULL AND sequence IS NOT NULL
	UNION ALL SELECT 'WorkflowExecution', remediation_id, source_cluster, source_namespace, source_uid, false FROM workflow_execution_audit WHERE source_uid IS NOT NULL AND sequence IS NOT NULL
	UNION ALL SELECT 'Notification', remediation_id, source_cluster, source_namespace, source_uid, false FROM notification_audit
	WHERE source_uid IS NOT NULL AND sequence IS NOT NULL AND coalesce(purpose, '') IN ('', 'Outcome') -- one that asked for a decision is not the one that told the end
), claimed AS (
	SELECT n.*, s.service, false AS undecided FROM newest AS n,
		jsonb_array_elements_text(CASE WHEN jsonb_typeof(services_invoked) = 'array' THEN services_invoked ELSE '[]' END) AS s(service)
	WHERE n.final AND s.service IN ('AIAnalysis', 'WorkflowExecution', 'Notification')
	UNION ALL SELECT n.*, 'AIAnalysis', true FROM newest AS n WHERE outcome = 'remediated' OR services_invoked @> '["WorkflowExecution"]'
), claims AS (
	SELECT *, nullif(jsonb_path_query_array(children, '$[*] ? (@.service == $s && @.uid != "").uid', jsonb_build_object('s', service)), '[]') AS made FROM claimed
)
SELECT id, remediation_id, coalesce(source_cluster, '') AS source_cluster, coalesce(source_namespace, '') AS source_namespace, coalesce(source_name, '') AS source_name, source_uid::text, sequence,
	coalesce(outcome, '') AS outcome, service, undecided
FROM claims AS c
WHERE NOT EXISTS (
	SELECT FROM children AS k
	WHERE k.remediation_id = c.remediation_id AND k.service = c.service AND (k.source_cluster, k.source_namespace) IS NOT DISTINCT FROM (c.source_cluster, c.source_namespace)
	AND (c.made IS NULL OR c.made @> to_jsonb(k.source_uid::text)) AND (k.decided OR NOT c.undecided)
)
AND NOT EXISTS (
	SELECT FROM audit_dead_letter AS d
	WHERE d.redriven_at IS NULL AND (c.made IS NULL OR c.made @> to_jsonb(d.source_uid::text))
	AND position(convert_to('"remediation_id":' || to_json(c.remediation_id), 'UTF8') IN coalesce(d.entry_bytes, convert_to(d.entry, 'UTF8'))) > 0
	AND (d.kind = 'unknown' OR d.kind = CASE c.service WHEN 'AIAnalysis' THEN 'ai-decision' WHEN 'WorkflowExecution' THEN 'execution' ELSE 'notification' END
		AND (d.source_cluster, d.source_namespace) IS NOT DISTINCT FROM (c.source_cluster, c.source_namespace))
)
ORDER BY source_uid, undecided, service`

// Incomplete returns the remediations whose trail lacks a decision, or the entries of something that they invoked.
func (s *Store) Incomplete(ctx context.Context) ([]Incomplete, error) {
	var found []Incomplete
	if err := s.db.NewRaw(incomplete).Scan(ctx, &found); err != nil {
		return nil, fmt.Errorf("find remediations with an incomplete trail: %w", explain(err))
	}
	return found, nil
}
