package aianalysis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

func TestAIAnalysis(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "aianalysis controller")
}

var (
	env *testenv.Env
	// me is the user name of the suite's client, whose decisions the admission policy lets pass.
	me string
)

var _ = BeforeSuite(func(ctx SpecContext) {
	testenv.LogTo = GinkgoWriter
	var err error
	env, err = testenv.Start(ctx)
	Expect(err).NotTo(HaveOccurred())
	review := &authenticationv1.SelfSubjectReview{}
	Expect(env.Client.Create(ctx, review)).To(Succeed())
	me = review.Status.UserInfo.Username
}, NodeTimeout(5*testenv.LongTimeout))

var _ = AfterSuite(func() { Expect(env.Stop()).To(Succeed()) })

// fixture is one spec's namespace, clock and store.
type fixture struct {
	ctx       context.Context
	namespace string
	clock     controllertest.Clock
	store     *testenv.Watermarks
}

func newFixture() *fixture {
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	return &fixture{ctx: ctx, namespace: env.Namespace(ctx, "analysis"), clock: controllertest.NewClock(), store: &testenv.Watermarks{}}
}

func (f *fixture) pass(d time.Duration) { f.clock.Pass(d) }

// expert is an investigator that gives prepared replies: one after the other, then the last one again.
type expert struct {
	mu      sync.Mutex
	asked   []investigator.Request
	replies []reply
}

type reply func(context.Context) (investigator.Finding, error)

func (e *expert) Name() string { return "expert" }

func (e *expert) Config() investigator.Config {
	return investigator.Config{Version: "7", PromptSHA256: strings.Repeat("ab", 32)}
}

func (e *expert) Investigate(ctx context.Context, q investigator.Request) (investigator.Finding, error) {
	e.mu.Lock()
	next := e.replies[min(len(e.asked), len(e.replies)-1)]
	e.asked = append(e.asked, q)
	e.mu.Unlock()
	return next(ctx)
}

func (e *expert) questions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.asked)
}

func says(f investigator.Finding) reply {
	return func(context.Context) (investigator.Finding, error) { return f, nil }
}

func fails(text string) reply {
	return func(context.Context) (investigator.Finding, error) { return investigator.Finding{}, errors.New(text) }
}

// hangs until its context ends, and sends the reason.
func hangs(stopped chan<- error) reply {
	return func(ctx context.Context) (investigator.Finding, error) {
		<-ctx.Done()
		if stopped != nil {
			stopped <- ctx.Err()
		}
		return investigator.Finding{}, ctx.Err()
	}
}

func undo(confidence int32) investigator.Finding {
	return investigator.Finding{
		RootCause: "cart crashes since its rollout", RootCauseConfidence: 90,
		Recommendation: &investigator.Recommendation{WorkflowID: "rollout-undo", Parameters: map[string]string{"toRevision": "4"}, Confidence: confidence, Rationale: "it began with the rollout"},
		Alternatives:   []investigator.Alternative{{Action: "increase-memory", Confidence: 5, RejectedReason: "nothing was killed"}},
		Evidence:       []investigator.Evidence{{Tool: "get", Purpose: "target", Excerpt: "1 of 2 replicas"}},
		Model:          "model-1", PromptTokens: ptr.To[int32](2500), CompletionTokens: ptr.To[int32](150),
	}
}

// process is one life of a manager, driven by hand.
type process struct {
	*Reconciler
	f      *fixture
	expert *expert
	events *controllertest.Recorder
}

// processSettings are what a spec can choose of a process.
type processSettings struct {
	calls   interceptor.Funcs
	limits  outbox.Limits
	options []Option
	replies []reply
}

type processOption func(*processSettings)

// answers are the investigator's: one after the other, then the last one again.
func answers(replies ...reply) processOption {
	return func(s *processSettings) { s.replies = replies }
}

// calls intercepts calls of the API server.
func calls(funcs interceptor.Funcs) processOption {
	return func(s *processSettings) { s.calls = funcs }
}

func limits(l outbox.Limits) processOption { return func(s *processSettings) { s.limits = l } }

// with gives options to the reconciler.
func with(options ...Option) processOption {
	return func(s *processSettings) { s.options = options }
}

