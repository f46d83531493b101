package postgres

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/models"
)

// question is one file of queries/, with values for its parameters and the indexes that its plan must use: "a|b" is one of the two, where rows that lie in the order of time
// make an index of all rows as good as one of some. Indexes beside them are the planner's choice.
type question struct {
	arguments []any
	indexes   []string
}

// The year that testdata/year.sql fills: remediation 1 is the oldest.
var (
	end     = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	month   = end.AddDate(0, 0, -30)
	deep    = end.AddDate(0, 0, -20)
	lastID  = "ffffffff-ffff-ffff-ffff-ffffffffffff"
	someID  = "80000000-0000-0000-0000-000000000000"
	readers = []string{"shop-1", "shop-3", "shop-5", "shop-8", "shop-13"}
)

func pageFrom(from time.Time, id string, more ...any) []any {
	return append([]any{month, end, from, id, 100}, more...)
}

// few is a caller who may read few namespaces.
var few = func() *Readable {
	r := &Readable{Since: map[string]time.Time{}}
	for _, name := range readers {
		r.Since[name] = month.AddDate(-1, 0, 0)
	}
	return r
}()

func repeated(text string, n int) []string { return slices.Repeat([]string{text}, n) }

func questions(target, fingerprint, remediation, posted, name string, uids, cases []string) map[string]question {
	trend := []any{month, end, readers}
	remediationIDs := []string{"orchestration_audit_remediation_id_idx", "ai_analysis_audit_remediation_id_idx", "workflow_execution_audit_remediation_id_idx", "notification_audit_remediation_id_idx"}
	places := []string{"orchestration_audit_source_uid_sequence_key", "ai_analysis_audit_source_uid_sequence_key", "workflow_execution_audit_source_uid_sequence_key",
		"notification_audit_source_uid_sequence_key", "resource_audit_source_uid_sequence_key", "audit_dead_letter_source_uid_sequence_idx"}
	names := []string{"orchestration_audit_source_namespace_source_name_idx", "ai_analysis_audit_source_namespace_source_name_idx", "workflow_execution_audit_source_namespace_source_name_idx",
		"notification_audit_source_namespace_source_name_idx", "resource_audit_source_namespace_source_name_idx"}
	verdicts := []string{"ai_analysis_final_started|ai_analysis_audit_investigation_started_at_idx", "orchestration_audit_remediation_id_idx", "workflow_execution_audit_remediation_id_idx", "orchestration_first_fingerprint"}
	const newest = "orchestration_audit_source_uid_sequence_key"
	alerts, kinds := []string{"PodAlert7"}, []string{"Deployment"}
	cohort := func(namespaces any) []any {
		return []any{alerts, kinds, []time.Time{end}, []float64{300}, MaxCohort, end, namespaces}
	}
	recent := func(namespaces any) []any {
		needs := `{"verdicts": ["restart-1", "restart-2"], "bin": 3, "investigator": "holmesgpt", "model": "model-1"}`
		return []any{alerts, kinds, []time.Time{month}, []time.Time{end}, []string{needs}, 15, end, maxPosted, namespaces}
	}
	joined := []string{"orchestration_final_alert", places[1], places[2], "orchestration_first_fingerprint"}
	return map[string]question{
		"list_received":             {pageFrom(deep, someID), []string{"orchestration_first_received", newest}},
		"list_completed":            {pageFrom(deep, someID), []string{"orchestration_final_completed|orchestration_audit_completed_at_idx"}},
		"list_received_namespaces":  {pageFrom(deep, someID, readers), []string{"orchestration_first_namespace", newest}},
		"list_completed_namespaces": {pageFrom(deep, someID, readers), []string{"orchestration_final_namespace"}},
		"list_received_outcome":     {pageFrom(deep, someID, "rejected"), []string{"orchestration_final_outcome_received|orchestration_final_outcome"}},
		"list_completed_outcome":    {pageFrom(deep, someID, "rejected"), []string{"orchestration_final_outcome"}},
		"list_received_alert":       {pageFrom(deep, someID, "PodAlert7"), []string{"orchestration_first_alert", newest}},
		"list_completed_alert":      {pageFrom(deep, someID, "PodAlert7"), []string{"orchestration_final_alert"}},
		"list_workflow":             {[]any{"restart-3", maxRan}, []string{"workflow_execution_first_workflow"}},
		"list_workflow_near":        {[]any{"restart-3", month, deep, 200, 1000}, []string{"workflow_execution_first_workflow", "orchestration_first_received"}},
		"list_received_q":           {pageFrom(end, lastID, fingerprint[:7], fingerprint[:7]+"\U0010ffff"), []string{"orchestration_first_fingerprint", "orchestration_first_name", "orchestration_audit_remediation_id_idx", newest}},
		"list_completed_q":          {pageFrom(end, lastID, fingerprint[:7], fingerprint[:7]+"\U0010ffff"), []string{"orchestration_first_fingerprint", "orchestration_first_name", "orchestration_audit_remediation_id_idx"}},
		"report_rows":               {[]any{repeated(remediation, len(uids)), uids, end, maxUnder, maxOthers, readers}, remediationIDs},
		"report_posted":             {[]any{posted, end}, remediationIDs},
		"report_others":             {[]any{[]string{remediation}, []string{remediation}, uids[:1], end, 10_001, 25, readers}, remediationIDs},
		"report_beside":             {[]any{uids, end}, places[4:]},
		"recurrence":                {[]any{[]string{fingerprint}, []string{target}, []string{"shop-3"}, []string{""}, []time.Time{month.AddDate(0, -9, 0)}, []time.Time{end}, 100, readers}, []string{"orchestration_first_fingerprint"}},
		"cohort":                    {cohort(nil), []string{"orchestration_final_alert"}},
		"cohort_cases":              {recent(nil), joined},
		"cohort_deliveries":         {[]any{slices.Repeat([]int{0}, len(cases)), cases, []int{0}, []string{"console"}, end, 50, readers}, []string{"orchestration_audit_pkey", "notification_audit_remediation_id_idx"}},
		"trends_outcomes":           {append(slices.Clone(trend), 20), []string{"orchestration_final_completed"}},
		"trends_days":               {append(slices.Clone(trend), "day"), []string{"orchestration_final_completed"}},
		"trends_bottlenecks":        {trend, []string{"orchestration_final_completed"}},
		"trends_alerts":             {append(slices.Clone(trend), 20), []string{"orchestration_final_completed"}},
		"trends_received":           {append(slices.Clone(trend), end), []string{"orchestration_first_namespace|orchestration_first_received", "orchestration_final_completed"}},
		"trends_repairs":            {append(slices.Clone(trend), month.AddDate(0, 0, -30)), []string{"orchestration_final_completed"}},
		"trends_spread":             {append(slices.Clone(trend), month.AddDate(0, 0, -30)), []string{"orchestration_final_completed"}},
		"trends_workflows":          {append(slices.Clone(trend), 20), []string{"workflow_execution_final_started"}},
		"trends_approvals":          {trend, []string{"ai_analysis_final_started"}},
		"trends_ai":                 {append(slices.Clone(trend), end), verdicts},
		"trends_decisions": {append(slices.Clone(trend), end, 20), []string{"ai_analysis_final_started|ai_analysis_audit_investigation_started_at_idx", "workflow_execution_final_started|workflow_execution_audit_execution_started_at_idx",
			"orchestration_final_completed|orchestration_final_namespace|orchestration_audit_completed_at_idx", "orchestration_first_received|orchestration_first_namespace", "orchestration_first_fingerprint"}},
		"trends_targets":        {append(slices.Clone(trend), 20), []string{"orchestration_final_completed|orchestration_final_namespace|orchestration_audit_completed_at_idx"}},
		"trends_deliveries":     {append(slices.Clone(trend), 20), []string{"notification_audit_notification_requested_at_idx"}},
		"trends_examples":       {[]any{cases, cases, readers}, []string{"orchestration_audit_pkey", "workflow_execution_audit_pkey"}},
		"resource_entries":      {[]any{uids[0], 1, 100, "orchestration_audit", uids[0], []byte{}}, places},
		"resource_uids":         {[]any{"", "shop-3", name}, names},
		"resource_uids_cluster": {[]any{"backups.example.com", "backup-12"}, names},
	}
}

