package gateway_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/gateway"
)

// pipe is a body that is written bit by bit; "" ends it.
func pipe() (io.Reader, func(string)) {
	r, w := io.Pipe()
	return r, func(text string) {
		if text == "" {
			_ = w.Close()
			return
		}
		_, _ = w.Write([]byte(text))
	}
}

func (r *running) stream(body io.Reader) int {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+gateway.Path, body)
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// The life of an incident: grouped, repeated, of another alert, resolved, ended, firing on, firing anew.
func TestOneOpenRequestAnIncident(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	podOf(t, ns, "cart")
	r := start(t)
	began := time.Now()
	crash := func(a map[string]any) { a["startsAt"] = began.Format(time.RFC3339Nano) }
	status, answer, _ := r.post(messageOf(
		firing(labelsOf(ns, "deployment", "cart"), crash), firing(labelsOf(ns, "pod", "cart-6d4cf56db6-x2x7p"), crash),
		firing(labelsOf(ns, "deployment", "cart", "alertname", "KubeDeploymentReplicasMismatch"), crash), firing(labelsOf(ns, "replicaset", "cart-6d4cf56db6"), crash),
	))
	g.Expect(status).To(Equal(http.StatusOK))
	count := map[string]int{}
	for _, o := range answer.Alerts {
		count[o.Result]++
		g.Expect(o.Request).To(Equal(answer.Alerts[0].Request))
	}
	g.Expect(count).To(Equal(map[string]int{"created": 1, "open": 3}))
	first := requests(t, ns)[0]
	g.Expect(first.Name).To(HavePrefix("cart-"))
	g.Expect(first.Spec.RequestedBy).To(Equal(account), "the policy has checked who asks")
	g.Expect(first.Spec.Approval.Mode).To(Equal(v1alpha1.ApprovalManual))
	g.Expect(first.Spec.ServiceAccountName).To(BeEmpty())
	g.Expect(first.Spec.Notification.Channels).To(BeEmpty())

	g.Expect(r.one(firing(labelsOf(ns, "deployment", "cart"), crash)).Result).To(Equal("open"))
	g.Expect(r.one(firing(labelsOf(ns, "deployment", "cart"), func(a map[string]any) { a["status"] = "resolved" })).Result).To(Equal("resolved"))

	over := time.Now().Add(time.Second)
	finish(t, ns, first.Name, over)
	o := r.one(firing(labelsOf(ns, "deployment", "cart"), crash))
	g.Expect(o).To(And(HaveField("Result", "ended"), HaveField("Request", first.Name), HaveField("Detail", ContainSubstring("fires again"))))
	anew := func(a map[string]any) { a["startsAt"] = over.Add(time.Minute).Format(time.RFC3339Nano) }
	second := r.one(firing(labelsOf(ns, "deployment", "cart"), anew))
	g.Expect(second.Result).To(Equal("created"))
	g.Expect(second.Request).NotTo(Equal(first.Name))
	g.Expect(r.one(firing(labelsOf(ns, "deployment", "cart"), crash)).Result).To(Equal("open"), "the old alert belongs to the new request, too")

	ahead := func(a map[string]any) { a["startsAt"] = "2999-11-23T04:05:06Z" }
	finish(t, ns, second.Request, over.Add(2*time.Minute))
	g.Eventually(func() string { return r.one(firing(labelsOf(ns, "deployment", "cart"), ahead)).Detail }, timeout, interval).Should(ContainSubstring("correct the clock"), "it would begin after every end")

	// A gateway that starts now finds the same, and so does one that has not seen the end of the second yet.
	other := start(t)
	for _, each := range []*running{r, other} {
		g.Expect(each.one(firing(labelsOf(ns, "deployment", "cart"), anew))).To(And(HaveField("Result", "ended"), HaveField("Request", second.Request)))
	}
	g.Expect(r.metrics()).To(And(ContainSubstring(`holdfast_gateway_alerts_total{result="created"} 2`), ContainSubstring(`holdfast_gateway_alerts_total{result="resolved"} 1`)))
}

