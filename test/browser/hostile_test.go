package browser

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/models"
)

// hostile is a service whose rows hold texts that try to be more than text.
var hostile *service

var hostileTexts = map[string]string{
	"script":  `<script>document.title="owned"</script><img src=x onerror="document.title='owned'">`,
	"markup":  `</td></tr></table></main></body><h1 class="owned">Approved by everybody</h1><style>*{display:none}</style>`,
	"bidi":    "\u202egnp.exe\u202c \u2066\u2067 \u200b\ufeff evil",
	"long":    strings.Repeat("W", 64<<10),
	"words":   strings.Repeat("wide word ", 6<<10),
	"quotes":  `" autofocus onfocus="document.title='owned'" x="' ` + "`" + `; rm -rf / #`,
	"control": "\x1b[31mred\x1b[0m\x07\r\n\n\nline",
	"symbols": strings.Repeat("﷽", 200) + strings.Repeat("e\u0301\u0301\u0301", 200) + "日本語👩‍👩‍👧",
}

// hostile writes a remediation for each text, which is in every field that somebody else fills: whole where an entry has room for it.
func (t *trail) hostile() {
	for _, name := range slices.Sorted(maps.Keys(hostileTexts)) {
		whole := hostileTexts[name]
		text, short := head(whole, 2000), head(whole, 200)
		w := workload{alert: short, severity: head(short, 20), kind: short, action: short, instead: short, cause: head(whole, 40<<10), why: text, against: text, usual: 60, works: .5, investigator: head(short, 100), model: head(short, 100)}
		t.ids[name] = t.remediation(&w, [2]string{"shop", "cart"}, now.AddDate(0, 0, -2), func(o *models.Orchestration, a *models.AIDecision, e *models.Execution, n *models.Notification) {
			o.Target.Name, o.RequestedBy = short, short
			o.SignalContext.Labels = map[string]string{short: text, "b": text}
			o.SignalContext.Annotations = map[string]string{"summary": text}
			a.ApprovedBy, a.ApprovalJustification, a.ApprovalMethod = short, text, "slack"
			a.RecommendedParameters = map[string]string{short: text}
			a.Evidence = []models.Evidence{{Tool: short, Purpose: text, Excerpt: text}}
			e.FailureReason = text
			for i := range e.StepsExecuted {
				e.StepsExecuted[i].Message, e.StepsExecuted[i].Name, e.StepsExecuted[i].Parameters = text, short, map[string]string{short: text}
			}
			for i := range e.ValidationResults {
				e.ValidationResults[i].Message, e.ValidationResults[i].Name = text, text
			}
			n.Subject = text
			for i := range n.DeliveryAttempts {
				n.DeliveryAttempts[i].Error, n.DeliveryAttempts[i].Channel = text, short
			}
		})
	}
}

func head(text string, bytes int) string {
	return strings.ToValidUTF8(text[:min(len(text), bytes)], "")
}

// No text becomes markup, leaves its place, or turns what stands around it.
func TestTextsOfOthersStayTexts(t *testing.T) {
	paths := map[string]string{"list": "/", "trends": "/trends", "trends as a file": trendsFile}
	for name, id := range hostile.ids {
		paths[name] = "/remediations/" + id
	}
	for name, path := range paths {
		for _, l := range []look{{}, {phone: true}, {paper: true}, {phone: true, wide: true}, {paper: true, wide: true}} {
			t.Run(name+" "+l.String(), func(t *testing.T) {
				b := openTab(t, l, asReader)
				b.open(hostile.url+path, 200)
				b.Expect(b.complaints()).To(BeEmpty())
				b.Expect(eval[string](b, `document.title`)).NotTo(Equal("owned"))
				b.Expect(eval[int](b, `document.querySelectorAll("script, img, iframe, [onerror], [onfocus], .owned, style:not(head > style)").length`)).To(BeZero())
				b.Expect(eval[int](b, `document.querySelectorAll("h1").length`)).To(Equal(1))
				eval[chromedp.Void](b, `document.querySelectorAll("details").forEach(d => d.open = true)`)
				b.Expect(eval[int](b, `document.documentElement.scrollWidth - innerWidth`)).To(BeNumerically("<=", 0), "widest: %s", widest(b))
				b.Expect(eval[[]string](b, broken)).NotTo(ContainElement(BeElementOf("Remediated", "Outcome", "Alert", "Rows", "Channel", "Longest")), "our own words stay whole")
				b.Expect(eval[bool](b, `/[\u202a-\u202e\u2066-\u2069\u200b\ufeff\u001b\u0007]/.test(document.documentElement.outerHTML)`)).To(BeFalse())
				b.Expect(eval[int](b, `document.documentElement.scrollHeight`)).To(BeNumerically("<", 150000))
			})
		}
	}
}
