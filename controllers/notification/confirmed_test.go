package notification

import (
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

var _ = Describe("what counts as sent", func() {
	type reply struct {
		code        int
		contentType string
		text        string
		// reason of the failure; empty: it was sent.
		reason string
	}
	const page = "<!DOCTYPE html><html><body>Log in to reach " + hookPath + "</body></html>"
	const unconfirmed = "answered 200 OK, but without the expected ok in the response: "

	DescribeTable("on Slack", func(c reply) {
		f := newFixture()
		p := f.start()
		hook := listen(says(c.code, c.contentType, c.text), says(http.StatusOK, "text/html", "ok"))
		nr := f.request([]v1alpha1.Channel{f.slack(hook.hook())})
		p.drive(nr)
		first := f.get(nr).Status.Attempts[0]
		Expect(first.Error).To(Equal(c.reason))
		Expect(*first.StatusCode).To(BeEquivalentTo(c.code))
		Expect(p.everything(nr)).NotTo(ContainSubstring("very-secret-token"))
		if c.reason == "" {
			Expect(f.get(nr).Status.Phase).To(Equal(v1alpha1.NotificationSent))
			return
		}
		Expect(first.State).To(Equal(v1alpha1.AttemptFailed))
		Expect(first.Permanent).To(BeFalse())
		Expect(f.get(nr).Status.SentTime).To(BeNil())
		f.pass(time.Minute)
		p.drive(nr)
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Failed", "0:2:Succeeded"}))
		Expect(hook.requests()).To(HaveLen(2))
	},
		Entry("ok", reply{200, "text/html", "ok", ""}),
		Entry("ok and a newline", reply{200, "text/plain", "ok\n", ""}),
		Entry("ok in JSON, as Slack's other endpoints answer", reply{200, "application/json", `{"ok":true}`, ""}),
		Entry("an HTML page", reply{200, "text/html", page, unconfirmed + "the response is an HTML page"}),
		Entry("an HTML page that is called text", reply{200, "text/plain", page, unconfirmed + "the response is an HTML page"}),
		Entry("a refusal in JSON", reply{200, "application/json", `{"ok":false,"error":"invalid_auth"}`, unconfirmed + "invalid_auth"}),
		Entry("a refusal in JSON without a code", reply{200, "application/json", `{"ok":false}`, unconfirmed + "the response is other JSON"}),
		Entry("a refusal with the URL as code", reply{200, "application/json", `{"ok":false,"error":"very_secret_services"}`, unconfirmed + "the response is other JSON"}),
		Entry("ok as text in JSON", reply{200, "application/json", `{"ok":"true"}`, unconfirmed + "the response is other JSON"}),
		Entry("a refusal as a text", reply{200, "text/plain", "no_team", unconfirmed + "no_team"}),
		Entry("another word that begins with it", reply{200, "text/plain", "ok, but not now", unconfirmed + "the response is other text"}),
		Entry("nothing", reply{200, "text/plain", "", unconfirmed + "the response is empty"}),
		Entry("no content", reply{204, "text/plain", "", "answered 204 No Content, but without the expected ok in the response: the response is empty"}),
		Entry("much", reply{200, "text/plain", strings.Repeat("ok", 1<<20), unconfirmed + "the response is other text"}),
		Entry("a server's failure in JSON", reply{503, "application/json", `{"ok":false,"error":"service_unavailable"}`, "answered 503 Service Unavailable: service_unavailable"}),
	)

	It("is not what breaks off on Slack", func() {
		f := newFixture()
		p := f.start()
		hook := listen(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "20")
			_, _ = w.Write([]byte("ok"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.slack(hook.hook())})
		p.drive(nr)
		Expect(f.get(nr).Status.Attempts[0].Error).To(Equal(unconfirmed + "the response ended early"))
	})

	It("is any 2xx of another webhook, whatever its body", func() {
		f := newFixture()
		p := f.start()
		for _, c := range []reply{{200, "text/html", page, ""}, {200, "application/json", `{"ok":false}`, ""}, {202, "text/plain", "", ""}, {299, "text/plain", "x", ""}} {
			nr := f.request([]v1alpha1.Channel{f.webhook(listen(says(c.code, c.contentType, c.text)).hook())})
			p.drive(nr)
			Expect(f.get(nr).Status.Phase).To(Equal(v1alpha1.NotificationSent), c.text)
		}
	})
})
