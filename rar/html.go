package rar

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

//go:embed report.gohtml
var reportText string

var reportTemplate = template.Must(ParsePage(reportText))

// page is what the template shows. Report is cleaned, so that no template has to remember it; html/template escapes.
type page struct {
	Shell
	Report                  *Report
	Wide, Narrow            template.HTML
	Warning                 string
	Damaged                 bool
	Outcome, Mood           string
	Figures                 []figure
	Record, Origin          string
	Reasons, Most, MostRows int
	Sections                []section
	oneDay                  bool
}

type section struct{ ID, Title string }

// maxEvidence bounds the rows at the end: refs above point there.
const maxEvidence = 1000

// RenderPage writes a report as a page of a site. Without a site it is the file that Render writes as HTML.
func RenderPage(w io.Writer, r *Report, s *Site) error {
	clean := cleaned(r)
	chart := clean.gantt()
	p := page{
		Report: clean, Reasons: maxReasons, Most: maxList, MostRows: maxEvidence,
		Shell:   Shell{Title: line(outcomeTitle(clean.Summary.Outcome)+": "+clean.Summary.Alert+" on "+clean.Summary.Target.String(), 120), Site: s},
		Wide:    template.HTML(chart.inline(&wide)), //nolint:gosec // drawing escapes every text
		Warning: stateTitle(&clean.Complete), Damaged: len(clean.Complete.Chain.Faults) > 0, Outcome: outcomeTitle(clean.Summary.Outcome), Mood: mood(clean.Summary.Outcome),
		Narrow:  template.HTML(chart.inline(&narrow)), //nolint:gosec // as above
		Figures: clean.keyFigures(), Record: recordLine(&clean.Complete), Origin: narrativeOrigin(&clean.Narrative), Sections: clean.sections(), oneDay: clean.oneDay(),
	}
	var b bytes.Buffer
	if err := reportTemplate.Execute(&b, &p); err != nil {
		return fmt.Errorf("report of %.80q as HTML: %w", r.RemediationID, err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Other is another remediation, which a page links to.
func (p *page) Other(id string) Link { return Link{cmp.Or(line(id, maxInline), "–"), p.Link(id)} }

// Clock is the time of the day where all events are of one day, else the day, too.
func (p *page) Clock(t outboxapi.Time) string {
	if p.oneDay {
		return clock(t)
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func (r *Report) oneDay() bool {
	e := r.Timeline.Events
	return len(e) > 0 && !slices.ContainsFunc(e, func(x Event) bool { return x.At.UTC().Format("2006-01-02") != e[0].At.UTC().Format("2006-01-02") })
}

func (r *Report) sections() []section {
	var all []section
	add := func(there bool, id, title string) {
		if there {
			all = append(all, section{id, title})
		}
	}
	add(len(r.Narrative.Claims) > 0 && r.Narrative.Status != NarrativeNone, "story", "What happened")
	add(true, "time", "Time")
	add(true, "recommendations", "Recommendations")
	add(r.AI != nil, "ai", "AI")
	add(r.Approval != nil, "approval", "Approval")
	add(r.Execution != nil, "execution", "Execution")
	add(r.Effectiveness != nil, "held", "Did it hold?")
	add(len(r.Notifications) > 0, "notifications", "Notifications")
	add(r.History != nil, "history", "Comparable ones")
	add(true, "compliance", "Compliance")
	add(true, "timeline", "Timeline")
	add(true, "evidence", "Evidence")
	return all
}

func mood(outcome string) string {
	switch outcome {
	case outcomeRemediated:
		return "good"
	case outcomeFailed, outcomeTimedOut:
		return "bad"
	case outcomeOpen, outcomeUnknown:
		return "wait"
	}
	return ""
}

// cleaned is a copy of a report in which every text is Clean.
func cleaned(r *Report) *Report {
	return cleanedValue(reflect.ValueOf(r)).Interface().(*Report)
}

func cleanedValue(v reflect.Value) reflect.Value {
	if v.Type() == reflect.TypeFor[outboxapi.Time]() {
		return v
	}
	switch v.Kind() {
	case reflect.String:
		c := reflect.New(v.Type()).Elem()
		c.SetString(Clean(v.String()))
		return c
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(cleanedValue(v.Elem()))
		return c
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(cleanedValue(v.Index(i)))
		}
		return c
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		c := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, k := range v.MapKeys() {
			c.SetMapIndex(cleanedValue(k), cleanedValue(v.MapIndex(k)))
		}
		return c
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			c.Field(i).Set(cleanedValue(v.Field(i)))
		}
		return c
	}
	return v
}

type shownRefs struct {
	Shown []string
	More  int
}

type shownText struct{ Shown, Note string }

var functions = template.FuncMap{
	"cited": func(refs []string) *shownRefs {
		if len(refs) == 0 {
			return nil
		}
		shown, more := citations(refs)
		return &shownRefs{shown, more}
	},
	"bounded": func(text string) *shownText {
		if text == "" {
			return nil
		}
		shown, note := prose(text)
		return &shownText{shown, note}
	},
	"short": func(text, otherwise string) string { return cmp.Or(line(text, maxInline), otherwise) },
	"brief": func(text, otherwise string) string { return cmp.Or(line(text, maxBrief), otherwise) },
	"first": func(n int, list any) any {
		v := reflect.ValueOf(list)
		return v.Slice(0, min(n, v.Len())).Interface()
	},
	"beyond":  func(n int, list any) int { return max(0, reflect.ValueOf(list).Len()-n) },
	"percent": percent, "interval": func(i *[2]float64) string { return interval(*i) }, "percentp": func(p *float64) string { return percent(*p) },
	"duration": duration, "optional": optional, "number": number, "yesNo": yesNo, "confidence": confidence,
	"excess":  func(s *float64) string { return moreOrLess(*s) },
	"score":   func(s *float64) string { return number(*s) },
	"whole":   func(s int64) string { return duration(float64(s)) },
	"offset":  func(ms int64) string { return duration(float64(ms) / 1000) },
	"moment":  momentOr,
	"clock":   clock,
	"minute":  func(t outboxapi.Time) string { return t.UTC().Format("2 January 2006 15:04") },
	"date":    func(t outboxapi.Time) string { return t.UTC().Format("2006-01-02") },
	"decimal": decimal, "decimalp": func(x *float64) string { return decimal(*x) },
	"judged":  func(verdict string) string { return cmp.Or(judgements[verdict], verdict) },
	"outcome": outcomeTitle,
	"mood":    mood,
	"phase":   func(phase string) string { return cmp.Or(phaseNames[phase], line(phase, maxBrief)) },
	"plural":  plural,
	"halves":  halves,
	"momentp": func(t *outboxapi.Time) string { return momentOr(*t) },
	"verdict": func(v string) string { return cmp.Or(verdictWords[v], v) },
	"verdictMood": func(v string) string {
		return map[string]string{VerdictCorrect: "good", VerdictIncorrect: "bad", VerdictUnproven: "wait"}[v]
	},
	"approvalFields": func(p *Approval) []figure { return p.fields() },
	"executionLine":  func(e *Execution) string { return e.line() },
	"what":           func(e Evidence) string { return e.what() },
	"who":            func(o OtherRows) string { return o.who() },
	"count":          func(o OtherRows) string { return o.count() },
	"tokens":         tokens,
	"changes":        changes,
	"lastError":      lastError,
	"heldList":       heldList,
}

// halves lets a hash break in its middle, and nowhere else.
func halves(hash string) template.HTML {
	half := len(hash) / 2
	if !utf8.RuneStart(hash[half]) {
		half = 0
	}
	return template.HTML(template.HTMLEscapeString(hash[:half]) + "<wbr>" + template.HTMLEscapeString(hash[half:])) //nolint:gosec // escaped
}

func momentOr(t outboxapi.Time) string {
	if t.IsZero() {
		return "–"
	}
	return moment(t)
}

func tokens(t *Tokens) string {
	return fmt.Sprintf("%d tokens read, %d written", value(t.Prompt), value(t.Completion))
}

// changes are a step's parameters, with what was there before.
func changes(s models.Step) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s.Parameters)) {
		parts = append(parts, k+" = "+s.Parameters[k])
	}
	for _, k := range slices.Sorted(maps.Keys(s.Previous)) {
		parts = append(parts, k+" was "+s.Previous[k])
	}
	return cmp.Or(line(strings.Join(parts, "; "), maxInline), "–")
}

func lastError(n Notification) string {
	for _, a := range slices.Backward(n.Attempts) {
		if a.Error != "" {
			return line(a.Error, maxInline)
		}
	}
	return "–"
}

// heldList are the windows, with a mood as the note.
func heldList(e *Effectiveness) []figure {
	var all []figure
	for _, w := range heldWindows {
		if held := e.Held[w.name]; held != "" {
			all = append(all, figure{windowWords[w.name], heldText(held), map[string]string{HeldYes: "good", HeldNo: "bad", HeldTooEarly: "wait"}[held]})
		}
	}
	return all
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }
