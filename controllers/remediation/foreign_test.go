package remediation_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// guessed is the metadata of the child whose name anybody can derive who knows the request.
func (f *fixture) guessed(part string) metav1.ObjectMeta {
	sum := sha256.Sum256([]byte(f.rr.UID))
	return metav1.ObjectMeta{Namespace: f.rr.Namespace, Name: f.rr.Name + "-" + hex.EncodeToString(sum[:4]) + "-" + part}
}

func (f *fixture) ref() v1alpha1.RemediationRef {
	return v1alpha1.RemediationRef{Name: f.rr.Name, UID: f.rr.UID}
}

// forge makes a child as an attacker does where no admission policy stops them: with the request as its controller.
func (f *fixture) forge(child client.Object) {
	f.Expect(controllerutil.SetControllerReference(f.rr, child, env.Scheme)).To(Succeed())
	f.Expect(env.Client.Create(ctx, child)).To(Succeed())
}

func (f *fixture) setFinalizers(o client.Object, names ...string) {
	base := o.DeepCopyObject().(client.Object)
	o.SetFinalizers(names)
	f.Expect(env.Client.Patch(ctx, o, client.MergeFrom(base))).To(Succeed())
}

// theAnalysis is what the request makes; change makes it another one.
func (f *fixture) theAnalysis(change func(*v1alpha1.AIAnalysis)) *v1alpha1.AIAnalysis {
	spec := f.get().Spec
	a := &v1alpha1.AIAnalysis{ObjectMeta: f.guessed("analysis"), Spec: v1alpha1.AIAnalysisSpec{
		RemediationRef: f.ref(), Signal: spec.Signal, Target: spec.Target, Approval: spec.Approval, Timeout: spec.Timeouts.Analysis, ApprovalTimeout: spec.Timeouts.Approval,
	}}
	change(a)
	return a
}

// expectForeign: an entry and a condition say that a foreign child was found, and why it does not count.
func (f *fixture) expectForeign(entry int, why string) {
	f.Expect(f.events()[entry]).To(Equal("ForeignChild"))
	f.Expect(f.record(entry).FailureReason).To(And(ContainSubstring("was not made by it"), ContainSubstring(why)))
	condition := meta.FindStatusCondition(f.get().Status.Conditions, v1alpha1.ConditionForeignChild)
	f.Expect(condition).NotTo(BeNil())
	f.Expect(condition.Status).To(Equal(metav1.ConditionTrue))
	f.Expect(condition.Message).To(ContainSubstring(why))
}

func TestAnAnalysisThatTheRequestDidNotMakeDoesNotCount(t *testing.T) {
	zero := int32(0)
	for name, c := range map[string]struct {
		forge func(f *fixture)
		why   string
		// claims: it claims to be the child, so it is stopped before another is made.
		claims bool
	}{
		"it approves itself": {forge: func(f *fixture) {
			f.forge(f.theAnalysis(func(a *v1alpha1.AIAnalysis) {
				a.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalAuto, AutoApproveAbove: &zero}
			}))
		}, why: "spec.approval", claims: true},
		"it looks elsewhere": {forge: func(f *fixture) {
			f.forge(f.theAnalysis(func(a *v1alpha1.AIAnalysis) { a.Spec.Target.Name = "another" }))
		}, why: "spec.target", claims: true},
		"it waits for ever": {forge: func(f *fixture) {
			f.forge(f.theAnalysis(func(a *v1alpha1.AIAnalysis) { a.Spec.ApprovalTimeout = &metav1.Duration{Duration: 700 * time.Hour} }))
		}, why: "spec.approvalTimeout", claims: true},
		"another remediation's": {forge: func(f *fixture) {
			f.Expect(env.Client.Create(ctx, f.theAnalysis(func(a *v1alpha1.AIAnalysis) { a.Spec.RemediationRef.UID = "another" }))).To(Succeed())
		}, why: "not controlled by this request"},
		"nobody's": {forge: func(f *fixture) {
			f.Expect(env.Client.Create(ctx, f.theAnalysis(func(*v1alpha1.AIAnalysis) {}))).To(Succeed())
		}, why: "not controlled by this request"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, manually)
			c.forge(f)
			foreign := &v1alpha1.AIAnalysis{ObjectMeta: f.guessed("analysis")}
			f.reconcile()
			f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(foreign), foreign)).To(Succeed())
			if c.claims {
				f.Expect(f.phase()).To(Equal(v1alpha1.RemediationPending), "it waits until what claims to be its child has stopped")
				f.Expect(foreign.Spec.Cancel).To(BeTrue())
				f.end(foreign, entry.KindAIDecision, func() { // as approved as can be
					foreign.Status.Phase, foreign.Status.Recommendation = v1alpha1.AnalysisCompleted, undo
					foreign.Status.Approval = &v1alpha1.Approval{Status: v1alpha1.ApprovalAutoApproved, DecidedBy: "policy"}
				})
				f.reconcile()
			} else {
				f.Expect(foreign.Spec.Cancel).To(BeFalse(), "the controller does not touch a resource that does not claim to be its child")
			}
			f.Expect(f.events()).To(Equal([]string{"Received", "ForeignChild", "AnalysisStarted"}))
			f.expectForeign(1, c.why)
			f.Expect(f.analysis().UID).NotTo(Equal(foreign.UID))
			f.Expect(f.analysis().Spec.Approval.Mode).To(Equal(v1alpha1.ApprovalManual))
			f.Expect(f.analysis().Spec.Target).To(Equal(f.get().Spec.Target))

			f.endAnalysis(v1alpha1.AnalysisCompleted, nil) // and it goes on as if nothing had been
			f.reconcile()
			f.endNotification(v1alpha1.NotificationSent)
			f.reconcile()
			f.Expect(f.get().Status.Outcome).To(Equal("no-action"))
		})
	}
}

