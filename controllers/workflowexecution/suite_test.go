package workflowexecution

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

func TestWorkflowExecution(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "workflow execution controller")
}

var env *testenv.Env

var _ = BeforeSuite(func(ctx SpecContext) {
	testenv.LogTo = GinkgoWriter
	var err error
	env, err = testenv.Start(ctx)
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(5*testenv.LongTimeout))

var _ = AfterSuite(func() { Expect(env.Stop()).To(Succeed()) })

// account is the service account that has what every action needs, and no more.
const account = "remediator"

// fixture is one spec's namespace and clock, and the wire between its processes and the API server.
type fixture struct {
	ctx          context.Context
	namespace    string
	clock        controllertest.Clock
	wire         *wire
	store        outbox.Relay
	verifyWindow time.Duration
}

func newFixture() *fixture {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	f := &fixture{ctx: ctx, namespace: env.Namespace(ctx, "wfe"), clock: controllertest.NewClock(), wire: &wire{}, store: &testenv.Watermarks{}, verifyWindow: 20 * time.Second}
	f.grant(account,
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments", "statefulsets", "daemonsets"}, Verbs: []string{"get", "patch"}},
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"replicasets", "controllerrevisions"}, Verbs: []string{"get", "list"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}},
	)
	return f
}

// grant makes a service account and gives it the rules.
func (f *fixture) grant(name string, rules ...rbacv1.PolicyRule) {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Namespace: f.namespace, Name: name}
	Expect(env.Client.Create(f.ctx, &corev1.ServiceAccount{ObjectMeta: meta})).To(Succeed())
	f.bind(name, rules...)
}

// bind gives rules to a service account, whether or not it exists.
func (f *fixture) bind(name string, rules ...rbacv1.PolicyRule) {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Namespace: f.namespace, Name: name}
	Expect(env.Client.Create(f.ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules})).To(Succeed())
	Expect(env.Client.Create(f.ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: f.namespace, Name: name}},
	})).To(Succeed())
	for _, rule := range rules { // the authorizer reads roles from a cache of its own
		Eventually(func(g Gomega) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               "system:serviceaccount:" + f.namespace + ":" + name,
				ResourceAttributes: attributesOf(f.namespace, rule),
			}}
			g.Expect(env.Client.Create(f.ctx, review)).To(Succeed())
			g.Expect(review.Status.Allowed).To(BeTrue())
		}).WithTimeout(testenv.Timeout).WithPolling(testenv.Interval).Should(Succeed())
	}
}

// attributesOf are those of a request that the rule permits.
func attributesOf(namespace string, rule rbacv1.PolicyRule) *authorizationv1.ResourceAttributes {
	resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
	return &authorizationv1.ResourceAttributes{Namespace: namespace, Group: rule.APIGroups[0], Resource: resource, Subresource: subresource, Verb: rule.Verbs[0]}
}

// tokenOf makes a service account and a token of its.
func tokenOf(f *fixture, name string) string {
	GinkgoHelper()
	account := serviceAccount(f, name)
	Expect(env.Client.Create(f.ctx, account)).To(Succeed())
	request := &authenticationv1.TokenRequest{}
	Expect(env.Client.SubResource("token").Create(f.ctx, account, request)).To(Succeed())
	return request.Status.Token
}

// process is one life of a manager, driven by hand. It remembers nothing of those before it.
type process struct {
	*Reconciler
	f        *fixture
	recorder *controllertest.Recorder
}

func (f *fixture) start() *process { return f.startAs(env.Config) }

func (f *fixture) startAs(who *rest.Config) *process {
	GinkgoHelper()
	config := rest.CopyConfig(who)
	config.Wrap(f.wire.through)
	c, err := client.New(config, client.Options{Scheme: env.Scheme, Mapper: env.Client.RESTMapper()})
	Expect(err).NotTo(HaveOccurred())
	recorder := controllertest.NewRecorder(func(wrong string) { GinkgoT().Error(wrong) })
	w := outbox.NewWriter(c, c, f.store, outbox.WithClock(f.clock))
	r, err := New(c, c, w, recorder, WithRESTConfig(config), withClock(f.clock), withVerifyWindow(f.verifyWindow))
	Expect(err).NotTo(HaveOccurred())
	return &process{Reconciler: r, f: f, recorder: recorder}
}

func (p *process) try(wfe *v1alpha1.WorkflowExecution) (ctrl.Result, error) {
	return p.Reconcile(p.f.ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(wfe)})
}

// drive reconciles until the workflow is closed or waits for time to pass.
func (p *process) drive(wfe *v1alpha1.WorkflowExecution) ctrl.Result {
	GinkgoHelper()
	for range 100 {
		res, err := p.try(wfe)
		Expect(err).NotTo(HaveOccurred())
		if res.RequeueAfter > 0 || p.f.get(wfe).Status.Phase.Final() {
			return res
		}
	}
	Fail("the workflow does not come to rest")
	return ctrl.Result{}
}

