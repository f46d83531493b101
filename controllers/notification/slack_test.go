package notification

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
)

// workspace is a server that refuses what Slack's incoming webhooks refuse: invalid JSON, blocks beyond the limits, and blocks and text objects that do not exist.
// Sources: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, https://docs.slack.dev/reference/block-kit.
type workspace struct {
	*httptest.Server
	mu   sync.Mutex
	got  []slackMessage
	why  []string
	last []byte
}

func openWorkspace() *workspace {
	w := &workspace{}
	w.Server = httptest.NewServer(w)
	DeferCleanup(w.Close)
	return w
}

func (w *workspace) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body)
	message, code, why := read(text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = text
	if code != "" {
		w.why = append(w.why, why)
		to.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(to, code)
		return
	}
	w.got = append(w.got, message)
	_, _ = io.WriteString(to, "ok")
}

// read gives the error code with which Slack refuses a body, and why.
func read(body []byte) (m slackMessage, code, why string) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields() // Slack ignores unknown members of the message, but not of its blocks
	if err := decoder.Decode(&m); err != nil {
		return m, "invalid_payload", err.Error()
	}
	switch {
	case m.Text == "" && len(m.Blocks) == 0:
		return m, "no_text", "neither text nor blocks"
	case length(m.Text) > 40000:
		return m, "msg_too_long", "the text is too long"
	case len(m.Blocks) > 50:
		return m, "invalid_blocks", fmt.Sprintf("%d blocks, at most 50", len(m.Blocks))
	}
	if why := control(m.Text); why != "" {
		return m, "invalid_payload", why
	}
	for i, b := range m.Blocks {
		if why := invalid(b); why != "" {
			return m, "invalid_blocks", fmt.Sprintf("block %d: %s", i, why)
		}
	}
	return m, "", ""
}

func invalid(b slackBlock) string {
	limit := map[string]int{"header": 150, "section": 3000}[b.Type]
	switch n := length(b.Text.Text); {
	case limit == 0:
		return "unknown type " + b.Type
	case strings.TrimSpace(b.Text.Text) == "":
		return "the text is empty"
	case n > limit:
		return fmt.Sprintf("%d characters, at most %d", n, limit)
	case b.Type == "header" && b.Text.Type != "plain_text":
		return "a header takes plain_text only"
	case b.Text.Type != "plain_text" && b.Text.Type != "mrkdwn":
		return "unknown type of text " + b.Text.Type
	case b.Text.Type == "plain_text" && b.Text.Verbatim, b.Text.Type == "mrkdwn" && b.Text.Emoji != nil:
		return "verbatim is for mrkdwn, emoji for plain_text"
	}
	return control(b.Text.Text)
}

// control finds what Slack would not show as it is.
func control(text string) string {
	if at := regexp.MustCompile(`<[^>]*>|[<>]|&(?:[^alg]|$)`).FindString(text); at != "" {
		return "control sequence " + at
	}
	return ""
}

// length is the longest that Slack may find a text.
func length(text string) int { return max(len(utf16.Encode([]rune(text))), len([]rune(text))) }

// shown is what people see of a message: the text of its blocks.
func shown(m slackMessage) string {
	var all []string
	for _, b := range m.Blocks {
		all = append(all, strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(b.Text.Text))
	}
	return strings.Join(all, "\n")
}

