package notification

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/controllers/internal/pool"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// die ends a process as a kill does: its attempts are cancelled and their outcomes are lost.
func (p *process) die() { p.attempts.Close() }

// expectFreeSlots checks that no attempt of the namespace holds a slot.
func (p *process) expectFreeSlots() {
	GinkgoHelper()
	any := types.NamespacedName{Namespace: p.f.namespace, Name: "any"}
	Expect(p.attempts.Acquire(any, slotsPerNamespace)).To(Equal(slotsPerNamespace), "all slots of the namespace are free")
	p.attempts.Release(p.f.namespace, slotsPerNamespace)
}

var _ = Describe("a process that dies", func() {
	var f *fixture
	BeforeEach(func() { f = newFixture() })

	always := func() bool { return true }

	It("before the intent was saved: nothing was sent", func() {
		hook := listen(answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())})
		p := f.start(calls(controllertest.LoseStatusWritesFrom(1, always)))
		_, err := p.try(nr)
		Expect(err).To(HaveOccurred())
		p.attempts.Wait()
		Expect(hook.requests()).To(BeEmpty())
		p.expectFreeSlots()

		f.start().drive(nr)
		Expect(hook.requests()).To(HaveLen(1))
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Succeeded"}))
	})

	It("after the intent: the next one waits until the attempt can't be under way, calls it Unknown, and goes on", func() {
		block := make(chan struct{})
		hook := listen(func(http.ResponseWriter, *http.Request) { <-block }, answer(http.StatusOK))
		DeferCleanup(func() { close(block) })
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())})
		before := f.start()
		before.reconcile(nr)
		Eventually(hook.requests, testenv.Timeout).Should(HaveLen(1))
		before.die()

		after := f.start()
		Expect(after.drive(nr).RequeueAfter).To(Equal(11 * time.Second))
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Sending"}))
		Expect(hook.requests()).To(HaveLen(1))

		f.pass(11 * time.Second)
		after.drive(nr)
		now := f.get(nr)
		Expect(states(now)).To(Equal([]string{"0:1:Unknown", "0:2:Succeeded"}))
		Expect(now).To(controllertest.HaveTrail("SendingStarted/Sending", "DeliveryUnknown/Retrying", "DeliverySucceeded/Sent/final"))
		Expect(recordAt(now, 1).DeliveryAttempts[0].Status).To(Equal("unknown"))
	})

	It("after the delivery, before its outcome was saved: delivered again under the same key", func() {
		hook := listen(answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())})
		before := f.start()
		before.reconcile(nr)
		before.attempts.Wait()
		Expect(hook.requests()).To(HaveLen(1))
		before.die()

		f.pass(time.Minute)
		f.start().drive(nr)
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Unknown", "0:2:Succeeded"}))
		got := hook.requests()
		Expect(got).To(HaveLen(2))
		Expect(got[0].header.Get("Idempotency-Key")).To(Equal(got[1].header.Get("Idempotency-Key")))
	})

	It("after the outcome: the next one only waits for the backoff", func() {
		hook := listen(answer(http.StatusInternalServerError), answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook()), consoleChannel()})
		f.start().drive(nr)
		after := f.start()
		Expect(after.drive(nr).RequeueAfter).To(Equal(2 * time.Second))
		Expect(hook.requests()).To(HaveLen(1))
		f.pass(2 * time.Second)
		after.drive(nr)
		Expect(hook.requests()).To(HaveLen(2))
		Expect(f.get(nr).Status.Phase).To(Equal(v1alpha1.NotificationSent))
	})

	It("only failed to save an outcome: it remembers it, and sends nothing again", func() {
		hook := listen(answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())})
		away := true
		p := f.start(calls(controllertest.LoseStatusWritesFrom(2, func() bool { return away })))
		p.reconcile(nr)
		p.attempts.Wait()
		_, err := p.try(nr)
		Expect(err).To(HaveOccurred())
		f.pass(time.Hour)
		away = false
		p.drive(nr)
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Succeeded"}))
		Expect(hook.requests()).To(HaveLen(1))
	})

	It("uses up its attempts in dying", func() {
		hook := listen(answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())}, maxAttempts(2), timeout(time.Second))
		for range 2 {
			p := f.start()
			p.reconcile(nr)
			p.attempts.Wait()
			p.die()
			f.pass(time.Minute)
		}
		f.start().drive(nr)
		now := f.get(nr)
		Expect(states(now)).To(Equal([]string{"0:1:Unknown", "0:2:Unknown"}))
		Expect(now.Status.Phase).To(Equal(v1alpha1.NotificationFailed))
		Expect(now.Status.FailureReason).To(ContainSubstring("may have been delivered"))
	})
})

