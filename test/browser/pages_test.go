package browser

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	. "github.com/onsi/gomega"
)

// pages are those that a person sees, and their status.
func pages(s *service) map[string]int64 {
	all := map[string]int64{"/": 200, "/?outcome=remediated&since=24h": 200, "/?alert=Nothing": 200, "/?start=yesterday": 422, "/trends": 200, "/trends?since=24h&alert=Nothing": 200, "/trends?since=never": 422, "/remediations/none": 404}
	for _, id := range s.ids {
		all["/remediations/"+id] = 200
	}
	return all
}

// Nothing that a page needs is refused by its own policy, and nothing is written to the console.
func TestPagesAreQuiet(t *testing.T) {
	for path, status := range pages(site) {
		t.Run(path, func(t *testing.T) {
			b := openTab(t, look{}, asReader)
			b.open(site.url+path, status)
			quiet := b.complaints()
			if status != 200 { // the browser itself writes the status of a page
				quiet = slices.DeleteFunc(quiet, func(m string) bool { return strings.Contains(m, "the server responded with a status of") })
			}
			b.Expect(quiet).To(BeEmpty())
			b.Expect(eval[int](b, `document.querySelectorAll("script, iframe, object, embed, [style], [onclick]").length`)).To(BeZero())
			b.Expect(eval[[]string](b, `performance.getEntriesByType("resource").map(r => r.name)`)).To(BeEmpty(), "a page loads nothing else")
		})
	}
}

func TestPagesAreAccessible(t *testing.T) {
	script := axeCore(t)
	for _, l := range []look{{}, {dark: true}, {phone: true}, {dark: true, phone: true}} {
		for path, status := range pages(site) {
			t.Run(l.String()+path, func(t *testing.T) {
				b := openTab(t, l, asReader)
				b.open(site.url+path, status)
				eval[chromedp.Void](b, `document.querySelectorAll("details").forEach(d => d.open = true)`)
				b.Expect(b.axe(script)).To(BeEmpty())
			})
		}
	}
}

// The browser has our fonts, and no other: what the machine has decides nothing.
func TestFonts(t *testing.T) {
	for has, l := range map[*fonts]look{&usual: {}, &wide: {wide: true}} {
		b := openTab(t, l, asReader)
		b.open(site.url+"/remediations/"+site.ids["worked"], 200)
		used := map[string]bool{}
		call(b, dom.Enable, dom.EnableParams{})
		call(b, css.Enable, cdp.Empty{})
		root := call(b, dom.GetDocument, dom.GetDocumentParams{}).Root.NodeID
		for _, node := range call(b, dom.QuerySelectorAll, dom.QuerySelectorAllParams{NodeID: root, Selector: "h1, p, td, th, code, text"}).NodeIDs {
			for _, font := range call(b, css.GetPlatformFontsForNode, css.GetPlatformFontsForNodeParams{NodeID: node}).Fonts {
				used[font.FamilyName] = true
			}
		}
		b.Expect(slices.Collect(maps.Keys(used))).To(ConsistOf(has.mono, has.sans))
	}
}

// A phone never scrolls sideways, and paper has what is behind a fold.
func TestWidthAndPaper(t *testing.T) {
	for path, status := range pages(site) {
		for _, wide := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s wide=%t", path, wide), func(t *testing.T) {
				b := openTab(t, look{phone: true, wide: wide}, asReader)
				b.open(site.url+path, status)
				b.Expect(eval[int](b, `document.documentElement.scrollWidth`)).To(BeNumerically("<=", 360), "widest: %s", widest(b))
				b = openTab(t, look{paper: true, wide: wide}, asReader)
				b.open(site.url+path, status)
				b.Expect(eval[int](b, `document.documentElement.scrollWidth`)).To(BeNumerically("<=", paperWidth), "widest: %s", widest(b))
				b.Expect(eval[[]string](b, `[...document.querySelectorAll("details > :not(summary)")].filter(e => e.parentElement.checkVisibility() && e.getBoundingClientRect().height == 0).map(e => e.outerHTML.slice(0, 200))`)).To(BeEmpty())
				paper, err := chromedp.Run(b.ctx, chromedp.PrintToPDF())
				b.Expect(err).NotTo(HaveOccurred())
				b.Expect(bytes.HasPrefix(paper, []byte("%PDF-"))).To(BeTrue())
			})
		}
	}
}

