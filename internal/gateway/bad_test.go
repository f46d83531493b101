package gateway_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/gateway"
)

func zipped(body []byte) []byte {
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	_, _ = w.Write(body)
	_ = w.Close()
	return text.Bytes()
}

// A message that cannot be taken is refused as a whole, with what is wrong. Alertmanager sends nothing again that was answered 4xx.
func TestMessagesThatAreRefused(t *testing.T) {
	ns := tenant(t)
	deployment(t, ns, "cart")
	r := start(t)
	good := messageOf(firing(labelsOf(ns, "deployment", "cart")))
	for name, c := range map[string]struct {
		body    []byte
		headers []string
		status  int
		detail  string
	}{
		"empty":                      {nil, nil, 400, "unexpected end of JSON input"},
		"no JSON":                    {[]byte("alerts!"), nil, 400, "byte 1: invalid character"},
		"cut":                        {good[:len(good)/2], nil, 400, "unexpected end of JSON input"},
		"a list":                     {[]byte(`[]`), nil, 400, `is a JSON array`},
		"a text":                     {[]byte(`"4"`), nil, 400, `is a JSON string`},
		"null":                       {[]byte(`null`), nil, 400, `no \"version\"`},
		"Grafana's":                  {[]byte(`{"version":"1","alerts":[]}`), nil, 422, `\"version\" is \"1\", expected \"4\"`},
		"a number for the version":   {[]byte(`{"version":4,"alerts":[]}`), nil, 400, `\"version\" is a JSON number, expected a text`},
		"no alerts":                  {[]byte(`{"version":"4"}`), nil, 400, `no \"alerts\"`},
		"alerts that are none":       {[]byte(`{"version":"4","alerts":{}}`), nil, 400, `\"alerts\" is a JSON object, expected a list`},
		"deeply nested":              {[]byte(`{"version":"4","alerts":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`), nil, 400, "exceeded max depth"},
		"10 MiB":                     {[]byte(`{"version":"4","alerts":[],"x":"` + long(10<<20) + `"}`), nil, 413, "more than 8388608 bytes; set max_alerts"},
		"10 MiB, compressed":         {zipped([]byte(`{"version":"4","alerts":[],"x":"` + long(10<<20) + `"}`)), []string{"Content-Encoding", "gzip"}, 413, "more than 8388608 bytes"},
		"said to be gzip":            {good, []string{"Content-Encoding", "gzip"}, 400, "gzip: invalid header"},
		"gzip, cut":                  {zipped(good)[:60], []string{"Content-Encoding", "gzip"}, 400, "unexpected EOF"},
		"another compression":        {good, []string{"Content-Encoding", "br"}, 415, `Content-Encoding is \"br\"`},
		"a form":                     {good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "expected application/json"},
		"no token":                   {good, []string{"Authorization", ""}, 401, "credentials_file"},
		"another token":              {good, []string{"Authorization", "Bearer " + token + "x"}, 401, "credentials_file"},
		"a beginning of the token":   {good, []string{"Authorization", "Bearer " + token[:20]}, 401, "credentials_file"},
		"the token, of basic scheme": {good, []string{"Authorization", "Basic " + token}, 401, "credentials_file"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			status, _, text := r.post(c.body, c.headers...)
			g.Expect(status).To(Equal(c.status), text)
			g.Expect(text).To(ContainSubstring(c.detail))
			g.Expect(len(text)).To(BeNumerically("<", 1000))
		})
	}
	NewWithT(t).Expect(requests(t, ns)).To(BeEmpty())
}

// A message that is fine is taken however it comes.
func TestMessagesThatAreTaken(t *testing.T) {
	g := NewWithT(t)
	r := start(t)
	for _, headers := range [][]string{nil, {"Content-Type", "application/json; charset=utf-8"}, {"Content-Encoding", "gzip"}, {"Content-Encoding", "identity"}, {"Authorization", "bearer  " + token}} {
		ns := tenant(t)
		deployment(t, ns, "cart")
		body := messageOf(firing(labelsOf(ns, "deployment", "cart")))
		if len(headers) > 1 && headers[1] == "gzip" {
			body = zipped(body)
		}
		status, answer, text := r.post(body, headers...)
		g.Expect(status).To(Equal(http.StatusOK), text)
		g.Expect(answer.Alerts).To(HaveExactElements(HaveField("Result", "created")))
		g.Expect(requests(t, ns)).To(HaveLen(1))
	}
	status, answer, _ := r.post([]byte(`{"version":"4","alerts":[],"truncatedAlerts":7}`))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(answer).To(Equal(gateway.Answer{Alerts: []gateway.Outcome{}, TruncatedAlerts: 7}))
	g.Expect(r.metrics()).To(ContainSubstring("holdfast_gateway_truncated_alerts_total 7"))
	for path, status := range map[string]int{"/docs": 200, "/openapi.json": 200, "/healthz": 200, "/readyz": 200, "/metrics": 200, gateway.Path: 405, "/api/v2/alerts": 404} {
		g.Expect(r.get(path)).To(Equal(status), path)
	}
}