// Three gateways get the alerts of two Alertmanagers, all at once and again and again.
func TestGatewaysAtOnce(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	var alerts []map[string]any
	for i := range 10 {
		name := fmt.Sprintf("app-%d", i)
		podOf(t, ns, name)
		alerts = append(alerts, firing(labelsOf(ns, "deployment", name)), firing(labelsOf(ns, "pod", name+"-6d4cf56db6-x2x7p")))
	}
	body := messageOf(alerts...)
	var together sync.WaitGroup
	for range 3 {
		r := start(t)
		for range 4 {
			together.Add(1)
			go func() {
				defer together.Done()
				status, _, text := r.post(body)
				if status != http.StatusOK {
					t.Errorf("answered %d: %s", status, text)
				}
			}()
		}
	}
	together.Wait()
	g.Expect(requests(t, ns)).To(HaveLen(10))
}

// intercepted makes the gateway's client one that the test can break.
func intercepted(funcs interceptor.Funcs) func(*gateway.Config) {
	return func(c *gateway.Config) { c.Client = interceptor.NewClient(c.Client, funcs) }
}

// The API server has created the request, but its reply is lost. The gateway does not know, so Alertmanager sends again.
func TestALostReply(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	deployment(t, ns, "cart")
	lose := true
	r := start(t, intercepted(interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		err := c.Create(ctx, o, options...)
		if lose {
			lose = false
			return errors.Join(err, errors.New("read tcp 127.0.0.1: connection reset by peer"))
		}
		return err
	}}))
	alert := firing(labelsOf(ns, "deployment", "cart"))
	status, answer, text := r.post(messageOf(alert))
	g.Expect(status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(answer.Alerts).To(HaveExactElements(And(HaveField("Result", "again"), HaveField("Detail", "the API server does not answer"), HaveField("Alert", "3f0c1b2a4d5e6f70"))))
	g.Expect(text).NotTo(ContainSubstring("127.0.0.1"))
	g.Expect(r.one(alert).Result).To(Equal("open"))
	g.Expect(requests(t, ns)).To(HaveLen(1))
}

// An alert whose handling panics takes neither the others of its message nor the gateway with it.
func TestAPanicIsOneAlerts(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	deployment(t, ns, "cart")
	deployment(t, ns, "cursed")
	r := start(t, intercepted(interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		if strings.HasPrefix(o.GetName(), "cursed-") {
			panic("cursed")
		}
		return c.Create(ctx, o, options...)
	}}))
	status, answer, text := r.post(messageOf(firing(labelsOf(ns, "deployment", "cursed")), firing(labelsOf(ns, "deployment", "cart"))))
	g.Expect(status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(answer.Alerts).To(HaveExactElements(And(HaveField("Result", "again"), HaveField("Detail", "internal error")), HaveField("Result", "created")))
	g.Expect(text).NotTo(ContainSubstring("goroutine"))
	g.Expect(requests(t, ns)).To(HaveLen(1))
}

// While the API server refuses or does not answer, no alert is answered 200.
func TestAnAPIServerThatIsAway(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	var broken atomic.Pointer[failing]
	r := start(t, intercepted(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			return cmp.Or(broken.Load().at("get"), c.Get(ctx, key, o, options...))
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if err := broken.Load().at("create"); err != nil {
				return err
			}
			return c.Create(ctx, o, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, o client.ObjectList, options ...client.ListOption) error {
			return cmp.Or(broken.Load().at("list"), c.List(ctx, o, options...))
		},
	}))
	n := 0
	for _, failure := range []error{
		errors.New("dial tcp: connection refused"), apierrors.NewTooManyRequests("slow down", 1), apierrors.NewInternalError(errors.New("etcd has no leader")),
		apierrors.NewTimeoutError("timed out", 1), apierrors.NewUnauthorized("token expired"),
	} {
		for _, verb := range []string{"get", "create", "list"} {
			name := fmt.Sprintf("app-%d", n)
			n++
			alert := firing(labelsOf(ns, "pod", podOf(t, ns, name).Name))
			broken.Store(&failing{verb, failure})
			status, answer, _ := r.post(messageOf(alert))
			g.Expect(status).To(Equal(http.StatusServiceUnavailable), "%s: %v", verb, failure)
			g.Expect(answer.Alerts).To(HaveExactElements(HaveField("Result", "again")))
			broken.Store(nil)
			g.Expect(r.one(alert).Result).To(BeElementOf("created", "open"))
			g.Expect(requests(t, ns)).To(HaveLen(n))
		}
	}
}

