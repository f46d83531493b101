package reportsapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
)

// Pages one after another are the whole list, each remediation once, also when rows come in between.
func TestPagesAreTheWholeList(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	var want []string
	for i := range 7 {
		want = append(want, s.write(remediation{received: received.Add(-time.Duration(i/2) * time.Hour)})) // pairs have one time
	}
	for _, view := range []string{"summary", "full"} {
		for _, token := range []string{"all", "shop"} {
			var got []string
			path := reports + window + "&limit=2&view=" + view
			for next := ""; ; {
				p := s.get(path+next, token).page(t)
				got = append(got, p.ids()...)
				if p.Next == nil {
					break
				}
				g.Expect(p.Items).To(HaveLen(2))
				next = "&next=" + url.QueryEscape(*p.Next)
				g.Expect(s.get(reports+window+"&limit=2&alert=x&view="+view+next, token).problem(t).Detail).To(ContainSubstring("next is of a list with other parameters"))
			}
			g.Expect(got).To(ConsistOf(want))
		}
	}
	g.Expect(s.get(reports+window+"&limit=7&view=summary", "all").page(t).Next).To(BeNil(), "there is nothing after it")
}

// Filters can be combined, and a window is half-open.
func TestFilters(t *testing.T) {
	s := start(t)
	a := s.write(remediation{})
	b := s.write(remediation{outcome: "failed", alert: "PodCrash", name: "web", fingerprint: "f9", received: received.Add(-time.Hour)})
	s.post("by-hand")
	for query, want := range map[string][]string{
		"":                                 {a, "by-hand", b},
		"&outcome=failed":                  {b},
		"&outcome=failed&alert=PodCrash":   {b},
		"&outcome=failed&alert=other":      {},
		"&alert=PodOOMKilled":              {a},
		"&q=we":                            {b},
		"&q=f9":                            {b},
		"&q=by-":                           {"by-hand"},
		"&q=we&outcome=remediated":         {},
		"&q=" + a:                          {a},
		"&q=%25":                           {},
		"&namespace=shop":                  {a, b},
		"&namespace=shop&namespace=shop":   {a, b},
		"&namespace=shop&namespace=x&q=we": {b},
		"&namespace=x":                     {},
		"&workflow=none":                   {},
		"&time=completed":                  {a, b},
		"&time=completed&alert=PodCrash&q=web&outcome=failed&namespace=shop": {b},
	} {
		t.Run(query, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(s.get(reports+window+"&view=summary"+query, "all").page(t).ids()).To(ConsistOf(want))
			g.Expect(s.get(reports+window+query, "all").page(t).ids()).To(ConsistOf(want))
		})
	}
	g := NewWithT(t)
	at := url.QueryEscape(received.Format(time.RFC3339Nano))
	g.Expect(s.get(reports+"?view=summary&start="+at+"&end=2026-12-01T00:00:00Z", "all").page(t).ids()).To(ConsistOf(a, "by-hand"))
	g.Expect(s.get(reports+"?view=summary&start=2026-11-01T00:00:00Z&end="+at, "all").page(t).ids()).To(ConsistOf(b))
}

// lines are those of a stream.
func (r reply) lines(t *testing.T) []map[string]json.RawMessage {
	t.Helper()
	g := NewWithT(t)
	g.Expect(r.status).To(Equal(http.StatusOK), r.body)
	g.Expect(r.header.Get("Content-Type")).To(Equal(ndjson))
	var all []map[string]json.RawMessage
	for line := range strings.Lines(r.body) {
		var one map[string]json.RawMessage
		g.Expect(json.Unmarshal([]byte(line), &one)).To(Succeed(), line)
		all = append(all, one)
	}
	return all
}

// A stream has the whole window, over its pages, and its last line counts.
func TestAStreamHasTheWholeWindow(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	const n = streamPage + 5
	for i := range n {
		s.write(remediation{received: received.Add(-time.Duration(i) * time.Minute)})
	}
	for _, view := range []string{"summary", "full"} {
		lines := s.get(reports+window+"&view="+view, "shop", "Accept", ndjson).lines(t)
		g.Expect(lines).To(HaveLen(n + 1))
		g.Expect(lines[n]["end"]).To(MatchJSON(fmt.Sprintf(`{"total":%d,"ok":%d,"not_found":0,"failed":0}`, n, n)))
		seen := map[string]bool{}
		for _, line := range lines[:n] {
			seen[string(line["remediation_id"])] = true
		}
		g.Expect(seen).To(HaveLen(n))
	}
	g.Expect(s.get(reports+window, "nobody", "Accept", ndjson).lines(t)).To(HaveLen(1), "only the counts")
	g.Expect(s.get(reports+window+"&limit=5", "all", "Accept", ndjson).problem(t).Detail).To(ContainSubstring("limit is for pages"))
}

