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
	var touched, statements, fetched, planning, execution sample
	for _, id := range y.ids[:min(len(y.ids), 100)] {
		plan, n, err := explain("application/json", rarPath+"/"+id)
		if err != nil {
			return err
		}
		touched, statements, fetched = append(touched, float64(plan.Buffers)), append(statements, float64(n)), append(fetched, float64(plan.Fetched))
		planning, execution = append(planning, plan.Planning), append(execution, plan.Execution)
	}
	y.report.add(reportsMeasure, "one report: buffers, p50", "", "<= 150", touched.percentile(50))
	y.report.add(reportsMeasure, "one report: buffers, p99", "", "", touched.percentile(99))
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
