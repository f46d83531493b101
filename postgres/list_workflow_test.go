package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
)

// Whichever way a list of a workflow is read, page after page it has every remediation once, in its order, and no other; also where strangers claim a thousand new executions of that workflow, which
// makes a list seem near that is not.
func TestAListOfAWorkflowIsWhole(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	s := open(t, url)
	c, err := pgx.Connect(t.Context(), url)
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close(t.Context())
	fillYear(t, c, 5000)
	ids := func(l List) []string {
		all := []string{}
		for {
			var page []Summary
			g.Expect(s.Snapshot(t.Context(), Readable{Everything: true}, func(ctx context.Context, q *Snapshot) (err error) {
				page, err = q.List(ctx, l)
				return err
			})).To(Succeed())
			for _, one := range page {
				all = append(all, one.RemediationID)
			}
			if len(page) < l.Limit {
				return all
			}
			place := page[len(page)-1].Place(l.Completed)
			l.After = &place
		}
	}
	for _, strange := range []bool{false, true} {
		if strange {
			_, err := c.Exec(t.Context(), `INSERT INTO workflow_execution_audit (workflow_id, execution_started_at, id, remediation_id, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at,
				schema_version, entry_hash, entry) SELECT 'restart-3', f.recorded_at, gen_random_uuid(), f.remediation_id, 'strange', 'stranger', gen_random_uuid(), 1, 'Strange', '', true, f.recorded_at, 1, 'x', 'x'
				FROM orchestration_audit AS f WHERE f.final AND f.recorded_at > '2026-09-01' ORDER BY f.recorded_at DESC LIMIT 1000`)
			g.Expect(err).NotTo(HaveOccurred())
		}
		for _, workflow := range []string{"restart-0", "restart-3", "restart-13", "none"} {
			for _, l := range []List{{}, {Completed: true}, {Outcome: "failed"}} {
				l.Start, l.End, l.Limit, l.Workflow = end.AddDate(0, -6, 0), end.Add(-time.Hour), 100, workflow
				order := "signal_received_at"
				if l.Completed {
					order = "completed_at"
				}
				rows, err := c.Query(t.Context(), `SELECT r.remediation_id FROM orchestration_audit AS f JOIN orchestration_audit AS r ON r.source_uid = f.source_uid AND r.sequence = CASE WHEN $5 THEN 4 ELSE 1 END
					WHERE f.final AND ($4 = '' OR f.outcome = $4) AND f.`+order+` >= $1 AND f.`+order+` < $2
						AND f.remediation_id IN (SELECT remediation_id FROM workflow_execution_audit WHERE workflow_id = $3 AND source_namespace <> 'strange') ORDER BY r.`+order+` DESC, r.id DESC`,
					l.Start, l.End, workflow, l.Outcome, l.Completed)
				g.Expect(err).NotTo(HaveOccurred())
				want, err := pgx.CollectRows(rows, pgx.RowTo[string])
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(len(want) > 0 || l.Outcome != "").To(Equal(workflow != "none" || l.Outcome != ""), "%s %+v", workflow, l)
				g.Expect(ids(l)).To(Equal(want), "%s %+v", workflow, l)
			}
		}
	}
}
