package reportsapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/net/html"
)

// A browser's header.
var browsing = []string{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

const november = "?start=2026-11-01T00:00:00Z&end=2026-12-31T00:00:00Z"

// shownIDs are the remediations that a list shows, in its order.
func shownIDs(t *testing.T, page string) []string {
	t.Helper()
	ids := []string{}
	for _, link := range regexp.MustCompile(`href="/remediations/([^"]+)"`).FindAllStringSubmatch(page, -1) {
		id, err := url.PathUnescape(link[1])
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		ids = append(ids, id)
	}
	return ids
}

func TestAPageIsForTheSameCallersAsItsEndpoint(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	shop, web := s.write(remediation{}), s.write(remediation{namespace: "web"})
	s.post("posted-1")
	for token, want := range map[string][]string{"all": {"posted-1", web, shop}, "shop": {shop}, "web": {web}, "none": {}} {
		g.Expect(shownIDs(t, s.get("/"+november, token).body)).To(ConsistOf(want), token)
	}
	g.Expect(s.get("/remediations/"+shop, "shop").status).To(Equal(http.StatusOK))
	g.Expect(s.get("/remediations/"+shop, "web").status).To(Equal(http.StatusNotFound))
	g.Expect(s.get("/remediations/"+shop, "web", browsing...).body).To(Equal(strings.ReplaceAll(s.get("/remediations/"+web, "shop", browsing...).body, web, shop)), "not allowed and not there are the same")
	for _, path := range []string{"/", "/remediations/" + shop} {
		refused := s.get(path, "")
		g.Expect(refused.problem(t).Status).To(Equal(http.StatusUnauthorized))
		g.Expect(refused.header.Get("WWW-Authenticate")).To(Equal("Bearer"))
		page := s.get(path, "", browsing...)
		g.Expect(page.status).To(Equal(http.StatusUnauthorized))
		g.Expect(page.header.Get("WWW-Authenticate")).To(Equal("Bearer"))
		g.Expect(page.header.Get("Content-Type")).To(Equal("text/html; charset=utf-8"))
		g.Expect(page.body).To(ContainSubstring("kubectl holdfast console"))
		g.Expect(page.header).NotTo(HaveKey("Set-Cookie"))
	}
}

// Refusals are pages for a browser, and problems for others.
func TestRefusalsOfPages(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		path, token, says string
		status            int
	}{
		"time":    {"/?start=yesterday", "all", "yesterday", http.StatusUnprocessableEntity},
		"window":  {"/?start=2026-12-01T00:00&end=2026-11-01T00:00", "all", "a time after start", http.StatusUnprocessableEntity},
		"both":    {"/?since=7d&start=2026-11-01T00:00", "all", "since", http.StatusUnprocessableEntity},
		"since":   {"/?since=forever", "all", "forever", http.StatusUnprocessableEntity},
		"cursor":  {"/" + november + "&next=bad", "all", "next", http.StatusUnprocessableEntity},
		"unknown": {"/?tpyo=1", "all", "expected namespace, start, end, since, time", http.StatusUnprocessableEntity},
		"markup":  {"/?alert=" + strings.Repeat("%3Cb%3E", 100), "all", "alert", http.StatusUnprocessableEntity},
		"escape":  {"/?alert=%ZZ", "all", "percent-encoded", http.StatusBadRequest},
		"id":      {"/remediations/" + url.PathEscape("<script>"), "all", "there is no", http.StatusNotFound},
		"as of":   {"/remediations/x?as_of=never", "all", "as_of", http.StatusUnprocessableEntity},
		"outage":  {"/", "outage", "", http.StatusServiceUnavailable},
		"many":    {"/", "many", "namespace", http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(s.get(c.path, c.token).problem(t).Status).To(Equal(c.status))
			page := s.get(c.path, c.token, browsing...)
			g.Expect(page.status).To(Equal(c.status))
			g.Expect(page.header.Get("Content-Type")).To(Equal("text/html; charset=utf-8"))
			g.Expect(html.UnescapeString(page.body)).To(ContainSubstring(c.says))
			g.Expect(page.body).NotTo(ContainSubstring("<script"))
			if c.status == http.StatusServiceUnavailable {
				g.Expect(page.header.Get("Retry-After")).NotTo(BeEmpty())
				g.Expect(page.body).NotTo(ContainSubstring("10.0.0.1"), "the cause is the operator's")
				g.Expect(page.body).To(ContainSubstring(`<a href="/">Try again</a>`))
			}
		})
	}
}

// The form shows what was asked for, also where no option has it.
func TestTheFormShowsAnOutcomeThatItDoesNotOffer(t *testing.T) {
	s := start(t)
	NewWithT(t).Expect(s.get("/?outcome=exploded", "all").body).To(ContainSubstring(`<option value="exploded" selected>exploded</option>`))
}

