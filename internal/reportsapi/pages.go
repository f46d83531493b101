package reportsapi

import (
	"bytes"
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/rar"
)

var (
	//go:embed pages/list.gohtml
	listText string
	//go:embed pages/problem.gohtml
	problemText string

	problemTemplate = template.Must(rar.ParsePage(problemText))
	listTemplate    = template.Must(template.Must(rar.ParsePage(problemText)).New("list").Parse(listText))
)

// pageFormat is that of pages. Its name is part of the ETag: a page is not the file that the same report is.
var pageFormat = format{"page", "text/html; charset=utf-8"}

// paged is guarded for a page: it lets in the same callers, with the same header. A browser is refused with a page.
func (s *Server) paged(verb string, answer answering) func(*httpapi.Exchange, *http.Request) {
	guarded := s.guardedAs(verb, answer, s.refusePage)
	return func(x *httpapi.Exchange, r *http.Request) {
		x.Header().Set("Content-Security-Policy", rar.SitePolicy()+"; frame-ancestors 'none'")
		x.Header().Set("Referrer-Policy", "no-referrer")
		guarded(x, r)
	}
}

// problemPage is what the template problem shows.
type problemPage struct {
	rar.Shell
	Problem *httpapi.Problem
	// Address of the page that was asked for.
	Address string
	// Again is the page's own path, if trying again may help.
	Again string
}

// problemTitles are those of pages. Others have that of HTTP.
var problemTitles = map[int]string{
	http.StatusBadRequest: "The address cannot be read", http.StatusUnauthorized: "A token is needed", http.StatusForbidden: "Not allowed", http.StatusNotFound: "Nothing to show here",
	http.StatusUnprocessableEntity: "A value in the address is not as expected", http.StatusTooManyRequests: "Too many requests", http.StatusInternalServerError: "The page could not be made",
	http.StatusServiceUnavailable: "Not available right now",
}

func problemTitle(p *httpapi.Problem) string { return cmp.Or(problemTitles[p.Status], p.Title) }

func (s *Server) refusePage(x *httpapi.Exchange, r *http.Request, refused *httpapi.Problem) {
	if !browses(r) {
		refused.Write(x)
		return
	}
	// A quote would end the one that the command has around the address.
	address := "http://" + strings.ReplaceAll(r.Host+r.URL.RequestURI(), "'", "%27")
	if r.TLS != nil {
		address = "https" + strings.TrimPrefix(address, "http")
	}
	if refused.Status != http.StatusUnauthorized {
		address = ""
	}
	page := problemPage{Shell: rar.Shell{Title: problemTitle(refused), Site: &rar.Site{}}, Problem: refused, Address: address}
	if refused.Status == http.StatusTooManyRequests || refused.Status >= http.StatusInternalServerError {
		page.Again = r.URL.RequestURI()
	}
	var text bytes.Buffer
	if err := problemTemplate.Execute(&text, &page); err != nil {
		s.log.Error(err, "A page could not be written")
		refused.Write(x)
		return
	}
	refused.WriteHeaders(x)
	s.write(x, refused.Status, pageFormat.contentType, text.Bytes())
}

// browses reports whether a request rather wants HTML than JSON.
func browses(r *http.Request) bool {
	headers := r.Header.Values("Accept")
	return accepted(headers, "text/html") > max(accepted(headers, "application/json"), accepted(headers, httpapi.ProblemType))
}

// reportPage shows one report.
func (s *Server) reportPage(x *httpapi.Exchange, r *request) *httpapi.Problem {
	w := s.wanted(r.params)
	if bad := r.refused(); bad != nil {
		return bad
	}
	id := x.Param("remediation_id")
	site := &rar.Site{Section: pathListPage, Commands: reportCommands(r, id)}
	for _, f := range formats {
		q := r.question()
		q.Set("format", f.name)
		site.Downloads = append(site.Downloads, rar.Link{Text: formatTitles[f.name], URL: reportAddress(id) + "?" + q.Encode()})
	}
	return s.answerReport(x, r, w, pageFormat, func(to io.Writer, report *rar.Report) error { return rar.RenderPage(to, report, site) })
}

var formatTitles = map[string]string{rar.FormatJSON: "JSON", rar.FormatMarkdown: "Markdown", rar.FormatHTML: "HTML, one file", rar.FormatSVG: "chart as SVG"}

func reportAddress(id string) string {
	return pathReports + strings.TrimPrefix(rar.ReportURL(id), "/remediations")
}

// question is the query of a request without its empty parameters.
func (r *request) question() url.Values {
	q := url.Values{}
	for name, values := range r.values {
		for _, v := range values {
			if v != "" {
				q.Add(name, v)
			}
		}
	}
	return q
}

// reportCommands give the report as JSON.
func reportCommands(r *request, id string) []string {
	q := r.question()
	command := "holdfast rar get -o json" + flags(q, [][2]string{{"namespace", "--namespace"}, {"as_of", "--as-of"}, {"narrative", "--narrative"}})
	if strings.HasPrefix(id, "-") {
		command += " --" // it is no flag
	}
	address := reportAddress(id)
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	return []string{command + " " + shellWord(id), curl(address)}
}