// broken are words that break over two lines, in elements whose words all fit.
const broken = `[...document.querySelectorAll("thead th, .k, .end .badge, .alert, .figures dt, .x a, text")].filter(e => e.checkVisibility()).flatMap(e => {
	const range = document.createRange(), found = [];
	for (const node of [...e.childNodes].filter(n => n.nodeType == 3)) for (const word of node.data.matchAll(/[^\s-]+/g)) {
		range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
		if (new Set([...range.getClientRects()].map(r => Math.round(r.top))).size > 1) found.push(word[0]);
	}
	return found;
})`

// outside are the texts of charts that leave their chart, or lie on each other.
const outside = `[...document.querySelectorAll("svg")].filter(s => s.checkVisibility()).flatMap(s => {
	const frame = s.getBoundingClientRect(), texts = [...s.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
	return texts.filter(([, r]) => r.left < frame.left - 1 || r.right > frame.right + 1 || r.top < frame.top - 1 || r.bottom > frame.bottom + 1).map(([t]) => t)
		.concat(texts.flatMap(([t, a], i) => texts.slice(i + 1).filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3).map(([u]) => t + " on " + u)));
})`

// widths are of screens, in pixels: from the narrowest that WCAG 2.2 (1.4.10, reflow) asks for, with both sides of each width at which the pages change.
var widths = []int64{320, 352, 353, 360, 480, 640, 641, 768, 960, 961, 1200}

// trendsFile is a page of trends as a file, which names remediations in full, and has no links.
const trendsFile = "/api/v2/trends?format=html&start=2026-10-29T00:00:00Z&end=2026-11-28T00:00:00Z"

// Words stay whole, and texts of charts stay within them, in every width and on paper, with many cases and few, as a page and as a file, and nothing scrolls sideways.
func TestNothingIsCut(t *testing.T) {
	worked, open := site.ids["worked"], site.ids["open"]
	reports := []string{"/remediations/" + worked, "/remediations/" + open, "/api/v2/rar/" + worked + "?format=html"}
	trends := []string{"/trends?since=30d", "/trends?since=24h", "/trends?since=7d&alert=KubeImagePull", trendsFile}
	for _, path := range slices.Concat([]string{"/"}, reports, trends) {
		for _, l := range []look{{}, {wide: true}, {paper: true}, {paper: true, wide: true}} {
			t.Run(l.String()+path, func(t *testing.T) {
				b := openTab(t, l, asReader)
				b.open(site.url+path, 200)
				eval[chromedp.Void](b, `document.querySelectorAll("details").forEach(d => d.open = true)`)
				all := widths
				if l.paper {
					all = []int64{paperWidth}
				}
				for _, width := range all {
					b.resize(width)
					b.Expect(eval[int](b, `document.documentElement.scrollWidth`)).To(BeNumerically("<=", width), "at %d pixels, widest: %s", width, widest(b))
					b.Expect(eval[[]string](b, broken)).To(BeEmpty(), "words that break, at %d pixels", width)
					b.Expect(eval[[]string](b, outside)).To(BeEmpty(), "texts of charts, at %d pixels", width)
				}
			})
		}
	}
}

// Without a case there is no table of zeros.
func TestTrendsOfNothing(t *testing.T) {
	b := openTab(t, look{}, asReader)
	b.open(site.url+"/trends?alert=Nothing", 200)
	b.Expect(eval[[]string](b, `[...document.querySelectorAll("h2")].map(h => h.textContent)`)).To(Equal([]string{"What limits these figures", "Evidence", "The same as JSON"}))
	b.Expect(eval[string](b, `document.querySelector(".empty").innerText`)).To(ContainSubstring("Choose a longer window"))
}

