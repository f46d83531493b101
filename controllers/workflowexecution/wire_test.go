package workflowexecution

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// errKilled is what every call of a process that was killed meets.
var errKilled = errors.New("the process is dead")

// wire is what lies between a process and the API server: it keeps what reached the target, and can cut the process off at any write.
type wire struct {
	mu      sync.Mutex
	writes  int    // that the process began
	kill    int    // the write at which the process dies, 0 for never
	where   death  // whether that write still reaches the API server
	dead    bool   // the process is dead
	effects []call // the writes that acted on the target and succeeded
	answer  func(*http.Request) *http.Response
	effect  func() // runs before a write that acts on the target
	garble  bool   // writes that act on the target are done, and their answer is 503
}

// before has f run before each write that acts on the target goes out.
func (w *wire) before(f func()) { w.effect = f }

// call is a request that acted as an account.
type call struct{ method, path, body, user string }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// death is on which side of a write a process dies.
type death int

const (
	beforeWrite death = iota
	// afterWrite: the write was done, and its answer is lost.
	afterWrite
)

func (d death) String() string {
	if d == beforeWrite {
		return "before a write"
	}
	return "after a write whose answer is lost"
}

// killAt begins the life of a next process, which is killed at its nth write.
func (w *wire) killAt(nth int, where death) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes, w.kill, w.where, w.dead = 0, nth, where, false
}

// revive begins the life of a next process, which is not killed.
func (w *wire) revive() { w.killAt(0, beforeWrite) }

// begin counts a call; it says whether the call may go out, and whether its answer comes back.
func (w *wire) begin(r *http.Request) (out, back bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return false, false
	}
	if r.Method != http.MethodGet {
		w.writes++
		if w.writes == w.kill {
			w.dead = true
			return w.where == afterWrite, false
		}
	}
	return true, true
}

func (w *wire) through(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		out, back := w.begin(r)
		if !out {
			return nil, errKilled
		}
		made := call{method: r.Method, path: r.URL.Path, user: r.Header.Get("Impersonate-User")}
		if r.Body != nil && r.GetBody != nil {
			if copied, err := r.GetBody(); err == nil {
				text, _ := io.ReadAll(copied)
				made.body = string(text)
			}
		}
		if w.answer != nil {
			if answer := w.answer(r); answer != nil {
				return answer, nil
			}
		}
		if made.user != "" && r.Method != http.MethodGet && w.effect != nil {
			w.effect()
		}
		response, err := next.RoundTrip(r)
		if err == nil && made.user != "" && r.Method != http.MethodGet && response.StatusCode < 300 {
			w.mu.Lock()
			w.effects = append(w.effects, made)
			w.mu.Unlock()
		}
		if err == nil && w.garble && made.user != "" && r.Method != http.MethodGet {
			response.Body.Close()
			return refuse(r, http.StatusServiceUnavailable, "ServiceUnavailable"), nil
		}
		if err == nil && !back {
			response.Body.Close()
			return nil, errKilled
		}
		return response, err
	})
}

// refuse answers instead of the API server, with this code and reason.
func refuse(r *http.Request, code int, reason string) *http.Response {
	body := `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"` + reason + `","reason":"` + reason + `","code":` + strconv.Itoa(code) + `}`
	return &http.Response{StatusCode: code, Status: reason, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1}
}
