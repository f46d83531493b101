package reportsapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/testenv/plans"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

// year is a service on a year of remediations, whose statements are recorded.
type year struct {
	*service
	recorder *plans.Recorder
	control  *pgx.Conn
	ids      []string
}

// here is byToken for rows without a cluster, as that year has them.
type here struct{ byToken }

func (h here) Authorize(ctx context.Context, bearer, verb string, named []string) (Caller, error) {
	c, err := h.byToken.Authorize(ctx, bearer, verb, named)
	c.Readable.Cluster = ""
	return c, err
}

func newYear(t *testing.T, remediations int) *year {
	t.Helper()
	g := NewWithT(t)
	y := &year{service: start(t), recorder: &plans.Recorder{}}
	text, err := os.ReadFile("../../postgres/testdata/year.sql")
	g.Expect(err).NotTo(HaveOccurred())
	y.control, err = pgx.Connect(t.Context(), y.dsn)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = y.control.Close(t.Context()) })
	_, err = y.control.Exec(t.Context(), fmt.Sprintf(string(text), remediations))
	g.Expect(err).NotTo(HaveOccurred())
	for _, table := range append(models.Tables(), models.TableDeadLetter) {
		_, err = y.control.Exec(t.Context(), "VACUUM (ANALYZE) "+table)
		g.Expect(err).NotTo(HaveOccurred())
	}
	rows, err := y.control.Query(t.Context(), `SELECT remediation_id FROM orchestration_audit WHERE sequence = 1 AND source_namespace = 'shop-3' AND signal_received_at > '2026-10-01' ORDER BY signal_received_at LIMIT 20`)
	g.Expect(err).NotTo(HaveOccurred())
	y.ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(y.ids).NotTo(BeEmpty())
	store, err := postgres.Open(t.Context(), y.dsn, postgres.Options{Tracer: y.recorder})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(store.Close)
	y.server, err = New(Config{Store: store, Authorizer: here{}, Limits: Limits{RequestsPerSecond: 1e6, Burst: 1e6}, Now: y.server.now})
	g.Expect(err).NotTo(HaveOccurred())
	return y
}

