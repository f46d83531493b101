package reportsapi

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
)

// Counts is the last line of a stream, in a member end: a stream without it was cut.
type Counts struct {
	Total    int `json:"total"`
	OK       int `json:"ok"`
	NotFound int `json:"not_found"`
	Failed   int `json:"failed"`
}

// lines writes JSON, a value a line.
type lines struct {
	x      *httpapi.Exchange
	extend func(*httpapi.Exchange)
	counts Counts
}

// streamed runs a stream, when there is a place for one. A refusal before the first line is the answer; one after it is the last line, and there are no counts.
func (s *Server) streamed(x *httpapi.Exchange, r *request, write func(*lines) *httpapi.Problem) *httpapi.Problem {
	if !acquireBoth(r.own.streams, s.gates.streams) {
		return s.shed(shedStreams, "the service, or what one caller may have of it, is at its limit of concurrent streams")
	}
	defer r.own.streams.Release(1)
	defer s.gates.streams.Release(1)
	out := &lines{x: x, extend: s.extend}
	refused := write(out)
	switch {
	case refused != nil && !x.Begun():
		return refused
	case refused != nil:
		out.line(map[string]any{"error": refused})
		return nil
	}
	out.line(map[string]any{"end": out.counts})
	return nil
}

// ended is why nothing more is written: whoever asked is gone, or takes too long.
func ended() *httpapi.Problem {
	return httpapi.NewProblem(http.StatusServiceUnavailable, "the answer was not taken")
}

func (l *lines) line(v any) *httpapi.Problem {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return httpapi.NewProblem(http.StatusInternalServerError, "a line could not be written")
	}
	if !l.x.Begun() {
		l.x.Header().Set("Content-Type", ndjson)
	}
	l.extend(l.x)
	if _, err := l.x.Write(text.Bytes()); err != nil {
		return ended()
	}
	// Lines are small, and whoever reads them wants them as they come.
	if err := http.NewResponseController(l.x).Flush(); err != nil {
		return ended()
	}
	return nil
}

// item writes one thing that was found.
func (l *lines) item(v any) *httpapi.Problem {
	l.counts.Total++
	l.counts.OK++
	return l.line(v)
}

// writePage writes items as they come: {"items": [...], "next": ...}. Nothing is written before the first item is there.
func (s *Server) writePage(x *httpapi.Exchange, next string, items func(add func(any) *httpapi.Problem) *httpapi.Problem) *httpapi.Problem {
	write := func(text ...string) {
		s.extend(x)
		for _, t := range text {
			_, _ = x.Write([]byte(t)) // whoever is gone needs no answer, and the context of the next read ends
		}
	}
	separator := `{"items":[`
	x.Header().Set("Content-Type", "application/json")
	refused := items(func(v any) *httpapi.Problem {
		text, err := json.Marshal(v)
		if err != nil {
			return s.failed(err)
		}
		write(separator, string(text))
		separator = ",\n"
		return nil
	})
	if refused != nil {
		return refused
	}
	if separator == `{"items":[` {
		write(separator)
	}
	cursor := "null"
	if next != "" {
		cursor = `"` + next + `"` // base64, which needs no escapes
	}
	write(`],"next":`, cursor, "}\n")
	return nil
}
