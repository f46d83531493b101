package migrations

import (
	"context"
	"database/sql"
	"flag"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

var update = flag.Bool("update", false, "write testdata/schema.txt anew")

const golden = "testdata/schema.txt"

func dump(ctx context.Context, t *testing.T, db *sql.DB) string {
	t.Helper()
	text, err := Describe(ctx, db)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return text
}

// The schema is a promise: reports will read these columns without a migration. A change here is a decision, made with `go test ./migrations -update`.
func TestTheSchemaIsTheGoldenOne(t *testing.T) {
	g := NewWithT(t)
	db, _ := migrated(t)
	got := dump(t.Context(), t, db)
	if *update {
		g.Expect(os.WriteFile(golden, []byte(got), 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(golden)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Split(got, "\n")).To(Equal(strings.Split(string(want), "\n")))
}

// seed is the part of DD-AUDIT-001 that a change of the golden dump must not touch, TIMESTAMPTZ for TIMESTAMP and DOUBLE PRECISION for FLOAT.
var seed = map[string]string{
	"orchestration_audit": `id uuid not null, remediation_id character varying(255) not null, signal_fingerprint character varying(255) not null,
		signal_received_at timestamp with time zone not null, remediation_created_at timestamp with time zone not null, ai_analysis_started_at timestamp with time zone,
		workflow_started_at timestamp with time zone, notification_sent_at timestamp with time zone, completed_at timestamp with time zone, services_invoked jsonb,
		service_transitions jsonb, total_duration_seconds integer, bottleneck_phase character varying(50), bottleneck_duration_seconds integer`,
	"ai_analysis_audit": `id uuid not null, remediation_id character varying(255) not null, investigation_started_at timestamp with time zone not null,
		investigation_completed_at timestamp with time zone, holmesgpt_response_time_ms integer, root_cause text, root_cause_confidence double precision,
		recommended_action character varying(255), action_confidence double precision, action_rationale text, alternatives_considered jsonb,
		approval_status character varying(50), approval_time timestamp with time zone, approval_duration_seconds integer, approval_method character varying(50),
		approval_justification text, approved_by character varying(255), rejected_by character varying(255), rejection_reason text`,
	"workflow_execution_audit": `id uuid not null, remediation_id character varying(255) not null, workflow_id character varying(255) not null,
		execution_started_at timestamp with time zone not null, execution_completed_at timestamp with time zone, total_duration_seconds integer, steps_executed jsonb,
		total_steps integer, steps_succeeded integer, steps_failed integer, retries_performed integer, pre_conditions_passed boolean, post_conditions_passed boolean,
		validation_results jsonb, outcome character varying(50), effectiveness_score double precision, rollbacks_performed integer, adaptive_adjustments jsonb`,
	"notification_audit": `id uuid not null, remediation_id character varying(255) not null, notification_requested_at timestamp with time zone not null,
		notification_sent_at timestamp with time zone, delivery_confirmed_at timestamp with time zone, channels jsonb, delivery_attempts jsonb,
		delivery_status character varying(50)`,
}

func TestEveryColumnOfTheRequirementDocumentIsThere(t *testing.T) {
	g := NewWithT(t)
	db, _ := migrated(t)
	got := dump(t.Context(), t, db)
	for table, columns := range seed {
		for column := range strings.SplitSeq(columns, ",") {
			g.Expect(got).To(ContainSubstring("column " + table + "." + strings.TrimSpace(column) + "\n"))
		}
		g.Expect(got).To(ContainSubstring("column " + table + ".created_at timestamp with time zone not null default now()\n"))
		g.Expect(got).To(ContainSubstring("column " + table + ".tx xid8 not null default pg_current_xact_id()\n"))
		g.Expect(got).To(MatchRegexp(`index CREATE INDEX \S+ ON ` + table + ` USING btree \(tx\)\n`))
		g.Expect(got).To(MatchRegexp(`index CREATE INDEX \S+ ON ` + table + ` USING btree \(remediation_id( text_pattern_ops)?\)\n`))
	}
}