func TestAnAnalysisThatAnEarlierProcessMadeCounts(t *testing.T) {
	f := newFixture(t)
	made := f.theAnalysis(func(*v1alpha1.AIAnalysis) {})
	f.forge(made)
	f.reconcile()
	f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted"}))
	f.Expect(f.get().Status.AnalysisUID).To(Equal(made.UID))
}

func (f *fixture) theWorkflow(steps ...v1alpha1.WorkflowStep) *v1alpha1.WorkflowExecution {
	return &v1alpha1.WorkflowExecution{ObjectMeta: f.guessed("workflow"), Spec: v1alpha1.WorkflowExecutionSpec{
		RemediationRef: f.ref(), WorkflowID: "rollout-undo", Target: f.rr.Spec.Target, ServiceAccountName: f.rr.Spec.ServiceAccountName, Steps: steps,
	}}
}

// Whoever can make a workflow does not get past the approval, and fails nobody's request.
func TestAWorkflowThatTheRequestDidNotMakeDoesNotCount(t *testing.T) {
	harmless := v1alpha1.WorkflowStep{Name: "nothing", Action: "Wait"}
	type moment int
	const (
		whileTheApprovalIsAwaited moment = iota
		betweenApprovalAndWorkflow
	)
	for name, c := range map[string]struct {
		made   moment
		closed v1alpha1.WorkflowPhase // "" while it runs
	}{
		"made while the approval is awaited, and completed":  {made: whileTheApprovalIsAwaited, closed: v1alpha1.WorkflowCompleted},
		"made while the approval is awaited, and failed":     {made: whileTheApprovalIsAwaited, closed: v1alpha1.WorkflowFailed},
		"made while the approval is awaited, and running":    {made: whileTheApprovalIsAwaited},
		"made between approval and workflow, and completed":  {made: betweenApprovalAndWorkflow, closed: v1alpha1.WorkflowCompleted},
		"made between approval and workflow, and still runs": {made: betweenApprovalAndWorkflow},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.reconcile()
			a := f.analysis()
			foreign := f.theWorkflow(harmless)
			finish := func() {
				f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(foreign), foreign)).To(Succeed())
				f.end(foreign, entry.KindExecution, func() { foreign.Status.Phase = c.closed })
			}
			forge := func() {
				f.forge(foreign)
				if c.closed != "" {
					finish()
				}
			}
			forge()
			if c.made == whileTheApprovalIsAwaited {
				f.reconcile()
				f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing), "nothing was approved")
			}
			f.end(a, entry.KindAIDecision, func() {
				a.Status.Phase, a.Status.Recommendation = v1alpha1.AnalysisCompleted, undo
				a.Status.Approval = &v1alpha1.Approval{Status: v1alpha1.ApprovalApproved, DecidedBy: "jane@example.com"}
			})
			f.reconcile()
			if c.closed == "" {
				f.Expect(f.get().Status.Workflow).To(BeEmpty(), "two workflows on one target would be one too many")
				f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(foreign), foreign)).To(Succeed())
				f.Expect(foreign.Spec.Cancel).To(BeTrue())
				c.closed = v1alpha1.WorkflowCancelled
				finish()
				f.reconcile()
			}
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
			f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "ForeignChild", "WorkflowStarted"}))
			f.Expect(f.workflow().UID).NotTo(Equal(foreign.UID))
			f.Expect(f.workflow().Spec.Steps[0].Action).To(Equal("RolloutUndo"))
			f.Expect(f.record(2).ServicesInvoked).To(Equal([]string{"AIAnalysis"}), "the workflow has a name, and was not invoked")
		})
	}
}