// One bad alert spoils no other of its message. What can be read is read, and what does not fit is cut.
func TestOddAlerts(t *testing.T) {
	r := start(t)
	for name, c := range map[string]struct {
		change func(map[string]any)
		result string
		check  func(Gomega, *v1alpha1.RemediationRequest)
	}{
		"endsAt of the year 1": {func(a map[string]any) { a["endsAt"] = "0001-01-01T00:00:00Z" }, "created", nil},
		"endsAt of nonsense":   {func(a map[string]any) { a["endsAt"] = map[string]any{} }, "created", nil},
		"startsAt with nanoseconds": {func(a map[string]any) { a["startsAt"] = "2026-11-23T04:05:06.123456789Z" }, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(rr.Spec.Signal.Annotations).To(HaveKeyWithValue("holdfast.dev/alert-starts-at", v1alpha1.AnnotationValue("2026-11-23T04:05:06.123456789Z")))
		}},
		"startsAt with an offset": {func(a map[string]any) { a["startsAt"] = "2026-11-23T04:05:06+05:30" }, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(rr.Spec.Signal.Annotations).To(HaveKeyWithValue("holdfast.dev/alert-starts-at", v1alpha1.AnnotationValue("2026-11-22T22:35:06Z")))
		}},
		"startsAt of the year 1":     {func(a map[string]any) { a["startsAt"] = "0001-01-01T00:00:00Z" }, "malformed", nil},
		"startsAt in the future":     {func(a map[string]any) { a["startsAt"] = "2999-11-23T04:05:06Z" }, "created", nil},
		"startsAt of the year 10000": {func(a map[string]any) { a["startsAt"] = "10000-01-01T00:00:00Z" }, "malformed", nil},
		"startsAt as a number":       {func(a map[string]any) { a["startsAt"] = 1732334706 }, "malformed", nil},
		"no startsAt":                {func(a map[string]any) { delete(a, "startsAt") }, "malformed", nil},
		"another status":             {func(a map[string]any) { a["status"] = "suppressed" }, "malformed", nil},
		"resolved":                   {func(a map[string]any) { a["status"] = "resolved" }, "resolved", nil},
		"no labels":                  {func(a map[string]any) { a["labels"] = nil }, "malformed", nil},
		"a label that is no text":    {func(a map[string]any) { a["labels"] = map[string]any{"alertname": 7} }, "malformed", nil},
		"no alertname, odd severity": {func(a map[string]any) {
			l := a["labels"].(map[string]string)
			delete(l, "alertname")
			l["severity"] = "🔥 on fire 🔥"
		}, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(rr.Spec.Signal.Name).To(Equal("unnamed"))
			g.Expect(rr.Spec.Signal.Severity).To(Equal("unknown"))
			g.Expect(rr.Spec.Signal.Annotations).To(HaveKeyWithValue("holdfast.dev/alert-severity", v1alpha1.AnnotationValue("🔥 on fire 🔥")))
		}},
		"severity page": {func(a map[string]any) { a["labels"].(map[string]string)["severity"] = "PAGE" }, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(rr.Spec.Signal.Severity).To(Equal("critical"))
			g.Expect(rr.Spec.Signal.Labels).To(HaveKeyWithValue("severity", v1alpha1.LabelValue("PAGE")))
		}},
		"an annotation of 100 KiB": {func(a map[string]any) {
			a["annotations"] = map[string]string{"description": long(100 << 10), "summary": "short"}
		}, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(string(rr.Spec.Signal.Annotations["description"])).To(ContainSubstring("cut: 102400 bytes"))
			g.Expect(rr.Spec.Signal.Annotations).To(HaveKeyWithValue("summary", v1alpha1.AnnotationValue("short")))
		}},
		"labels of every kind": {func(a map[string]any) {
			l := a["labels"].(map[string]string)
			maps.Copy(l, map[string]string{
				"nul": "a\x00b", "controls": "a\x1b[31mb\r\nc", "utf8": "日本語 🎉", "": "no name", "long": long(5000), long(400): "long name",
				"new\nline": "x", "html": `<script>alert(1)</script>`, "surrogate": "\xed\xa0\x80",
			})
			for i := range 100 {
				l[fmt.Sprintf("label_%d", i)] = "x"
			}
		}, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(rr.Spec.Signal.Labels).To(HaveLen(64))
			g.Expect(rr.Spec.Signal.Labels).To(HaveKeyWithValue("alertname", v1alpha1.LabelValue("KubePodCrashLooping")))
			g.Expect(rr.Spec.Signal.Annotations).To(HaveKeyWithValue("holdfast.dev/alert-left-out", v1alpha1.AnnotationValue("labels and annotations that did not fit: 49")))
			g.Expect(rr.Spec.Signal.Labels).To(HaveKeyWithValue("controls", v1alpha1.LabelValue("a\uFFFD[31mb\uFFFD\nc")))
		}},
		"annotations of every kind": {func(a map[string]any) {
			all := map[string]string{"holdfast.dev/alert-severity": "forged", "holdfast.dev/alert-left-out": "forged", "empty": "", "nul": "\x00"}
			for i := range 100 {
				all[fmt.Sprintf("annotation_%d", i)] = long(2000)
			}
			a["annotations"] = all
		}, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(len(rr.Spec.Signal.Annotations)).To(BeNumerically("<=", 32))
			g.Expect(rr.Spec.Signal.Annotations).To(HaveKeyWithValue("holdfast.dev/alert-severity", v1alpha1.AnnotationValue("warning")))
			g.Expect(rr.Spec.Signal.Annotations["holdfast.dev/alert-left-out"]).NotTo(BeEquivalentTo("forged"))
		}},
		"a fingerprint of nonsense": {func(a map[string]any) { a["fingerprint"] = "../" + long(5000) }, "created", func(g Gomega, rr *v1alpha1.RemediationRequest) {
			g.Expect(rr.Spec.Signal.Fingerprint).To(MatchRegexp(`^[0-9a-f]{64}$`))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ns := tenant(t)
			deployment(t, ns, "odd")
			deployment(t, ns, "good")
			odd := firing(labelsOf(ns, "deployment", "odd"), c.change)
			status, answer, text := r.post(messageOf(odd, firing(labelsOf(ns, "deployment", "good"))))
			g.Expect(status).To(Equal(http.StatusOK), text)
			g.Expect(answer.Alerts).To(HaveExactElements(HaveField("Result", c.result), HaveField("Result", "created")), text)
			if c.result != "created" {
				g.Expect(requests(t, ns)).To(HaveLen(1))
				return
			}
			g.Expect(requests(t, ns)).To(HaveLen(2))
			for _, rr := range requests(t, ns) {
				if rr.Name == answer.Alerts[0].Request && c.check != nil {
					c.check(g, &rr)
				}
			}
		})
	}
}

