package remediation_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

func (f *fixture) record(i int) models.Orchestration {
	r, err := controllertest.Record[models.Orchestration](f.get(), i)
	f.Expect(err).NotTo(HaveOccurred())
	return r
}

func TestASuccessfulRemediationRunsThroughAllPhases(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
	a := f.analysis()
	f.Expect(a.Spec.Signal).To(Equal(f.get().Spec.Signal))
	f.Expect(*a.Spec.Approval.AutoApproveAbove).To(BeEquivalentTo(80))
	f.Expect(a.Finalizers).To(ContainElement(outbox.Finalizer))
	f.Expect(a.Spec.RemediationRef.UID).To(Equal(f.rr.UID))
	f.Expect(metav1.IsControlledBy(a, f.rr)).To(BeTrue())

	f.pass(20 * time.Second)
	f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
	f.pass(time.Second)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
	w := f.workflow()
	f.Expect(w.Spec.ServiceAccountName).To(Equal("remediator"))
	f.Expect(w.Spec.Steps).NotTo(BeEmpty())
	f.Expect(w.Spec.Target.Name).To(Equal("cart"))

	f.endWorkflow(v1alpha1.WorkflowCompleted, "")
	f.pass(150 * time.Second)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationNotifying))
	f.Expect(f.notification().Spec.Subject).To(Equal("Remediated: KubePodCrashLooping on Deployment " + f.rr.Namespace + "/cart"))
	f.endNotification(v1alpha1.NotificationFailed)
	f.reconcile()

	st := f.get().Status
	f.Expect(st.Phase).To(Equal(v1alpha1.RemediationCompleted), "a notification that fails does not change the outcome")
	f.Expect(st.Outbox.Closed).To(BeTrue())
	f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "WorkflowStarted", "NotificationStarted", "Completed"}))
	last := f.record(4)
	f.Expect(last.RemediationID).To(Equal(string(f.rr.UID)))
	f.Expect(last.Outcome).To(Equal("remediated"))
	f.Expect(last.ServicesInvoked).To(Equal([]string{"AIAnalysis", "WorkflowExecution", "Notification"}))
	f.Expect(last.ServiceTransitions).To(Equal([]models.ServiceTransition{
		{From: "AIAnalysis", To: "WorkflowExecution", Duration: "21s"}, {From: "WorkflowExecution", To: "Notification", Duration: "2m30s"}}))
	f.Expect(last.BottleneckPhase).To(Equal("workflow_execution"))
	f.Expect(*last.BottleneckDurationSeconds).To(BeEquivalentTo(150))
	f.Expect(*last.TotalDurationSeconds).To(BeNumerically(">=", 171))
	f.Expect(last.AIAnalysisStartedAt).NotTo(BeNil())
	f.Expect(last.WorkflowStartedAt).NotTo(BeNil())
	f.Expect(last.NotificationSentAt).NotTo(BeNil())
	f.Expect(last.CompletedAt).NotTo(BeNil())
	f.Expect(f.record(0).CompletedAt).To(BeNil())
}

