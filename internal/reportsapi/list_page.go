package reportsapi

import (
	"bytes"
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/rar"
)

// rowsOfPage is how many remediations the page of the list has.
const rowsOfPage = 50

// listPage is what the template list shows.
type listPage struct {
	rar.Shell
	Problem     *httpapi.Problem
	Start, End  outboxapi.Time
	Completed   bool
	Days        []day
	Next, First string
}

// ProblemTitle says what is wrong in words of people.
func (p *listPage) ProblemTitle() string { return problemTitle(p.Problem) }

// day has the rows of one.
type day struct {
	Day  string
	Rows []listedRow
}

type listedRow struct {
	Item
	At                outboxapi.Time
	URL, Where, Ended string
	// Seconds are those of a report: from the signal to the completion. Null while it is open.
	Seconds *float64
}

// listedPage shows a page of the list. Parameters that are not as they should be are shown beside the form.
func (s *Server) listedPage(x *httpapi.Exchange, r *request) *httpapi.Problem {
	l := &listed{}
	var since string
	l.list.Start, l.list.End, since = s.pageWindow(r.params)
	l.list.Completed = r.choice("time", "received", "completed") == "completed"
	l.list.Namespaces = r.namespaces
	l.list.Outcome, l.list.Alert, l.list.Workflow, l.list.Prefix = r.text("outcome"), r.text("alert"), r.text("workflow"), r.text("q")
	l.list.Limit = rowsOfPage
	l.after(r.params)
	bad := r.refused()
	if bad != nil && !browses(r.Request) {
		return bad
	}

	p := &listPage{Shell: rar.Shell{Title: "Remediations", Site: &rar.Site{Section: pathListPage, Ranges: rangesOf(pathListPage, r, since), Fields: listFields(r, l)}},
		Problem: bad, Completed: l.list.Completed, Start: outboxapi.NewTime(l.list.Start), End: outboxapi.NewTime(l.list.End)}
	status := http.StatusOK
	if bad != nil {
		status = bad.Status
	} else {
		found, refused := s.page(r, l)
		if refused != nil {
			return refused
		}
		q := r.question()
		q.Del("since")
		q.Set("start", l.list.Start.Format(time.RFC3339))
		q.Set("end", l.list.End.Format(time.RFC3339))
		q.Del("next")
		p.Site.Commands = listCommands(q)
		if l.list.After != nil {
			p.First = pathListPage + "?" + q.Encode()
		}
		if found.next != "" {
			q.Set("next", found.next)
			p.Next = pathListPage + "?" + q.Encode()
		}
		p.Days = daysOf(found, l.list.Completed)
	}
	var text bytes.Buffer
	if err := listTemplate.Execute(&text, p); err != nil {
		return s.failed(err)
	}
	if status == http.StatusOK && unchanged(x, r, tagOfContent(pageFormat.name, text.String())) {
		return nil
	}
	s.write(x, status, pageFormat.contentType, text.Bytes())
	return nil
}

func listFields(r *request, l *listed) []rar.Field {
	outcomes := []rar.Link{{Text: "any"}}
	for _, outcome := range []string{"remediated", "no-action", "rejected", "failed", "timed-out", "cancelled"} {
		outcomes = append(outcomes, rar.Link{Text: outcome, URL: outcome})
	}
	fields := []rar.Field{
		r.field("Begins with", "q", "name, fingerprint or id"), r.field("Alert", "alert", "PodOOMKilled"), r.choiceField("Outcome", "outcome", outcomes),
		r.field("Workflow", "workflow", "restart-pods"),
	}
	fields = append(fields, r.namespaceFields()...)
	fields = append(fields, r.choiceField("Window of", "time", []rar.Link{{Text: "signal", URL: "received"}, {Text: "completion", URL: "completed"}}))
	return append(fields, r.windowFields(l.list.Start, l.list.End)...)
}

func listCommands(q url.Values) []string {
	command := "holdfast rar list" + flags(q, [][2]string{{"start", "--start"}, {"end", "--end"}, {"namespace", "--namespace"}, {"outcome", "--outcome"}, {"alert", "--alert"}, {"workflow", "--workflow"}, {"q", "--query"}})
	if q.Get("time") == "completed" {
		command += " --completed"
	}
	api := url.Values{"view": {viewSummary}}
	maps.Copy(api, q)
	return []string{command + " -o json", curl(pathReports + "?" + api.Encode())}
}

func daysOf(found *foundPage, completed bool) []day {
	var all []day
	for i := range found.rows {
		row := listedRow{Item: itemOf(&found.rows[i])}
		row.At = row.ReceivedAt
		if completed && row.CompletedAt != nil {
			row.At = *row.CompletedAt
		}
		row.URL = rar.ReportURL(row.RemediationID)
		row.Where = row.Name
		if t := row.Target; t != nil {
			row.Where = t.Name
		}
		row.Where = strings.TrimPrefix(row.Namespace+"/"+row.Where, "/")
		row.Ended = cmp.Or(row.Outcome, "unknown")
		if row.CompletedAt != nil {
			row.Seconds = ptr.To(row.CompletedAt.Time.Sub(row.ReceivedAt.Time).Seconds())
		} else {
			row.Ended = "open"
		}
		name := row.At.UTC().Format("Monday, 2 January 2006")
		if len(all) == 0 || all[len(all)-1].Day != name {
			all = append(all, day{Day: name})
		}
		all[len(all)-1].Rows = append(all[len(all)-1].Rows, row)
	}
	return all
}
