package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/internal/reportsapi"
	"github.com/holdfast-dev/holdfast/internal/testenv/plans"
	"github.com/holdfast-dev/holdfast/postgres"
)

// sameRows reads the rows that most reports are made of, and no more than that: its own, and of the newest 8 comparable ones before it the last rows of request and analysis. It looks at no execution
// of theirs, and not whether their alerts came back.
const sameRows = `WITH own AS MATERIALIZED (
	SELECT f.* FROM orchestration_audit AS f WHERE f.remediation_id = $1
), ended AS MATERIALIZED (
	SELECT o.alert_name, o.target_kind, o.signal_received_at, o.completed_at FROM own AS o WHERE o.final
), cases AS MATERIALIZED (
	SELECT c.* FROM ended AS e CROSS JOIN LATERAL (SELECT c.remediation_id, c.children FROM orchestration_audit AS c WHERE (c.final OR c.sequence IS NULL) AND c.alert_name = e.alert_name
		AND c.target_kind = e.target_kind AND c.completed_at < e.signal_received_at AND c.completed_at >= e.signal_received_at - interval '30 days' ORDER BY c.completed_at DESC, c.id DESC LIMIT 8) AS c
), children AS MATERIALIZED (
	SELECT (c ->> 'uid')::uuid AS uid, c ->> 'service' AS service FROM cases, jsonb_array_elements(cases.children) AS c
)
SELECT to_jsonb(o)::text FROM own AS o
UNION ALL SELECT to_jsonb(a)::text FROM ai_analysis_audit AS a WHERE a.remediation_id = $1
UNION ALL SELECT to_jsonb(w)::text FROM workflow_execution_audit AS w WHERE w.remediation_id = $1
UNION ALL SELECT to_jsonb(n)::text FROM notification_audit AS n WHERE n.remediation_id = $1
UNION ALL SELECT a.recommended_action FROM children AS c CROSS JOIN LATERAL (SELECT a.* FROM ai_analysis_audit AS a WHERE a.source_uid = c.uid ORDER BY a.sequence DESC LIMIT 1) AS a WHERE c.service = 'AIAnalysis'`

// buffers asks for the plan of every statement that the service sends for some requests: buffers are the same on a busy machine.
func (y *year) buffers(ctx context.Context) error {
	recorder := &plans.Recorder{}
	s, err := postgres.Open(ctx, y.url, postgres.Options{Tracer: recorder})
	if err != nil {
		return err
	}
	defer s.Close()
	server, err := reportsapi.New(reportsapi.Config{Store: s, Authorizer: reportsapi.NoAuth{}, Limits: reportsapi.Limits{RequestsPerSecond: 1e6, Burst: 1e6}})
	if err != nil {
		return err
	}
	handler := server.Handler()
	all := rarPath + window(historyEnd.AddDate(-1, 0, 0), historyEnd)
	scanned := 0
	explain := func(accept, path string) (plans.Plan, int, error) {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
		r.Header.Set("Accept", accept)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			return plans.Plan{}, 0, fmt.Errorf("%s: %d %.200s", path, answer.Code, answer.Body)
		}
		statements := recorder.Take()
		plan, err := plans.Explain(ctx, y.control, statements...)
		scanned += len(plan.Scanned)
		return plan, len(statements), err
	}
	var touched, floor, statements, fetched, planning, execution sample
	for _, id := range y.ids[:min(len(y.ids), 100)] {
		plan, n, err := explain("application/json", rarPath+"/"+id)
		if err != nil {
			return err
		}
		touched, statements, fetched = append(touched, float64(plan.Buffers)), append(statements, float64(n)), append(fetched, float64(plan.Fetched))
		least, err := plans.Explain(ctx, y.control, plans.Statement{SQL: sameRows, Arguments: []any{id}})
		if err != nil {
			return err
		}
		floor = append(floor, float64(least.Buffers))
		planning, execution = append(planning, plan.Planning), append(execution, plan.Execution)
	}
	y.report.add(reportsMeasure, "one report: buffers, p50", "", "<= 150", touched.percentile(50))
	y.report.add(reportsMeasure, "one report: buffers, p99", "", "", touched.percentile(99))
	y.report.add(reportsMeasure, "one report: buffers of the same rows by one plain query, p50", "", "", floor.percentile(50))
	y.report.add(reportsMeasure, "one report: statements", "", "", statements.percentile(100))
	y.report.add(reportsMeasure, "one report: rows that index-only scans fetched, p99", "", "", fetched.percentile(99))
	y.report.add(reportsMeasure, "one report: the database's planning, p50", "ms", "", planning.percentile(50))
	y.report.add(reportsMeasure, "one report: the database's execution, p50", "ms", "", execution.percentile(50))
	for _, list := range []struct{ name, path string }{
		{"a page of 100 summaries", all + "&view=summary"},
		{"a page of 100 summaries, by completion", all + "&view=summary&time=completed"},
		{"a page of 100 summaries, of an alert", all + "&view=summary&alert=PodAlert07"},
		{"a page of 100 summaries, of a workflow", all + "&view=summary&workflow=repair-07"},
		{"a page of 100 summaries, of an outcome", all + "&view=summary&outcome=failed"},
		{"a page of 100 summaries, of a namespace", all + "&view=summary&namespace=team-007"},
		{"a page of 100 reports", all + "&limit=100"},
		{"trends over 30 days", monthOfTrends()},
	} {
		plan, n, err := explain("application/json", list.path)
		if err != nil {
			return err
		}
		y.report.add(reportsMeasure, list.name+": buffers", "", "", float64(plan.Buffers))
		if strings.HasSuffix(list.name, "reports") {
			y.report.add(reportsMeasure, list.name+": statements", "", "", float64(n))
		}
	}
	if _, _, err := explain("application/x-ndjson", rarPath+window(historyEnd.Add(-24*time.Hour), historyEnd)); err != nil {
		return err
	}
	y.report.add(reportsMeasure, "sequential scans in all of these plans", "", "<= 0", float64(scanned))
	return nil
}
