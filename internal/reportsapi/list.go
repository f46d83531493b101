package reportsapi

import (
	"context"
	"encoding/json"
	"net/http"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// Views of a list, and how many are on a page by default and at most.
const (
	viewFull    = "full"
	viewSummary = "summary"

	fullPage, fullMost       = 20, 100
	summaryPage, summaryMost = 100, 500
	// streamPage is a page of a stream.
	streamPage = 100
)

// Item is a remediation in a list, as JSON. Its names are those of a report's summary.
type Item struct {
	RemediationID string          `json:"remediation_id"`
	Cluster       string          `json:"cluster,omitempty"`
	Namespace     string          `json:"namespace,omitempty"`
	Name          string          `json:"name,omitempty"`
	UID           string          `json:"uid,omitempty"`
	Alert         string          `json:"alert"`
	Severity      string          `json:"severity"`
	Target        *models.Target  `json:"target"`
	ReceivedAt    outboxapi.Time  `json:"received_at"`
	Phase         string          `json:"phase"`
	Outcome       string          `json:"outcome"`
	CompletedAt   *outboxapi.Time `json:"completed_at"`
	// TotalSeconds runs from signal to completion, as in the report.
	TotalSeconds *float64 `json:"total_seconds"`
	Bottleneck   string   `json:"bottleneck"`
}

func itemOf(s *postgres.Summary) Item {
	one := Item{
		RemediationID: s.RemediationID, Cluster: s.SourceCluster, Namespace: s.SourceNamespace, Name: s.SourceName, UID: s.SourceUID, Alert: s.AlertName, Severity: s.Severity,
		ReceivedAt: s.SignalReceivedAt, Phase: s.Phase, Outcome: s.Outcome, CompletedAt: s.CompletedAt, Bottleneck: s.BottleneckPhase,
	}
	if s.CompletedAt != nil && !s.CompletedAt.Time.Before(s.SignalReceivedAt.Time) {
		one.TotalSeconds = ptr.To(s.CompletedAt.Time.Sub(s.SignalReceivedAt.Time).Seconds())
	}
	if json.Unmarshal(s.Target, &one.Target) != nil {
		one.Target = nil // what is no target of ours is shown by the report
	}
	return one
}

// Unreadable stands in a list for a report that cannot be made of its rows: whoever may write the rows of one remediation must not hide the others.
type Unreadable struct {
	RemediationID string           `json:"remediation_id"`
	Problem       *httpapi.Problem `json:"problem"`
}

// listed is what a list is asked for.
type listed struct {
	wanted
	list   postgres.List
	full   bool
	stream bool
}

func (s *Server) listed(r *request) (*listed, *httpapi.Problem) {
	l := &listed{stream: streams(r.Request)}
	l.list.Start, l.list.End = r.window()
	l.list.Completed = r.choice("time", "received", "completed") == "completed"
	l.list.Namespaces = r.namespaces
	l.list.Outcome, l.list.Alert, l.list.Workflow, l.list.Prefix = r.text("outcome"), r.text("alert"), r.text("workflow"), r.text("q")
	l.full = r.choice("view", viewFull, viewSummary) == viewFull
	standard, most := fullPage, fullMost
	if !l.full {
		standard, most = summaryPage, summaryMost
	}
	l.list.Limit = r.number("limit", standard, 1, most)
	l.wanted = s.wanted(r.params)
	l.after(r.params)
	if l.stream && r.values.Has("limit") {
		r.fault("limit", "is for pages; a stream has all of the window")
	}
	return l, r.refused()
}

// after reads the place to go on from.
func (l *listed) after(p *params) {
	l.list.After = placeOf[postgres.ListPlace](p, l.question())
	if at := l.list.After; at != nil {
		if _, err := models.UUID(at.ID); err != nil || at.At.Year() < 1 || at.At.Year() > 9998 {
			p.fault("next", "is no cursor of this list")
		}
	}
}

// question is all of a list's parameters but the place: a cursor is of one question.
func (l *listed) question() any {
	question := l.list
	question.After, question.Limit = nil, 0
	return []any{question, l.full}
}

// list answers with a page, or with a stream of all pages.
func (s *Server) list(x *httpapi.Exchange, r *request) *httpapi.Problem {
	if r.values.Get("narrative") == narrativeGenerate {
		r.fault("narrative", "is generate, which is for one report or a batch (POST %s); expected none or cached", pathBatch)
	}
	l, refused := s.listed(r)
	if refused != nil {
		return refused
	}
	if l.stream {
		return s.streamed(x, r, func(out *lines) *httpapi.Problem {
			return s.stream(r, l, func(id string, item any, refused *httpapi.Problem) *httpapi.Problem {
				switch {
				case refused == nil:
					return out.item(item)
				case refused.Status == http.StatusUnprocessableEntity:
					out.counts.Total++
					out.counts.Failed++
					return out.line(Unreadable{id, refused})
				}
				return refused
			})
		})
	}
	page, refused := s.page(r, l)
	if refused != nil {
		return refused
	}
	if !l.full && unchanged(x, r, page.tag(l)) {
		return nil
	}
	return s.writePage(x, page.next, func(add func(any) *httpapi.Problem) *httpapi.Problem {
		return s.items(r, l, page.rows, func(id string, item any, refused *httpapi.Problem) *httpapi.Problem {
			switch {
			case refused == nil:
				return add(item)
			case refused.Status == http.StatusUnprocessableEntity:
				return add(Unreadable{id, refused})
			}
			return refused
		})
	})
}

// foundPage is one page, and the cursor of the next, "" at the end.
type foundPage struct {
	rows []postgres.Summary
	last *postgres.ListPlace
	next string
}

// tag names what a page of summaries shows.
func (p *foundPage) tag(l *listed) string {
	text, err := json.Marshal([]any{l.question(), p.rows, p.next})
	if err != nil { // it has texts, numbers and JSON of the database only
		panic(err)
	}
	return tagOfContent(viewSummary, string(text))
}

func (s *Server) page(r *request, l *listed) (*foundPage, *httpapi.Problem) {
	p := &foundPage{}
	asked := l.list
	asked.Limit++ // whether there is another page
	refused := s.read(r, func(ctx context.Context, q *postgres.Snapshot) (err error) {
		p.rows, err = q.List(ctx, asked)
		return err
	})
	if len(p.rows) > l.list.Limit {
		p.rows = p.rows[:l.list.Limit]
		place := p.rows[len(p.rows)-1].Place(l.list.Completed)
		p.last, p.next = &place, cursorOf(place, l.question())
	}
	for i := range p.rows { // a time that JSON cannot have must not hide the other rows
		one := &p.rows[i]
		if !writable(one.SignalReceivedAt) {
			one.SignalReceivedAt = outboxapi.Time{}
		}
		if one.CompletedAt != nil && !writable(*one.CompletedAt) {
			one.CompletedAt = nil
		}
	}
	return p, refused
}

func writable(t outboxapi.Time) bool {
	_, err := t.MarshalJSON()
	return err == nil
}

// items hands what a page shows to visit: summaries, or reports.
func (s *Server) items(r *request, l *listed, rows []postgres.Summary, visit func(id string, item any, refused *httpapi.Problem) *httpapi.Problem) *httpapi.Problem {
	if l.full {
		return s.reports(r, l, these(idsOf(rows)), visit)
	}
	for i := range rows {
		if refused := visit(rows[i].RemediationID, itemOf(&rows[i]), nil); refused != nil {
			return refused
		}
	}
	return nil
}

// idsOf are the remediations of some rows. What was posted in several rows is one.
func idsOf(rows []postgres.Summary) []string {
	var ids []string
	known := map[string]bool{}
	for i := range rows {
		if id := rows[i].RemediationID; !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

func (s *Server) reports(r *request, l *listed, from source, visit func(id string, item any, refused *httpapi.Problem) *httpapi.Problem) *httpapi.Problem {
	return s.several(r, from, l.wanted, func(id string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem {
		if refused != nil && refused.Status == http.StatusNotFound {
			return nil // as of then it had no rows
		}
		return visit(id, report, refused)
	})
}

// stream hands what all pages show to visit, from a place on. The next page is read while the reports of this one are built.
func (s *Server) stream(r *request, l *listed, visit func(id string, item any, refused *httpapi.Problem) *httpapi.Problem) *httpapi.Problem {
	if !l.full {
		return s.pages(r, l, func(rows []postgres.Summary) *httpapi.Problem { return s.items(r, l, rows, visit) })
	}
	return s.reports(r, l, func(ahead *request, read func([]string) *httpapi.Problem) *httpapi.Problem {
		return s.pages(ahead, l, func(rows []postgres.Summary) *httpapi.Problem { return read(idsOf(rows)) })
	}, visit)
}

// pages hands the rows of each page to visit, from a place on.
func (s *Server) pages(r *request, l *listed, visit func([]postgres.Summary) *httpapi.Problem) *httpapi.Problem {
	l.list.Limit = streamPage
	for {
		page, refused := s.page(r, l)
		if refused != nil {
			return refused
		}
		if refused := visit(page.rows); refused != nil || page.next == "" {
			return refused
		}
		l.list.After = page.last
	}
}
