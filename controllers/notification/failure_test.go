package notification

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

var _ = Describe("what receivers do", func() {
	var f *fixture
	var p *process
	BeforeEach(func() { f = newFixture(); p = f.start() })

	// first makes one attempt and returns it; nothing of the URL may be left anywhere.
	first := func(url string, options ...nrOption) v1alpha1.DeliveryAttempt {
		GinkgoHelper()
		nr := f.request([]v1alpha1.Channel{f.webhook(url)}, options...)
		p.drive(nr)
		u, err := neturl.Parse(url)
		Expect(err).NotTo(HaveOccurred())
		all := p.everything(nr)
		Expect(all).NotTo(ContainSubstring("very-secret-token"))
		Expect(all).NotTo(ContainSubstring(u.Host))
		now := f.get(nr)
		Expect(now.Status.Attempts).To(HaveLen(1))
		return now.Status.Attempts[0]
	}

	It("counts a delivery that panics as failed, tries it again, and delivers the others", func() {
		good := listen(answer(http.StatusOK))
		p.channels[v1alpha1.ChannelSlack] = cursed{}
		nr := f.request([]v1alpha1.Channel{f.slack(good.hook()), f.webhook(good.hook())})
		p.drive(nr)
		now := f.get(nr)
		Expect(now.Status.Attempts).To(ConsistOf(
			And(HaveField("State", v1alpha1.AttemptFailed), HaveField("Error", "the attempt panicked: hostile"), HaveField("RetryTime", Not(BeNil()))),
			HaveField("State", v1alpha1.AttemptSucceeded)))
	})

	It("honours Retry-After in seconds, beyond its own backoff", func() {
		a := first(listen(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		}).hook())
		Expect(a.Permanent).To(BeFalse())
		Expect(a.RetryTime.Time).To(BeTemporally("==", f.clock.Now().Add(120*time.Second)))
	})

	It("honours Retry-After as a date, but no more than an hour", func() {
		a := first(listen(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", f.clock.Now().Add(30*time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}).hook())
		Expect(a.RetryTime.Time).To(BeTemporally("==", f.clock.Now().Add(time.Hour)))
	})

	It("gives up on one that is slower than the timeout, and tries again", func() {
		release := make(chan struct{})
		hook := listen(func(http.ResponseWriter, *http.Request) { <-release })
		DeferCleanup(func() { close(release) })
		a := first(hook.hook(), maxAttempts(5), timeout(200*time.Millisecond))
		Expect(a.State).To(Equal(v1alpha1.AttemptFailed))
		Expect(a.Error).To(Equal("no answer within 200ms"))
		Expect(a.RetryTime).NotTo(BeNil())
	})

	It("tries again when nobody listens", func() {
		hook := listen(answer(http.StatusOK))
		hook.Close()
		a := first(hook.hook())
		Expect(a.Error).To(Equal("connection refused"))
		Expect(a.RetryTime).NotTo(BeNil())
	})

	It("makes one request an attempt, also where a connection breaks that could have been used again", func() {
		hook := listen(answer(http.StatusInternalServerError), func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = c.Close()
			}
		})
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())})
		p.drive(nr)
		f.pass(time.Minute)
		p.drive(nr)
		Expect(f.get(nr).Status.Attempts[1].Error).To(Equal("the connection was closed before a response"))
		Expect(hook.requests()).To(HaveLen(2))
	})

	It("does not follow redirects", func() {
		elsewhere := listen(answer(http.StatusOK))
		a := first(listen(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.hook(), http.StatusTemporaryRedirect)
		}).hook())
		Expect(a.Error).To(Equal("answered 307 Temporary Redirect; redirects are not followed"))
		Expect(a.Permanent).To(BeTrue())
		Expect(elsewhere.requests()).To(BeEmpty())
	})

	It("takes no more of an answer than it needs", func() {
		a := first(listen(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat("x", 2<<20)))
		}).hook())
		Expect(a.State).To(Equal(v1alpha1.AttemptSucceeded))
	})

	It("repeats no text of an answer but an error code", func() {
		a := first(listen(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "\x00\x1b[31m<script>%s", r.URL)
		}).hook())
		Expect(a.Error).To(Equal("answered 400 Bad Request"))
		Expect(a.Permanent).To(BeTrue())

		a = first(listen(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "action_prohibited\n")
		}).hook())
		Expect(a.Error).To(Equal("answered 403 Forbidden: action_prohibited"))
	})

	It("repeats no part of the URL that an answer is made of", func() {
		a := first(listen(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "unknown_q7z5x1k9m3\n")
		}).URL + "/hook/q7z5x1k9m3?key=v8b2n4")
		Expect(a.Error).To(Equal("answered 403 Forbidden"))
	})

	It("says what to write in a Secret whose URL can be read in two ways, and sends nothing", func() {
		hook := listen(answer(http.StatusOK))
		host := strings.TrimPrefix(hook.URL, "http://")
		ref := &v1alpha1.SecretKeyRef{Name: "ambiguous", Key: "url"}
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "ambiguous"}, StringData: map[string]string{"url": ""}}
		Expect(env.Client.Create(f.ctx, s)).To(Succeed())
		for bad, says := range map[string]string{
			"http://me:xqz@zqx@" + host + "/hook": "it has an extra @, expected at most one, directly before the host; percent-encode: @ as %40",
			host + ":80/xqz@" + host + "/zqx":     "expected an http or https URL with a host",
			"http://" + host + "/xqz@zqx":         "it has an extra @",
			"http://" + host + "/xqz#zqx":         "it contains a #",
			"http://" + host + "/xqz zqx":         "it contains a blank",
			"http://" + host + "/xqz%zqx":         "it has a % without two hexadecimal digits",
			"http://" + host + "/xqz\nzqx":        "it contains a newline",
		} {
			s.StringData = map[string]string{"url": bad}
			Expect(env.Client.Update(f.ctx, s)).To(Succeed())
			nr := f.request([]v1alpha1.Channel{{Type: v1alpha1.ChannelWebhook, SecretRef: ref}})
			p.drive(nr)
			Expect(f.get(nr).Status.Attempts[0].Error).To(HavePrefix(`the Secret "ambiguous", key "url": ` + says))
			Expect(p.everything(nr)).NotTo(Or(ContainSubstring("xqz"), ContainSubstring("zqx")))
		}
		Expect(hook.requests()).To(BeEmpty())
	})

	It("takes a URL as echo writes it, and with a user and an escaped password", func() {
		hook := listen(answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(" " + strings.Replace(hook.hook(), "://", "://me:a%40b%2Fc%3F%23@", 1) + "\r\n")})
		p.drive(nr)
		Expect(f.get(nr).Status.Phase).To(Equal(v1alpha1.NotificationSent))
		Expect(hook.requests()[0].header.Get("Authorization")).To(Equal("Basic " + base64.StdEncoding.EncodeToString([]byte("me:a@b/c?#"))))
	})

	It("repeats nothing of what is not HTTP", func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(l.Close)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = fmt.Fprintf(c, "GET %s\r\n\r\n", hookPath)
				_ = c.Close()
			}
		}()
		a := first("http://" + l.Addr().String() + hookPath)
		Expect(a.State).To(Equal(v1alpha1.AttemptFailed))
		Expect(a.RetryTime).NotTo(BeNil())
	})

	It("does not trust a certificate of nobody it knows", func() {
		s := httptest.NewTLSServer(answer(http.StatusOK))
		DeferCleanup(s.Close)
		Expect(first(s.URL + hookPath).Error).To(Equal("the receiver's certificate is signed by an unknown authority"))
	})

	It("does not send to the metadata of a cloud", func() {
		a := first("http://169.254.169.254/latest" + hookPath)
		Expect(a.Error).To(ContainSubstring("link-local"))
	})

	It("says what is wrong with a Secret, and succeeds when it is fixed", func() {
		hook := listen(answer(http.StatusOK))
		ref := &v1alpha1.SecretKeyRef{Name: "later", Key: "url"}
		nr := f.request([]v1alpha1.Channel{{Type: v1alpha1.ChannelSlack, SecretRef: ref}})
		next := func() string {
			p.drive(nr)
			f.pass(time.Minute)
			attempts := f.get(nr).Status.Attempts
			return attempts[len(attempts)-1].Error
		}
		Expect(next()).To(Equal(`the Secret "later" does not exist`))
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "later"}, StringData: map[string]string{"other": "x"}}
		Expect(env.Client.Create(f.ctx, s)).To(Succeed())
		Expect(next()).To(Equal(`the Secret "later" has no key "url"`))
		for _, bad := range []string{"ftp://x/very-secret-token", "http:///very-secret-token", ":very-secret-token"} {
			s.StringData = map[string]string{"url": bad}
			Expect(env.Client.Update(f.ctx, s)).To(Succeed())
			Expect(next()).To(Equal(`the Secret "later", key "url": expected an http or https URL with a host`))
			if f.get(nr).Status.Phase.Final() {
				break
			}
		}
		Expect(f.get(nr).Status.Phase).To(Equal(v1alpha1.NotificationFailed), "five attempts")

		nr = f.request([]v1alpha1.Channel{{Type: v1alpha1.ChannelSlack, SecretRef: ref}})
		p.drive(nr)
		s.StringData = map[string]string{"url": hook.hook()}
		Expect(env.Client.Update(f.ctx, s)).To(Succeed())
		f.pass(time.Minute)
		p.drive(nr)
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Failed", "0:2:Succeeded"}))
		Expect(f.get(nr).Status.Phase).To(Equal(v1alpha1.NotificationSent))
		Expect(p.everything(nr)).NotTo(ContainSubstring("very-secret-token"))
	})

	It("sends nothing while the outbox has no room", func() {
		answers := slices.Repeat([]http.HandlerFunc{answer(http.StatusBadGateway)}, 6)
		hook := listen(append(answers, answer(http.StatusOK))...)
		small := outbox.DefaultLimits()
		small.HardEntries = 8
		p = f.start(limits(small))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())}, maxAttempts(10))
		for range 8 {
			p.drive(nr)
			f.pass(time.Hour)
		}
		now := f.get(nr)
		Expect(hook.requests()).To(HaveLen(6), "seven entries are pending, and the last one is reserved for the closing entry")
		Expect(states(now)).To(HaveLen(6))
		Expect(now.Status.Conditions).To(ContainElement(HaveField("Type", outbox.ConditionBlocked)))

		f.store.Set(now.Status.Outbox)
		p.drive(nr)
		now = f.get(nr)
		Expect(now.Status.Phase).To(Equal(v1alpha1.NotificationSent))
		Expect(now.Status.Conditions).To(ContainElement(And(HaveField("Type", outbox.ConditionBlocked), HaveField("Status", metav1.ConditionFalse))))
	})
})

// cursed is a channel with a bug that an answer finds.
type cursed struct{}

func (cursed) deliver(context.Context, message, time.Duration) outcome { panic("hostile") }