func TestEveryEndingHasItsOutcomeAndReason(t *testing.T) {
	for name, c := range map[string]struct {
		drive   func(f *fixture)
		outcome string
		phase   v1alpha1.RemediationPhase
		reason  string
	}{
		"no action": {func(f *fixture) { f.endAnalysis(v1alpha1.AnalysisCompleted, nil) }, "no-action", v1alpha1.RemediationCompleted, ""},
		"rejected": {func(f *fixture) {
			a := f.analysis()
			f.end(a, entry.KindAIDecision, func() {
				a.Status.Phase, a.Status.Recommendation = v1alpha1.AnalysisRejected, undo
				a.Status.Approval = &v1alpha1.Approval{Required: true, DecidedBy: "jane@example.com", Justification: "not on a Friday"}
			})
		}, "rejected", v1alpha1.RemediationRejected, "rejected by jane@example.com: not on a Friday"},
		"approval expired": {func(f *fixture) { f.endAnalysis(v1alpha1.AnalysisTimedOut, undo) }, "timed-out", v1alpha1.RemediationTimedOut, "timed out"},
		"analysis failed":  {func(f *fixture) { f.endAnalysis(v1alpha1.AnalysisFailed, nil) }, "failed", v1alpha1.RemediationFailed, "analysis failed"},
		"an unknown workflow": {func(f *fixture) {
			f.endAnalysis(v1alpha1.AnalysisCompleted, &v1alpha1.Recommendation{WorkflowID: "format-disk", Confidence: 99})
		}, "failed", v1alpha1.RemediationFailed, `"format-disk" is not in the catalogue`},
		"workflow failed": {func(f *fixture) {
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
			f.endWorkflow(v1alpha1.WorkflowFailed, "post-condition available failed")
		}, "failed", v1alpha1.RemediationFailed, "post-condition available failed"},
		"workflow cancelled by somebody": {func(f *fixture) {
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
			f.endWorkflow(v1alpha1.WorkflowCancelled, "")
		}, "failed", v1alpha1.RemediationFailed, "workflow was cancelled"},
		"analysis deleted by somebody": {func(f *fixture) {
			a := f.analysis()
			f.Expect(env.Vanish(ctx, a)).To(Succeed())
		}, "failed", v1alpha1.RemediationFailed, "was deleted before its end"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.reconcile()
			c.drive(f)
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationNotifying), "people are told before the record closes")
			f.endNotification(v1alpha1.NotificationSent)
			f.reconcile()
			st := f.get().Status
			f.Expect(st.Phase).To(Equal(c.phase))
			f.Expect(st.Outcome).To(Equal(c.outcome))
			f.Expect(st.FailureReason).To(ContainSubstring(c.reason))
			f.Expect(st.Outbox.Closed).To(BeTrue())
		})
	}
}

func TestAwaitedApprovalIsAPhaseOfItsOwn(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	a := f.analysis()
	draft := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{}).Draft(a)
	a.Status.Phase = v1alpha1.AnalysisAwaitingApproval
	f.Expect(draft.Save(ctx, &outbox.Change{Kind: entry.KindAIDecision, Event: "ApprovalRequested", Record: map[string]string{}})).To(Succeed())
	result := f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAwaitingApproval))
	f.Expect(result.RequeueAfter).To(BeNumerically("~", time.Hour+30*time.Second, 2*time.Second), "the approval's own time and the grace")
}

// People look at the request first. It says what the analysis says, with its own deadline.
func TestAnAwaitedDecisionIsOnTheRequest(t *testing.T) {
	for name, c := range map[string]struct {
		total time.Duration
		left  time.Duration
	}{
		"the approval's time": {2 * time.Hour, time.Hour},
		"the total time":      {30 * time.Minute, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(rr *v1alpha1.RemediationRequest) {
				rr.Spec.Timeouts.Total = &metav1.Duration{Duration: c.total}
			})
			f.reconcile()
			a := f.analysis()
			draft := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{}).Draft(a)
			a.Status.Phase = v1alpha1.AnalysisAwaitingApproval
			a.Status.Approval = &v1alpha1.Approval{Required: true, RequestedTime: outboxapi.NewTimePointer(f.rr.CreationTimestamp.Time)}
			a.Status.Recommendation = &v1alpha1.Recommendation{WorkflowID: "increase-memory", Parameters: map[string]string{"memoryLimit": "512Mi", "container": "app"}, Confidence: 75}
			f.Expect(draft.Save(ctx, &outbox.Change{Kind: entry.KindAIDecision, Event: "InvestigationCompleted", Record: map[string]string{}})).To(Succeed())
			f.reconcile()
			ready := meta.FindStatusCondition(f.get().Status.Conditions, v1alpha1.ConditionReady)
			f.Expect(ready.Message).To(And(
				HavePrefix("AIAnalysis "+a.Name+" recommends increase-memory (75 % sure, container=app, memoryLimit=512Mi). "),
				ContainSubstring("before "+f.rr.CreationTimestamp.Add(c.left).UTC().Format(time.RFC3339)+": kubectl -n "+a.Namespace+" patch aianalysis "+a.Name+" --type=merge -p '{")))

			meta.SetStatusCondition(&a.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionDecisionRefused, Status: metav1.ConditionTrue, Reason: "PolicyNotInForce", Message: "Nobody checked it"})
			f.Expect(draft.Save(ctx, nil)).To(Succeed())
			f.reconcile()
			ready = meta.FindStatusCondition(f.get().Status.Conditions, v1alpha1.ConditionReady)
			f.Expect(ready.Message).To(And(ContainSubstring("does not count"), Not(ContainSubstring("kubectl"))), "a decision is made once")
			before := f.get().ResourceVersion
			f.reconcile()
			f.Expect(f.get().ResourceVersion).To(Equal(before), "it is written once")
		})
	}
}