// statements are those of one request.
func (y *year) statements(path, token, accept string) []plans.Statement {
	y.t.Helper()
	g := NewWithT(y.t)
	r := httptest.NewRequestWithContext(y.t.Context(), http.MethodGet, path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	y.server.Handler().ServeHTTP(answer, r)
	g.Expect(answer.Code).To(Equal(http.StatusOK), answer.Body.String())
	all := y.recorder.Take()
	g.Expect(all).NotTo(BeEmpty())
	return all
}

func (y *year) explain(statements []plans.Statement) plans.Plan {
	y.t.Helper()
	p, err := plans.Explain(y.t.Context(), y.control, statements...)
	NewWithT(y.t).Expect(err).NotTo(HaveOccurred())
	return p
}

// A report takes as many statements and buffers in a large table as in a small one, but for a level of the indexes. No plan reads a table from end to end, whoever asks.
func TestAReportCostsTheSameInATableOfAnySize(t *testing.T) {
	g := NewWithT(t)
	most := map[int]int{}
	for _, remediations := range []int{1_000, 10_000} {
		y := newYear(t, remediations)
		for _, token := range []string{"all", "shop-3,shop-5"} {
			for _, id := range y.ids {
				asked := y.statements(reports+"/"+id, token, "application/json")
				g.Expect(len(asked)).To(BeNumerically("<=", 8), "and 8 where a channel failed")
				p := y.explain(asked)
				g.Expect(p.Scanned).To(BeEmpty(), "%d remediations, %s", remediations, token)
				most[remediations] = max(most[remediations], p.Buffers)
				g.Expect(p.Buffers).To(BeNumerically("<=", 600), "%s, as %s", id, token)
			}
		}
		t.Logf("%d remediations: at most %d buffers", remediations, most[remediations])
	}
}

// A page of the list of a workflow costs about the same in a table of any size, whether the workflow is common or rare: the list stops when the page is full, or starts from the few.
func TestAListOfAWorkflowIsBounded(t *testing.T) {
	g := NewWithT(t)
	const list = reports + "?start=2025-11-23T00:00:00Z&end=2026-11-23T00:00:00Z&view=summary&limit=50&workflow="
	for _, remediations := range []int{1_000, 10_000} {
		y := newYear(t, remediations)
		for workflow, most := range map[string]int{"restart-0": 1_000, "restart-13": 3_000, "restart-none": 50} {
			for _, order := range []string{"received", "completed"} {
				asked := y.statements(list+workflow+"&time="+order, "all", "application/json")
				p := y.explain(asked)
				t.Logf("%d remediations, %s by %s: %d statements, %d buffers", remediations, workflow, order, len(asked), p.Buffers)
				g.Expect(p.Scanned).To(BeEmpty())
				g.Expect(p.Buffers).To(BeNumerically("<=", most), "%d remediations, %s by %s", remediations, workflow, order)
			}
		}
	}
}

// A stream asks per page, not per report.
func TestAStreamAsksForManyReportsAtOnce(t *testing.T) {
	g := NewWithT(t)
	y := newYear(t, 10_000)
	const day = "?start=2026-11-10T00:00:00Z&end=2026-11-17T00:00:00Z" // 192 remediations
	for _, token := range []string{"all", "shop-3,shop-5"} {
		asked := y.statements(reports+day, token, ndjson)
		t.Logf("%s: %d statements", token, len(asked))
		g.Expect(len(asked)).To(BeNumerically("<=", 60), "of 192 reports: 8 for fifty, and 7 more for one that was posted")
		g.Expect(y.explain(asked).Scanned).To(BeEmpty(), token)
	}
}

// Strangers may write any number of rows under the id of a remediation. These make neither the reports nor the lists of others slower, in which that remediation is a case or a line.
func TestAFloodUnderACaseCostsOthersNothing(t *testing.T) {
	g := NewWithT(t)
	y := newYear(t, 1_000)
	id := y.ids[len(y.ids)-1]
	const year = "?start=2025-11-23T00:00:00Z&end=2026-11-23T00:00:00Z&view=summary&workflow=restart-1"
	asked := map[string][]plans.Statement{}
	for _, token := range []string{"all", "shop-3"} {
		for _, path := range []string{reports + "/" + id, reports + year, reports + year + "&time=completed"} {
			asked[token+" "+path] = y.statements(path, token, "application/json")
		}
	}
	before := map[string]int{}
	for name, statements := range asked {
		before[name] = y.explain(statements).Buffers
	}
	for table, more := range map[string]string{"ai_analysis_audit (investigation_started_at, ": "", "workflow_execution_audit (workflow_id, execution_started_at, ": "'strange', "} {
		_, err := y.control.Exec(t.Context(), fmt.Sprintf(`INSERT INTO %s id, remediation_id, source_namespace, source_name, source_uid, sequence, event, phase, final, recorded_at, schema_version, entry_hash, entry)
			SELECT %s f.recorded_at, gen_random_uuid(), f.remediation_id, f.source_namespace, 'stranger', gen_random_uuid(), 1, 'Strange', '', true, f.recorded_at, 1, 'x', repeat('x', 500)
			FROM orchestration_audit AS f, generate_series(1, 100) WHERE f.final AND f.remediation_id <> '%s'`, table, more, id))
		g.Expect(err).NotTo(HaveOccurred())
	}
	_, err := y.control.Exec(t.Context(), "VACUUM (ANALYZE) ai_analysis_audit, workflow_execution_audit")
	g.Expect(err).NotTo(HaveOccurred())
	for name, statements := range asked {
		after := y.explain(statements).Buffers
		t.Logf("%s: %d buffers, and %d with 100 rows of strangers in two tables for each", name, before[name], after)
		// An index may have become a level deeper; what a list finds may be found from the other end.
		g.Expect(after).To(BeNumerically("<=", 2*before[name]+100), name)
	}
}
