package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"
)

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// How long a caller should wait before trying again.
const (
	Overload     = time.Second      // there was too much to do
	DatabaseAway = 5 * time.Second  // the database did not answer
	NeedsPerson  = 30 * time.Second // somebody has to fix it
)

// Problem is a refusal, application/problem+json (RFC 9457). Its type is about:blank: title and status say what it is.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Parameters are the bad ones of path and query.
	Parameters []Parameter `json:"parameters,omitempty"`
	// Errors are the bad fields of the body; More counts those that are not among them.
	Errors []Fault `json:"errors,omitempty"`
	More   int     `json:"more,omitempty"`

	retryAfter time.Duration
	header     http.Header
}

// Fault is one thing that is wrong with a request's body. Pointer is a JSON pointer (RFC 6901); "" is the whole body.
type Fault struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// Parameter is one that is wrong.
type Parameter struct {
	Name   string `json:"name"`
	Detail string `json:"detail"`
}

// NewProblem makes a Problem with a detail.
func NewProblem(status int, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Later says when to try again.
func (p *Problem) Later(after time.Duration) *Problem {
	p.retryAfter = after
	return p
}

// With adds a header.
func (p *Problem) With(header, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(header, value)
	return p
}

// Write answers with the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	p.WriteHeaders(w)
	WriteJSON(w, p.Status, ProblemType, p)
}

// WriteHeaders sets the headers of the problem's answer, for whoever writes another body.
func (p *Problem) WriteHeaders(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.header)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
}

// WriteJSON answers with a value as JSON.
func WriteJSON(w http.ResponseWriter, status int, contentType string, v any) {
	text, err := json.Marshal(v)
	if err != nil { // only texts, numbers and lists are written
		status, text = http.StatusInternalServerError, []byte(`{"title":"Internal Server Error","status":500}`)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // whoever is gone needs no answer
}
