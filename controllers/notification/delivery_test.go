package notification

import (
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

var _ = Describe("delivery", func() {
	var f *fixture
	BeforeEach(func() { f = newFixture() })

	It("writes to the console, and to the remediation if that is there", func() {
		rr := &v1alpha1.RemediationRequest{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "cart-crash"},
			Spec: v1alpha1.RemediationRequestSpec{
				Signal: v1alpha1.Signal{Fingerprint: strings.Repeat("a", 64), Name: "Crash", Severity: "critical", Source: "test", ReceivedTime: outboxapi.NewTime(time.Now())},
				Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"},
			},
		}
		Expect(env.Client.Create(f.ctx, rr)).To(Succeed())
		nr := f.request([]v1alpha1.Channel{consoleChannel()}, func(nr *v1alpha1.NotificationRequest) { nr.Spec.RemediationRef.UID = rr.UID })
		p := f.start()
		p.drive(nr)

		nr = f.get(nr)
		Expect(nr).To(controllertest.HaveTrail("SendingStarted/Sending", "DeliverySucceeded/Sent/final"))
		Expect(nr.Status.Phase).To(Equal(v1alpha1.NotificationSent))
		Expect(nr.Status.SentTime.Time).To(BeTemporally("==", f.clock.Now()))
		Expect(nr.Status.ConfirmedTime).To(Equal(nr.Status.SentTime))
		Expect(nr.Status.Outbox.Closed).To(BeTrue())
		Expect(strings.Count(p.everything(nr), "Normal Notification cart is fixed")).To(Equal(2), "one Event on each of the two")
	})

	It("passes over a remediation of the same name that is another", func() {
		nr := f.request([]v1alpha1.Channel{consoleChannel()})
		p := f.start()
		p.drive(nr)
		Expect(strings.Count(p.everything(nr), "Normal Notification cart is fixed")).To(Equal(1))
	})

	It("posts JSON to a webhook, and shows its URL nowhere", func() {
		hook := listen(answer(http.StatusNoContent))
		nr := f.request([]v1alpha1.Channel{f.webhook(" " + hook.hook() + "\n")})
		p := f.start()
		p.drive(nr)

		got := hook.requests()
		Expect(got).To(HaveLen(1))
		Expect(got[0].header.Get("Content-Type")).To(Equal("application/json"))
		Expect(got[0].header.Get("Idempotency-Key")).To(Equal(string(nr.UID) + "-0"))
		Expect(got[0].body).To(Equal(map[string]any{
			"id": string(nr.UID) + "-0", "attempt": 1.0, "namespace": nr.Namespace, "name": nr.Name,
			"remediation": map[string]any{"name": "cart-crash", "uid": "by-hand"},
			"purpose":     "Outcome", "subject": "cart is fixed", "body": "It was <the release> & it is undone.",
		}))
		nr = f.get(nr)
		record := lastRecord(nr)
		Expect(record.DeliveryStatus).To(Equal("success"))
		Expect(record.Purpose).To(Equal("Outcome"), "what it is for unless the spec says otherwise")
		Expect(record.Channels).To(Equal([]string{"webhook"}))
		Expect(record.DeliveryAttempts).To(HaveLen(1))
		Expect(record.DeliveryAttempts[0].Status).To(Equal("success"))
		Expect(*record.DeliveryAttempts[0].StatusCode).To(BeEquivalentTo(204))
		Expect(record.NotificationRequestedAt.Time).To(BeTemporally("==", nr.CreationTimestamp.Time))
		Expect(record.DeliveryConfirmedAt).NotTo(BeNil())
		Expect(p.everything(nr)).NotTo(ContainSubstring("very-secret-token"))
	})

	It("tries again after a server's failure, with the same key and the next number", func() {
		hook := listen(answer(http.StatusInternalServerError), answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())})
		p := f.start()
		res := p.drive(nr)

		now := f.get(nr)
		Expect(now.Status.Phase).To(Equal(v1alpha1.NotificationRetrying))
		Expect(now.Status.Attempts[0].Error).To(Equal("answered 500 Internal Server Error"))
		Expect(now.Status.Conditions[0].Message).To(Equal("webhook: answered 500 Internal Server Error (attempt 1)"))
		Expect(now.Status.Attempts[0].RetryTime.Time).To(BeTemporally("==", f.clock.Now().Add(2*time.Second)))
		Expect(res.RequeueAfter).To(Equal(2 * time.Second))
		Expect(p.drive(nr).RequeueAfter).To(Equal(2*time.Second), "nothing is due yet")
		Expect(hook.requests()).To(HaveLen(1))

		f.pass(2 * time.Second)
		p.drive(nr)
		now = f.get(nr)
		Expect(now).To(controllertest.HaveTrail("SendingStarted/Sending", "DeliveryFailed/Retrying", "DeliverySucceeded/Sent/final"))
		Expect(states(now)).To(Equal([]string{"0:1:Failed", "0:2:Succeeded"}))
		got := hook.requests()
		Expect(got).To(HaveLen(2))
		Expect(got[1].body["attempt"]).To(Equal(2.0))
		Expect(got[1].header.Get("Idempotency-Key")).To(Equal(got[0].header.Get("Idempotency-Key")))
	})

	It("tells every channel on its own, three at a time", func() {
		good, bad := listen(answer(http.StatusOK)), listen(answer(http.StatusNotFound))
		channels := []v1alpha1.Channel{f.webhook(good.hook()), f.webhook(bad.hook()), consoleChannel(), f.slack(good.hook()), f.webhook(good.hook())}
		nr := f.request(channels)
		p := f.start()
		p.reconcile(nr)
		Expect(f.get(nr).Status.Attempts).To(HaveLen(3), "room is reserved for three")
		p.drive(nr)

		now := f.get(nr)
		Expect(now.Status.Phase).To(Equal(v1alpha1.NotificationPartiallySent))
		Expect(now.Status.DeliveryStatus).To(Equal("partial"))
		Expect(now.Status.FailureReason).To(Equal("webhook-2: answered 404 Not Found (attempt 1)"))
		Expect(now.Status.SentTime).NotTo(BeNil())
		Expect(now.Status.ConfirmedTime).To(BeNil())
		record := lastRecord(now)
		Expect(record.Channels).To(Equal([]string{"webhook", "webhook-2", "console", "slack", "webhook-3"}))
		Expect(record.DeliveryAttempts).To(HaveLen(5))
		Expect(controllertest.Trail(now)).To(HaveLen(6), "one for the start, one for each attempt")
		Expect(good.requests()).To(HaveLen(3))
	})

	It("ends after the last attempt", func() {
		hook := listen(answer(http.StatusServiceUnavailable))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())}, maxAttempts(3), timeout(time.Second))
		p := f.start()
		for range 3 {
			p.drive(nr)
			f.pass(time.Minute)
		}
		now := f.get(nr)
		Expect(now.Status.Phase).To(Equal(v1alpha1.NotificationFailed))
		Expect(now.Status.DeliveryStatus).To(Equal("failed"))
		Expect(now.Status.Conditions[0].Reason).To(Equal("Failed"))
		Expect(states(now)).To(Equal([]string{"0:1:Failed", "0:2:Failed", "0:3:Failed"}))
		Expect(now.Status.Attempts[2].RetryTime).To(BeNil())
		Expect(hook.requests()).To(HaveLen(3))
		Expect(p.reconcile(nr)).To(BeZero(), "closed is final")
	})
})