// indexOnly are those that read no row.
var indexOnly = []string{"list_workflow", "list_workflow_near", "trends_outcomes", "trends_received", "trends_repairs", "trends_spread", "trends_days", "trends_bottlenecks", "trends_alerts", "trends_workflows", "trends_approvals"}

// The indexes of the first schema answer the questions of the reports that come later. 10^5 rows by default; HOLDFAST_FULL=1 takes 10^6, which is minutes on a small machine.
func TestEveryQuestionHasItsIndex(t *testing.T) {
	g := NewWithT(t)
	rows := 100_000
	if os.Getenv("HOLDFAST_FULL") == "1" {
		rows = 1_000_000
	}
	c, err := pgx.Connect(t.Context(), database(t))
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close(t.Context())
	fillYear(t, c, rows/10)

	var target, fingerprint, remediation, posted, name string
	var uids, cases []string
	g.Expect(c.QueryRow(t.Context(), `SELECT target::text, signal_fingerprint, remediation_id, source_name FROM orchestration_audit WHERE final AND source_namespace = 'shop-3' AND signal_received_at > '2026-11-01' ORDER BY id LIMIT 1`).
		Scan(&target, &fingerprint, &remediation, &name)).To(Succeed())
	g.Expect(c.QueryRow(t.Context(), `SELECT remediation_id FROM orchestration_audit WHERE source_uid IS NULL LIMIT 1`).Scan(&posted)).To(Succeed())
	g.Expect(c.QueryRow(t.Context(), `SELECT array_agg(id::text) FROM (SELECT id FROM orchestration_audit WHERE final AND alert_name = 'PodAlert7' ORDER BY completed_at DESC LIMIT 100) AS f`).Scan(&cases)).To(Succeed())
	g.Expect(c.QueryRow(t.Context(), `SELECT array_agg(DISTINCT source_uid::text) FROM (SELECT remediation_id, source_uid FROM orchestration_audit UNION ALL SELECT remediation_id, source_uid FROM ai_analysis_audit) AS r
		WHERE remediation_id = $1`, remediation).Scan(&uids)).To(Succeed())

	all := questions(target, fingerprint, remediation, posted, name, uids, cases)
	files, err := filepath.Glob("queries/*.sql")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(files).To(HaveLen(len(all)), "each file is asked")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sql")
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			q, known := all[name]
			g.Expect(known).To(BeTrue())
			text, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			arguments, asked := q.arguments, string(text)
			if slices.Contains([]string{"cohort", "cohort_cases"}, name) {
				asked, arguments = (&Readable{Everything: true}).restrict(asked, arguments)
			}
			p := explained(t, c, asked, arguments)
			t.Logf("%d rows, %.1f ms, %d buffers, indexes %s", p.rows, p.milliseconds, p.buffers, strings.Join(p.indexes, " "))
			g.Expect(p.scanned).To(BeEmpty(), "tables that are read whole")
			for _, one := range q.indexes {
				g.Expect(p.indexes).To(ContainElement(BeElementOf(strings.Split(one, "|"))), "expected "+one)
			}
			if slices.Contains(indexOnly, name) {
				g.Expect(p.fetching).To(BeEmpty(), "nodes that read rows")
			}
			if name == "cohort" {
				g.Expect(p.fetching).To(Or(BeEmpty(), HaveEach("orchestration_audit_pkey")), "of what was posted alone the row is read")
			}
			if name != "report_beside" {
				g.Expect(p.rows).NotTo(BeZero(), "a question that nothing answers shows no plan")
			}
			restricted, arguments := few.restrict(string(text), slices.Clone(q.arguments))
			g.Expect(explained(t, c, restricted, arguments).scanned).To(BeEmpty(), "tables that are read whole for a caller who may read few namespaces")
		})
	}
	_, err = c.Exec(t.Context(), "SET enable_seqscan = off") // as in a snapshot
	g.Expect(err).NotTo(HaveOccurred())
	for _, completed := range []bool{false, true} {
		for _, l := range []List{{}, {Alert: "PodAlert7"}, {Outcome: "rejected"}, {Workflow: "restart-3"}, {Prefix: fingerprint[:7]}, {Prefix: "request-1", Alert: "PodAlert7", Outcome: "remediated", Workflow: "restart-3"},
			{After: &ListPlace{deep, someID}}, {Namespaces: readers[:1], Alert: "PodAlert7"}} {
			l.Start, l.End, l.Limit, l.Completed = month, end, 100, completed
			for _, b := range []listing{{readable: few}, {readable: &Readable{Everything: true}}, {readable: &Readable{Everything: true}, of: []string{remediation}}, {readable: &Readable{Everything: true}, of: []string{remediation}, along: true}} {
				b.List = l
				text, arguments := b.compose()
				g.Expect(explained(t, c, text, arguments).scanned).To(BeEmpty(), "%+v", l)
			}
		}
	}
}