func widest(b *tab) string {
	return eval[string](b, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll")).map(e => e.outerHTML.slice(0, 120)).slice(0, 3).join(" | ")`)
}

// focused says what has the focus, and whether that shows.
const focused = `(() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
	return [e === document.body ? "" : [...document.querySelectorAll("*")].indexOf(e).toString(),
	s.outlineStyle != "none" && parseFloat(s.outlineWidth) >= 1 || s.boxShadow != "none" ? "shown" : "not shown: " + e.outerHTML.slice(0, 120), r.width > 0 && r.right > 0 ? "there" : "outside"] })()`

// Everything that can be used is reached with Tab, in the order of the text, and shows its focus.
func TestTheKeyboardSuffices(t *testing.T) {
	for _, path := range []string{"/", "/remediations/" + site.ids["worked"], "/trends"} {
		t.Run(path, func(t *testing.T) {
			b := openTab(t, look{}, asReader)
			b.open(site.url+path, 200)
			want := eval[[]string](b, `[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")].filter(e => e.checkVisibility()).map(e => [...document.querySelectorAll("*")].indexOf(e).toString())`)
			var got []string
			for range 12 * len(want) { // a field for a time has several stops
				b.press(kb.Tab)
				at := eval[[]string](b, focused)
				if at[0] == "" {
					break
				}
				b.Expect(at[1:]).To(Equal([]string{"shown", "there"}))
				if len(got) == 0 || got[len(got)-1] != at[0] {
					got = append(got, at[0])
				}
				if at[0] == want[len(want)-1] {
					break
				}
			}
			b.Expect(got).To(Equal(want))
		})
	}
}

// From the list to a report and its tables, without a pointer.
func TestAPersonReadsAReportWithKeysAlone(t *testing.T) {
	b := openTab(t, look{}, asReader)
	b.open(site.url+"/", 200)
	b.press(kb.Tab + kb.Enter)
	b.Expect(eval[string](b, `location.hash`)).To(Equal("#content"), "the skip link")
	eval[chromedp.Void](b, `document.querySelector(".filter summary").focus()`)
	b.press(kb.Enter)
	eval[chromedp.Void](b, `document.querySelector("input[name=alert]").focus()`)
	b.press("PodOOMKilled")
	_, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(eval[[]string](b, `[...new Set([...document.querySelectorAll(".alert")].map(a => a.textContent))]`)).To(Equal([]string{"PodOOMKilled"}))
	eval[chromedp.Void](b, `document.querySelector(".alert").focus()`)
	_, err = chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(eval[string](b, `document.querySelector("h1").textContent`)).To(HavePrefix("PodOOMKilled on "))
	eval[chromedp.Void](b, `document.querySelector("main summary").focus()`)
	before := eval[bool](b, `document.querySelector("main details").open`)
	b.press(kb.Enter)
	b.Expect(eval[bool](b, `document.querySelector("main details").open`)).To(Equal(!before))
}

// The pages of a list are each others' neighbours: no remediation twice, none left out.
func TestPaging(t *testing.T) {
	b := openTab(t, look{}, asReader)
	b.open(site.url+"/?since=30d", 200)
	seen := map[string]bool{}
	for range 100 {
		for _, url := range eval[[]string](b, `[...document.querySelectorAll(".alert")].map(a => a.href)`) {
			b.Expect(seen).NotTo(HaveKey(url))
			seen[url] = true
		}
		if eval[int](b, `document.querySelectorAll("a[rel=next]").length`) == 0 {
			break
		}
		answer, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS("a[rel=next]")))
		b.Expect(err).NotTo(HaveOccurred())
		b.Expect(answer.Status).To(Equal(int64(http.StatusOK)))
	}
	b.Expect(seen).To(HaveLen(inThirtyDays))
}

// Without a token a page says how to get one.
func TestWithoutAToken(t *testing.T) {
	for _, path := range []string{"/", "/remediations/" + site.ids["worked"]} {
		b := openTab(t, look{}, nil)
		b.open(site.url+path, http.StatusUnauthorized)
		text := eval[string](b, `document.body.innerText`)
		b.Expect(text).To(And(ContainSubstring("kubectl holdfast console"), ContainSubstring("curl --header"), ContainSubstring("'"+site.url+path+"'")))
		b.Expect(eval[[]string](b, `window.violations`)).To(BeEmpty())
	}
}
