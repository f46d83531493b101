package reportsapi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestOneReport(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	for i := range 3 {
		s.write(remediation{received: received.AddDate(0, 0, -2*i-1), name: "other", fingerprint: "f2"})
	}
	id := s.write(remediation{})
	s.write(remediation{received: received.Add(2 * time.Hour)})
	answer := s.get(reports+"/"+id, "all")
	report := answer.report(t)
	g.Expect(answer.header.Get("Content-Type")).To(Equal("application/json"))
	g.Expect(report.RemediationID).To(Equal(id))
	g.Expect(report.Summary.Outcome).To(Equal("remediated"))
	g.Expect(report.Summary.TotalSeconds).To(HaveValue(Equal(60.0)))
	g.Expect(report.Complete.Chain.Verified).To(BeTrue())
	g.Expect(report.History.N).To(BeEquivalentTo(3))
	g.Expect(report.Effectiveness.Recurrences).To(HaveLen(1))
	g.Expect(s.get(reports+"/"+strings.ToUpper(id), "all").report(t).RemediationID).To(Equal(id), "a UUID in any case")
}

// Lists of summaries, trends and their pages are not sent again to whoever has them, and are when a row is new.
func TestListsAndTrendsHaveETags(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	s.write(remediation{})
	const page = "?start=2026-11-01T00:00:00Z&end=2026-12-20T00:00:00Z"
	tags := map[string]string{}
	paths := []string{reports + page + "&view=summary", "/" + page, pathTrends + page, pathTrends + page + "&format=md", "/trends" + page}
	for _, path := range paths {
		first := s.get(path, "all")
		tags[path] = first.header.Get("ETag")
		g.Expect(tags[path]).NotTo(BeEmpty(), path)
		again := s.get(path, "all", "If-None-Match", tags[path])
		g.Expect(again.status).To(Equal(http.StatusNotModified), path)
		g.Expect(again.body).To(BeEmpty())
	}
	g.Expect(tags[paths[2]]).NotTo(Equal(tags[paths[3]]))
	s.write(remediation{received: received.Add(time.Hour)})
	for _, path := range paths {
		g.Expect(s.get(path, "all", "If-None-Match", tags[path]).status).To(Equal(http.StatusOK), path)
	}
	g.Expect(s.get(reports+page, "all").header.Get("ETag")).To(BeEmpty(), "whole reports are written as they are made")
}

// The same rows as of the same instant are the same bytes, and the ETag does not depend on the instant.
func TestTheETagNamesTheContent(t *testing.T) {
	g := NewWithT(t)
	now := received.AddDate(0, 0, 30)
	s := start(t, func(c *Config) { c.Now = func() time.Time { return now } })
	id := s.write(remediation{})
	path := reports + "/" + id
	first := s.get(path, "all")
	g.Expect(s.get(path, "all").body).To(Equal(first.body))
	asOf := "?as_of=" + received.AddDate(0, 0, 20).Format(time.RFC3339)
	g.Expect(s.get(path+asOf, "all").body).To(Equal(s.get(path+asOf, "all").body))

	tag := first.header.Get("ETag")
	now = now.Add(time.Hour)
	for _, none := range []string{tag, `"x", ` + tag, "*", strings.TrimPrefix(tag, "W/")} {
		again := s.get(path, "all", "If-None-Match", none)
		g.Expect(again.status).To(Equal(http.StatusNotModified))
		g.Expect(again.body).To(BeEmpty())
		g.Expect(again.header.Get("ETag")).To(Equal(tag))
	}
	g.Expect(s.get(path, "all", "If-None-Match", `"x"`).status).To(Equal(http.StatusOK))
	g.Expect(s.get(path+"?narrative=none", "all").header.Get("ETag")).NotTo(Equal(tag))
	g.Expect(s.get(path+"?as_of="+received.Add(2*time.Minute).Format(time.RFC3339), "all").header.Get("ETag")).NotTo(Equal(tag), "windows that were not over")
	s.write(remediation{received: received.AddDate(0, 0, -1), name: "other", fingerprint: "f2"})
	g.Expect(s.get(path, "all").header.Get("ETag")).NotTo(Equal(tag), "the cohort is another")
}

// Whatever an id is, one that is not there is 404, and says nothing of what was asked.
func TestAnIDThatIsNotThere(t *testing.T) {
	s := start(t)
	s.write(remediation{})
	for _, id := range []string{
		"4f8e0a52-6a3e-4be0-9f0e-ffffffffffff", "' OR 1=1; DROP TABLE orchestration_audit; --", "<script>alert(1)</script>", "a\r\nSet-Cookie: x", "../../etc/passwd",
		"%00", "\xff", strings.Repeat("x", 10<<10), "urn:uuid:4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11",
	} {
		g := NewWithT(t)
		answer := s.get(reports+"/"+url.PathEscape(id), "all")
		g.Expect(answer.status).To(Equal(http.StatusNotFound), id)
		g.Expect(answer.problem(t).Detail).To(HavePrefix("there is no remediation of this id that you may read"))
		g.Expect(answer.header).NotTo(HaveKey("Set-Cookie"))
	}
}

