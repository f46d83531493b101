package notification

import (
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

var _ = Describe("in a manager", func() {
	manager := func() (stop func() error) {
		GinkgoHelper()
		stop, err := env.StartManager(func(mgr ctrl.Manager, w *outbox.Writer) error {
			r, err := New(mgr.GetClient(), mgr.GetAPIReader(), w, mgr.GetEventRecorder("holdfast"))
			if err != nil {
				return err
			}
			return r.SetupWithManager(mgr, 2)
		})
		Expect(err).NotTo(HaveOccurred())
		return stop
	}
	fast := func(nr *v1alpha1.NotificationRequest) {
		nr.Spec.Retry = v1alpha1.RetryPolicy{
			MaxAttempts: 5, InitialBackoff: &metav1.Duration{Duration: 100 * time.Millisecond}, Timeout: &metav1.Duration{Duration: time.Second},
		}
	}
	phase := func(f *fixture, nr *v1alpha1.NotificationRequest) func() v1alpha1.NotificationPhase {
		return func() v1alpha1.NotificationPhase { return f.get(nr).Status.Phase }
	}

	It("delivers, and every change becomes a row before the resource is gone", func() {
		f := newFixture()
		stop := manager()
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })
		hook := listen(answer(http.StatusBadGateway), answer(http.StatusOK))
		nr := f.request([]v1alpha1.Channel{f.slack(hook.hook()), consoleChannel()}, fast)
		Eventually(phase(f, nr), testenv.Timeout).Should(Equal(v1alpha1.NotificationSent))
		Eventually(func(g Gomega) {
			list := &eventsv1.EventList{}
			g.Expect(env.Client.List(f.ctx, list, client.InNamespace(f.namespace))).To(Succeed())
			g.Expect(list.Items).To(ContainElement(And(HaveField("Reason", "Notification"), HaveField("Note", HavePrefix("cart is fixed\nFor the text: kubectl -n "+f.namespace+" get nr ")))))
		}, testenv.Timeout).Should(Succeed())

		Expect(env.Client.Delete(f.ctx, f.get(nr))).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(env.Client.Get(f.ctx, client.ObjectKeyFromObject(nr), &v1alpha1.NotificationRequest{}))
		}, testenv.Timeout).Should(BeTrue())
		rows, err := env.Rows(f.ctx, "notification_audit", nr.UID)
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(4))
		for i, row := range rows {
			Expect(row).To(HaveKeyWithValue("sequence", BeNumerically("==", i+1)))
			Expect(row).To(HaveKeyWithValue("final", i == 3))
			Expect(fmt.Sprint(row)).NotTo(ContainSubstring("very-secret-token"))
		}
		Expect(rows[0]).To(HaveKeyWithValue("event", "SendingStarted"))
		Expect(rows[3]).To(HaveKeyWithValue("delivery_status", "success"))
		Expect(rows[3]).To(HaveKeyWithValue("remediation_id", string(nr.Spec.RemediationRef.UID)))
		Expect(rows[3]).To(HaveKeyWithValue("delivery_confirmed_at", Not(BeNil())))
	})

	It("goes on after it was stopped in the middle of an attempt", func() {
		f := newFixture()
		stop := manager()
		block := make(chan struct{})
		hook := listen(func(http.ResponseWriter, *http.Request) { <-block }, answer(http.StatusOK))
		DeferCleanup(func() { close(block) })
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())}, fast)
		Eventually(hook.requests, testenv.Timeout).Should(HaveLen(1))
		Expect(stop()).To(Succeed())
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Sending"}))

		stop = manager()
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })
		Eventually(phase(f, nr), testenv.Timeout).Should(Equal(v1alpha1.NotificationSent))
		Expect(states(f.get(nr))).To(Equal([]string{"0:1:Unknown", "0:2:Succeeded"}))
	})

	It("breaks off an attempt when the notification is cancelled", func() {
		f := newFixture()
		stop := manager()
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })
		block := make(chan struct{})
		hook := listen(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-block:
			case <-r.Context().Done():
			}
		})
		DeferCleanup(func() { close(block) })
		nr := f.request([]v1alpha1.Channel{f.webhook(hook.hook())}, maxAttempts(1), timeout(5*time.Minute))
		Eventually(hook.requests, testenv.Timeout).Should(HaveLen(1))
		f.cancel(nr)
		Eventually(phase(f, nr), testenv.Timeout).Should(Equal(v1alpha1.NotificationCancelled))
	})
})
