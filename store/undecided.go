package store

import (
	"context"
	"fmt"
)

// Undecided is a remediation that acted although its trail has no decision to.
type Undecided struct {
	ID              string `bun:"id"`
	SourceCluster   string `bun:"source_cluster"`
	SourceNamespace string `bun:"source_namespace"`
	SourceName      string `bun:"source_name"`
	SourceUID       string `bun:"source_uid"`
	Sequence        int64  `bun:"sequence"`
	Outcome         string `bun:"outcome"`
}

// undecided picks the newest row of each remediation whose newest row says that a workflow was invoked, or that it ended as remediated, and whose trail has neither the final row of an
// analysis with an approval nor a dead letter that could be it. Rows that were posted over REST are no trail of a resource, and prove nothing.
const undecided = `
SELECT id, coalesce(source_cluster, '') AS source_cluster, coalesce(source_namespace, '') AS source_namespace, coalesce(source_name, '') AS source_name, source_uid, sequence,
	coalesce(outcome, '') AS outcome
FROM (
	SELECT DISTINCT ON (source_uid) * FROM orchestration_audit WHERE source_uid IS NOT NULL AND sequence IS NOT NULL ORDER BY source_uid, sequence DESC
) AS newest
WHERE (outcome = 'remediated' OR services_invoked @> '["WorkflowExecution"]')
AND NOT EXISTS (
	SELECT FROM ai_analysis_audit AS a
	WHERE a.remediation_id = newest.remediation_id AND a.source_uid IS NOT NULL AND a.sequence IS NOT NULL AND a.final
	AND a.approval_status IN ('approved', 'auto-approved')
	AND (a.source_cluster, a.source_namespace) IS NOT DISTINCT FROM (newest.source_cluster, newest.source_namespace)
)
AND NOT EXISTS (
	SELECT FROM audit_dead_letter AS d WHERE d.kind = 'ai-decision' AND d.redriven_at IS NULL AND position(newest.remediation_id IN d.entry) > 0
)
ORDER BY source_uid`

// Undecided returns the remediations that acted without a decision.
func (s *Store) Undecided(ctx context.Context) ([]Undecided, error) {
	var found []Undecided
	if err := s.db.NewRaw(undecided).Scan(ctx, &found); err != nil {
		return nil, fmt.Errorf("look for remediations without a decision: %w", explain(err))
	}
	return found, nil
}