func TestWithoutChannelsNobodyIsTold(t *testing.T) {
	f := newFixture(t, withoutChannels)
	f.Expect(f.get().Spec.Notification.Channels).To(BeEmpty(), "an explicit empty list is not defaulted")
	f.reconcile()
	f.endAnalysis(v1alpha1.AnalysisCompleted, nil)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCompleted))
	f.Expect(f.get().Status.Notification).To(BeEmpty())
}

func TestTotalTimeEndsTheRunningChildAndIsTold(t *testing.T) {
	f := newFixture(t, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Timeouts.Total = seconds(60) })
	result := f.reconcile()
	f.Expect(result.RequeueAfter).To(BeNumerically("<=", time.Minute))
	f.pass(2 * time.Minute)
	f.reconcile()
	f.Expect(f.analysis().Spec.Cancel).To(BeTrue())
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing), "it waits until the child is closed")
	f.endAnalysis(v1alpha1.AnalysisCancelled, nil)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationNotifying))
	f.endNotification(v1alpha1.NotificationSent)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationTimedOut))
	f.Expect(f.get().Status.FailureReason).To(Equal("The total time of 1m0s is over"))
}

func TestAnOverdueNotificationIsCancelledAndTheRequestEnds(t *testing.T) {
	f := newFixture(t, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Timeouts.Notification = seconds(60) })
	f.reconcile()
	f.endAnalysis(v1alpha1.AnalysisCompleted, nil)
	f.reconcile()
	f.pass(2 * time.Minute)
	f.reconcile()
	f.Expect(f.notification().Spec.Cancel).To(BeTrue())
	f.endNotification(v1alpha1.NotificationCancelled)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCompleted))
	f.Expect(f.get().Status.Outcome).To(Equal("no-action"))
}

func TestCancelAndDeletionWaitForTheChildren(t *testing.T) {
	for name, stop := range map[string]func(f *fixture){
		"cancelled": func(f *fixture) {
			f.cancel()
		},
		"deleted": func(f *fixture) { f.Expect(env.Client.Delete(ctx, f.get())).To(Succeed()) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
			stop(f)
			f.reconcile()
			f.Expect(f.workflow().Spec.Cancel).To(BeTrue())
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
			f.pass(5 * time.Second)
			f.endWorkflow(v1alpha1.WorkflowCancelled, "")
			f.reconcile()
			st := f.get().Status
			f.Expect(st.Phase).To(Equal(v1alpha1.RemediationCancelled))
			f.Expect(st.Outcome).To(Equal("cancelled"))
			f.Expect(st.FailureReason).To(ContainSubstring(name))
			f.Expect(st.Notification).To(BeEmpty(), "no new children")
			f.Expect(st.Outbox.Closed).To(BeTrue())
			last := f.record(len(st.Outbox.Entries) - 1)
			f.Expect(last.WorkflowStartedAt).NotTo(BeNil(), "the last entry has the whole timeline")
		})
	}
}

func TestARequestCancelledBeforeItBeganMakesNoChildren(t *testing.T) {
	f := newFixture(t, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Cancel = true })
	f.reconcile()
	f.Expect(f.events()).To(Equal([]string{"Cancelled"}))
	f.Expect(f.get().Status.Analysis).To(BeEmpty())
}