func (s *service) batch(token, body string) reply {
	s.t.Helper()
	return s.do(http.MethodPost, pathBatch, token, strings.NewReader(body), "Content-Type", "application/json")
}

func TestABatch(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	a, b := s.write(remediation{}), s.write(remediation{namespace: "bank", received: received.Add(-time.Hour)})
	lines := s.batch("shop", fmt.Sprintf(`{"remediation_ids": [%q, %q, "<none>\n"]}`, a, b)).lines(t)
	g.Expect(lines).To(HaveLen(4))
	for i, status := range []string{"200", "404", "404"} {
		g.Expect(string(lines[i]["status"])).To(Equal(status))
	}
	g.Expect(lines[0]).To(HaveKey("report"))
	g.Expect(lines[1]).To(And(HaveKey("problem"), Not(HaveKey("report"))))
	g.Expect(string(lines[2]["id"])).To(Equal(`"<none>\n"`))
	g.Expect(lines[3]["end"]).To(MatchJSON(`{"total":3,"ok":1,"not_found":2,"failed":0}`))

	ranged := s.batch("all", `{"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "outcome": "remediated", "narrative": "none"}`).lines(t)
	g.Expect(ranged).To(HaveLen(3))
	g.Expect(string(ranged[0]["id"])).To(Equal(fmt.Sprintf("%q", a)))

	again := s.batch("all", fmt.Sprintf(`{"remediation_ids": [%q, %q, %q]}`, a, b, a)).lines(t)
	g.Expect(again[2]["end"]).To(MatchJSON(`{"total":2,"ok":2,"not_found":0,"failed":0}`), "an id is answered once")
}

// The filters of a window are those of a list, the namespace as well: nothing of another one comes, whoever asks.
func TestABatchOfNamespaces(t *testing.T) {
	s := start(t)
	a, b := s.write(remediation{}), s.write(remediation{namespace: "bank", received: received.Add(-time.Hour)})
	for body, want := range map[string][]string{
		`"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "namespace": "bank"`:           {b},
		`"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "namespace": ["bank", "shop"]`: {a, b},
		`"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "namespace": ["empty"]`:        {},
	} {
		for token, sees := range map[string][]string{"all": {a, b}, "shop": {a}, "nobody": {}} {
			t.Run(token+body, func(t *testing.T) {
				g := NewWithT(t)
				answer := s.batch(token, "{"+body+"}")
				lines, ids := answer.lines(t), []string{}
				for _, line := range lines[:len(lines)-1] {
					ids = append(ids, strings.Trim(string(line["id"]), `"`))
				}
				expected := slices.DeleteFunc(slices.Clone(want), func(id string) bool { return !slices.Contains(sees, id) })
				g.Expect(ids).To(Equal(expected), answer.body)
				j := s.batch(token, `{"narrative": "generate", `+body+"}").job(t, http.StatusAccepted)
				g.Eventually(func() jobView { return s.get(pathBatch+"/"+j.Job, token).job(t, http.StatusOK) }, patience).Should(HaveField("State", jobDone))
				g.Expect(s.get(pathBatch+"/"+j.Job, token).job(t, http.StatusOK).Counts).To(Equal(Counts{Total: len(expected), OK: len(expected)}))
			})
		}
	}
	g := NewWithT(t)
	twice := s.do(http.MethodPost, pathBatch+"?namespace=shop", "all", strings.NewReader(`{"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "namespace": "bank"}`), "Content-Type", "application/json")
	g.Expect(twice.problem(t).Errors).To(ContainElement(HaveField("Pointer", "/namespace")))
	g.Expect(s.batch("shop", fmt.Sprintf(`{"remediation_ids": [%q, %q], "namespace": "bank"}`, a, b)).lines(t)[2]["end"]).To(MatchJSON(`{"total":2,"ok":0,"not_found":2,"failed":0}`))
}

