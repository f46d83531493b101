package aianalysis

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

var _ = Describe("an investigation", func() {
	var f *fixture
	BeforeEach(func() { f = newFixture() })

	It("records everything that was found, in two writes when the policy approves", func() {
		a := f.analysis(auto(80))
		p := f.start(answers(says(undo(80))))
		now := p.investigated(a)

		Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "AutoApproved/Completed/final"))
		Expect(p.expert.asked).To(Equal([]investigator.Request{{Namespace: f.namespace, Target: a.Spec.Target, Signal: now.Spec.Signal}}))
		r := lastRecord(now)
		Expect(r.InvestigationCompletedAt).NotTo(BeNil())
		Expect(r.ApprovalTime).NotTo(BeNil())
		Expect(r).To(Equal(models.AIDecision{
			RemediationID:          "by-hand",
			InvestigationStartedAt: now.Status.Investigation.StartedTime, InvestigationCompletedAt: now.Status.Investigation.CompletedTime,
			HolmesGPTResponseTimeMs: ptr.To[int64](0), Investigator: "expert", Model: "model-1", PromptTokens: ptr.To[int64](2500), CompletionTokens: ptr.To[int64](150),
			RootCause: "cart crashes since its rollout", RootCauseConfidence: ptr.To(90.0),
			RecommendedAction: "rollout-undo", ActionConfidence: ptr.To(80.0), ActionRationale: "it began with the rollout",
			RecommendedParameters:  map[string]string{"toRevision": "4"},
			AlternativesConsidered: []models.Alternative{{Action: "increase-memory", Confidence: 5, RejectedReason: "nothing was killed", WorkflowID: "increase-memory"}},
			Evidence:               []models.Evidence{{Tool: "get", Purpose: "target", Excerpt: "1 of 2 replicas"}},
			Attempts:               ptr.To[int64](1),
			ModelConfig:            &models.ModelConfig{Version: "7", PromptSHA256: strings.Repeat("ab", 32), CatalogueSHA256: p.catalogue.SHA256()},
			ApprovalMode:           "Auto", ApprovalThreshold: ptr.To(80.0),
			ApprovalRequired: ptr.To(false), ApprovalStatus: "auto-approved", ApprovalTime: r.ApprovalTime, ApprovalDurationSeconds: ptr.To[int64](0),
			ApprovedBy: "policy", ApprovalJustification: "The confidence is 80 %, and the threshold for automatic approval is 80 %.",
		}))
		Expect(now.Status.Recommendation).To(HaveField("Action", "Undo the newest rollout"))
		Expect(meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
		Expect(p.reconcile(a)).To(BeZero(), "closed is final")
		Expect(p.events.Events).To(HaveLen(2))
	})

	It("ends without a recommendation when there is nothing to do", func() {
		now := f.start(answers(says(investigator.Finding{RootCause: "all is well", RootCauseConfidence: 90, NoActionReason: "Everything is available."}))).
			investigated(f.analysis(auto(0)))
		Expect(controllertest.Trail(now)).To(HaveExactElements("InvestigationStarted/Investigating", "InvestigationCompleted/Completed/final"))
		Expect(now.Status.Recommendation).To(BeNil())
		Expect(now.Status.Approval).To(BeNil())
		Expect(lastRecord(now)).To(And(HaveField("NoActionReason", "Everything is available."), HaveField("ActionRationale", ""), HaveField("RecommendedAction", ""), HaveField("ApprovalStatus", "")))
	})

	It("recommends nothing that would have no effect on the live target", func() {
		f := newFixture()
		f.crashingDeployment()
		finding := undo(85)
		finding.Recommendation = &investigator.Recommendation{WorkflowID: "increase-memory", Parameters: map[string]string{"container": "proxy", "memoryLimit": "1Gi"}, Confidence: 95}
		now := f.start(answers(says(finding))).investigated(f.analysis(auto(80)))
		Expect(now.Status.Phase).To(Equal(v1alpha1.AnalysisCompleted))
		Expect(now.Status.Recommendation).To(BeNil())
		Expect(now.Status.NoActionReason).To(ContainSubstring(`container is "proxy", expected one of the template: app`))
		Expect(now.Status.Alternatives[0].WorkflowID).To(Equal("increase-memory"))
	})

	It("recommends nothing that the catalogue does not have", func() {
		finding := undo(99)
		finding.Recommendation.WorkflowID = "drop-database"
		now := f.start(answers(says(finding))).investigated(f.analysis(auto(0)))
		Expect(now.Status.Phase).To(Equal(v1alpha1.AnalysisCompleted))
		Expect(now.Status.Recommendation).To(BeNil())
		Expect(now.Status.NoActionReason).To(ContainSubstring(`"drop-database" is not in the catalogue`))
		Expect(lastRecord(now).AlternativesConsidered).To(ContainElement(HaveField("Action", "drop-database")))
	})

	It("asks again after a failure, and records each", func() {
		wrong := undo(80)
		wrong.RootCauseConfidence = 900
		a := f.analysis(auto(80))
		p := f.start(answers(fails("the model is away"), says(wrong), func(context.Context) (investigator.Finding, error) { panic("hostile") }, says(undo(80))))

		now := p.investigated(a)
		Expect(now.Status.Investigation).To(And(HaveField("LastError", "the model is away"), HaveField("NextAttemptTime", Not(BeNil()))))
		Expect(lastRecord(now)).To(And(HaveField("FailureReason", "the model is away"), HaveField("ActionRationale", ""), HaveField("Attempts", HaveValue(BeEquivalentTo(1)))))
		Expect(p.reconcile(a).RequeueAfter).To(Equal(2*time.Second), "the backoff")
		Expect(p.expert.questions()).To(Equal(1))

		f.pass(2 * time.Second)
		now = p.investigated(a)
		Expect(now.Status.Investigation.LastError).To(ContainSubstring("is 900, expected 0 to 100"))
		Expect(p.reconcile(a).RequeueAfter).To(Equal(4*time.Second), "it doubles")

		f.pass(4 * time.Second)
		now = p.investigated(a)
		Expect(now.Status.Investigation.LastError).To(Equal("the attempt panicked: hostile"))

		f.pass(8 * time.Second)
		now = p.investigated(a)
		Expect(now.Status.Investigation.Attempt).To(Equal(int32(4)))
		Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "InvestigationAttemptFailed/Investigating",
			"InvestigationAttemptFailed/Investigating", "InvestigationAttemptFailed/Investigating", "AutoApproved/Completed/final"))
	})

	It("goes on where another hand wrote the number of the attempt", func() {
		a := f.analysis()
		p := f.start(answers(fails("the model is away"), fails("the model is still away"), says(undo(80))))
		now := p.investigated(a)
		now.Status.Investigation.Attempt = -5
		Expect(env.Client.Status().Update(f.ctx, now)).To(Succeed())
		f.pass(2 * time.Second)
		Expect(p.investigated(a).Status.Investigation.NextAttemptTime).NotTo(BeNil())
		f.pass(2 * time.Second)
		Expect(p.investigated(a).Status.Recommendation).NotTo(BeNil())
	})

	It("fails when no attempt gave an answer", func() {
		a := f.analysis()
		p := f.start(with(withAttempts(2, time.Second)), answers(fails("the model is away")))
		p.investigated(a)
		f.pass(time.Second)
		now := p.investigated(a)
		Expect(controllertest.Trail(now)).To(HaveExactElements(HavePrefix("InvestigationStarted"), HavePrefix("InvestigationAttemptFailed"), Equal("InvestigationFailed/Failed/final")))
		Expect(now.Status.FailureReason).To(Equal("expert gave no usable answer in 2 attempts; last error: the model is away"))
		Expect(lastRecord(now)).To(And(HaveField("FailureReason", now.Status.FailureReason), HaveField("ActionRationale", "")))
		Expect(meta.IsStatusConditionFalse(now.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue())
	})

	It("times out when the time is over", func() {
		a := f.analysis(within(5 * time.Second))
		p := f.start(answers(fails("the model is away")))
		now := p.investigated(a)
		Expect(now.Status.Phase).To(Equal(v1alpha1.AnalysisInvestigating))
		f.pass(2 * time.Second)
		now = p.investigated(a) // the next pause would be longer than what is left
		Expect(controllertest.Trail(now)).To(HaveExactElements(HavePrefix("InvestigationStarted"), HavePrefix("InvestigationAttemptFailed"), Equal("InvestigationTimedOut/TimedOut/final")))
		Expect(now.Status.FailureReason).To(And(ContainSubstring("spec.timeout of 5s"), ContainSubstring("the model is away")))
	})

	It("times out in its pause, and before it began", func() {
		paused, late := f.analysis(within(time.Minute)), f.analysis(within(time.Minute))
		p := f.start(answers(fails("the model is away")))
		p.investigated(paused)
		f.pass(2 * time.Minute)
		p.reconcile(paused)
		Expect(f.get(paused).Status.Phase).To(Equal(v1alpha1.AnalysisTimedOut))
		p.reconcile(late)
		now := f.get(late)
		Expect(now).To(controllertest.HaveTrail("InvestigationTimedOut/TimedOut/final"))
		Expect(lastRecord(now).InvestigationStartedAt.Time).To(BeTemporally("==", now.CreationTimestamp.Time), "not begun: the creation time")
		Expect(p.expert.questions()).To(Equal(1))
	})

	It("gives an attempt so much time and no more", func() {
		a := f.analysis()
		p := f.start(with(withAttemptTimeout(time.Millisecond)), answers(hangs(nil)))
		now := p.investigated(a)
		Expect(now.Status.Investigation.LastError).To(HavePrefix("no answer within 1ms"))
	})

	DescribeTable("stops at once", func(stop func(*v1alpha1.AIAnalysis), reason string) {
		a := f.analysis()
		stopped := make(chan error, 1)
		p := f.start(answers(hangs(stopped)))
		p.reconcile(a)
		Eventually(p.expert.questions, testenv.Timeout).Should(Equal(1))
		stop(a)
		p.reconcile(a)
		Eventually(stopped, testenv.Timeout).Should(Receive(MatchError(context.Canceled)))
		now := f.get(a)
		Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "Cancelled/Cancelled/final"))
		Expect(now.Status.FailureReason).To(ContainSubstring(reason))
		Expect(p.reconcile(a)).To(BeZero())
	},
		Entry("when it is cancelled", func(a *v1alpha1.AIAnalysis) { f.alter(a, cancelled) }, "cancelled"),
		Entry("when it is deleted", func(a *v1alpha1.AIAnalysis) { Expect(env.Client.Delete(f.ctx, a)).To(Succeed()) }, "deleted"),
	)

	It("is cancelled before it begins, and while a decision is awaited", func() {
		early, waiting := f.analysis(cancelled), f.analysis()
		p := f.start(answers(says(undo(80))))
		p.reconcile(early)
		Expect(f.get(early)).To(controllertest.HaveTrail("Cancelled/Cancelled/final"))
		Expect(p.expert.questions()).To(BeZero())

		p.investigated(waiting)
		f.alter(waiting, cancelled)
		p.reconcile(waiting)
		now := f.get(waiting)
		Expect(controllertest.Trail(now)).To(HaveExactElements(HavePrefix("InvestigationStarted"), Equal("InvestigationCompleted/AwaitingApproval"), Equal("Cancelled/Cancelled/final")))
		Expect(lastRecord(now)).To(And(HaveField("RecommendedAction", "rollout-undo"), HaveField("ApprovalStatus", ""), HaveField("ActionRationale", "it began with the rollout"), HaveField("FailureReason", "cancelled by spec.cancel")))
	})

	It("leaves alone what is deleted without the finalizer", func() {
		a := f.analysis(func(a *v1alpha1.AIAnalysis) { a.Finalizers = []string{"example.com/other"} })
		Expect(env.Client.Delete(f.ctx, a)).To(Succeed())
		f.alter(a, func(a *v1alpha1.AIAnalysis) { a.Finalizers = []string{"example.com/other"} })
		p := f.start(answers(says(undo(80))))
		Expect(p.reconcile(a)).To(BeZero())
		now := f.get(a).Status
		Expect(now.Outbox.IsZero()).To(BeTrue())
		now.Outbox = nil
		Expect(now).To(Equal(v1alpha1.AIAnalysisStatus{}))
		Expect(p.expert.questions()).To(BeZero())
	})

	It("stays as it is in a phase that this release does not know", func() {
		a := f.get(f.analysis())
		a.Status.Phase = "Negotiating"
		before := a.DeepCopy()
		p := f.start(answers(says(undo(80))))
		result, err := p.phase(f.ctx, &scope{analysis: a, key: client.ObjectKeyFromObject(a), now: f.clock.Now()})
		Expect(err).NotTo(HaveOccurred())
		Expect(result).To(BeZero())
		Expect(a).To(Equal(before))
		Expect(p.expert.questions()).To(BeZero())
	})

	It("drops what it knows of a resource that is gone, or was made again under its name", func() {
		a := f.analysis()
		stopped := make(chan error, 2)
		p := f.start(answers(hangs(stopped), says(undo(80))))
		p.reconcile(a)
		again := a.DeepCopy()
		f.remove(a)
		again.ObjectMeta = metav1.ObjectMeta{Namespace: a.Namespace, Name: a.Name}
		Expect(env.Client.Create(f.ctx, again)).To(Succeed())
		now := p.investigated(again)
		Expect(now.Status.Phase).To(Equal(v1alpha1.AnalysisAwaitingApproval))

		f.remove(now)
		Expect(p.reconcile(a)).To(BeZero())
		Expect(p.attempts.Len()).To(BeZero())
	})

	It("waits in Pending for a slot", func() {
		first, second := f.analysis(auto(80)), f.analysis(auto(80))
		release := make(chan struct{})
		p := f.start(with(withSlots(1)), answers(func(context.Context) (investigator.Finding, error) { <-release; return undo(80), nil }, says(undo(80))))
		woken := make(chan client.ObjectKey, 10)
		p.attempts.Notify(func(key client.ObjectKey) { woken <- key })
		p.reconcile(first)
		for range 2 {
			Expect(p.reconcile(second).RequeueAfter).To(Equal(slotRetry))
		}
		now := f.get(second)
		Expect(now).To(controllertest.HaveTrail("Created/Pending"))
		Expect(lastRecord(now).InvestigationStartedAt.Time).To(BeTemporally("==", now.CreationTimestamp.Time))

		close(release)
		Eventually(woken, testenv.Timeout).Should(Receive(Equal(client.ObjectKeyFromObject(second))), "who waits is woken")
		Eventually(woken, testenv.Timeout).Should(Receive(Equal(client.ObjectKeyFromObject(first))))
		Expect(p.investigated(second)).To(controllertest.HaveTrail("Created/Pending", "InvestigationStarted/Investigating", "AutoApproved/Completed/final"))
	})

	It("begins while another namespace has more long investigations than there are slots", func() {
		busy, quiet := newFixture(), newFixture()
		p := busy.start(answers(hangs(nil)))
		var waiting []*v1alpha1.AIAnalysis
		for range p.settings.slots {
			a := busy.analysis()
			p.reconcile(a)
			if busy.get(a).Status.Phase == v1alpha1.AnalysisPending {
				waiting = append(waiting, a)
			}
		}
		Expect(waiting).To(HaveLen(p.settings.slots/2), "half of the slots are for the others")

		a := quiet.analysis()
		p.reconcile(a)
		Expect(quiet.get(a).Status.Phase).To(Equal(v1alpha1.AnalysisInvestigating))
		p.reconcile(waiting[0])
		Expect(busy.get(waiting[0]).Status.Phase).To(Equal(v1alpha1.AnalysisPending))
	})

	It("does not ask while the outbox has no room", func() {
		small := outbox.DefaultLimits()
		small.HardEntries = 8
		a := f.analysis()
		p := f.start(limits(small), with(withAttempts(20, time.Millisecond)), answers(fails("away")))
		for range 6 {
			p.investigated(a)
			f.pass(time.Minute / 6)
		}
		asked := p.expert.questions()
		Expect(p.reconcile(a).RequeueAfter).To(Equal(lifecycle.BlockedRetry))
		Expect(p.expert.questions()).To(Equal(asked))
		now := f.get(a)
		Expect(meta.IsStatusConditionTrue(now.Status.Conditions, outbox.ConditionBlocked)).To(BeTrue())
		p.expectFreeSlots()

		f.store.Set(now.Status.Outbox)
		p.reconcile(a)
		Eventually(p.expert.questions, testenv.Timeout).Should(Equal(asked + 1))
		Expect(meta.IsStatusConditionFalse(f.get(a).Status.Conditions, outbox.ConditionBlocked)).To(BeTrue())
	})
})

// remove deletes an analysis without waiting for its audit trail, as nobody should.
func (f *fixture) remove(a *v1alpha1.AIAnalysis) {
	GinkgoHelper()
	Expect(env.Vanish(f.ctx, a)).To(Succeed())
}