func TestATerminatingNamespaceGetsNoChildren(t *testing.T) {
	f := newFixture(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.rr.Namespace}}
	f.Expect(env.Client.Delete(ctx, ns)).To(Succeed())
	f.reconcile()
	st := f.get().Status
	f.Expect(st.Phase).To(Equal(v1alpha1.RemediationCancelled))
	f.Expect(st.FailureReason).To(ContainSubstring("the namespace is terminating"))
	f.Expect(st.Outbox.Closed).To(BeTrue())
	children := &v1alpha1.AIAnalysisList{}
	f.Expect(env.Client.List(ctx, children, client.InNamespace(f.rr.Namespace))).To(Succeed())
	f.Expect(children.Items).To(BeEmpty())
}

// The deletion of a namespace reaches its contents in any order: a request whose child went first ends as one that was deleted itself.
func TestAChildThatTheNamespaceDeletionRemovedFirstIsNoFailure(t *testing.T) {
	for name, c := range map[string]struct {
		changes []func(*v1alpha1.RemediationRequest)
		end     func(*fixture)
	}{
		"cancelled":                 {nil, func(f *fixture) { f.endAnalysis(v1alpha1.AnalysisCancelled, nil) }},
		"cancelled, nobody to tell": {[]func(*v1alpha1.RemediationRequest){withoutChannels}, func(f *fixture) { f.endAnalysis(v1alpha1.AnalysisCancelled, nil) }},
		"gone": {nil, func(f *fixture) {
			a := f.analysis()
			f.endAnalysis(v1alpha1.AnalysisCancelled, nil)
			f.Expect(env.Vanish(ctx, a)).To(Succeed())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.changes...)
			f.reconcile()
			f.Expect(env.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.rr.Namespace}})).To(Succeed())
			c.end(f)
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCancelled))
			f.Expect(f.get().Status.FailureReason).To(ContainSubstring("The namespace is being deleted. The analysis was "))
			f.Expect(f.events()).To(HaveExactElements("Received", "AnalysisStarted", "Cancelled"))
		})
	}
}

func TestTTLDeletesTheFinishedRequest(t *testing.T) {
	f := newFixture(t, func(rr *v1alpha1.RemediationRequest) { rr.Spec.TTLAfterFinished = seconds(3600) })
	f.reconcile()
	f.endAnalysis(v1alpha1.AnalysisCompleted, nil)
	f.reconcile()
	f.endNotification(v1alpha1.NotificationSent)
	result := f.reconcile()
	f.Expect(result.RequeueAfter).To(BeNumerically("~", time.Hour, time.Second))
	f.pass(time.Hour)
	_, err := f.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.rr)})
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(f.get().DeletionTimestamp).NotTo(BeNil(), "it waits for the relay's finalizer")
}

func TestAChildThatIsOpenAfterTheEndIsStopped(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	late := f.analysis().DeepCopy()
	f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
	f.cancel()
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCancelled))
	// Another manager that had not seen the end makes the workflow.
	w := &v1alpha1.WorkflowExecution{ObjectMeta: metav1.ObjectMeta{Namespace: late.Namespace, Name: late.Name[:len(late.Name)-len("analysis")] + "workflow", OwnerReferences: late.OwnerReferences},
		Spec: v1alpha1.WorkflowExecutionSpec{RemediationRef: late.Spec.RemediationRef, WorkflowID: "rollout-undo", Target: late.Spec.Target, Steps: []v1alpha1.WorkflowStep{{Name: "undo", Action: "RolloutUndo"}}}}
	f.Expect(env.Client.Create(ctx, w)).To(Succeed())
	f.reconcile()
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(w), w)).To(Succeed())
	f.Expect(w.Spec.Cancel).To(BeTrue())
}