func TestARejectedRequestIgnoresAWorkflow(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	foreign := f.theWorkflow(v1alpha1.WorkflowStep{Name: "nothing", Action: "Wait"})
	f.forge(foreign)
	f.end(foreign, entry.KindExecution, func() { foreign.Status.Phase = v1alpha1.WorkflowCompleted })
	f.endAnalysis(v1alpha1.AnalysisRejected, undo)
	f.reconcile()
	f.endNotification(v1alpha1.NotificationSent)
	f.reconcile()
	f.Expect(f.get().Status.Outcome).To(Equal("rejected"))
	f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "ForeignChild", "NotificationStarted", "Rejected"}))
}

// An analysis that ended well without a decision is not one that this release makes.
func TestWithoutAnApprovalNoWorkflowRuns(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	a := f.analysis()
	f.end(a, entry.KindAIDecision, func() { a.Status.Phase, a.Status.Recommendation = v1alpha1.AnalysisCompleted, undo })
	f.reconcile()
	f.Expect(f.get().Status.Outcome).To(Equal("failed"))
	f.Expect(f.get().Status.FailureReason).To(ContainSubstring("without an approval"))
	f.Expect(f.get().Status.Workflow).To(BeEmpty())
}

func TestANotificationThatTheRequestDidNotMakeDoesNotCount(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	n := &v1alpha1.NotificationRequest{ObjectMeta: f.guessed("notification"), Spec: v1alpha1.NotificationRequestSpec{
		RemediationRef: f.ref(), Subject: "All is well", Channels: f.get().Spec.Notification.Channels,
	}}
	f.forge(n)
	f.end(n, entry.KindNotification, func() { n.Status.Phase = v1alpha1.NotificationSent })
	f.endAnalysis(v1alpha1.AnalysisCompleted, nil)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationNotifying))
	f.expectForeign(2, "spec.subject")
	f.Expect(f.notification().Spec.Subject).To(HavePrefix("No action needed: "))
}