// run drives the workflow to its end; where it waits, the clock moves on.
func (p *process) run(wfe *v1alpha1.WorkflowExecution) *v1alpha1.WorkflowExecution {
	GinkgoHelper()
	for range 1000 {
		res := p.drive(wfe)
		if live := p.f.get(wfe); live.Status.Phase.Final() {
			return live
		}
		p.f.pass(res.RequeueAfter)
	}
	Fail("the workflow does not end")
	return nil
}

func (f *fixture) pass(d time.Duration) { f.clock.Pass(d) }

func (f *fixture) get(wfe *v1alpha1.WorkflowExecution) *v1alpha1.WorkflowExecution {
	GinkgoHelper()
	live := &v1alpha1.WorkflowExecution{}
	Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(wfe), live)).To(Succeed())
	return live
}

// specOption changes a workflow before it is created.
type specOption func(*v1alpha1.WorkflowExecutionSpec)

func steps(all ...v1alpha1.WorkflowStep) specOption {
	return func(s *v1alpha1.WorkflowExecutionSpec) { s.Steps = all }
}

// as has the steps act as this service account.
func as(account string) specOption {
	return func(s *v1alpha1.WorkflowExecutionSpec) { s.ServiceAccountName = account }
}

// workflow creates a workflow for the target.
func (f *fixture) workflow(target client.Object, options ...specOption) *v1alpha1.WorkflowExecution {
	GinkgoHelper()
	gvk, err := env.Client.GroupVersionKindFor(target)
	Expect(err).NotTo(HaveOccurred())
	wfe := &v1alpha1.WorkflowExecution{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, GenerateName: "fix-", Finalizers: []string{outbox.Finalizer}},
		Spec: v1alpha1.WorkflowExecutionSpec{
			RemediationRef:     v1alpha1.RemediationRef{Name: "web-crash", UID: "by-hand"},
			WorkflowID:         "test",
			Target:             v1alpha1.Target{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: target.GetName()},
			ServiceAccountName: account,
		},
	}
	for _, o := range options {
		o(&wfe.Spec)
	}
	Expect(env.Client.Create(f.ctx, wfe)).To(Succeed())
	return wfe
}

func (f *fixture) cancel(wfe *v1alpha1.WorkflowExecution) {
	GinkgoHelper()
	Expect(env.Client.Patch(f.ctx, f.get(wfe), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))).To(Succeed())
}

// stepOption changes a step.
type stepOption interface{ apply(*v1alpha1.WorkflowStep) }

// parameters are a step's; nil for none.
type parameters map[string]v1alpha1.ParameterValue

func (p parameters) apply(s *v1alpha1.WorkflowStep) { s.Parameters = p }

type stepFunc func(*v1alpha1.WorkflowStep)

func (f stepFunc) apply(s *v1alpha1.WorkflowStep) { f(s) }

func onFailure(p v1alpha1.FailurePolicy) stepOption {
	return stepFunc(func(s *v1alpha1.WorkflowStep) { s.OnFailure = p })
}

func retries(n int32) stepOption { return stepFunc(func(s *v1alpha1.WorkflowStep) { s.Retries = n }) }

func within(d time.Duration) stepOption {
	return stepFunc(func(s *v1alpha1.WorkflowStep) { s.Timeout = &metav1.Duration{Duration: d} })
}

// step is a step whose name is its action.
func step(action string, options ...stepOption) v1alpha1.WorkflowStep {
	s := v1alpha1.WorkflowStep{Name: action, Action: action}
	for _, o := range options {
		o.apply(&s)
	}
	return s
}

func post(expression string) specOption {
	return func(s *v1alpha1.WorkflowExecutionSpec) {
		s.PostConditions = []v1alpha1.WorkflowCondition{{Name: "helped", Expression: expression}}
	}
}

func pre(expression string) specOption {
	return func(s *v1alpha1.WorkflowExecutionSpec) {
		s.PreConditions = []v1alpha1.WorkflowCondition{{Name: "ready", Expression: expression}}
	}
}

// lastRecord is the record of the newest entry.
func lastRecord(wfe *v1alpha1.WorkflowExecution) models.Execution {
	GinkgoHelper()
	record, err := controllertest.LastRecord[models.Execution](wfe)
	Expect(err).NotTo(HaveOccurred())
	return record
}

// expectChain checks the entries: gapless, chained, and exactly the last one final.
func expectChain(wfe *v1alpha1.WorkflowExecution) {
	GinkgoHelper()
	previous := ""
	entries := controllertest.Entries(wfe)
	for i, e := range entries {
		Expect(e.Sequence).To(BeEquivalentTo(i + 1))
		Expect(e.PreviousHash).To(Equal(previous))
		Expect(e.Final).To(Equal(i == len(entries)-1))
		previous = entry.Hash([]byte(wfe.Status.Outbox.Entries[i]))
	}
	Expect(wfe.Status.Outbox.HeadHash).To(Equal(previous))
	Expect(wfe.Status.Outbox.Closed).To(BeTrue())
}