// Both tokens are valid while one is replaced by the other, and none while the file cannot be read: Alertmanager then sends again.
func TestTokensAreReplaced(t *testing.T) {
	g := NewWithT(t)
	r := start(t)
	body := []byte(`{"version":"4","alerts":[]}`)
	post := func(with string) int {
		status, _, _ := r.post(body, "Authorization", "Bearer "+with)
		return status
	}
	const next = "another-token-of-the-gateway-987"
	for _, c := range []struct {
		file      string
		old, next int
	}{
		{token + "\n", 200, 401}, {token + "\n" + next + "\n", 200, 200}, {next, 401, 200}, {"", 503, 503}, {"short", 503, 503}, {"\n" + token + "\r\n", 200, 401},
	} {
		g.Expect(os.WriteFile(r.tokens, []byte(c.file), 0o600)).To(Succeed())
		g.Expect([]int{post(token), post(next)}).To(Equal([]int{c.old, c.next}), "%q", c.file)
	}
	g.Expect(os.Remove(r.tokens)).To(Succeed())
	g.Expect(post(token)).To(Equal(503))
	_, err := gateway.NewTokens(r.tokens)
	g.Expect(err).To(MatchError(ContainSubstring("read the token file")))
}

// Too much at once is answered 503, never 429, which Alertmanager would not send again.
func TestOverloadIs503(t *testing.T) {
	g := NewWithT(t)
	r := start(t, func(c *gateway.Config) {
		c.Limits.BytesInFlight, c.Limits.BodyBytes, c.Limits.ReadTimeout = 100, 100, time.Minute
	})
	half, write := pipe()
	answered := make(chan int, 1)
	go func() { answered <- r.stream(half) }()
	write("{") // it is being read: its body has a place
	g.Eventually(func() string { return r.metrics() }, timeout, interval).Should(ContainSubstring("holdfast_gateway_shed_total"))
	g.Eventually(func() int { status, _, _ := r.post([]byte(`{"version":"4","alerts":[]}`)); return status }, timeout, interval).Should(Equal(503))
	write(`"version":"4","alerts":[]}`)
	write("")
	g.Expect(<-answered).To(Equal(200))
	g.Expect(r.metrics()).To(MatchRegexp(`holdfast_gateway_shed_total\{reason="bytes"\} [1-9]`))
	status, _, _ := r.post([]byte(`{"version":"4","alerts":[]}`))
	g.Expect(status).To(Equal(200))
}