// What is wrong with a request is said with its name, its value and what was expected.
func TestBadParameters(t *testing.T) {
	s := start(t)
	id := s.write(remediation{})
	for path, want := range map[string]string{
		reports: "start is missing, expected a time in RFC 3339",
		reports + "?start=yesterday&end=2026-11-24T00:00:00Z":            `start is "yesterday", expected a time in RFC 3339`,
		reports + "?start=2026-11-24T00:00:00Z&end=2026-11-24T00:00:00Z": "end is 2026-11-24T00:00:00Z, expected a time after start",
		reports + "?start=2026-11-25T00:00:00Z&end=2026-11-24T00:00:00Z": "end is 2026-11-24T00:00:00Z, expected a time after start",
		reports + "?start=2026-11-25T00:00:00Z&end=0001-01-01T00:00:00Z": `end is "0001-01-01T00:00:00Z", expected a year from 2 to 9998`,
		"/?start=0001-01-01T00:00&end=2026-11-24T00:00":                  `start is "0001-01-01T00:00"`,
		reports + window + "&limit=0":                                    `limit is "0", expected an integer from 1 to 100`,
		reports + window + "&limit=101":                                  `limit is "101", expected an integer from 1 to 100`,
		reports + window + "&view=summary&limit=501":                     `limit is "501", expected an integer from 1 to 500`,
		reports + window + "&limit=x":                                    `limit is "x"`,
		reports + window + "&next=abc":                                   `next is "abc", expected the value of next of the page before`,
		reports + window + "&order=asc":                                  "order is no parameter of this request, expected namespace, start",
		reports + window + "&time=started":                               `time is "started", expected received or completed`,
		reports + window + "&q=%00":                                      `q is "\x00", expected text in UTF-8`,
		reports + window + "&q=%ff":                                      "expected text in UTF-8",
		reports + window + "&alert=" + strings.Repeat("x", 256):          "alert has 256 characters, expected at most 255",
		reports + window + "&start=2026-11-01T00:00:00Z":                 "start is given 2 times, expected once",
		reports + "/" + id + "?format=pdf":                               `format is "pdf", expected json, md, html or svg`,
		reports + "/" + id + "?as_of=2999-01-01T00:00:00Z":               "as_of is 2999-01-01T00:00:00Z, expected a time that is over",
		reports + window + "&namespace=a%2F..%2Fb":                       `namespace is "a/../b", expected the name of a namespace`,
		reports + window + "&namespace=%00":                              `namespace is "\x00", expected text`,
		reports + window + strings.Repeat("&namespace=x", 501):           "namespace is given 501 times, expected at most 500",
		"/api/v2/resources":                                              "name is missing",
		"/api/v2/resources?name=cart&namespace=a&namespace=b":            "namespace is given 2 times",
		"/api/v2/resources/" + id + "/entries?limit=1000":                "expected an integer from 1 to 500",
	} {
		t.Run(path[:min(len(path), 100)], func(t *testing.T) {
			g := NewWithT(t)
			answer := s.get(path, "all")
			g.Expect(answer.status).To(Equal(http.StatusUnprocessableEntity), answer.body)
			p := answer.problem(t)
			g.Expect(p.Detail).To(ContainSubstring(want))
			g.Expect(p.Parameters).NotTo(BeEmpty())
		})
	}
	g := NewWithT(t)
	g.Expect(s.get(reports+"?start=%zz", "all").status).To(Equal(http.StatusBadRequest))
	g.Expect(s.get(reports+"/"+id, "all", "Accept", "application/pdf").status).To(Equal(http.StatusNotAcceptable))
	g.Expect(s.get(reports+window, "many").problem(t).Detail).To(ContainSubstring("namespace is required for a caller"))
}

func TestWhoIsNotLetIn(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	unknown := s.get(reports+"/"+id, "")
	g.Expect(unknown.status).To(Equal(http.StatusUnauthorized))
	g.Expect(unknown.header.Get("WWW-Authenticate")).To(Equal("Bearer"))
	away := s.get(reports+"/"+id, "outage")
	g.Expect(away.status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(away.header.Get("Retry-After")).To(Equal("5"))
	g.Expect(away.body).NotTo(ContainSubstring("10.0.0.1"))
	broken := s.get(reports+"/"+id, "panic")
	g.Expect(broken.status).To(Equal(http.StatusInternalServerError))
	g.Expect(s.server.gates.requests.TryAcquire(int64(s.server.config.Limits.Requests))).To(BeTrue(), "nothing is held")
}