// failing is what happens to one verb.
type failing struct {
	verb string
	err  error
}

func (f *failing) at(verb string) error {
	if f == nil || f.verb != verb {
		return nil
	}
	return f.err
}

// vanish deletes a request and strips it, as somebody may who may delete it.
func vanish(t *testing.T, ns, name string) {
	t.Helper()
	g := NewWithT(t)
	rr := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}
	g.Expect(admin.Delete(t.Context(), rr)).To(Succeed())
	g.Expect(client.IgnoreNotFound(admin.Patch(t.Context(), rr, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))).To(Succeed())
}

// While the watch says nothing, requests that have ended do not count as open.
func TestALateWatchIsNoLimit(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	var late atomic.Bool
	r := start(t, func(c *gateway.Config) { c.Limits.OpenRequests = 5 }, intercepted(interceptor.Funcs{
		Watch: func(ctx context.Context, c client.WithWatch, l client.ObjectList, options ...client.ListOption) (watch.Interface, error) {
			all, err := c.Watch(ctx, l, options...)
			if err != nil {
				return nil, err
			}
			return watch.Filter(all, func(e watch.Event) (watch.Event, bool) { return e, !late.Load() }), nil
		},
	}))
	late.Store(true)
	for _, name := range []string{"cart", "till", "shelf"} {
		deployment(t, ns, name)
	}
	began := time.Now()
	for range 4 {
		for _, name := range []string{"cart", "till", "shelf"} {
			o := r.one(firing(labelsOf(ns, "deployment", name), func(a map[string]any) { a["startsAt"] = began.Format(time.RFC3339Nano) }))
			g.Expect(o.Result).To(Equal("created"), o.Detail)
			finish(t, ns, o.Request, began)
		}
		began = began.Add(time.Second)
	}
}

// Round trips to the API server are what an alert costs.
func TestRoundTripsOfAMessage(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	deployment(t, ns, "cart")
	deployment(t, ns, "till")
	var trips atomic.Int64
	r := start(t, intercepted(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			trips.Add(1)
			return c.Get(ctx, key, o, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, o client.ObjectList, options ...client.ListOption) error {
			trips.Add(1)
			return c.List(ctx, o, options...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			trips.Add(1)
			return c.Create(ctx, o, options...)
		},
	}))
	trips.Store(0) // the watch has begun
	g.Expect(r.one(firing(labelsOf(ns, "deployment", "cart"))).Result).To(Equal("created"))
	g.Expect(trips.Swap(0)).To(BeEquivalentTo(5), "namespace, ConfigMap, workload, create, duplicates")
	g.Eventually(func() int64 { // until the watch has it
		trips.Store(0)
		g.Expect(r.one(firing(labelsOf(ns, "deployment", "cart"))).Result).To(Equal("open"))
		return trips.Load()
	}, timeout, interval).Should(BeEquivalentTo(4), "namespace, ConfigMap, workload, request")
	var many []map[string]any
	for i := range 100 {
		many = append(many, firing(labelsOf(ns, "deployment", "till", "alertname", fmt.Sprint("Alert", i))))
	}
	trips.Store(0)
	status, _, _ := r.post(messageOf(many...))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(trips.Load()).To(BeEquivalentTo(5), "100 alerts of one workload in one message")
}

