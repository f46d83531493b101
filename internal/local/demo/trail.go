//go:build unix

package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// show is one table of the end: its title, its columns, and the query that fills them.
type show struct {
	title   string
	columns []string
	sql     string
}

// Each query shows the newest row of each resource, which has the whole record; the target names what it is about.
var shows = []show{
	{
		"orchestration_audit", []string{"target", "signal", " rows", "outcome", " seconds", "bottleneck", "services invoked"},
		`SELECT target->>'name', signal_context->>'name', sequence::text, outcome, total_duration_seconds::text,
			bottleneck_phase, (SELECT string_agg(s, ', ') FROM jsonb_array_elements_text(services_invoked) s)
		FROM orchestration_audit WHERE final ORDER BY remediation_created_at, source_name`,
	},
	{
		"ai_analysis_audit", []string{"target", "recommended", " sure %", "approval", "by", "why"},
		`SELECT o.target->>'name', a.recommended_action, a.action_confidence::text, a.approval_status, COALESCE(a.approved_by, a.rejected_by),
			left(COALESCE(a.rejection_reason, a.approval_justification), 60)
		FROM ai_analysis_audit a JOIN orchestration_audit o ON o.remediation_id = a.remediation_id AND o.final WHERE a.final ORDER BY o.remediation_created_at, o.source_name`,
	},
	{
		"workflow_execution_audit", []string{"target", "workflow", " rows", "outcome", " steps", " rolled back", " effect %", "failure"},
		`SELECT o.target->>'name', w.workflow_id, w.sequence::text, w.outcome, w.steps_succeeded || '/' || w.total_steps, w.rollbacks_performed::text,
			w.effectiveness_score::text, left(w.failure_reason, 60)
		FROM workflow_execution_audit w JOIN orchestration_audit o ON o.remediation_id = w.remediation_id AND o.final WHERE w.final ORDER BY o.remediation_created_at, o.source_name`,
	},
	{
		"notification_audit", []string{"target", "channels", "delivery", "subject"},
		`SELECT o.target->>'name', (SELECT string_agg(s, ', ') FROM jsonb_array_elements_text(n.channels) s), n.delivery_status, n.subject
		FROM notification_audit n JOIN orchestration_audit o ON o.remediation_id = n.remediation_id AND o.final WHERE n.final ORDER BY o.remediation_created_at, o.source_name`,
	},
}

// trail shows what the database knows of resources that are gone.
func (d *demo) trail(ctx context.Context) error {
	d.heading("8  The resources are gone, the trail remains", "The last row of each resource, with some of its columns:")
	for _, s := range shows {
		rows, err := d.ledger.table(ctx, s.columns, s.sql)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		if len(rows) == 1 {
			return fmt.Errorf("%s: no row is final, expected one for each resource that ended", s.title)
		}
		d.print(fmt.Sprintf(" %s\n", d.paint(cyan, s.title)))
		d.table(rows)
		d.print("\n")
	}
	return d.kubectl(ctx, "history", "rr/"+d.names["checkout"], "-n", namespace)
}

// selfCheck lets the product check its own trail, as its users do. Its exit status says whether the trail is whole.
func (d *demo) selfCheck(ctx context.Context) error {
	d.heading("10 holdfast verify: every hash and column is checked against the stored bytes")
	cmd := exec.CommandContext(ctx, d.program, "verify")
	cmd.Env = append(d.stack.Env(), "TMPDIR="+os.TempDir())
	answer, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(answer)) {
		d.print("   " + line)
	}
	if err != nil {
		return fmt.Errorf("holdfast verify: %w", err)
	}
	return nil
}
