package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const reportsMeasure = "reports"

// reports measures `holdfast reports` on a year of remediations: what one report, a page of a list and a stream take, beside the same rows read by one plain query; then what it does when it is
// asked for twice as much as it can.
func reports(ctx context.Context, b *bench) error {
	y, err := newYear(ctx, b)
	if err != nil {
		return err
	}
	defer y.close(context.WithoutCancel(ctx))
	service, address, err := b.startReports(ctx, y.url)
	if err != nil {
		return err
	}
	defer func() { _ = service.end() }()
	y.service, y.caller = service, &caller{url: address, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}}
	defer y.caller.http.CloseIdleConnections()
	idle := service.memory("VmRSS")
	for _, measured := range []func(context.Context) error{
		y.oneReport, y.pages, y.browsed, y.fingerprints, y.trends, func(ctx context.Context) error { return y.stream(ctx, idle) }, y.buffers, func(ctx context.Context) error { return y.hostile(ctx, idle) },
	} {
		if err := measured(ctx); err != nil {
			return err
		}
	}
	return nil
}

const rarPath = "/api/v2/rar"

// timed is how long something takes, once a value, in ms; the first pass over all warms up.
func timed[T any](values []T, do func(T) error) (took sample, _ error) {
	for pass := range 2 {
		for _, v := range values {
			begin := time.Now()
			if err := do(v); err != nil {
				return nil, err
			}
			if pass > 0 {
				took = append(took, milliseconds(time.Since(begin)))
			}
		}
	}
	return took, nil
}

// addTimes adds the median and the tail beside those of the floor.
func (y *year) addTimes(what, target string, took, floor sample) {
	y.report.add(reportsMeasure, what+": p50", "ms", "", took.percentile(50))
	y.report.add(reportsMeasure, what+": p99", "ms", target, took.percentile(99))
	if floor != nil {
		y.report.add(reportsMeasure, what+": the same rows by one plain query, p50", "ms", "", floor.percentile(50))
		y.report.add(reportsMeasure, what+": the same rows by one plain query, p99", "ms", "", floor.percentile(99))
	}
}

const plainRows = `SELECT entry FROM orchestration_audit WHERE remediation_id = ANY($1) UNION ALL SELECT entry FROM ai_analysis_audit WHERE remediation_id = ANY($1)
	UNION ALL SELECT entry FROM workflow_execution_audit WHERE remediation_id = ANY($1) UNION ALL SELECT entry FROM notification_audit WHERE remediation_id = ANY($1)`

func (y *year) plain(ctx context.Context, query string, arguments ...any) error {
	rows, err := y.control.Query(ctx, query, arguments...)
	if err != nil {
		return err
	}
	_, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return err
}

func (y *year) oneReport(ctx context.Context) error {
	floor, err := timed(y.ids, func(id string) error { return y.plain(ctx, plainRows, []string{id}) })
	if err != nil {
		return err
	}
	for _, f := range []struct{ name, path, accept, target string }{
		{"JSON", rarPath, "application/json", "<= 50"}, {"HTML", rarPath, "text/html", "<= 100"}, {"page of the browser", "/remediations", "text/html", "<= 100"},
	} {
		var took sample
		err := y.cost("one report as "+f.name, 2*len(y.ids), func() (err error) {
			took, err = timed(y.ids, func(id string) error {
				_, err := y.caller.read(ctx, f.path+"/"+id, f.accept)
				return err
			})
			return err
		})
		if err != nil {
			return err
		}
		y.addTimes("one report as "+f.name, f.target, took, floor)
		floor = nil // it is the same
	}
	return nil
}

// window is the whole year.
func window(from, to time.Time) string {
	return "?start=" + from.Format(time.RFC3339) + "&end=" + to.Format(time.RFC3339)
}

func (y *year) pages(ctx context.Context) error {
	const summaries = "&view=summary"
	all := rarPath + window(historyEnd.AddDate(-1, 0, 0), historyEnd) + summaries
	// Cursors are of one question, which has no limit: so large pages lead to the places of small ones.
	cursors, err := y.walk(ctx, all+"&limit=500")
	if err != nil {
		return err
	}
	for _, page := range []struct {
		name string
		at   int
	}{{"first", 0}, {"middle", len(cursors) / 2}, {"last", len(cursors) - 1}} {
		path := all + "&limit=100"
		at := historyEnd
		if cursors[page.at].next != "" {
			path += "&next=" + url.QueryEscape(cursors[page.at].next)
			at = cursors[page.at].last
		}
		again := make([]int, y.size(100))
		took, err := timed(again, func(int) error {
			_, err := y.caller.read(ctx, path, "application/json")
			return err
		})
		if err != nil {
			return err
		}
		floor, err := timed(again, func(int) error {
			return y.plain(ctx, `SELECT signal_context ->> 'name' FROM orchestration_audit WHERE (sequence = 1 OR sequence IS NULL) AND signal_received_at < $1 ORDER BY signal_received_at DESC, id DESC LIMIT 100`, at)
		})
		if err != nil {
			return err
		}
		y.addTimes("a page of 100, "+page.name+" of the list", "<= 30", took, floor)
	}
	return nil
}

