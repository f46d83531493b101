package reportsapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// params are those of a query. Each is read once; what nobody has read is unknown.
type params struct {
	values url.Values
	known  []string
	faults []httpapi.Parameter
}

func paramsOf(r *http.Request) (*params, *httpapi.Problem) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, httpapi.NewProblem(http.StatusBadRequest, "the query cannot be read: %s; write it as name=value&name=value, percent-encoded", outbox.Bound(err.Error(), 200))
	}
	return &params{values: values}, nil
}

func (p *params) fault(name, format string, args ...any) {
	p.faults = append(p.faults, httpapi.Parameter{Name: name, Detail: fmt.Sprintf(format, args...)})
}

// all are the values of a parameter that may be repeated.
func (p *params) all(name string) []string {
	p.known = append(p.known, name)
	var all []string
	for _, value := range p.values[name] {
		if p.printable(name, value) && value != "" {
			all = append(all, value)
		}
	}
	return all
}

// text is the value of a parameter, "" without one.
func (p *params) text(name string) string {
	p.known = append(p.known, name)
	values := p.values[name]
	switch {
	case len(values) > 1:
		p.fault(name, "is given %d times, expected once", len(values))
		return ""
	case len(values) == 0 || !p.printable(name, values[0]):
		return ""
	}
	return values[0]
}

// maxNamespaces is how many a request may name: each is a range of an index.
const maxNamespaces = 500

// namespaces are those that a caller names, each once; nil without any.
func (p *params) namespaces() []string {
	names := p.all("namespace")
	for _, name := range names {
		if len(validation.IsDNS1123Label(name)) > 0 {
			p.fault("namespace", "is %s, expected the name of a namespace: at most 63 lowercase letters, digits and hyphens", quoted(name))
			return nil
		}
	}
	if len(names) > maxNamespaces {
		p.fault("namespace", "is given %d times, expected at most %d", len(names), maxNamespaces)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxText is what the columns hold.
const maxText = 255

func (p *params) printable(name, value string) bool {
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		p.fault(name, "is %s, expected text in UTF-8 without NUL", quoted(value))
		return false
	case name != "next" && utf8.RuneCountInString(value) > maxText:
		p.fault(name, "has %d characters, expected at most %d", utf8.RuneCountInString(value), maxText)
		return false
	}
	return true
}

func quoted(value string) string { return strconv.Quote(outbox.Bound(value, 80)) }

const timeWanted = "a time in RFC 3339, as in 2026-11-23T04:05:06Z (a plus sign is written %2B)"

func (p *params) time(name string) time.Time {
	value := p.text(name)
	if value == "" {
		return time.Time{}
	}
	t, err := outboxapi.ParseTime(value)
	switch {
	case err != nil || t.Year() > 9998:
		p.fault(name, "is %s, expected %s", quoted(value), timeWanted)
		return time.Time{}
	case t.Year() < 2: // its first instant is what Go takes for no time at all
		p.fault(name, "is %s, expected a year from 2 to 9998", quoted(value))
		return time.Time{}
	}
	return t.Time
}

// choice is one of some words; the first stands for none.
func (p *params) choice(name string, words ...string) string {
	value := p.text(name)
	if value == "" {
		return words[0]
	}
	if !slices.Contains(words, value) {
		p.fault(name, "is %s, expected %s", quoted(value), either(words))
		return words[0]
	}
	return value
}

func either(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func (p *params) number(name string, otherwise, least, most int) int {
	value := p.text(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		p.fault(name, "is %s, expected an integer from %d to %d", quoted(value), least, most)
		return otherwise
	}
	return n
}

// window is start and end, half-open.
func (p *params) window() (start, end time.Time) {
	start, end = p.time("start"), p.time("end")
	for _, name := range []string{"start", "end"} {
		if p.values.Get(name) == "" {
			p.fault(name, "is missing, expected %s", timeWanted)
		}
	}
	if !start.IsZero() && !end.IsZero() && !start.Before(end) {
		p.fault("end", "is %s, expected a time after start (%s)", end.Format(time.RFC3339Nano), start.Format(time.RFC3339Nano))
	}
	return start, end
}

// refused is the problem with the parameters, nil if there is none.
func (p *params) refused() *httpapi.Problem {
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(p.known, name) {
			p.fault(outbox.Bound(name, 80), "is no parameter of this request, expected %s", either(slices.Compact(slices.Clone(p.known))))
		}
	}
	if len(p.faults) == 0 {
		return nil
	}
	refusal := httpapi.NewProblem(http.StatusUnprocessableEntity, "parameter %s %s", p.faults[0].Name, p.faults[0].Detail)
	if len(p.faults) > 1 {
		refusal.Detail += fmt.Sprintf("; %d parameters are not as they should be", len(p.faults))
	}
	refusal.Parameters = p.faults
	return refusal
}

// refusedFor is the problem with one parameter, whatever is wrong with others.
func refusedFor(name, format string, args ...any) *httpapi.Problem {
	one := &params{}
	one.fault(name, format, args...)
	return one.refused()
}
