package aianalysis

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
)

var _ = Describe("a process that dies", func() {
	var f *fixture
	BeforeEach(func() { f = newFixture() })

	It("before the intent was saved: nobody was asked", func() {
		a := f.analysis(auto(80))
		p := f.start(calls(controllertest.LoseStatusWrite(1)), answers(says(undo(80))))
		_, err := p.try(a)
		Expect(err).To(MatchError(controllertest.ErrAway))
		Expect(p.expert.questions()).To(BeZero())
		p.expectFreeSlots()
		p.die()

		now := f.start(answers(says(undo(80)))).investigated(a)
		Expect(now.Status.Investigation.Attempt).To(Equal(int32(1)))
		Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "AutoApproved/Completed/final"))
	})

	It("when the reply to the intent is lost: the attempt counts as begun, and is repeated under the next number", func() {
		a := f.analysis(auto(80))
		p := f.start(calls(controllertest.LoseStatusReply(1)), answers(says(undo(80))))
		_, err := p.try(a)
		Expect(err).To(MatchError(controllertest.ErrAway))
		Expect(p.expert.questions()).To(BeZero())

		// The same process goes on as another one would.
		Expect(p.reconcile(a).RequeueAfter).To(Equal(17 * time.Second))
		f.pass(17 * time.Second)
		p.reconcile(a)
		now := p.investigated(a)
		Expect(p.expert.questions()).To(Equal(1))
		Expect(now.Status.Investigation.Attempt).To(Equal(int32(2)))
	})

	It("while it asks, or before it saved the answer: the next one asks again and says so", func() {
		for _, before := range []reply{hangs(nil), says(undo(99))} {
			a := f.analysis(auto(80))
			first := f.start(calls(controllertest.LoseStatusWrite(2)), answers(before))
			first.reconcile(a)
			first.die()

			second := f.start(answers(says(undo(80))))
			Expect(second.reconcile(a).RequeueAfter).To(Equal(17*time.Second), "another manager may still run it")
			f.pass(17 * time.Second)
			second.reconcile(a)
			Expect(f.get(a).Status.Investigation.LastError).To(Equal(errInterrupted.Error()))
			Expect(second.expert.questions()).To(BeZero())
			now := second.investigated(a)
			Expect(now.Status.Investigation.Attempt).To(Equal(int32(2)))
			Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "InvestigationAttemptFailed/Investigating", "AutoApproved/Completed/final"))
		}
	})

	It("after it saved the answer: nobody is asked again", func() {
		a := f.analysis()
		f.start(answers(says(undo(80)))).investigated(a)
		second := f.start(answers(says(undo(80))))
		second.reconcile(a)
		Expect(second.expert.questions()).To(BeZero())
		Expect(f.get(a).Status.Phase).To(Equal(v1alpha1.AnalysisAwaitingApproval))
	})

	It("in its pause: the next one keeps to it", func() {
		a := f.analysis()
		f.start(answers(fails("away"))).investigated(a)
		second := f.start(answers(says(undo(80))))
		Expect(second.reconcile(a).RequeueAfter).To(Equal(2 * time.Second))
		Expect(second.expert.questions()).To(BeZero())
	})

	It("after the intent of a later attempt: it counts", func() {
		a := f.analysis()
		first := f.start(answers(fails("away"), hangs(nil)))
		first.investigated(a)
		f.pass(2 * time.Second)
		first.reconcile(a)
		first.die()
		f.pass(17 * time.Second)
		second := f.start(answers(says(undo(80))))
		second.reconcile(a)
		now := second.investigated(a)
		Expect(now.Status.Investigation.Attempt).To(Equal(int32(3)))
	})
})

var _ = Describe("a process that lives on", func() {
	var f *fixture
	BeforeEach(func() { f = newFixture() })

	It("keeps the answer until it is saved, and asks only once", func() {
		a := f.analysis(auto(80))
		p := f.start(calls(controllertest.LoseStatusWrite(2)), answers(says(undo(80))))
		p.reconcile(a)
		p.answered()
		_, err := p.try(a)
		Expect(err).To(MatchError(controllertest.ErrAway))
		p.reconcile(a)
		Expect(f.get(a).Status.Phase).To(Equal(v1alpha1.AnalysisCompleted))
		Expect(p.expert.questions()).To(Equal(1))
	})

	It("starts over, silently, when a decision comes in while it saves the answer", func() {
		a := f.analysis()
		meddle := true
		p := f.start(calls(interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			if live, ok := obj.(*v1alpha1.AIAnalysis); ok && meddle && live.Status.Phase == v1alpha1.AnalysisAwaitingApproval {
				meddle = false
				f.alter(a, decided(v1alpha1.VerdictApproved))
			}
			return c.SubResource(sub).Update(ctx, obj, opts...)
		}}), answers(says(undo(80))))
		p.reconcile(a)
		p.answered()
		Expect(p.reconcile(a)).To(BeZero(), "the conflict is silent")
		Expect(f.get(a).Status.Phase).To(Equal(v1alpha1.AnalysisInvestigating))
		p.reconcile(a)
		now := f.get(a)
		Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "Approved/Completed/final"))
		Expect(p.expert.questions()).To(Equal(1))
	})

	It("does not act on a cache that is older than its own write", func() {
		a := f.analysis()
		old := f.get(a)
		stale := false
		p := f.start(calls(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if out, ok := obj.(*v1alpha1.AIAnalysis); ok && stale {
				old.DeepCopyInto(out)
				return nil
			}
			return c.Get(ctx, key, obj, opts...)
		}}), answers(says(undo(80))))
		p.reconcile(a)
		p.answered()
		stale = true
		Expect(p.reconcile(a)).To(Equal(ctrl.Result{RequeueAfter: 30 * time.Second}))
		Expect(p.expert.questions()).To(Equal(1))
		Expect(p.attempts.Len()).To(Equal(1), "the answer is still there")
	})

	It("does not interrupt another one that asks", func() {
		a := f.analysis(auto(80))
		answer := make(chan struct{})
		one := f.start(answers(func(context.Context) (investigator.Finding, error) { <-answer; return undo(99), nil }))
		other := f.start(answers(says(undo(80))))
		one.reconcile(a)
		other.reconcile(a)
		Expect(other.expert.questions()).To(BeZero())
		close(answer)
		one.answered()
		one.reconcile(a)
		other.reconcile(a)
		Expect(f.get(a)).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "AutoApproved/Completed/final"))
	})

	It("loses to another one that has asked again, and changes nothing", func() {
		a := f.analysis()
		answer := make(chan struct{})
		slow := f.start(answers(func(context.Context) (investigator.Finding, error) { <-answer; return undo(99), nil }))
		slow.reconcile(a)
		f.pass(17 * time.Second)
		other := f.start(answers(says(undo(80))))
		other.reconcile(a)
		other.reconcile(a)
		close(answer)
		slow.answered()
		slow.reconcile(a)
		Expect(slow.attempts.Len()).To(BeZero(), "its attempt is not the current one")
		other.answered()
		other.reconcile(a)
		now := f.get(a)
		Expect(now.Status.Phase).To(Equal(v1alpha1.AnalysisAwaitingApproval))
		Expect(now.Status.Recommendation.Confidence).To(Equal(int32(80)))
		Expect(now.Status.Investigation.Attempt).To(Equal(int32(2)))
	})
})