func TestHeadersOfPages(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := s.write(remediation{})
	for _, path := range []string{"/" + november, "/remediations/" + id} {
		page := s.get(path, "all")
		g.Expect(page.status).To(Equal(http.StatusOK))
		policy := page.header.Get("Content-Security-Policy")
		g.Expect(policy).To(And(HavePrefix("default-src 'none'; style-src 'sha256-"), ContainSubstring("frame-ancestors 'none'"), Not(ContainSubstring("unsafe"))))
		g.Expect(page.header.Get("Cache-Control")).To(ContainSubstring("private"))
		g.Expect(page.header.Get("Referrer-Policy")).To(Equal("no-referrer"))
		g.Expect(page.header.Get("X-Content-Type-Options")).To(Equal("nosniff"))
		head := s.do(http.MethodHead, path, "all", http.NoBody)
		g.Expect(head.status).To(Equal(http.StatusOK))
		g.Expect(head.body).To(BeEmpty())
		g.Expect(s.do(http.MethodPost, path, "all", http.NoBody).status).To(Equal(http.StatusMethodNotAllowed))
	}
	page := s.get("/remediations/"+id, "all")
	g.Expect(s.get("/remediations/"+id, "all", "If-None-Match", page.header.Get("ETag")).status).To(Equal(http.StatusNotModified))
	g.Expect(s.get(reports+"/"+id+"?format=html", "all").header.Get("ETag")).NotTo(Equal(page.header.Get("ETag")))
	file := s.get(reports+"/"+id+"?format=html", "all")
	g.Expect(file.body).NotTo(Or(ContainSubstring(`href="/`), ContainSubstring("<form")), "a file has nothing to link to")
}

// The commands of a page give what the page shows, whatever the id is: a shell takes it for one word.
func TestCommandsOfPages(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	for _, id := range []string{"by-hand-17", "a b", "it's", `"; rm -rf / #`, "$(reboot)", "$HOME", "`id`", "-n", "50%", "a/b?c#d", "déjà"} {
		s.post(id)
		page := s.get("/remediations/"+strings.ReplaceAll(url.QueryEscape(id), "+", "%20"), "all")
		g.Expect(page.status).To(Equal(http.StatusOK), id)
		commands := regexp.MustCompile(`(?s)<pre class="code">(.*?)</pre>`).FindAllStringSubmatch(page.body, -1)
		g.Expect(commands).To(HaveLen(2))
		shell := func(program, command string) string {
			said, err := exec.CommandContext(t.Context(), "sh", "-c", program+`() { printf '%s\n' "$@"; }; HOLDFAST_REPORTS_URL=http://x; `+html.UnescapeString(command)).Output()
			g.Expect(err).NotTo(HaveOccurred())
			return strings.TrimSuffix(string(said), "\n")
		}
		g.Expect(strings.Split(shell("holdfast", commands[0][1]), "\n")).To(ContainElement(id))
		said := strings.Split(shell("curl", commands[1][1]), "\n")
		asked, err := http.NewRequestWithContext(t.Context(), http.MethodGet, said[len(said)-1], http.NoBody)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(s.get(asked.URL.RequestURI(), "all").report(t).RemediationID).To(Equal(id))
	}
	list := s.get("/"+november+"&alert="+url.QueryEscape(`x'"; $(reboot)`)+"&time=completed&namespace=shop&namespace=web", "all")
	g.Expect(html.UnescapeString(list.body)).To(ContainSubstring(`holdfast rar list --start 2026-11-01T00:00:00Z --end 2026-12-31T00:00:00Z --namespace shop --namespace web --alert 'x'\''"; $(reboot)' --completed -o json`))
}

// A page without a token repeats its own address as one word of a shell, too.
func TestTheAddressOfARefusedPage(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	recorder := httptest.NewRecorder()
	asked := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?q='$(reboot)'", http.NoBody)
	asked.Host = "x';reboot;'"
	asked.Header.Set("Accept", "text/html")
	s.server.Handler().ServeHTTP(recorder, asked)
	g.Expect(recorder.Code).To(Equal(http.StatusUnauthorized))
	g.Expect(html.UnescapeString(recorder.Body.String())).To(ContainSubstring("'http://x%27;reboot;%27/?q=%27$(reboot)%27'</pre>"))
}

func TestPagesOfAList(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	var want []string
	for range rowsOfPage + 5 {
		want = append(want, s.write(remediation{}))
	}
	got := []string{}
	next := "/" + november
	for next != "" {
		page := s.get(next, "shop")
		g.Expect(page.status).To(Equal(http.StatusOK))
		got = append(got, shownIDs(t, page.body)...)
		next = ""
		if link := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(page.body); link != nil {
			next = html.UnescapeString(link[1])
		}
	}
	g.Expect(got).To(ConsistOf(want))
}