var _ = Describe("a notification that is to stop", func() {
	var f *fixture
	BeforeEach(func() { f = newFixture() })

	remove := func(nr *v1alpha1.NotificationRequest) { Expect(env.Client.Delete(f.ctx, f.get(nr))).To(Succeed()) }

	DescribeTable("before anything was sent", func(ending func(*v1alpha1.NotificationRequest), reason string) {
		hook := listen(answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())}, withFinalizer)
		ending(nr)
		f.start().drive(nr)
		now := f.get(nr)
		Expect(now).To(controllertest.HaveTrail("Cancelled/Cancelled/final"))
		Expect(now.Status.DeliveryStatus).To(Equal("failed"))
		Expect(now.Status.FailureReason).To(Equal(reason))
		Expect(hook.requests()).To(BeEmpty())
	},
		Entry("cancelled", func(nr *v1alpha1.NotificationRequest) { f.cancel(nr) }, "cancelled after 0 of 1 channels were reached"),
		Entry("deleted", func(nr *v1alpha1.NotificationRequest) { remove(nr) }, "deleted after 0 of 1 channels were reached"),
	)

	DescribeTable("while an attempt is under way and another has ended", func(ending func(*v1alpha1.NotificationRequest)) {
		block := make(chan struct{})
		hook := listen(func(http.ResponseWriter, *http.Request) { <-block })
		DeferCleanup(func() { close(block) })
		nr := f.request([]v1alpha1.Channel{consoleChannel(), f.webhook(hook.hook())})
		p := f.start()
		p.reconcile(nr)
		Eventually(func() pool.State {
			_, s := p.attempts.Look(keyOf(nr, &v1alpha1.DeliveryAttempt{Channel: 0, Attempt: 1}))
			return s
		}, testenv.Timeout).Should(Equal(pool.Ended))
		Eventually(hook.requests, testenv.Timeout).Should(HaveLen(1))
		ending(nr)
		p.drive(nr)
		now := f.get(nr)
		Expect(now).To(controllertest.HaveTrail("SendingStarted/Sending", "DeliverySucceeded/Sending", "Cancelled/Cancelled/final"))
		Expect(states(now)).To(Equal([]string{"0:1:Succeeded", "1:1:Unknown"}))
		Expect(now.Status.DeliveryStatus).To(Equal("partial"))
		p.expectFreeSlots()
	},
		Entry("cancelled", func(nr *v1alpha1.NotificationRequest) { f.cancel(nr) }),
		Entry("deleted", func(nr *v1alpha1.NotificationRequest) { remove(nr) }),
	)

	It("is cancelled while it waits to try again", func() {
		hook := listen(answer(http.StatusInternalServerError))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())})
		p := f.start()
		p.drive(nr)
		f.cancel(nr)
		p.drive(nr)
		Expect(f.get(nr)).To(controllertest.HaveTrail("SendingStarted/Sending", "DeliveryFailed/Retrying", "Cancelled/Cancelled/final"))
	})

	It("was delivered before the cancellation came: it says so", func() {
		nr := f.request([]v1alpha1.Channel{consoleChannel()})
		p := f.start()
		p.reconcile(nr)
		p.attempts.Wait()
		f.cancel(nr)
		p.drive(nr)
		Expect(f.get(nr)).To(controllertest.HaveTrail("SendingStarted/Sending", "DeliverySucceeded/Sent/final"))
	})

	It("is not touched when it has no finalizer of ours", func() {
		hook := listen(answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())}, func(nr *v1alpha1.NotificationRequest) {
			nr.Finalizers = []string{"example.com/other"}
		})
		remove(nr)
		Expect(env.Client.Patch(f.ctx, f.get(nr), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/other"]}}`)))).To(Succeed())
		f.start().drive(nr)
		now := f.get(nr)
		Expect(now.Status.Outbox.IsZero()).To(BeTrue())
		Expect(hook.requests()).To(BeEmpty())
		now.Finalizers = nil
		Expect(env.Client.Update(f.ctx, now)).To(Succeed())
	})

	It("is in a phase that this release does not know: it stays as it is, until it is stopped", func() {
		p := f.start()
		nr := f.get(f.request([]v1alpha1.Channel{consoleChannel()}))
		nr.Status.Phase = "Negotiating"
		before := nr.DeepCopy()
		res, err := p.advance(f.ctx, scopeOf(nr, p.writer.Draft(nr)))
		Expect(err).NotTo(HaveOccurred())
		Expect(res).To(BeZero())
		Expect(nr).To(Equal(before))
		Expect(p.attempts.Len()).To(BeZero())

		nr.Spec.Cancel = true
		_, err = p.advance(f.ctx, scopeOf(nr, p.writer.Draft(nr)))
		Expect(err).NotTo(HaveOccurred())
		Expect(f.get(nr)).To(controllertest.HaveTrail("Cancelled/Cancelled/final"))
	})

	It("is gone: reconciling it does nothing", func() {
		p := f.start()
		nr := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "gone"}}
		Expect(p.reconcile(nr)).To(BeZero())
	})
})
