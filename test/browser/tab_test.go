package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"
)

// patience is for a browser on a busy machine.
const patience = 2 * time.Minute

// paperWidth is what A4 has between Chromium's margins, in pixels. Letter has more.
const paperWidth = 718

// look is how a page is looked at.
type look struct {
	dark, paper, phone bool
	wide               bool // fonts
}

func (l look) String() string {
	name := "light"
	switch {
	case l.paper:
		name = "print"
	case l.dark:
		name = "dark"
	}
	if l.phone {
		name += " phone"
	}
	if l.wide {
		name += " wide"
	}
	return name
}

// tab is one of the browser, whose requests bring a token, as those through a proxy of the caller do.
type tab struct {
	*WithT
	t        *testing.T
	ctx      context.Context
	messages []string
}

func openTab(t *testing.T, l look, headers network.Headers) *tab {
	t.Helper()
	browser := chrome
	if l.wide {
		browser = wideChrome
	}
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(cancel)
	b := &tab{WithT: NewWithT(t), t: t, ctx: ctx}
	b.Expect(chromedp.Do(ctx)).To(Succeed())
	scheme, media, width := "light", "", int64(1200)
	if l.dark {
		scheme = "dark"
	}
	if l.paper {
		media, width = "print", paperWidth
	}
	if l.phone {
		width = 360
	}
	call(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.resize(width)
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `window.violations = []; document.addEventListener("securitypolicyviolation", e => window.violations.push(e.violatedDirective + " " + e.blockedURI + " " + e.sample))`})
	return b
}

// resize sets the width of the tab in pixels. Up to 640 it is the tab of a phone.
func (b *tab) resize(width int64) {
	b.t.Helper()
	phone, height := width <= 640, int64(900)
	if phone {
		height = 740
	}
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: phone})
}

var asReader = network.Headers{"Authorization": "Bearer " + token}

// call sends a command of the protocol to the tab.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, command, params) })
	b.Expect(err).NotTo(HaveOccurred())
	return result
}

// eval gives the value of an expression of JavaScript in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	b.Expect(err).NotTo(HaveOccurred(), "%.200s", expression)
	return value
}

// open loads a page, and expects its status.
func (b *tab) open(url string, status int64) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	console := chromedp.Console(ctx)
	answer, err := chromedp.Run(b.ctx, chromedp.NavigateResponse(url))
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(answer.Status).To(Equal(status))
	eval[bool](b, `console.log("end of the page"), true`)
	for message, err := range console {
		b.Expect(err).NotTo(HaveOccurred())
		if message.Text == "end of the page" {
			break
		}
		b.messages = append(b.messages, message.String())
	}
}

// complaints are what the browser did not like.
func (b *tab) complaints() []string {
	b.t.Helper()
	return append(b.messages, eval[[]string](b, `window.violations`)...)
}

// violation is one that axe-core found.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// axe lists what axe-core finds, beyond the best practices that are nobody's rule.
func (b *tab) axe(script string) []string {
	b.t.Helper()
	eval[chromedp.Void](b, script)
	b.Expect(eval[string](b, `axe.version`)).To(Equal(axeVersion))
	raw := eval[string](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations))`)
	var found []violation
	b.Expect(json.Unmarshal([]byte(raw), &found)).To(Succeed())
	var all []string
	for _, v := range found {
		for _, n := range v.Nodes {
			all = append(all, fmt.Sprintf("%s (%s): %s: %s: %.300s", v.ID, v.Impact, v.Help, strings.ReplaceAll(n.FailureSummary, "\n", " "), n.HTML))
		}
	}
	return all
}

// press sends keys.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.Expect(chromedp.Do(b.ctx, chromedp.KeyEvent(keys))).To(Succeed())
}

// screenshot is a picture of the whole page, at most so many pixels high.
func (b *tab) screenshot(most, width float64) []byte {
	b.t.Helper()
	height := min(most, eval[float64](b, `document.documentElement.scrollHeight`))
	beyond := true
	return call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: width, Height: height, Scale: 1}}).Data
}
