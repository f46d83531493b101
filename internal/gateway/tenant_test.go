package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/gateway"
)

// A tenant writes the ConfigMap, and one gateway reads those of all namespaces, for each message. Whatever a ConfigMap holds, it takes little memory.
func TestAPolicyCostsLittle(t *testing.T) {
	repeated := func(n int, text string) string { return "[" + strings.Repeat(text+",", n) + "]" }
	matcher := func(expression string) string { return `rules: [{matchers: ['a=~"` + expression + `"']}]` }
	for name, c := range map[string]struct{ text, why string }{
		"aliases of a large text": {"x: &x " + long(20<<10) + "\nrules: " + repeated(4000, "*x"), "line 2 has the alias *x"},
		"aliases of aliases":      {"a: &a {}\nb: &b " + repeated(9, "*a") + "\nc: &c " + repeated(9, "*b") + "\nrules: []", "has the alias *a"},
		"an alias of itself":      {"rules: &r [*r]", "has the alias *r"},
		"a merged alias":          {"x: &x {matchers: []}\nrules: [{<<: *x}]", "has the alias *x"},
		"an alias as a key":       {"x: &x rules\n*x : []", "has the alias *x"},
		"a large text":            {"rules: [] #" + long(1<<20), "expected at most 32768"},
		"nested":                  {"rules: " + strings.Repeat("[", 16_000) + strings.Repeat("]", 16_000), "exceeded max depth"},
		"a number as a key":       {"rules: [{1: 2}]", "a key is no text"},
		"a key twice":             {"rules: []\nrules: []", "already defined"},
		"a long expression":       {matcher(strings.Repeat("x{1000}", 4000)), "expected at most 512"},
		"repetitions":             {matcher(strings.Repeat("x{1000}", 70)), "expected at most 1000; use fewer or smaller repetitions"},
		"nested repetitions":      {matcher("(?:(?:x{10}){10}){10}y"), "expected at most 1000"},
		"classes":                 {matcher(strings.Repeat(`\\pL`, 100)), "expected at most 1000"},
		"many expressions":        {"rules: " + repeated(100, `{matchers: ['a=~"x{400}"']}`), "rules[12].matchers: the regular expressions up to here compile to about"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := gateway.ParsePolicy(c.text)
			runtime.ReadMemStats(&after)
			g.Expect(err).To(MatchError(ContainSubstring(c.why)))
			g.Expect(len(err.Error())).To(BeNumerically("<", 2000))
			g.Expect(after.TotalAlloc - before.TotalAlloc).To(BeNumerically("<", 32<<20))
		})
	}
	_, err := gateway.ParsePolicy("# an anchor is no alias\nrules: [&x {matchers: ['team=\"*x\"']}]")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	_, err = gateway.ParsePolicy("")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// Which rule is used is not known while a value is too long to be matched. Then a person approves.
func TestAValueThatIsTooLongToMatch(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	configure(t, ns, `rules: [{matchers: ['team=~"x+"'], approval: {mode: Auto, autoApproveAbove: 0}}, {matchers: ['team!~"y+"'], approval: {mode: Auto, autoApproveAbove: 0}}]`)
	r := start(t)
	for length, mode := range map[int]v1alpha1.ApprovalMode{1024: v1alpha1.ApprovalAuto, 1025: v1alpha1.ApprovalManual} {
		deployment(t, ns, fmt.Sprintf("app-%d", length))
		o := r.one(firing(labelsOf(ns, "deployment", fmt.Sprintf("app-%d", length), "team", long(length))))
		g.Expect(o.Result).To(Equal("created"), o.Detail)
		rr := &v1alpha1.RemediationRequest{}
		g.Expect(admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: o.Request}, rr)).To(Succeed())
		g.Expect(rr.Spec.Approval.Mode).To(Equal(mode))
	}
}