// A UUID is one id in whatever case it is written, and each that was asked for has the whole report.
func TestABatchWithAnIDInTwoSpellings(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	for _, one := range []string{id, uuid.NewString()} {
		s.flood(one, 2) // the second has no resource: its rows make the report
		lines := s.batch("all", fmt.Sprintf(`{"remediation_ids": [%q, %q], "as_of": "2026-11-25T00:00:00Z"}`, one, strings.ToUpper(one))).lines(t)
		g.Expect(lines).To(HaveLen(3))
		g.Expect(lines[2]["end"]).To(MatchJSON(`{"total":2,"ok":2,"not_found":0,"failed":0}`))
		g.Expect(lines[1]["report"]).To(MatchJSON(lines[0]["report"]))
		g.Expect(lines[0]["report"]).To(MatchJSON(s.get(reports+"/"+one+"?as_of=2026-11-25T00:00:00Z", "all").body))
	}
}

func TestABadBatch(t *testing.T) {
	s := start(t)
	many := make([]string, maxBatch+1)
	for i := range many {
		many[i] = fmt.Sprintf("%q", fmt.Sprint(i))
	}
	for body, want := range map[string]struct {
		status  int
		pointer string
		detail  string
	}{
		`{}`:                      {422, "/end", "is missing"},
		`{"remediation_ids": []}`: {422, "/remediation_ids", "has 0 ids, expected 1 to 500"},
		`{"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "namespace": "Shop"}`: {422, "/namespace", "expected the name of a namespace"},
		`{"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z", "namespace": 1}`:      {400, "", "cannot be read"},
		`{"remediation_ids": [` + strings.Join(many, ",") + `]}`:                                {422, "/remediation_ids", "has 501 ids"},
		`{"remediation_ids": ["a"], "start": "2026-11-01T00:00:00Z"}`:                           {422, "/start", "expected one of the two"},
		`{"start": "x", "end": "2026-12-01T00:00:00Z"}`:                                         {422, "/start", "expected a time in RFC 3339"},
		`{"ids": ["a"]}`:               {400, "", "unknown field"},
		`{"remediation_ids": "a"}`:     {400, "", "cannot be read"},
		`{"remediation_ids": ["a"]} x`: {400, "", "something follows"},
		``:                             {400, "", "cannot be read"},
		`{"remediation_ids": ["` + strings.Repeat("x", maxBody) + `"]}`: {413, "", "more than 1048576 bytes"},
	} {
		t.Run(body[:min(len(body), 60)], func(t *testing.T) {
			g := NewWithT(t)
			answer := s.batch("all", body)
			g.Expect(answer.status).To(Equal(want.status), answer.body)
			p := answer.problem(t)
			g.Expect(answer.body).To(ContainSubstring(want.detail))
			if want.pointer != "" {
				g.Expect(p.Errors).To(ContainElement(HaveField("Pointer", want.pointer)))
			}
		})
	}
	g := NewWithT(t)
	g.Expect(s.do(http.MethodPost, pathBatch, "all", strings.NewReader("{}"), "Content-Type", "text/plain").status).To(Equal(http.StatusUnsupportedMediaType))
	g.Expect(s.get(pathBatch, "all").status).To(Equal(http.StatusMethodNotAllowed))
}

// The trail of a resource comes in pages, in the order of its sequence, with the texts that were hashed.
func TestTheTrailOfAResource(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	first := s.get("/api/v2/resources/"+id+"/entries?limit=1", "shop").page(t)
	g.Expect(first.Items).To(HaveLen(1))
	g.Expect(first.Next).NotTo(BeNil())
	second := s.get("/api/v2/resources/"+id+"/entries?limit=1&next="+*first.Next, "shop").page(t)
	g.Expect([]int64{first.Items[0].Sequence, second.Items[0].Sequence}).To(Equal([]int64{1, 2}))
	g.Expect(second.Next).To(BeNil())
	g.Expect(s.get("/api/v2/resources/"+strings.ToUpper(id)+"/entries", "shop").page(t).Items).To(HaveLen(2))
	g.Expect(s.get("/api/v2/resources/nonsense/entries", "shop").status).To(Equal(http.StatusNotFound))
	named := s.get("/api/v2/resources?name=cart&namespace=shop&kind=orchestration", "shop").page(t)
	g.Expect(named.Items).To(ConsistOf(HaveField("UID", id)))
	g.Expect(s.get("/api/v2/resources?name=cart&namespace=shop&kind=RemediationRequest", "shop").page(t).Items).To(ConsistOf(HaveField("UID", id)))
	for _, other := range []string{"execution", "WorkflowExecution", "backups.example.com"} {
		g.Expect(s.get("/api/v2/resources?name=cart&namespace=shop&kind="+other, "shop").page(t).Items).To(BeEmpty(), other)
	}
}
