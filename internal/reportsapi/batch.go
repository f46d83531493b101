package reportsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/rar"
)

const (
	maxBatch = 500
	// maxBody holds 500 ids of 255 characters, escaped.
	maxBody = 1 << 20
)

// batchLine is a line of a batch's answer.
type batchLine struct {
	ID      string           `json:"id"`
	Status  int              `json:"status"`
	Report  *rar.Report      `json:"report,omitempty"`
	Problem *httpapi.Problem `json:"problem,omitempty"`
}

// asked is the body of a batch.
type asked struct {
	IDs       *[]string `json:"remediation_ids"`
	Namespace names     `json:"namespace"`
	Start     string    `json:"start"`
	End       string    `json:"end"`
	Time      string    `json:"time"`
	Outcome   string    `json:"outcome"`
	Alert     string    `json:"alert"`
	Workflow  string    `json:"workflow"`
	Q         string    `json:"q"`
	Narrative string    `json:"narrative"`
	AsOf      string    `json:"as_of"`
}

// names are one text, or a list of them.
type names []string

// UnmarshalJSON takes either.
func (n *names) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(n))
}

// batch answers with the reports of some ids, or of a window, a line each.
func (s *Server) batch(x *httpapi.Exchange, r *request) *httpapi.Problem {
	if refused := r.refused(); refused != nil {
		return refused
	}
	a, refused := s.asked(x, r)
	if refused != nil {
		return refused
	}
	if a.Narrative == narrativeGenerate {
		return s.startJob(x, r, a)
	}
	if a.IDs == nil {
		l, refused := s.listed(r)
		if refused != nil {
			return inBody(refused)
		}
		return s.streamed(x, r, func(out *lines) *httpapi.Problem {
			return s.stream(r, l, func(id string, item any, refused *httpapi.Problem) *httpapi.Problem {
				report, _ := item.(*rar.Report)
				return out.batched(r, id, report, refused)
			})
		})
	}
	w := s.wanted(r.params)
	if refused := r.refused(); refused != nil {
		return inBody(refused)
	}
	return s.streamed(x, r, func(out *lines) *httpapi.Problem {
		return s.several(r, these(*a.IDs), w, func(id string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem {
			return out.batched(r, id, report, refused)
		})
	})
}

// batched writes the line of one id. That a report cannot be read ends no batch, unless the caller is gone.
func (l *lines) batched(r *request, id string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem {
	if r.Context().Err() != nil {
		return ended()
	}
	line := lineOf(id, report, refused)
	l.counts.count(line.Status)
	return l.line(line)
}

func lineOf(id string, report *rar.Report, refused *httpapi.Problem) batchLine {
	if refused != nil {
		return batchLine{ID: id, Status: refused.Status, Problem: refused}
	}
	return batchLine{ID: id, Status: http.StatusOK, Report: report}
}

// count counts a line by its status.
func (c *Counts) count(status int) {
	c.Total++
	switch status {
	case http.StatusOK:
		c.OK++
	case http.StatusNotFound:
		c.NotFound++
	default:
		c.Failed++
	}
}

// asked reads the body. What a range says becomes the parameters of a list, which are checked there.
func (s *Server) asked(x *httpapi.Exchange, r *request) (*asked, *httpapi.Problem) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, httpapi.NewProblem(http.StatusUnsupportedMediaType, "the body's type is %s, expected application/json", quoted(r.Header.Get("Content-Type"))).With("Accept-Post", "application/json")
	}
	_ = http.NewResponseController(x).SetReadDeadline(time.Now().Add(s.config.Limits.ReadTimeout)) // a test's recorder has none
	text, err := io.ReadAll(http.MaxBytesReader(x, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, httpapi.NewProblem(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxBody).With("Connection", "close")
	case err != nil:
		return nil, httpapi.NewProblem(http.StatusBadRequest, "the body could not be read").With("Connection", "close")
	}
	a := &asked{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(a); err != nil || d.More() {
		if err == nil {
			err = errors.New("something follows the JSON object")
		}
		return nil, httpapi.NewProblem(http.StatusBadRequest, `the body cannot be read: %s; expected {"remediation_ids": [...]} or {"start": ..., "end": ...}`, outbox.Bound(err.Error(), 300))
	}
	if refused := a.check(r.params); refused != nil {
		return nil, refused
	}
	if len(a.Namespace) > 0 {
		r.namespaces = r.params.namespaces()
		if len(r.faults) > 0 {
			return nil, inBody(refusedFor("namespace", "%s", r.faults[0].Detail))
		}
		r.caller.Readable = r.caller.Readable.Within(r.namespaces)
	}
	return a, nil
}

// check holds what was asked against what can be, and puts a range into the parameters.
func (a *asked) check(p *params) *httpapi.Problem {
	ranged := map[string]string{"start": a.Start, "end": a.End, "time": a.Time, "outcome": a.Outcome, "alert": a.Alert, "workflow": a.Workflow, "q": a.Q}
	if a.IDs != nil {
		for name, value := range ranged {
			if value != "" {
				p.fault(name, "is of a window, and remediation_ids is given; expected one of the two")
			}
		}
		if n := len(*a.IDs); n == 0 || n > maxBatch {
			p.fault("remediation_ids", "has %d ids, expected 1 to %d; ask for the others in another batch", n, maxBatch)
		}
		once := map[string]bool{}
		*a.IDs = slices.DeleteFunc(*a.IDs, func(id string) bool {
			before := once[id]
			once[id] = true
			return before
		})
		ranged = nil
	}
	if len(a.Namespace) > 0 && p.values.Has("namespace") {
		p.fault("namespace", "is in the body and in the query; expected one of the two")
	}
	if len(p.faults) > 0 {
		return inBody(p.refused())
	}
	p.values = url.Values{"namespace": a.Namespace}
	for name, value := range ranged {
		if value != "" {
			p.values.Set(name, value)
		}
	}
	for name, value := range map[string]string{"narrative": a.Narrative, "as_of": a.AsOf} {
		if value != "" {
			p.values.Set(name, value)
		}
	}
	return nil
}

// inBody makes of a problem with parameters one with the fields of the body that they came from.
func inBody(p *httpapi.Problem) *httpapi.Problem {
	if p == nil || len(p.Parameters) == 0 {
		return p
	}
	for _, bad := range p.Parameters {
		p.Errors = append(p.Errors, httpapi.Fault{Pointer: "/" + bad.Name, Detail: bad.Detail})
	}
	p.Parameters, p.Detail = nil, "field "+strings.TrimPrefix(p.Detail, "parameter ")
	return p
}
