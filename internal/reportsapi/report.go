package reportsapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// wanted is how a report is asked for, beside its id.
type wanted struct {
	asOf      time.Time
	narrative string
}

// Values of the parameter narrative.
const (
	narrativeCached   = "cached"
	narrativeNone     = "none"
	narrativeGenerate = "generate"
)

// clockTolerance is how far a caller's clock may be ahead: their now is ours then.
const clockTolerance = time.Minute

func (s *Server) wanted(p *params) wanted {
	now := s.now()
	w := wanted{asOf: p.time("as_of"), narrative: p.choice("narrative", narrativeCached, narrativeNone, narrativeGenerate)}
	switch {
	case w.asOf.IsZero():
		w.asOf = now
	case w.asOf.After(now.Add(clockTolerance)):
		p.fault("as_of", "is %s, expected a time that is over (now is %s)", w.asOf.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if w.asOf.After(now) {
		w.asOf = now
	}
	return w
}

// report answers with one report.
func (s *Server) report(x *httpapi.Exchange, r *request) *httpapi.Problem {
	w := s.wanted(r.params)
	f, refused := formatOf(r, formats)
	if bad := r.refused(); bad != nil {
		return bad
	}
	if refused != nil {
		return refused
	}
	return s.answerReport(x, r, w, f, func(to io.Writer, report *rar.Report) error { return rar.Render(to, report, f.name) })
}

// answerReport reads a report and writes it, unless the caller has it.
func (s *Server) answerReport(x *httpapi.Exchange, r *request, w wanted, f format, render func(io.Writer, *rar.Report) error) *httpapi.Problem {
	s.extendNarrated(x, w)
	in, refused := s.input(r, x.Param("remediation_id"), w)
	if refused != nil {
		return refused
	}
	release, refused := s.hold(r, in)
	if refused != nil {
		return refused
	}
	defer release()
	report, refused := s.told(r, in, w)
	if refused != nil {
		return refused
	}
	tag, err := tagOf(in, report, f.name)
	if err != nil {
		return s.failed(err)
	}
	if unchanged(x, r, tag) {
		return nil
	}
	var text bytes.Buffer
	if err := render(&text, report); err != nil {
		return s.failed(err)
	}
	s.write(x, http.StatusOK, f.contentType, text.Bytes())
	return nil
}

// write answers with a whole text.
func (s *Server) write(x *httpapi.Exchange, status int, contentType string, text []byte) {
	x.Header().Set("Content-Type", contentType)
	x.Header().Set("Content-Length", strconv.Itoa(len(text)))
	s.extend(x)
	x.WriteHeader(status)
	_, _ = x.Write(text) // whoever is gone needs no answer
}

func (s *Server) failed(err error) *httpapi.Problem {
	s.log.Error(err, "A report could not be written")
	return httpapi.NewProblem(http.StatusInternalServerError, "the report could not be written; the service's log has the cause")
}

// extend gives a caller time for the next piece of an answer.
func (s *Server) extend(x *httpapi.Exchange) {
	// An answer of a test's recorder has no deadline.
	_ = http.NewResponseController(x).SetWriteDeadline(time.Now().Add(s.config.Limits.WriteTimeout))
}

// notFound says that there is no such report, or none that the caller may see: nobody learns which.
func notFound(what string) *httpapi.Problem {
	return httpapi.NewProblem(http.StatusNotFound, "there is no %s that you may read; it takes the right to get remediationreports.holdfast.dev in its namespace", what)
}

// input reads what a report is made of, in one snapshot.
func (s *Server) input(r *request, id string, w wanted) (*rar.Input, *httpapi.Problem) {
	in := w.input(id)
	if in == nil {
		return nil, notFound(remediationOfID)
	}
	refused := s.read(r, func(ctx context.Context, q *postgres.Snapshot) error {
		err := fill(ctx, q, []*rar.Input{in}, w.asOf)
		if err == nil && len(in.Rows)+len(in.Others) == 0 {
			return &refusal{notFound(remediationOfID)}
		}
		return err
	})
	return in, refused
}

const remediationOfID = "remediation of this id"

// input is one without rows; nil if no column holds such an id.
func (w *wanted) input(id string) *rar.Input {
	known, err := models.RemediationID(id)
	if err != nil || known == "" || !utf8.ValidString(known) || utf8.RuneCountInString(known) > maxText || strings.ContainsRune(known, 0) {
		return nil
	}
	in := &rar.Input{RemediationID: known, AsOf: w.asOf}
	if w.narrative == narrativeNone {
		in.Narrative = &rar.Narrative{Status: rar.NarrativeNone, Claims: []rar.Claim{}}
	}
	return in
}

// tagOf names the content of a report: it changes with a visible row, with a window that is over, with the template and the format, and not with the instant.
func tagOf(in *rar.Input, report *rar.Report, format string) (string, error) {
	timeless := *report
	timeless.AsOf.Time = time.Time{}
	text, err := json.Marshal(&timeless)
	if err != nil {
		return "", err
	}
	return tagOfContent(format, append([]string{string(text)}, rowHashes(in)...)...), nil
}

// tagOfContent names what an answer of a format is made of. It is weak: the bytes may say another instant.
func tagOfContent(format string, parts ...string) string {
	sum := sha256.New()
	for _, part := range append([]string{rar.Template, format}, parts...) {
		fmt.Fprintf(sum, "%d %s\n", len(part), part)
	}
	return `W/"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"`
}

// unchanged sets the ETag, and answers with 304 if the caller has that content.
func unchanged(x *httpapi.Exchange, r *request, tag string) bool {
	x.Header().Set("ETag", tag)
	if !matches(r.Header.Get("If-None-Match"), tag) {
		return false
	}
	x.WriteHeader(http.StatusNotModified)
	return true
}

// matches reports whether If-None-Match names the tag: it compares weakly (RFC 9110, section 13.1.2).
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || one != "" && strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