// start begins a new process, which remembers nothing of others.
func (f *fixture) start(options ...processOption) *process {
	GinkgoHelper()
	s := &processSettings{limits: outbox.DefaultLimits()}
	for _, o := range options {
		o(s)
	}
	p := &process{f: f, expert: &expert{replies: s.replies}, events: controllertest.NewRecorder(func(wrong string) { GinkgoT().Error(wrong) })}
	c := interceptor.NewClient(env.Client, s.calls)
	w := outbox.NewWriter(c, env.Client, f.store.WithLimits(s.limits), outbox.WithClock(f.clock))
	var err error
	p.Reconciler, err = New(c, env.Client, w, p.events, append([]Option{withClock(f.clock), WithInvestigator(p.expert)}, s.options...)...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.attempts.Close)
	return p
}

// die ends a process as a kill does: its attempts are cancelled and their answers are lost.
func (p *process) die() { p.attempts.Close() }

// expectFreeSlots checks that no attempt of the namespace holds a slot.
func (p *process) expectFreeSlots() {
	GinkgoHelper()
	all, any := p.settings.slotsPerNamespace(), types.NamespacedName{Namespace: p.f.namespace, Name: "any"}
	Expect(p.attempts.Acquire(any, all)).To(Equal(all), "all slots of the namespace are free")
	p.attempts.Release(p.f.namespace, all)
}

func (p *process) try(a *v1alpha1.AIAnalysis) (ctrl.Result, error) {
	return p.Reconcile(p.f.ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(a)})
}

func (p *process) reconcile(a *v1alpha1.AIAnalysis) ctrl.Result {
	GinkgoHelper()
	result, err := p.try(a)
	Expect(err).NotTo(HaveOccurred())
	return result
}

// answered waits until the attempts of the process have their answers.
func (p *process) answered() {
	GinkgoHelper()
	Expect(p.attempts.Len()).NotTo(BeZero(), "no attempt runs")
	done := make(chan struct{})
	go func() { p.attempts.Wait(); close(done) }()
	Eventually(done, testenv.Timeout).Should(BeClosed())
}

// investigated begins an attempt, waits for the answer, and lets the controller act on it.
func (p *process) investigated(a *v1alpha1.AIAnalysis) *v1alpha1.AIAnalysis {
	GinkgoHelper()
	p.reconcile(a)
	p.answered()
	p.reconcile(a)
	return p.f.get(a)
}

type change func(*v1alpha1.AIAnalysis)

func auto(threshold int32) change {
	return func(a *v1alpha1.AIAnalysis) {
		a.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalAuto, AutoApproveAbove: &threshold}
	}
}

func within(timeout time.Duration) change {
	return func(a *v1alpha1.AIAnalysis) { a.Spec.Timeout = &metav1.Duration{Duration: timeout} }
}

func decided(v v1alpha1.Verdict) change {
	return func(a *v1alpha1.AIAnalysis) {
		a.Spec.Decision = &v1alpha1.Decision{Verdict: v, DecidedBy: me, Method: "api", Justification: "known bad release"}
	}
}

func (f *fixture) analysis(changes ...change) *v1alpha1.AIAnalysis {
	GinkgoHelper()
	a := &v1alpha1.AIAnalysis{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, GenerateName: "cart-"},
		Spec: v1alpha1.AIAnalysisSpec{
			RemediationRef: v1alpha1.RemediationRef{Name: "cart-crash", UID: "by-hand"},
			Signal:         v1alpha1.Signal{Fingerprint: "3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c", Name: "KubePodCrashLooping", Severity: "critical", Source: "alertmanager"},
			Target:         v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"},
		},
	}
	a.Spec.Signal.ReceivedTime.Time = f.clock.Now()
	for _, c := range changes {
		c(a)
	}
	Expect(env.Client.Create(f.ctx, a)).To(Succeed())
	return a
}

// get reads the analysis as the API server has it.
func (f *fixture) get(a *v1alpha1.AIAnalysis) *v1alpha1.AIAnalysis {
	GinkgoHelper()
	live := &v1alpha1.AIAnalysis{}
	Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(a), live)).To(Succeed())
	return live
}

// alter changes the spec, as a user does.
func (f *fixture) alter(a *v1alpha1.AIAnalysis, c change) {
	GinkgoHelper()
	live := f.get(a)
	base := live.DeepCopy()
	c(live)
	Expect(env.Client.Patch(f.ctx, live, client.MergeFrom(base))).To(Succeed())
}

func cancelled(a *v1alpha1.AIAnalysis) { a.Spec.Cancel = true }

// lastRecord is the record of the newest entry.
func lastRecord(a *v1alpha1.AIAnalysis) models.AIDecision {
	GinkgoHelper()
	record, err := controllertest.LastRecord[models.AIDecision](a)
	Expect(err).NotTo(HaveOccurred())
	return record
}
