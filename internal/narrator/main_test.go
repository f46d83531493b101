package narrator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/holdfast-dev/holdfast/rar"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// worked is the report of the worked example, as its golden file has it.
func worked(t *testing.T) *rar.Report {
	t.Helper()
	g := NewWithT(t)
	text, err := os.ReadFile("../../rar/testdata/golden/worked-example.json")
	g.Expect(err).NotTo(HaveOccurred())
	r := &rar.Report{}
	g.Expect(json.Unmarshal(text, r)).To(Succeed())
	return r
}

var named = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)

// saying is a claim whose placeholders have names, and the ids that it cites.
func saying(t *testing.T, r *rar.Report, kind, text string) map[string]any {
	t.Helper()
	facts := []string{}
	text = named.ReplaceAllStringFunc(text, func(name string) string {
		id := idOf(t, r, strings.Trim(name, "{}"))
		facts = with(facts, id)
		return "{{" + id + "}}"
	})
	return map[string]any{"section": "summary", "kind": kind, "text": text, "facts": facts}
}

func idOf(t *testing.T, r *rar.Report, name string) string {
	t.Helper()
	for _, f := range r.Facts() {
		if f.Name == name {
			return f.ID
		}
	}
	t.Fatalf("there is no fact %s", name)
	return ""
}

// answering is an answer with claims.
func answering(t *testing.T, claims ...map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"claims": claims})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// completion is the response of a server whose model says a text.
func completion(t *testing.T, text string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"id": "1", "object": "chat.completion", "choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": text}}},
		"usage": map[string]any{"prompt_tokens": 1200, "completion_tokens": 300, "total_tokens": 1500},
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(body)
}

// script is a server that speaks the chat-completions API over HTTP, and does what a test says.
type script struct {
	url   string
	calls atomic.Int32
	// asked are the bodies of the requests.
	asked chan []byte
	gone  context.Context
}

// play starts a script. answer writes the response to the n-th call, from 1 on.
func play(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) *script {
	t.Helper()
	s := &script{asked: make(chan []byte, 1000)}
	var leave context.CancelFunc
	s.gone, leave = context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if r.URL.Path == "/v1/chat/completions" && json.NewDecoder(r.Body).Decode(&body) == nil {
			s.asked <- body
		}
		answer(w, r, int(s.calls.Add(1)))
	}))
	s.url = server.URL + "/v1"
	t.Cleanup(func() { leave(); server.CloseClientConnections(); server.Close() })
	return s
}

func saysJSON(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, body)
}

// says plays a script whose model gives one answer after the other, and repeats the last.
func says(t *testing.T, answers ...string) *script {
	t.Helper()
	bodies := []string{}
	for _, a := range answers {
		bodies = append(bodies, completion(t, a))
	}
	return play(t, func(w http.ResponseWriter, _ *http.Request, n int) { saysJSON(w, bodies[min(n, len(bodies))-1]) })
}

func narrates(t *testing.T, s *script, adapt ...func(*Options)) *Narrator {
	t.Helper()
	o := Options{URL: s.url, Model: "tale-1", CallTimeout: patience, Timeout: patience, Failures: 1_000_000, TokensPerDay: 1 << 40}
	for _, a := range adapt {
		a(&o)
	}
	n, err := New(o)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(n.Close)
	return n
}