func curl(address string) string {
	return `curl --header "Authorization: Bearer $HOLDFAST_REPORTS_TOKEN" "$HOLDFAST_REPORTS_URL` + address + `"`
}

// flags writes parameters as flags of a command.
func flags(q url.Values, names [][2]string) string {
	var text strings.Builder
	for _, name := range names {
		for _, v := range q[name[0]] {
			text.WriteString(" " + name[1] + " " + shellWord(v))
		}
	}
	return text.String()
}

// shellWord is a text as one word of a shell, on one line.
func shellWord(text string) string {
	text = strings.Join(strings.Fields(rar.Clean(text)), " ")
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// pageTime reads a time of a page: RFC 3339, or what a field of a form sends, which is UTC.
func (p *params) pageTime(name string) time.Time {
	value := p.text(name)
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, value); err == nil && t.Year() > 1 {
			return t
		}
	}
	return p.time(name)
}

// pageWindow is a window that ends now unless start and end are given. since is how long it is, with the first of ranges unless given.
func (s *Server) pageWindow(p *params) (start, end time.Time, since string) {
	names := []string{""}
	for _, r := range ranges {
		names = append(names, r.since)
	}
	start, end, since = p.pageTime("start"), p.pageTime("end"), p.choice("since", names...)
	switch {
	case since != "" && (!start.IsZero() || !end.IsZero()):
		p.fault("since", "is given with start or end, expected one of both")
	case start.IsZero() && end.IsZero():
		since = cmp.Or(since, standardRange)
	}
	if end.IsZero() {
		end = s.now().UTC().Truncate(time.Minute).Add(time.Minute) // what came in this minute is in it
	}
	if start.IsZero() {
		start = end.Add(-lengthOf(since))
	}
	if !start.Before(end) {
		p.fault("end", "is %s, expected a time after start (%s)", end.Format(time.RFC3339), start.Format(time.RFC3339))
	}
	return start, end, since
}

// ranges are the lengths of windows that a page offers.
var ranges = []struct {
	since, title string
	length       time.Duration
}{
	{"24h", "24 hours", 24 * time.Hour}, {"7d", "7 days", 7 * 24 * time.Hour}, {"30d", "30 days", 30 * 24 * time.Hour}, {"90d", "90 days", 90 * 24 * time.Hour},
}

const standardRange = "7d"

func lengthOf(since string) time.Duration {
	for _, r := range ranges {
		if r.since == cmp.Or(since, standardRange) {
			return r.length
		}
	}
	return 0
}

// rangesOf are a page's other windows, with its other parameters.
func rangesOf(path string, r *request, since string) []rar.Range {
	var all []rar.Range
	for _, one := range ranges {
		q := r.question()
		for _, name := range []string{"start", "end", "next"} {
			q.Del(name)
		}
		q.Set("since", one.since)
		all = append(all, rar.Range{Link: rar.Link{Text: one.title, URL: path + "?" + q.Encode()}, Current: one.since == since})
	}
	return all
}

// field is one of a page's form, with the value of the parameter.
func (r *request) field(label, name, hint string) rar.Field {
	value := r.values.Get(name)
	return rar.Field{Label: label, Name: name, Type: "search", Value: value, Hint: hint, Set: value != "", Bad: r.bad(name)}
}

func (r *request) bad(name string) bool {
	return slices.ContainsFunc(r.faults, func(f httpapi.Parameter) bool { return f.Name == name })
}

// choiceField has options, of which the first is the usual one. A value that is none of them is one more, so that the form shows what was asked for.
func (r *request) choiceField(label, name string, options []rar.Link) rar.Field {
	f := r.field(label, name, "")
	if !f.Bad && f.Value != "" && !slices.ContainsFunc(options, func(o rar.Link) bool { return o.URL == f.Value }) {
		options = append(options, rar.Link{Text: rar.Clean(f.Value), URL: f.Value})
	}
	f.Options, f.Set = options, f.Value != "" && f.Value != options[0].URL
	return f
}

// namespaceFields are one, or one for each namespace that was asked for.
func (r *request) namespaceFields() []rar.Field {
	fields := []rar.Field{r.field("Namespace", "namespace", "all that you may read")}
	for i, name := range r.namespaces {
		if i > 0 {
			fields = append(fields, fields[0])
		}
		fields[i].Value = name
	}
	return fields
}

// windowFields are a window's begin and end. Browsers have no times with a zone: these are UTC.
func (r *request) windowFields(start, end time.Time) []rar.Field {
	const local = "2006-01-02T15:04"
	from, to := r.field("From (UTC)", "start", ""), r.field("To (UTC)", "end", "")
	from.Type, to.Type = "datetime-local", "datetime-local"
	from.Value, to.Value = start.UTC().Format(local), end.UTC().Format(local)
	return []rar.Field{from, to}
}