// The process dies at every write of a whole remediation in turn, before the write and after it.
func TestADeathAtAnyWriteRepeatsAndLosesNothing(t *testing.T) {
	for _, where := range []death{beforeWrite, afterWrite} {
		for n := 1; ; n++ {
			f := newFixture(t)
			f.killAt(n, where)
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
			f.endWorkflow(v1alpha1.WorkflowCompleted, "")
			f.reconcile()
			f.endNotification(v1alpha1.NotificationSent)
			f.reconcile()
			what := fmt.Sprintf("%s, the %dth", where, n)
			f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "WorkflowStarted", "NotificationStarted", "Completed"}), what)
			for i, e := range controllertest.Entries(f.get()) {
				f.Expect(e.Sequence).To(BeEquivalentTo(i+1), what)
			}
			executions := &v1alpha1.WorkflowExecutionList{}
			f.Expect(env.Client.List(ctx, executions, client.InNamespace(f.rr.Namespace))).To(Succeed())
			f.Expect(executions.Items).To(HaveLen(1), what)
			if f.writesLeft > 0 { // the remediation had fewer writes
				f.Expect(n).To(BeNumerically(">", 8))
				break
			}
		}
	}
}

func TestAMissingRequestIsNoError(t *testing.T) {
	f := newFixture(t)
	f.Expect(env.Vanish(ctx, f.rr)).To(Succeed())
	f.Expect(apierrors.IsNotFound(env.Client.Get(ctx, client.ObjectKeyFromObject(f.rr), f.rr))).To(BeTrue())
	_, err := f.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.rr)})
	f.Expect(err).NotTo(HaveOccurred())
}

func TestADeadlineBetweenMakingAndAdoptingAChildLeavesNothingRunning(t *testing.T) {
	dieThenExceedTheTotalTime := func(f *fixture) {
		_, err := f.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.rr)})
		f.Expect(err).To(MatchError(errDied))
		f.start()
		f.pass(3 * time.Hour)
		f.reconcile()
	}
	t.Run("the analysis", func(t *testing.T) {
		f := newFixture(t)
		f.killAt(3, beforeWrite) // after Received and the creation of the analysis
		dieThenExceedTheTotalTime(f)
		f.Expect(f.analysis().Spec.Cancel).To(BeTrue())
	})
	t.Run("the workflow", func(t *testing.T) {
		f := newFixture(t)
		f.reconcile()
		f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
		f.killAt(2, beforeWrite) // after the creation of the workflow
		dieThenExceedTheTotalTime(f)
		f.Expect(f.workflow().Spec.Cancel).To(BeTrue())
		f.endWorkflow(v1alpha1.WorkflowCancelled, "")
		f.reconcile()
		f.Expect(f.get().Status.Outcome).To(Equal("timed-out"))
		f.Expect(f.get().Status.WorkflowStartedTime).NotTo(BeNil())
	})
}

func TestTheLargestAlertCanBeRecorded(t *testing.T) {
	f := newFixture(t, func(rr *v1alpha1.RemediationRequest) {
		rr.Spec.Signal.Labels = map[string]v1alpha1.LabelValue{}
		for i := range 64 {
			rr.Spec.Signal.Labels[fmt.Sprintf("label-%02d", i)] = v1alpha1.LabelValue(strings.Repeat("😀", 256))
		}
	})
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
	kept := f.record(0).SignalContext.Labels
	f.Expect(kept).To(HaveKey("label-00"))
	f.Expect(kept).To(HaveKeyWithValue("holdfast.dev/cut", ContainSubstring("of 64 labels, sha256 of all ")))
}

// What an alert says may be longer as it is written: control characters have six bytes in JSON, and credentials become marks.
func TestLabelsThatGrowAsTheyAreWrittenCanBeRecorded(t *testing.T) {
	for name, value := range map[string]string{"control characters": strings.Repeat("\x01", 256), "credentials": strings.Repeat("pwd=a,", 42)} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(rr *v1alpha1.RemediationRequest) {
				rr.Spec.Signal.Labels = map[string]v1alpha1.LabelValue{}
				for i := range 64 {
					rr.Spec.Signal.Labels[fmt.Sprintf("label-%02d", i)] = v1alpha1.LabelValue(value)
				}
			})
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
			written, err := json.Marshal(f.record(0).SignalContext.Labels)
			f.Expect(err).NotTo(HaveOccurred())
			f.Expect(len(written)).To(And(BeNumerically(">", 8<<10), BeNumerically("<", 20<<10)))
			f.Expect(f.record(0).SignalContext.Labels).To(HaveKey("holdfast.dev/cut"))
		})
	}
}