func fillYear(t *testing.T, c *pgx.Conn, remediations int) {
	t.Helper()
	g := NewWithT(t)
	text, err := os.ReadFile("testdata/year.sql")
	g.Expect(err).NotTo(HaveOccurred())
	begin := time.Now()
	_, err = c.Exec(t.Context(), fmt.Sprintf(string(text), remediations))
	g.Expect(err).NotTo(HaveOccurred())
	for _, table := range append(models.Tables(), models.TableDeadLetter) {
		_, err = c.Exec(t.Context(), "VACUUM (ANALYZE) "+table)
		g.Expect(err).NotTo(HaveOccurred())
	}
	t.Logf("%d remediations in %s", remediations, time.Since(begin).Round(time.Second))
}

// node is one of EXPLAIN (FORMAT JSON).
type node struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Hit      int     `json:"Shared Hit Blocks"`
	Read     int     `json:"Shared Read Blocks"`
	Plans    []node
}

type planned struct {
	milliseconds               float64
	rows, buffers              int
	indexes, scanned, fetching []string
}

var auditTable = regexp.MustCompile(`_audit$|^audit_`)

func explained(t *testing.T, c *pgx.Conn, query string, arguments []any) planned {
	t.Helper()
	g := NewWithT(t)
	var text []byte
	for range 2 { // the second is warm
		g.Expect(c.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+query, append([]any{pgx.QueryExecModeCacheDescribe}, arguments...)...).Scan(&text)).To(Succeed())
	}
	var answer []struct {
		Plan node
		Time float64 `json:"Execution Time"`
	}
	g.Expect(json.Unmarshal(text, &answer)).To(Succeed())
	p := planned{milliseconds: answer[0].Time, rows: int(answer[0].Plan.Rows), buffers: answer[0].Plan.Hit + answer[0].Plan.Read}
	p.walk(answer[0].Plan)
	slices.Sort(p.indexes)
	p.indexes = slices.Compact(p.indexes)
	return p
}

func (p *planned) walk(n node) {
	if n.Loops == 0 { // a branch for another reader
		return
	}
	switch {
	case n.Type == "Seq Scan" && auditTable.MatchString(n.Relation):
		p.scanned = append(p.scanned, n.Relation)
	case (n.Type == "Index Scan" || n.Type == "Bitmap Heap Scan") && auditTable.MatchString(n.Relation):
		p.fetching = append(p.fetching, cmp.Or(n.Index, n.Type+" "+n.Relation))
	}
	if n.Index != "" {
		p.indexes = append(p.indexes, n.Index)
	}
	for _, below := range n.Plans {
		p.walk(below)
	}
}
