package reportsclient_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
)

// What is printed is no command for a terminal, whatever is in it, and JSON stays the same value.
func TestNothingHostileReachesATerminal(t *testing.T) {
	g := NewWithT(t)
	hostile := "a\x1b[2J\u009b31m\u202eevil\u2066\x07\r\u0000\U000e0041z"
	printed := reportsclient.Printable(hostile)
	g.Expect(printed).To(Equal("a\ufffd[2J\ufffd31m\ufffdevil\ufffd\ufffd\ufffd\ufffd\ufffdz"))
	text, err := json.Marshal(map[string]string{"x": hostile})
	g.Expect(err).NotTo(HaveOccurred())
	safe := reportsclient.PrintableJSON(text)
	g.Expect(reportsclient.Printable(string(safe))).To(Equal(string(safe)))
	var back map[string]string
	g.Expect(json.Unmarshal(safe, &back)).To(Succeed())
	g.Expect(back["x"]).To(Equal(hostile))
	rendered := reportsclient.Terminal("# "+hostile+"\n| "+hostile+" |\n", func(s string) string { return s })
	g.Expect(strings.ContainsAny(rendered, "\x1b\u009b\u202e\r")).To(BeFalse())
}

func TestMarkdownAtATerminal(t *testing.T) {
	g := NewWithT(t)
	got := reportsclient.Terminal("# A \\_b\\_\n\nIt **was** `done`.\n\n| a | bb |\n|---|---:|\n| 1\\|2 | x |\n\n```\nraw # | **x**\n```\n", func(s string) string { return "<" + s + ">" })
	g.Expect(got).To(Equal("<A _b_>\n\nIt <was> done.\n\n  a    bb\n  1|2  x\n\n  raw # | **x**\n"))
}

// A batch that ends without its counts was cut.
func TestACutBatchIsNoticed(t *testing.T) {
	for name, test := range map[string]struct {
		answer, want string
	}{
		"whole": {`{"id":"a","status":200,"report":{}}` + "\n" + `{"end":{"total":1,"ok":1}}` + "\n", ""},
		"cut":   {`{"id":"a","status":200,"report":{}}` + "\n", "was cut"},
		"error": {`{"error":{"title":"Service Unavailable","status":503,"detail":"away"}}` + "\n", "503 Service Unavailable: away"},
		"junk":  {"<html>", "is no batch"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, test.answer) }))
			t.Cleanup(service.Close)
			c, err := reportsclient.New(service.URL, reportsclient.Options{Token: "secret-token"})
			g.Expect(err).NotTo(HaveOccurred())
			counts, err := c.Batch(t.Context(), url.Values{}, map[string]any{}, func([]byte, *reportsclient.Line) error { return nil })
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(counts.OK).To(Equal(1))
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

// A batch that is a job is followed to its end. Whoever gives up cancels it.
func TestAJobIsFollowed(t *testing.T) {
	answers := map[string]string{
		"POST":    `{"job":"j1","state":"running","counts":{},"results":[],"next":0}`,
		"after=0": `{"job":"j1","state":"running","counts":{},"results":[{"id":"a","status":200,"report":{}}],"next":1}`,
		"after=1": `{"job":"j1","state":"done","counts":{"total":2,"ok":2},"results":[{"id":"b","status":200,"report":{}}],"next":2}`,
		"after=2": `{"job":"j1","state":"done","counts":{"total":2,"ok":2},"results":[],"next":2}`,
	}
	for name, test := range map[string]struct{ last, want, deleted string }{
		"done":      {"", "", ""},
		"failed":    {`{"job":"j1","state":"failed","problem":{"title":"Unprocessable Entity","status":422,"detail":"too many"},"results":[],"next":1}`, "422 Unprocessable Entity: too many", ""},
		"cancelled": {`{"job":"j1","state":"cancelled","results":[],"next":1}`, "was cancelled", ""},
		"junk":      {`<html>`, "is no job", "/api/v2/rar/batch/j1"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			deleted := ""
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					w.WriteHeader(http.StatusAccepted)
					fmt.Fprint(w, answers["POST"])
				case r.Method == http.MethodDelete:
					deleted = r.URL.Path
				case test.last != "" && r.URL.RawQuery == "after=1":
					fmt.Fprint(w, test.last)
				default:
					fmt.Fprint(w, answers[r.URL.RawQuery])
				}
			}))
			t.Cleanup(service.Close)
			c, err := reportsclient.New(service.URL, reportsclient.Options{Token: "secret-token"})
			g.Expect(err).NotTo(HaveOccurred())
			var ids []string
			counts, err := c.Batch(t.Context(), url.Values{}, map[string]any{"narrative": "generate"}, func(_ []byte, line *reportsclient.Line) error {
				ids = append(ids, line.ID)
				return nil
			})
			g.Expect(deleted).To(Equal(test.deleted))
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(ids).To(Equal([]string{"a", "b"}))
				g.Expect(counts.OK).To(Equal(2))
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

// A token goes over TLS or loopback only, and no error repeats it.
func TestTheTokenStaysWhereItBelongs(t *testing.T) {
	g := NewWithT(t)
	_, err := reportsclient.New("http://reports.example.com", reportsclient.Options{})
	g.Expect(err).To(MatchError(ContainSubstring("expected https")))
	_, err = reportsclient.New("https://reports.example.com", reportsclient.Options{Token: "x", TokenFile: "y"})
	g.Expect(err).To(MatchError(ContainSubstring("both given")))
	asked := ""
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.EscapedPath()
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"title":"Not Found","status":404,"detail":"your token is %s"}`, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	t.Cleanup(service.Close)
	c, err := reportsclient.New(service.URL, reportsclient.Options{Token: "c2VjcmV0LXRva2Vu"})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = c.Report(t.Context(), "../x?y#z", nil)
	g.Expect(err).To(MatchError(And(ContainSubstring("404 Not Found"), Not(ContainSubstring("c2VjcmV0")))))
	g.Expect(asked).To(Equal("/api/v2/rar/..%2Fx%3Fy%23z"))
}
