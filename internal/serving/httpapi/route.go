package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Route is what a path has. Get answers HEAD too.
type Route struct {
	Get, Post func(*Exchange, *http.Request)
	// Delete is beside Get, nil on most paths.
	Delete func(*Exchange, *http.Request)
	// PostOnly is the detail of the refusal of other methods, where nothing can be read.
	PostOnly string
	// unlogged requests are not in the access log.
	unlogged bool
}

// pattern is a path, segment by segment; {name} takes any.
type pattern struct {
	path     string
	segments []string
	route    *Route
}

func patternsOf(routes map[string]Route) []pattern {
	all := make([]pattern, 0, len(routes))
	for path, route := range routes {
		all = append(all, pattern{path: path, segments: strings.Split(path, "/"), route: &route})
	}
	// A path that is written out comes before one with a name in that place.
	slices.SortFunc(all, func(a, b pattern) int { return strings.Compare(a.path, b.path) })
	return all
}

// find looks for the route, and names it for the metrics. Unlike ServeMux it redirects nobody, and a slash that is escaped is a part of its segment.
func (s *Server) find(x *Exchange, r *http.Request) (path string, route *Route) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, segment := range segments {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return other, nil
		}
		segments[i] = text
	}
	for _, p := range s.patterns {
		if params, ok := p.match(segments); ok {
			x.params = params
			return p.path, p.route
		}
	}
	return other, nil
}

// other is the path of a request that has none of the service's.
const other = "other"

func (p *pattern) match(segments []string) (params map[string]string, ok bool) {
	if len(segments) != len(p.segments) {
		return nil, false
	}
	for i, want := range p.segments {
		if name, found := strings.CutPrefix(want, "{"); found {
			if segments[i] == "" {
				return nil, false
			}
			if params == nil {
				params = map[string]string{}
			}
			params[strings.TrimSuffix(name, "}")] = segments[i]
		} else if want != segments[i] {
			return nil, false
		}
	}
	return params, true
}

func (s *Server) dispatch(x *Exchange, r *http.Request, known *Route) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case known == nil:
		NewProblem(http.StatusNotFound, "no such path; see /docs").Write(x)
	case known.Post != nil && r.Method == http.MethodPost:
		known.Post(x, r)
	case known.Get != nil && reads:
		known.Get(x, r)
	case known.Delete != nil && r.Method == http.MethodDelete:
		known.Delete(x, r)
	case known.Delete != nil:
		NewProblem(http.StatusMethodNotAllowed, "this path accepts GET, HEAD and DELETE only").With("Allow", "GET, HEAD, DELETE").Write(x)
	case known.Post != nil:
		NewProblem(http.StatusMethodNotAllowed, "%s", known.PostOnly).With("Allow", "POST").Write(x)
	default:
		NewProblem(http.StatusMethodNotAllowed, "this path accepts GET and HEAD only").With("Allow", "GET, HEAD").Write(x)
	}
}

// Static answers with a text that never changes.
func Static(contentType string, text []byte) func(*Exchange, *http.Request) {
	return func(x *Exchange, _ *http.Request) {
		x.Header().Set("Content-Type", contentType)
		x.Header().Set("Cache-Control", "no-cache")
		_, _ = x.Write(text) // whoever is gone needs no answer
	}
}