var _ = Describe("Slack", func() {
	var (
		f *fixture
		w *workspace
	)
	BeforeEach(func() { f, w = newFixture(), openWorkspace() })
	send := func(change nrOption) *v1alpha1.NotificationRequest {
		GinkgoHelper()
		nr := f.request([]v1alpha1.Channel{f.slack(w.URL + hookPath)}, change)
		f.start().drive(nr)
		return f.get(nr)
	}

	It("gets a message of blocks, whose commands can be copied", func() {
		nr := send(func(nr *v1alpha1.NotificationRequest) {
			nr.Spec.Purpose, nr.Spec.Subject = v1alpha1.PurposeApprovalNeeded, "Approval needed: Crash on Deployment shop/cart"
			nr.Spec.Body = "Root cause: a bad release.\n  twice\n\nTo decide:\nkubectl holdfast approve cart-1a2b-analysis -n shop --reason ''\nkubectl holdfast reject cart-1a2b-analysis -n shop --reason ''\n\nEvidence: none\n"
		})
		Expect(w.why).To(BeEmpty())
		Expect(nr.Status.Phase).To(Equal(v1alpha1.NotificationSent))
		Expect(w.got).To(HaveLen(1))
		Expect(w.got[0].Markup).To(BeFalse())
		Expect(w.got[0].Text).To(HavePrefix("Approval needed: Crash on Deployment shop/cart\nRoot cause"))
		plain := func(text string) slackPiece { return slackPiece{Type: "plain_text", Text: text, Emoji: new(bool)} }
		Expect(w.got[0].Blocks).To(Equal([]slackBlock{
			{"header", plain("Approval needed: Crash on Deployment shop/cart")},
			{"section", plain("Root cause: a bad release.\n  twice\n\nTo decide:")},
			{"section", slackPiece{Type: "mrkdwn", Verbatim: true, Text: "```\nkubectl holdfast approve cart-1a2b-analysis -n shop --reason ''\nkubectl holdfast reject cart-1a2b-analysis -n shop --reason ''```"}},
			{"section", plain("Evidence: none")},
		}))
	})

	It("shows hostile text as it is, and mentions nobody", func() {
		const hostile = "<!channel> <!here|x> @here (@channel) <@U024BE7LH> <https://evil.example|runbook> https://evil.example *bold* _it_ ~no~ `code` ```\n> quote\n:tada: [x](https://evil.example) & &lt; \u202e jane@example.com"
		nr := send(func(nr *v1alpha1.NotificationRequest) {
			nr.Spec.Subject = strings.ReplaceAll(hostile, "\n", " ")
			nr.Spec.Body = hostile + "\nkubectl get `x`\nkubectl <!channel>\nkubectl @here\n"
		})
		Expect(w.why).To(BeEmpty())
		Expect(nr.Status.Phase).To(Equal(v1alpha1.NotificationSent))
		for _, b := range w.got[0].Blocks {
			Expect(b.Text.Type).To(Equal("plain_text"), "nothing of it is markup")
			Expect(*b.Text.Emoji).To(BeFalse())
		}
		for _, text := range []string{w.got[0].Text, shown(w.got[0])} {
			Expect(text).NotTo(MatchRegexp(`(^|[^\w])@\w|://|\x{202e}`))
			Expect(text).To(ContainSubstring("jane@example.com"))
		}
		Expect(shown(w.got[0])).To(ContainSubstring("<!channel> <!here|x> @\u200bhere (@\u200bchannel) <@\u200bU024BE7LH> <https:\u200b//evil.example|runbook>"))
		Expect(w.got[0].Text).NotTo(ContainSubstring("<"))
	})

	It("gets what fits of a message that is too long, and where the rest is", func() {
		nr := send(func(nr *v1alpha1.NotificationRequest) {
			nr.Spec.Subject = strings.Repeat("&", 1024)
			nr.Spec.Body = strings.Repeat("kubectl get x\n.\n", 1024)
		})
		Expect(w.why).To(BeEmpty())
		Expect(w.got[0].Blocks).To(HaveLen(50))
		Expect(w.got[0].Blocks[0].Text.Text).To(And(HavePrefix("&amp;&amp;"), HaveSuffix("&amp;…")))
		Expect(w.got[0].Blocks[49].Text.Text).To(Equal("The message is longer than Slack takes. For the whole text: kubectl -n " + nr.Namespace + " get nr " + nr.Name + " -o jsonpath={.spec.body}"))
	})

	It("says why Slack refused a message, for good", func() {
		hook := listen(says(http.StatusBadRequest, "text/plain", "invalid_blocks"))
		nr := f.request([]v1alpha1.Channel{f.slack(hook.hook())})
		f.start().drive(nr)
		Expect(f.get(nr).Status.FailureReason).To(Equal("slack: answered 400 Bad Request: invalid_blocks (attempt 1)"))
	})
})

// Whatever a message says, Slack takes it: every block within its limits, nothing empty, nothing that is a control sequence.
func TestEveryMessageIsOneThatSlackTakes(t *testing.T) {
	piece := rapid.OneOf(rapid.StringN(0, 200, -1), rapid.SampledFrom([]string{"<", "&", "\n", " ", "```", "kubectl get x\n", "@here", "😀", "\x00", "\u2028", strings.Repeat("<", 3001), strings.Repeat("\n", 400), strings.Repeat("a", 2999)}))
	rapid.Check(t, func(t *rapid.T) {
		subject := strings.Join(rapid.SliceOfN(piece, 0, 5).Draw(t, "subject"), "")
		body := strings.Join(rapid.SliceOfN(piece, 0, 80).Draw(t, "body"), "")
		m := slackMessage{Text: slackText(subject, body), Blocks: blocksOf(subject, body, "kubectl get nr x")}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, code, why := read(text); code != "" {
			t.Fatalf("%s: %s", code, why)
		}
		if len(m.Blocks) < maxBlocks { // nothing is lost
			squeeze := func(text string) string { return strings.ReplaceAll(strings.Join(strings.Fields(text), ""), "`", "") }
			if got, want := squeeze(shown(slackMessage{Blocks: m.Blocks[1:]})), squeeze(inert(body)); !strings.HasSuffix(got, want) {
				t.Fatalf("%.200q is not the end of %.200q", want, got)
			}
		}
	})
}

var _ = Describe("a notification that asks for a decision", func() {
	It("says why it was cancelled, and sends nothing more", func() {
		f := newFixture()
		hook := listen(answer(http.StatusServiceUnavailable))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook()), f.webhook(hook.hook())}, func(nr *v1alpha1.NotificationRequest) {
			nr.Spec.Purpose = v1alpha1.PurposeApprovalReminder
		})
		p := f.start()
		p.drive(nr)
		Expect(hook.requests()).To(HaveLen(2))
		Expect(hook.requests()[0].body).To(HaveKeyWithValue("purpose", "ApprovalReminder"))
		f.cancel(nr)
		p.drive(nr)
		nr = f.get(nr)
		Expect(nr.Status.Phase).To(Equal(v1alpha1.NotificationCancelled))
		Expect(nr.Status.FailureReason).To(Equal("cancelled after 0 of 2 channels were reached: the decision was made, or is no longer awaited"))
		Expect(lastRecord(nr).Purpose).To(Equal("ApprovalReminder"))
		Expect(nr).To(controllertest.EndWithTrail("Cancelled/Cancelled/final"))
		Expect(hook.requests()).To(HaveLen(2))
	})
})