// An adopted child is known by its uid, whatever becomes of its owner references, and whoever gets its name.
func TestAChildIsKnownByItsUID(t *testing.T) {
	t.Run("its owner reference is removed", func(t *testing.T) {
		f := newFixture(t)
		f.reconcile()
		f.Expect(env.Client.Patch(ctx, f.analysis(), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"ownerReferences":null}}`)))).To(Succeed())
		f.endAnalysis(v1alpha1.AnalysisCompleted, nil)
		f.reconcile()
		f.Expect(f.get().Status.Outcome).To(Equal("no-action"))
	})
	t.Run("its name is made again", func(t *testing.T) {
		f := newFixture(t)
		f.reconcile()
		f.Expect(env.Vanish(ctx, f.analysis())).To(Succeed())
		again := f.theAnalysis(func(*v1alpha1.AIAnalysis) {})
		f.forge(again)
		f.end(again, entry.KindAIDecision, func() {
			again.Status.Phase, again.Status.Recommendation = v1alpha1.AnalysisCompleted, undo
			again.Status.Approval = &v1alpha1.Approval{Status: v1alpha1.ApprovalApproved, DecidedBy: "jane@example.com"}
		})
		f.reconcile()
		f.Expect(f.get().Status.FailureReason).To(ContainSubstring("was deleted before its end"))
		f.Expect(f.get().Status.Workflow).To(BeEmpty())
	})
}

func TestADeathWhileAForeignChildIsReplacedRepeatsNothing(t *testing.T) {
	for _, where := range []death{beforeWrite, afterWrite} {
		for n := 1; n <= 8; n++ {
			f := newFixture(t)
			foreign := f.theAnalysis(func(a *v1alpha1.AIAnalysis) { a.Spec.Target.Name = "another" })
			f.Expect(env.Client.Create(ctx, foreign)).To(Succeed())
			f.killAt(n, where)
			f.reconcile()
			f.Expect(f.events()).To(Equal([]string{"Received", "ForeignChild", "AnalysisStarted"}))
			analyses := &v1alpha1.AIAnalysisList{}
			f.Expect(env.Client.List(ctx, analyses, client.InNamespace(f.rr.Namespace))).To(Succeed())
			f.Expect(analyses.Items).To(HaveLen(2), "%s, the %dth", where, n)
		}
	}
}

// A foreign child that is being deleted, and that somebody else's finalizer keeps, blocks nothing.
func TestAForeignChildThatGoesWithoutOurFinalizerIsReplaced(t *testing.T) {
	f := newFixture(t)
	foreign := f.theAnalysis(func(*v1alpha1.AIAnalysis) {})
	foreign.Finalizers = []string{"x.io/y"}
	f.forge(foreign)
	f.Expect(env.Client.Delete(ctx, foreign)).To(Succeed())
	f.setFinalizers(foreign, "x.io/y")
	t.Cleanup(func() { _ = env.Vanish(ctx, foreign) })
	f.reconcile()
	f.Expect(f.events()).To(Equal([]string{"Received", "ForeignChild", "AnalysisStarted"}))
	f.expectForeign(1, "it is being deleted")
}

// An owner reference of the request's uid under other coordinates brings no event to the request, and asks nobody for a right.
func TestADisguisedOwnerIsNoOwner(t *testing.T) {
	f := newFixture(t)
	exact := f.theAnalysis(func(*v1alpha1.AIAnalysis) {})
	disguise := metav1.OwnerReference{APIVersion: "evil.dev/v1", Kind: "RemediationRequest", Name: f.rr.Name, UID: f.rr.UID, Controller: ptr.To(true)}
	exact.OwnerReferences = []metav1.OwnerReference{disguise}
	f.Expect(env.Client.Create(ctx, exact)).To(MatchError(ContainSubstring("another apiVersion or kind")))
	exact.OwnerReferences, exact.Spec.RemediationRef.UID = []metav1.OwnerReference{disguise}, "another" // past the policy
	f.Expect(env.Client.Create(ctx, exact)).To(Succeed())
	f.reconcile()
	f.Expect(f.events()).To(Equal([]string{"Received", "ForeignChild", "AnalysisStarted"}))
	f.Expect(f.analysis().UID).NotTo(Equal(exact.UID))
}

// A child that only somebody else's finalizer keeps counts as gone.
func TestAChildThatGoesWithoutOurFinalizerIsGone(t *testing.T) {
	for name, stop := range map[string]func(f *fixture){
		"while it is waited for":       func(*fixture) {},
		"and the request is cancelled": func(f *fixture) { f.cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withoutChannels)
			f.reconcile()
			a := f.analysis()
			f.setFinalizers(a, outbox.Finalizer, "x.io/y")
			f.Expect(env.Client.Delete(ctx, a)).To(Succeed())
			f.setFinalizers(a, "x.io/y")
			t.Cleanup(func() { _ = env.Vanish(ctx, a) })
			stop(f)
			f.reconcile()
			f.Expect(f.phase()).To(Satisfy(v1alpha1.RemediationPhase.Final), "it waits for nobody")
		})
	}
}

// Whoever may write the status may put any uid there: the analysis must be the one that the request makes, before its recommendation is acted upon.
func TestAnAnalysisThatWasWrittenIntoTheStatusDoesNotCount(t *testing.T) {
	f := newFixture(t, manually)
	f.reconcile()
	zero := int32(0)
	mine := f.theAnalysis(func(a *v1alpha1.AIAnalysis) {
		a.Name, a.Spec.Approval = "mine", v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalAuto, AutoApproveAbove: &zero}
	})
	f.Expect(env.Client.Create(ctx, mine)).To(Succeed())
	f.end(mine, entry.KindAIDecision, func() {
		mine.Status.Phase, mine.Status.Recommendation = v1alpha1.AnalysisCompleted, undo
		mine.Status.Approval = &v1alpha1.Approval{Status: v1alpha1.ApprovalAutoApproved, DecidedBy: "policy"}
	})
	rr := f.get()
	rr.Status.Analysis, rr.Status.AnalysisUID = mine.Name, mine.UID
	f.Expect(env.Client.Status().Update(ctx, rr)).To(Succeed())
	f.reconcile()
	f.Expect(f.get().Status.Workflow).To(BeEmpty())
	f.Expect(f.get().Status.Outcome).To(Equal("failed"))
	f.Expect(f.get().Status.FailureReason).To(ContainSubstring("is not the one that this request makes: it differs in spec.approval"))
}

// A foreign child that comes back while no workflow is due is recorded once, however often it comes.
func TestForeignChildrenThatComeBackAreRecordedOnce(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	for range 5 {
		foreign := f.theWorkflow(v1alpha1.WorkflowStep{Name: "nothing", Action: "Wait"})
		f.Expect(env.Client.Create(ctx, foreign)).To(Succeed())
		result := f.reconcile()
		f.Expect(result.RequeueAfter).To(BeNumerically(">", 0))
		f.Expect(env.Vanish(ctx, foreign)).To(Succeed())
	}
	f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "ForeignChild"}))
	f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
}

// A foreign child that is being stopped is checked again, even if no event says that it has ended.
func TestAForeignChildThatIsStoppedIsCheckedAgain(t *testing.T) {
	f := newFixture(t)
	f.forge(f.theAnalysis(func(a *v1alpha1.AIAnalysis) { a.Spec.Target.Name = "another" }))
	f.Expect(f.reconcile().RequeueAfter).To(And(BeNumerically(">", 0), BeNumerically("<=", time.Minute)))
}
