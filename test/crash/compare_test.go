package crash

import (
	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/test/oracle"
)

// durable counts the entries of one resource that are rows or dead letters.
func durable(uid types.UID) (n int64, err error) {
	err = database.QueryRowContext(ctx, `SELECT count(DISTINCT sequence) FROM (
		SELECT source_uid, sequence FROM orchestration_audit UNION ALL SELECT source_uid, sequence FROM ai_analysis_audit UNION ALL
		SELECT source_uid, sequence FROM workflow_execution_audit UNION ALL SELECT source_uid, sequence FROM notification_audit UNION ALL
		SELECT source_uid, sequence FROM audit_dead_letter) AS stored WHERE source_uid = $1`, string(uid)).Scan(&n)
	return n, err
}

// compare asks the oracle whether the database has exactly what was appended, and checks which entries are dead letters.
func (w *world) compare(s *scenario) {
	connection, err := pgx.Connect(ctx, env.DatabaseURL)
	w.Expect(err).NotTo(HaveOccurred())
	defer connection.Close(ctx)
	var report oracle.Report
	w.Eventually(func() ([]oracle.Difference, error) {
		if err := watching.CaughtUp(ctx); err != nil {
			return nil, err
		}
		report, err = watching.Judge(ctx, connection, w.namespace)
		return report.Differences, err
	}).Should(s.differences())
	w.Expect(report.Total.Appended).NotTo(BeZero())
	w.Expect(report.Total.Unseen).To(BeZero(), "entries that were appended without being seen")
	w.Expect(deadLetters(w.namespace)).To(Equal(s.dead))
}

// differences matches what the oracle may find: nothing, or the entry that the scenario itself tampered with: its text has not the hash that the chain has.
func (s *scenario) differences() OmegaMatcher {
	if s.tampered == "" {
		return BeEmpty()
	}
	return And(Not(BeEmpty()), HaveEach(And(HaveField("Class", Or(Equal(oracle.Changed), Equal(oracle.ChainBreak))), HaveField("Name", s.tampered), HaveField("Sequence", s.dead[s.tampered]))))
}

// deadLetters are the sequences of a namespace's dead letters, by the name of the resource; nil for none.
func deadLetters(namespace string) (map[string]int64, error) {
	rows, err := database.QueryContext(ctx, `SELECT source_name, sequence FROM audit_dead_letter WHERE source_namespace = $1`, namespace)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found map[string]int64
	for rows.Next() {
		var name string
		var sequence int64
		if err := rows.Scan(&name, &sequence); err != nil {
			return nil, err
		}
		if found == nil {
			found = map[string]int64{}
		}
		found[name] = sequence
	}
	return found, rows.Err()
}
