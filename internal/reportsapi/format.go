package reportsapi

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/rar"
)

// format is one of those that a report comes in.
type format struct{ name, contentType string }

var formats = []format{
	{rar.FormatJSON, "application/json"},
	{rar.FormatMarkdown, "text/markdown; charset=utf-8"},
	{rar.FormatHTML, "text/html; charset=utf-8"},
	{rar.FormatSVG, "image/svg+xml"},
}

// trendFormats are those that trends come in.
var trendFormats = formats[:3]

// formatOf is the format that a request asks for: by the parameter, else by Accept, else JSON.
func formatOf(r *request, offered []format) (format, *httpapi.Problem) {
	names, kinds := []string{""}, []string{}
	for _, f := range offered {
		kind, _, _ := strings.Cut(f.contentType, ";")
		names, kinds = append(names, f.name), append(kinds, kind)
	}
	if name := r.choice("format", names...); name != "" {
		return offered[slices.Index(names, name)-1], nil
	}
	best, quality := format{}, 0.0
	for _, f := range offered {
		kind, _, _ := strings.Cut(f.contentType, ";")
		if q := accepted(r.Header.Values("Accept"), kind); q > quality {
			best, quality = f, q
		}
	}
	if quality == 0 {
		return offered[0], httpapi.NewProblem(http.StatusNotAcceptable, "Accept is %s, expected %s; or give format=%s", quoted(strings.Join(r.Header.Values("Accept"), ", ")), either(kinds), either(names))
	}
	return best, nil
}

// accepted is the quality that a header Accept gives a media type (RFC 9110, section 12.5.1): the most specific range counts. Without a header everything is accepted.
func accepted(headers []string, kind string) float64 {
	if len(headers) == 0 {
		return 1
	}
	family, _, _ := strings.Cut(kind, "/")
	quality, rank := 0.0, -1
	for one := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		media, parameters, err := mime.ParseMediaType(one)
		if err != nil {
			continue
		}
		at := map[string]int{"*/*": 0, family + "/*": 1, kind: 2}
		specific, ok := at[media]
		if !ok || specific < rank {
			continue
		}
		q := 1.0
		if text, given := parameters["q"]; given {
			if q, err = strconv.ParseFloat(text, 64); err != nil || q < 0 || q > 1 {
				q = 0
			}
		}
		quality, rank = q, specific
	}
	return quality
}

// streams reports whether a request asks for lines of JSON.
func streams(r *http.Request) bool {
	headers := r.Header.Values("Accept")
	return len(headers) > 0 && accepted(headers, ndjson) > accepted(headers, "application/json")
}

const ndjson = "application/x-ndjson"