// Where Prometheus sets the label namespace of all that a tenant writes, the tenant still chooses exported_namespace.
func TestExportersOfOtherNamespaces(t *testing.T) {
	g := NewWithT(t)
	victim, attacker, monitoring := tenant(t), tenant(t), tenant(t)
	deployment(t, victim, "cart")
	deployment(t, attacker, "cart")
	g.Expect(admin.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: monitoring}},
		client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"holdfast.dev/gateway-exporter":"true"}}}`)))).To(Succeed())
	r := start(t, func(c *gateway.Config) { c.ExportersNeedLabel = true })
	for _, name := range []string{attacker, "nowhere"} {
		o := r.one(firing(labelsOf(name, "exported_namespace", victim, "deployment", "cart")))
		g.Expect(o).To(And(HaveField("Result", "exporter"), HaveField("Detail", ContainSubstring("namespace "+name+", which has no label holdfast.dev/gateway-exporter=true"))))
	}
	g.Expect(r.one(firing(labelsOf("../x", "exported_namespace", victim, "deployment", "cart"))).Result).To(Equal("malformed"))
	for _, name := range []string{victim, attacker} { // a rule that aggregates by (exported_namespace, deployment) leaves the exporter's namespace out
		aggregated := labelsOf("", "exported_namespace", name, "deployment", "cart")
		for _, nowhere := range []string{"empty", "missing"} {
			o := r.one(firing(aggregated))
			g.Expect(o).To(And(HaveField("Result", "exporter"), HaveField("Detail", ContainSubstring("label namespace is missing"))), nowhere)
			delete(aggregated, "namespace")
		}
	}
	g.Expect(requests(t, victim)).To(BeEmpty())
	g.Expect(requests(t, attacker)).To(BeEmpty())
	g.Expect(r.one(firing(labelsOf(attacker, "exported_namespace", attacker, "deployment", "cart"))).Result).To(Equal("created"))
	g.Expect(r.one(firing(labelsOf(monitoring, "exported_namespace", victim, "deployment", "cart"))).Result).To(Equal("created"))
	g.Expect(requests(t, victim)).To(HaveLen(1))
}

// copyOf is a request of another hand that looks like one of the gateway's.
func copyOf(t *testing.T, rr *v1alpha1.RemediationRequest, name string, annotations map[string]string) {
	t.Helper()
	other := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: rr.Namespace, Name: name, Annotations: annotations}, Spec: *rr.Spec.DeepCopy()}
	other.Spec.RequestedBy = ""
	create(t, other)
}

// Requests of another hand say that they are duplicates, and never end. Alertmanager is not kept busy for them: its message may have the alerts of others too.
func TestDuplicatesThatNeverEnd(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	deployment(t, ns, "cart")
	alert := firing(labelsOf(ns, "deployment", "cart"))
	roomy := func(c *gateway.Config) { c.Limits.OpenRequests = 100 }
	first := start(t, roomy)
	made := first.one(alert)
	rr := requests(t, ns)[0]
	vanish(t, ns, rr.Name)
	forged := map[string]string{"holdfast.dev/duplicate-of": "x"}
	copyOf(t, &rr, made.Request, forged)
	for i := range 30 {
		copyOf(t, &rr, fmt.Sprintf("forged-%d", i), forged)
	}
	g.Eventually(func() int { status, _, _ := first.post(messageOf(alert)); return status }, timeout, interval).Should(Equal(http.StatusServiceUnavailable), "one that was just created may still be cancelled")
	var reads, largest atomic.Int64
	later := start(t, roomy, func(c *gateway.Config) { c.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } }, intercepted(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			reads.Add(1)
			return c.Get(ctx, key, o, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, options ...client.ListOption) error {
			err := c.List(ctx, l, options...)
			if all, ok := l.(*v1alpha1.RemediationRequestList); ok && l.GetResourceVersion() != "" && (&client.ListOptions{}).ApplyOptions(options).FieldSelector != nil {
				largest.Store(max(largest.Load(), int64(len(all.Items))))
			}
			return err
		},
	}))
	g.Expect(later.one(alert)).To(And(HaveField("Result", "open"), HaveField("Request", made.Request)))
	g.Expect(reads.Load()).To(BeNumerically("<", 10), "none of the others is read")

	vanish(t, ns, made.Request)
	g.Eventually(func() string { return later.one(alert).Result }, timeout, interval).Should(Equal("created"), "whatever the others say")
	g.Expect(largest.Load()).To(BeNumerically("==", 25), "they are read in pages")
}

// Requests of another hand have all names that the gateway could choose. It finds that out once a message, and does not have the message sent again.
func TestNamesThatAreAllTaken(t *testing.T) {
	g := NewWithT(t)
	ns, other := tenant(t), tenant(t)
	deployment(t, ns, "cart")
	deployment(t, other, "web")
	var creates atomic.Int64
	r := start(t, func(c *gateway.Config) { c.Limits.OpenRequests = 100 }, intercepted(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			creates.Add(1)
			if o.GetNamespace() != ns {
				return c.Create(ctx, o, options...)
			}
			squatter := o.DeepCopyObject().(*v1alpha1.RemediationRequest)
			squatter.Spec.Target.Name, squatter.Spec.RequestedBy = "mine", ""
			if err := admin.Create(ctx, squatter); err != nil { // knows the name before the gateway
				return err
			}
			return c.Create(ctx, o, options...)
		},
	}))
	alerts := []map[string]any{firing(labelsOf(other, "deployment", "web"))}
	for range 50 {
		alerts = append(alerts, firing(labelsOf(ns, "deployment", "cart")))
	}
	status, answer, text := r.post(messageOf(alerts...))
	g.Expect(status).To(Equal(http.StatusOK), text)
	g.Expect(answer.Alerts[0].Result).To(Equal("created"))
	g.Expect(answer.Alerts[1:]).To(HaveEach(And(HaveField("Result", "occupied"), HaveField("Detail", ContainSubstring("20 RemediationRequests of namespace "+ns)))))
	g.Expect(creates.Load()).To(BeNumerically("==", 21))
}

// What a message costs is bounded by more than its bytes.
func TestMessagesOfManyAlerts(t *testing.T) {
	g := NewWithT(t)
	ns := tenant(t)
	deployment(t, ns, "cart")
	r := start(t)
	status, _, text := r.post([]byte(`{"version":"4","alerts":[` + strings.Repeat("1,", 20_000) + `1]}`))
	g.Expect(status).To(Equal(http.StatusRequestEntityTooLarge))
	g.Expect(text).To(ContainSubstring("more than 20000 alerts; set max_alerts"))
	status, answer, _ := r.post([]byte(`{"version":"4","alerts":[` + strings.Repeat("1,", 19_999) + `1]}`))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(answer.Alerts).To(HaveLen(20_000))
	wide := firing(labelsOf(ns, "deployment", "cart"), func(a map[string]any) { a["annotations"] = map[string]string{"x": long(256 << 10)} })
	status, answer, _ = r.post(messageOf(wide, firing(labelsOf(ns, "deployment", "cart"))))
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(answer.Alerts).To(HaveExactElements(And(HaveField("Result", "malformed"), HaveField("Detail", ContainSubstring("expected at most 262144"))), HaveField("Result", "created")))
}