// cursor is where a page begins, and the time of the last item before it.
type cursor struct {
	next string
	last time.Time
}

// walk goes through a list to its end.
func (y *year) walk(ctx context.Context, path string) ([]cursor, error) {
	places := []cursor{{}}
	for {
		from := path
		if next := places[len(places)-1].next; next != "" {
			from += "&next=" + url.QueryEscape(next)
		}
		text, err := y.caller.read(ctx, from, "application/json")
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []struct {
				ReceivedAt time.Time `json:"received_at"`
			} `json:"items"`
			Next string `json:"next"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, err
		}
		if page.Next == "" {
			return places, nil
		}
		places = append(places, cursor{page.Next, page.Items[len(page.Items)-1].ReceivedAt})
	}
}

// browsed reads the list and the trends as a browser does.
func (y *year) browsed(ctx context.Context) error {
	for _, page := range []struct {
		name, path, target string
		times              int
	}{
		{"the list as a page of the browser", "/" + window(historyEnd.AddDate(-1, 0, 0), historyEnd), "<= 100", 100},
		{"trends over 30 days as a page of the browser", "/trends" + window(historyEnd.AddDate(0, 0, -30), historyEnd), "<= 1000", 10},
	} {
		took, err := timed(make([]int, y.size(page.times)), func(int) error {
			_, err := y.caller.read(ctx, page.path, "text/html")
			return err
		})
		if err != nil {
			return err
		}
		y.addTimes(page.name, page.target, took, nil)
	}
	return nil
}

func (y *year) fingerprints(ctx context.Context) error {
	rows, err := y.control.Query(ctx, "SELECT DISTINCT signal_fingerprint FROM orchestration_audit WHERE remediation_id = ANY($1)", y.ids)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	took, err := timed(all, func(fingerprint string) error {
		_, err := y.caller.read(ctx, rarPath+window(historyEnd.AddDate(-1, 0, 0), historyEnd)+"&view=summary&q="+fingerprint, "application/json")
		return err
	})
	if err != nil {
		return err
	}
	floor, err := timed(all, func(fingerprint string) error {
		return y.plain(ctx, "SELECT remediation_id FROM orchestration_audit WHERE (sequence = 1 OR sequence IS NULL) AND signal_fingerprint = $1", fingerprint)
	})
	y.addTimes("recurrence of a fingerprint", "<= 30", took, floor)
	return err
}

// monthOfTrends is the last month of the year.
func monthOfTrends() string {
	return "/api/v2/trends" + window(historyEnd.AddDate(0, 0, -30), historyEnd)
}

func (y *year) trends(ctx context.Context) error {
	again := make([]int, y.size(20))
	var took sample
	err := y.cost("trends over 30 days", 2*len(again), func() (err error) {
		took, err = timed(again, func(int) error {
			_, err := y.caller.read(ctx, monthOfTrends(), "application/json")
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	floor, err := timed(again, func(int) error {
		return y.plain(ctx, `SELECT count(*) || coalesce(outcome, '') FROM orchestration_audit WHERE (final OR sequence IS NULL) AND completed_at >= $1::timestamptz - interval '30 days' AND completed_at < $1
			GROUP BY outcome, target, signal_fingerprint`, historyEnd)
	})
	y.addTimes("trends over 30 days", "<= 1000", took, floor)
	return err
}

// stream reads a range as lines, and the same rows plainly.
func (y *year) stream(ctx context.Context, idle float64) error {
	want := y.size(3000)
	from := historyEnd
	if err := y.control.QueryRow(ctx, `SELECT min(signal_received_at) FROM (SELECT signal_received_at FROM orchestration_audit WHERE (sequence = 1 OR sequence IS NULL) AND signal_received_at < $1
		ORDER BY signal_received_at DESC, id DESC LIMIT $2) AS r`, historyEnd, want).Scan(&from); err != nil {
		return err
	}
	from = from.Truncate(time.Second)
	var rates, floor, above, service, database, possible sample
	for range y.rounds(3) {
		highest, stop := y.watch()
		serviceBefore, databaseBefore := y.spent()
		begin := time.Now()
		n, err := y.lines(ctx, rarPath+window(from, historyEnd))
		rates = append(rates, float64(n)/time.Since(begin).Seconds())
		stop()
		if err != nil {
			return err
		}
		above = append(above, *highest-idle)
		serviceAfter, databaseAfter := y.spent()
		service, database = append(service, 1000*(serviceAfter-serviceBefore)/float64(n)), append(database, 1000*(databaseAfter-databaseBefore)/float64(n))
		possible = append(possible, float64(n)*float64(runtime.NumCPU())/(serviceAfter-serviceBefore+databaseAfter-databaseBefore))
		begin = time.Now()
		if n, err = y.plainRange(ctx, from); err != nil {
			return err
		}
		floor = append(floor, float64(n)/time.Since(begin).Seconds())
	}
	y.report.add(reportsMeasure, "range as NDJSON", "reports/s", ">= 500", rates...)
	y.report.add(reportsMeasure, "range as NDJSON: the service's CPU", "ms", "", service...)
	y.report.add(reportsMeasure, "range as NDJSON: the database's CPU", "ms", "", database...)
	y.report.add(reportsMeasure, "range as NDJSON: what that makes possible with all processors for both", "reports/s", "", possible...)
	y.report.add(reportsMeasure, "range as NDJSON: the same rows by plain queries of 100", "remediations/s", "", floor...)
	y.report.add(reportsMeasure, "range as NDJSON: the service's memory above idle, at its highest", "MiB", "<= 64", above...)
	return nil
}

// watch looks at the service's memory again and again.
func (y *year) watch() (highest *float64, stop func()) {
	highest = new(float64)
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			*highest = max(*highest, y.service.memory("VmRSS"))
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return highest, func() { close(end); <-done }
}

// lines counts the reports of a stream, which must have its last line.
func (y *year) lines(ctx context.Context, path string) (n int, _ error) {
	answer, err := y.caller.get(ctx, path, "application/x-ndjson")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	scanner := bufio.NewScanner(answer.Body)
	scanner.Buffer(nil, 64<<20)
	last := ""
	for scanner.Scan() {
		n++
		last = scanner.Text()[:min(200, len(scanner.Bytes()))]
	}
	if err := scanner.Err(); err != nil {
		return 0, err
	}
	if !strings.HasPrefix(last, `{"end":`) {
		return 0, errors.New("the stream was cut: " + last)
	}
	return n - 1, nil
}

func (y *year) plainRange(ctx context.Context, from time.Time) (n int, _ error) {
	rows, err := y.control.Query(ctx, "SELECT remediation_id FROM orchestration_audit WHERE (sequence = 1 OR sequence IS NULL) AND signal_received_at >= $1 ORDER BY signal_received_at DESC", from)
	if err != nil {
		return 0, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	for at := 0; at < len(ids); at += 100 {
		if err := y.plain(ctx, plainRows, ids[at:min(at+100, len(ids))]); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// hostile asks for twice as many reports as the service can make, whether or not it has answered the earlier ones.
func (y *year) hostile(ctx context.Context, idle float64) error {
	next := 0
	var mu sync.Mutex
	path := func() string {
		mu.Lock()
		defer mu.Unlock()
		next++
		return rarPath + "/" + y.ids[next%len(y.ids)]
	}
	capacity, _, err := closedLoop(ctx, 8, time.Duration(y.size(4000))*time.Millisecond, func(ctx context.Context) error {
		_, err := y.caller.read(ctx, path(), "application/json")
		return err
	})
	if err != nil {
		return err
	}
	highest, stop := y.watch()
	var accepted sample
	refused, share, later, other := 0, 0, 0, 0
	var asked sync.WaitGroup
	err = pace(ctx, int(2*capacity)*y.size(10), 2*capacity, func(int, time.Time) {
		asked.Go(func() {
			begin := time.Now()
			answer, err := y.caller.get(ctx, path(), "application/json")
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && answer.StatusCode == http.StatusOK:
				accepted = append(accepted, milliseconds(time.Since(begin)))
			case err == nil && (answer.StatusCode == http.StatusServiceUnavailable || answer.StatusCode == http.StatusTooManyRequests):
				if refused++; answer.StatusCode == http.StatusTooManyRequests {
					share++
				}
				if answer.Header.Get("Retry-After") != "" {
					later++
				}
			default:
				other++
			}
		})
	})
	asked.Wait()
	stop()
	if err != nil {
		return err
	}
	const name = "twice the capacity: "
	total := float64(len(accepted) + refused + other)
	percent := func(n int) float64 { return 100 * float64(n) / total }
	y.report.add(reportsMeasure, "reports by 8 callers", "reports/s", "", capacity)
	y.report.add(reportsMeasure, name+"asked", "requests/s", "", 2*capacity)
	y.report.add(reportsMeasure, name+"accepted", "%", "", percent(len(accepted)))
	y.report.add(reportsMeasure, name+"refused with 503", "%", "", percent(refused-share))
	y.report.add(reportsMeasure, name+"refused with 429: the caller has its share", "%", "", percent(share))
	y.report.add(reportsMeasure, name+"of these with Retry-After", "%", ">= 100", 100*float64(later)/max(1, float64(refused)))
	y.report.add(reportsMeasure, name+"other answers, and none", "%", "<= 0", percent(other))
	y.report.add(reportsMeasure, name+"p50 of the accepted", "ms", "", accepted.percentile(50))
	y.report.add(reportsMeasure, name+"p99 of the accepted", "ms", "<= 2000", accepted.percentile(99))
	y.report.add(reportsMeasure, name+"the service's memory above idle, at its highest", "MiB", "<= 64", *highest-idle)
	return nil
}