// The last finished request is deleted between the look and the create of two gateways: they come to two names. One of the requests is cancelled, and the alert comes again.
func TestADeletionBetweenLookAndCreate(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	deployment(t, ns, "cart")
	var before func()
	var tries atomic.Int64
	late := start(t, intercepted(interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
		tries.Add(1)
		if before != nil {
			before()
			before = nil
		}
		return c.Create(ctx, o, options...)
	}}))
	old := firing(labelsOf(ns, "deployment", "cart"))
	first := late.one(old)
	over := time.Now()
	finish(t, ns, first.Request, over)
	g.Eventually(func() int64 { // until the watch has it: before, both would come to the name of the first
		tries.Store(0)
		g.Expect(late.one(old).Result).To(Equal("ended"))
		return tries.Load()
	}, timeout, interval).Should(BeZero())
	anew := firing(labelsOf(ns, "deployment", "cart"), func(a map[string]any) { a["startsAt"] = over.Add(time.Minute).Format(time.RFC3339Nano) })
	var quick gateway.Outcome
	before = func() {
		vanish(t, ns, first.Request)
		quick = start(t).one(anew)
	}
	status, answer, _ := late.post(messageOf(anew))
	g.Expect(quick.Result).To(Equal("created"))
	g.Expect(status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(answer.Alerts).To(HaveExactElements(HaveField("Result", "again")))
	opened := 0
	for _, rr := range requests(t, ns) {
		if !rr.Spec.Cancel {
			opened++
			g.Expect(rr.Name).To(Equal(quick.Request))
			continue
		}
		g.Expect(rr.Annotations).To(HaveKeyWithValue("holdfast.dev/duplicate-of", quick.Request))
		finish(t, ns, rr.Name, over.Add(time.Hour)) // the controller cancels it
	}
	g.Expect(opened).To(Equal(1))
	g.Expect(late.one(anew).Request).To(Equal(quick.Request))
	finish(t, ns, quick.Request, over.Add(time.Second))
	g.Expect(late.one(anew).Result).To(Equal("created"), "a duplicate that was cancelled is not the end of the incident")
}

// Somebody creates a request with the name that the next one would get.
func TestANameThatIsTaken(t *testing.T) {
	g := NewWithT(t)
	ns, model := tenant(t), tenant(t)
	deployment(t, ns, "cart")
	r := start(t)
	made := r.one(firing(labelsOf(ns, "deployment", "cart")))
	rr := requests(t, ns)[0]
	vanish(t, ns, rr.Name)
	squatter := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: made.Request}, Spec: *rr.Spec.DeepCopy()}
	squatter.Spec.Target.Name, squatter.Spec.RequestedBy = "other", ""
	g.Expect(admin.Create(t.Context(), squatter)).To(Succeed())
	g.Eventually(func() string { return r.one(firing(labelsOf(ns, "deployment", "cart"))).Request }, timeout, interval).ShouldNot(Equal(made.Request))
	g.Expect(requests(t, ns)).To(HaveLen(2))
	g.Expect(requests(t, model)).To(BeEmpty())
}

// eventsOf are the reasons of a namespace's Events with how often each was told.
func eventsOf(t *testing.T, ns string) map[string]string {
	list := &eventsv1.EventList{}
	if err := admin.List(t.Context(), list, client.InNamespace(ns)); err != nil {
		return nil
	}
	found := map[string]string{}
	for _, e := range list.Items {
		found[e.Reason+" on "+e.Regarding.Kind+" "+e.Regarding.Name] = e.Note
	}
	return found
}

// A namespace has at most so many open requests, however many alerts come at once.
func TestTheLimitOfOpenRequests(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	var alerts []map[string]any
	for i := range 40 {
		name := fmt.Sprintf("app-%d", i)
		deployment(t, ns, name)
		alerts = append(alerts, firing(labelsOf(ns, "deployment", name)))
	}
	r := start(t, func(c *gateway.Config) { c.Limits.OpenRequests = 5 })
	status, answer, _ := r.post(messageOf(alerts...))
	g.Expect(status).To(Equal(http.StatusOK))
	count, made := map[string]int{}, ""
	for _, o := range answer.Alerts {
		count[o.Result]++
		if o.Result == "created" {
			made = o.Request
		} else {
			g.Expect(o.Detail).To(ContainSubstring("5 open requests, as many as --max-open-requests allows"))
		}
	}
	g.Expect(count).To(Equal(map[string]int{"created": 5, "limit": 35}))
	g.Expect(requests(t, ns)).To(HaveLen(5))
	g.Eventually(func() map[string]string { return eventsOf(t, ns) }, timeout, interval).Should(HaveKeyWithValue("GatewayLimitReached on Namespace "+ns, ContainSubstring("while 5 are open")))
	g.Expect(r.metrics()).To(ContainSubstring(`holdfast_gateway_alerts_total{result="limit"} 35`))

	finish(t, ns, made, time.Now())
	g.Eventually(func() int { r.post(messageOf(alerts...)); return len(requests(t, ns)) }, timeout, interval).Should(Equal(6), "the repeated alerts take the place that is free")
}
