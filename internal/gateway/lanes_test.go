package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/gateway"
)

// answered is what became of a message.
type answered struct {
	status int
	gateway.Answer
}

// sent posts a message, and gives its answer when it is there.
func (r *running) sent(alerts ...map[string]any) <-chan answered {
	c := make(chan answered, 1)
	go func() {
		status, answer, _ := r.post(messageOf(alerts...))
		c <- answered{status, answer}
	}()
	return c
}

// One namespace's alerts take long, for as many workloads and in as many messages as it likes. Alerts of others are answered before them, also those in the same message.
func TestNoNamespaceTakesEverything(t *testing.T) {
	g := NewWithT(t)
	slow, other := tenant(t), tenant(t)
	deployment(t, other, "web")
	deployment(t, other, "till")
	var alerts []map[string]any
	for i := range 30 {
		name := fmt.Sprintf("app-%d", i)
		deployment(t, slow, name)
		alerts = append(alerts, firing(labelsOf(slow, "deployment", name)))
	}
	var creating atomic.Int64
	release := make(chan struct{})
	r := start(t, func(c *gateway.Config) { c.Limits.Alerts, c.Limits.Requests, c.Limits.OpenRequests = 8, 8, 100 }, intercepted(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if o.GetNamespace() == slow {
				creating.Add(1)
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return c.Create(ctx, o, options...)
		},
	}))
	first, second := r.sent(alerts[:15]...), r.sent(append(alerts[15:], firing(labelsOf(other, "deployment", "till")))...)
	g.Eventually(creating.Load, timeout, interval).Should(BeEquivalentTo(2), "a quarter of the alerts")
	g.Expect(r.one(firing(labelsOf(other, "deployment", "web"))).Result).To(Equal("created"))
	g.Eventually(func() []v1alpha1.RemediationRequest { return requests(t, other) }, timeout, interval).Should(HaveLen(2), "it is the last alert of the second message")

	g.Eventually(func() int { status, _, _ := r.post(messageOf(alerts[0])); return status }, timeout, interval).Should(Equal(http.StatusServiceUnavailable))
	status, answer, _ := r.post(messageOf(alerts[0], firing(labelsOf(other, "deployment", "web"))))
	g.Expect(status).To(Equal(http.StatusServiceUnavailable), "a quarter of the messages")
	g.Expect(answer.Alerts).To(HaveExactElements(
		And(HaveField("Result", "again"), HaveField("Detail", Equal("namespace "+slow+" has 2 messages under way, as many as one namespace may have"))), HaveField("Result", "open")))
	g.Expect(creating.Load()).To(BeEquivalentTo(2))
	close(release)
	for _, sent := range []<-chan answered{first, second} {
		got := <-sent
		g.Expect(got.status).To(Equal(http.StatusOK))
		g.Expect(got.Alerts).To(HaveEach(HaveField("Result", "created")))
	}
	g.Expect(r.one(alerts[0]).Result).To(Equal("open"), "the places are free again")
}

// A thousand alerts of one workload, whose account the gateway was not granted, are one attempt. Another rule is another attempt.
func TestARefusedRequestIsTriedOnce(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	deployment(t, ns, "cart")
	deployment(t, ns, "till")
	configure(t, ns, `rules: [{matchers: ['team=~"x{400}y"'], serviceAccountName: other}, {matchers: ['alertname=KubePodCrashLooping'], serviceAccountName: theirs}]`)
	var creates atomic.Int64
	r := start(t, intercepted(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if strings.HasPrefix(o.GetName(), "cart-") || strings.HasPrefix(o.GetName(), "till-") {
				creates.Add(1)
			}
			return c.Create(ctx, o, options...)
		},
	}))
	message := func(name string, n int) []map[string]any {
		var alerts []map[string]any
		for i := range n {
			alerts = append(alerts, firing(labelsOf(ns, "deployment", name, "team", long(100), "pod", fmt.Sprint("p", i))))
		}
		return alerts
	}
	status, answer, _ := r.post(messageOf(message("cart", 1000)...))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(answer.Alerts).To(HaveEach(HaveField("Result", "account")))
	g.Expect(creates.Swap(0)).To(BeEquivalentTo(1))

	status, answer, _ = r.post(messageOf(append(message("till", 20), firing(labelsOf(ns, "deployment", "till", "alertname", "Another")))...))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(answer.Alerts[20].Result).To(Equal("created"), "without an account, by a person")
	g.Expect(answer.Alerts[:20]).To(HaveEach(HaveField("Result", BeElementOf("account", "open"))))
	g.Expect(creates.Load()).To(BeNumerically("<=", 2))
}
