package remediation_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// asks has the analysis wait for a decision, as its controller does.
func (f *fixture) asks(change ...func(*v1alpha1.AIAnalysis)) {
	a := f.analysis()
	draft := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{}, outbox.WithClock(f.clock)).Draft(a)
	a.Status.Phase = v1alpha1.AnalysisAwaitingApproval
	a.Status.RootCause = "The newest release crashes at its start."
	a.Status.Evidence = []v1alpha1.Evidence{{Tool: "get", Purpose: "target Deployment cart", Excerpt: "0 of 3 replicas are available"},
		{Tool: "list", Purpose: "pods of the target", Excerpt: "cart-1: CrashLoopBackOff\ncart-2: CrashLoopBackOff"}}
	a.Status.Recommendation = &v1alpha1.Recommendation{WorkflowID: "rollout-undo", Parameters: map[string]string{"toRevision": "4"}, Confidence: 75, Rationale: "It began with the rollout."}
	a.Status.Alternatives = []v1alpha1.Alternative{{Action: "rollout-restart", Confidence: 20, RejectedReason: "The image stays the same."}}
	a.Status.Approval = &v1alpha1.Approval{Required: true, RequestedTime: outboxapi.NewTimePointer(f.clock.Now())}
	for _, c := range change {
		c(a)
	}
	f.Expect(draft.Save(ctx, &outbox.Change{Kind: entry.KindAIDecision, Event: "InvestigationCompleted", Record: map[string]string{}})).To(Succeed())
}

// decides is what a person writes, and what the analysis's controller makes of it.
func (f *fixture) decides() {
	f.Expect(env.Client.Patch(ctx, f.analysis(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"decision":{"verdict":"Approved","decidedBy":"admin","method":"console"}}}`)))).To(Succeed())
}

func (f *fixture) approves() {
	f.decides()
	a := f.analysis()
	f.end(a, entry.KindAIDecision, func() {
		a.Status.Phase, a.Status.Approval.Status, a.Status.Approval.DecidedBy = v1alpha1.AnalysisCompleted, v1alpha1.ApprovalApproved, "admin"
		a.Status.Investigation = &v1alpha1.Investigation{Investigator: "rules", Attempt: 1, StartedTime: outboxapi.NewTime(f.clock.Now())}
	})
}

// messages are all notifications, by purpose.
func (f *fixture) messages() map[v1alpha1.NotificationPurpose][]v1alpha1.NotificationRequest {
	list := &v1alpha1.NotificationRequestList{}
	f.Expect(env.Client.List(ctx, list, client.InNamespace(f.rr.Namespace))).To(Succeed())
	all := map[v1alpha1.NotificationPurpose][]v1alpha1.NotificationRequest{}
	for _, n := range list.Items {
		all[n.Spec.Purpose] = append(all[n.Spec.Purpose], n)
	}
	return all
}

func (f *fixture) asking() *v1alpha1.NotificationRequest {
	return child(f, f.get().Status.ApprovalNotification, &v1alpha1.NotificationRequest{})
}

func (f *fixture) reminding() *v1alpha1.NotificationRequest {
	return child(f, f.get().Status.ApprovalReminder, &v1alpha1.NotificationRequest{})
}

func TestWhoMayDecideIsAskedAndRemindedOnce(t *testing.T) {
	f := newFixture(t, manually, func(rr *v1alpha1.RemediationRequest) {
		rr.Spec.Signal.Labels = map[string]v1alpha1.LabelValue{"team": "checkout", "pod": "cart-1"}
	})
	f.reconcile()
	f.asks()
	deadline := f.clock.Now().Add(time.Hour)
	f.Expect(f.reconcile().RequeueAfter).To(BeNumerically("~", 30*time.Minute, time.Second), "the reminder is due next")
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAwaitingApproval))
	n := f.asking()
	f.Expect(n.Name).To(HaveSuffix("-approval"))
	f.Expect(metav1.IsControlledBy(n, f.rr)).To(BeTrue())
	f.Expect(n.Spec.Purpose).To(Equal(v1alpha1.PurposeApprovalNeeded))
	f.Expect(n.Spec.Channels).To(Equal(f.rr.Spec.Notification.Channels))
	f.Expect(n.Spec.Subject).To(Equal("Approval needed: KubePodCrashLooping on Deployment " + f.rr.Namespace + "/cart"))
	f.Expect(n.Spec.Body).To(Equal(fmt.Sprintf(`Alert: KubePodCrashLooping (critical) from alertmanager
Labels: pod=cart-1, team=checkout
Target: Deployment cart in namespace %[1]s
Root cause: The newest release crashes at its start.
Recommended: rollout-undo (confidence 75 %%)
Rationale: It began with the rollout.
Step undo: RolloutUndo toRevision=4
Step settle: WaitForRollout
Step hold: Wait seconds=5
Runs as: service account remediator of namespace %[1]s
Deadline: %[3]s. Without a decision nothing is done

To decide, fill in the reason and run one of these commands. It shows the evidence again and asks before it decides:
kubectl holdfast approve %[2]s -n %[1]s --reason ''
kubectl holdfast reject %[2]s -n %[1]s --reason ''

Evidence and alternatives:
Evidence: get target Deployment cart: 0 of 3 replicas are available
Evidence: list pods of the target: cart-1: CrashLoopBackOff
  cart-2: CrashLoopBackOff
Instead of: rollout-restart (20 %%): The image stays the same.
Request: %[1]s/%[4]s (uid %[5]s)
`, f.rr.Namespace, f.analysis().Name, deadline.UTC().Format(time.RFC3339), f.rr.Name, f.rr.UID)))

	f.pass(29 * time.Minute)
	f.reconcile()
	f.Expect(f.messages()).NotTo(HaveKey(v1alpha1.PurposeApprovalReminder))
	f.pass(time.Minute)
	f.Expect(f.reconcile().RequeueAfter).To(BeNumerically(">", 29*time.Minute))
	f.Expect(f.reminding().Spec.Subject).To(HavePrefix("Approval still needed: "))
	f.Expect(f.reminding().Spec.Body).To(Equal(n.Spec.Body))
	f.pass(20 * time.Minute)
	f.reconcile()
	f.Expect(f.messages()[v1alpha1.PurposeApprovalReminder]).To(HaveLen(1))

	f.approves()
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
	f.Expect([]bool{f.asking().Spec.Cancel, f.reminding().Spec.Cancel}).To(HaveEach(true), "what was not sent is cancelled")
	f.endWorkflow(v1alpha1.WorkflowCompleted, "")
	f.reconcile()
	f.endNotification(v1alpha1.NotificationSent)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCompleted), "messages that are open hold nothing up")
	f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "ApprovalRequested", "ApprovalReminderStarted", "WorkflowStarted", "NotificationStarted", "Completed"}))
	last := f.record(6)
	var children []string
	for _, c := range last.Children {
		children = append(children, c.Service+" "+c.Name[strings.LastIndex(c.Name, "-")+1:])
	}
	f.Expect(children).To(Equal([]string{"AIAnalysis analysis", "WorkflowExecution workflow", "Notification approval", "Notification reminder", "Notification notification"}))
	f.Expect(last.ServicesInvoked).To(Equal([]string{"AIAnalysis", "WorkflowExecution", "Notification"}))
}

// Whatever happens to a message, the decision and the repair go on.
func TestNoMessageHoldsUpWhatWasDecided(t *testing.T) {
	for name, befall := range map[string]func(f *fixture){
		"nothing": func(*fixture) {},
		"a message that nobody delivers": func(f *fixture) {
			f.pass(30 * time.Minute)
			f.reconcile()
		},
		"a message that somebody deletes": func(f *fixture) {
			f.Expect(env.Vanish(ctx, f.asking())).To(Succeed())
			f.reconcile()
			f.Expect(f.messages()).To(BeEmpty(), "it is not made again")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, manually)
			f.reconcile()
			f.asks()
			f.reconcile()
			befall(f)
			f.approves()
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
			f.cancel()
			f.reconcile()
			f.endWorkflow(v1alpha1.WorkflowCancelled, "")
			f.reconcile()
			f.Expect(f.get().Status.Outbox.Closed).To(BeTrue())
		})
	}
}

func TestAMessageThatCannotBeMadeIsSaidAndTriedAgain(t *testing.T) {
	f := newFixture(t, manually)
	f.reconcile()
	f.asks()
	quota := f.full("notificationrequests")
	f.blocked(v1alpha1.RemediationAwaitingApproval, v1alpha1.ConditionApprovalNotificationBlocked, "QuotaExceeded", "exceeded quota: team")
	f.lift(quota, "notificationrequests")
	f.reconcile()
	f.Expect(f.asking().Spec.Purpose).To(Equal(v1alpha1.PurposeApprovalNeeded))
	f.Expect(f.condition(v1alpha1.ConditionApprovalNotificationBlocked)).To(HaveValue(HaveField("Status", metav1.ConditionFalse)))
	f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "ApprovalRequested", "ApprovalNotificationStarted"}))

	f.pass(30 * time.Minute)
	quota = f.full("notificationrequests")
	f.reconcile()
	f.approves()
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
	f.Expect(f.condition(v1alpha1.ConditionApprovalNotificationBlocked)).To(HaveValue(HaveField("Status", metav1.ConditionFalse)))
	f.lift(quota, "notificationrequests")
	f.pass(10 * time.Minute)
	f.reconcile()
	f.Expect(f.messages()).NotTo(HaveKey(v1alpha1.PurposeApprovalReminder), "nobody is reminded of what was decided")
}

func TestNobodyIsAskedInVain(t *testing.T) {
	for name, c := range map[string]struct {
		changes []func(*v1alpha1.RemediationRequest)
		drive   func(f *fixture)
	}{
		"without channels":              {[]func(*v1alpha1.RemediationRequest){withoutChannels}, func(f *fixture) { f.asks() }},
		"somebody had decided before":   {nil, func(f *fixture) { f.decides(); f.asks() }},
		"another hand wrote the status": {nil, func(f *fixture) { f.asks(func(a *v1alpha1.AIAnalysis) { a.Status.Recommendation = nil }) }},
		"the time is over already":      {nil, func(f *fixture) { f.asks(); f.pass(61 * time.Minute) }},
		"the analysis was cancelled": {nil, func(f *fixture) {
			f.asks()
			f.Expect(env.Client.Patch(ctx, f.analysis(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))).To(Succeed())
		}},
		"an analysis without a decision": {nil, func(f *fixture) { f.endAnalysis(v1alpha1.AnalysisFailed, nil) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, append(c.changes, manually)...)
			f.reconcile()
			c.drive(f)
			f.reconcile()
			f.pass(35 * time.Minute)
			f.reconcile()
			f.Expect(f.messages()).NotTo(Or(HaveKey(v1alpha1.PurposeApprovalNeeded), HaveKey(v1alpha1.PurposeApprovalReminder)))
		})
	}
}

// The decision may be in the API server and not in the cache yet.
func TestACacheThatIsBehindRemindsNobody(t *testing.T) {
	f := newFixture(t, manually)
	f.reconcile()
	f.asks()
	f.reconcile()
	behind := f.analysis()
	f.decides()
	f.client = interceptor.NewClient(env.Client, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
		if a, ok := into.(*v1alpha1.AIAnalysis); ok {
			behind.DeepCopyInto(a)
			return nil
		}
		return c.Get(ctx, key, into, opts...)
	}})
	f.start()
	f.pass(30 * time.Minute)
	f.reconcile()
	f.Expect(f.messages()).NotTo(HaveKey(v1alpha1.PurposeApprovalReminder))
	f.Expect(f.asking().Spec.Cancel).To(BeFalse())
}

// A decision that nobody checked does not count, and cannot be repeated. The commands of the message would fail.
func TestADecisionThatIsRefusedEndsTheAsking(t *testing.T) {
	f := newFixture(t, manually)
	f.reconcile()
	f.asks()
	f.reconcile()
	f.decides()
	f.pass(31 * time.Minute)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAwaitingApproval))
	f.Expect(f.asking().Spec.Cancel).To(BeTrue())
	f.Expect(f.messages()).NotTo(HaveKey(v1alpha1.PurposeApprovalReminder))
}

// The process dies at every write of a remediation that is asked about, before the write and after it. Each message is made once, and is in the trail.
func TestADeathAtAnyWriteAsksOnce(t *testing.T) {
	for _, where := range []death{beforeWrite, afterWrite} {
		for n := 1; ; n++ {
			f := newFixture(t, manually)
			f.reconcile()
			f.killAt(n, where)
			f.asks()
			f.reconcile()
			f.pass(30 * time.Minute)
			f.reconcile()
			f.approves()
			f.reconcile()
			f.reconcile()
			f.cancel()
			f.reconcile()
			f.endWorkflow(v1alpha1.WorkflowCancelled, "")
			f.reconcile()
			what := fmt.Sprintf("%s, the %dth", where, n)
			f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "ApprovalRequested", "ApprovalReminderStarted", "WorkflowStarted", "Cancelled"}), what)
			all := f.messages()
			f.Expect(all[v1alpha1.PurposeApprovalNeeded]).To(ConsistOf(HaveField("Spec.Cancel", true)), what)
			f.Expect(all[v1alpha1.PurposeApprovalReminder]).To(ConsistOf(HaveField("Spec.Cancel", true)), what)
			f.Expect(f.record(5).Children).To(HaveLen(4), what)
			if f.writesLeft > 0 {
				f.Expect(n).To(BeNumerically(">", 7))
				break
			}
		}
	}
}

// It dies after it made a message, and the decision is made before the next process sees it.
func TestAMessageThatNobodyNamedIsAdoptedAfterTheDecision(t *testing.T) {
	f := newFixture(t, manually)
	f.reconcile()
	f.asks()
	f.killAt(1, afterWrite)
	_, err := f.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.rr)})
	f.Expect(err).To(MatchError(errDied))
	f.start()
	f.approves()
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
	f.Expect(f.asking().Spec.Cancel).To(BeTrue())
	f.Expect(f.get().Status.ApprovalNotificationUID).To(Equal(f.asking().UID))
}

// Whoever may make notifications can take a message's name, which everybody can work out.
func TestAMessageThatTheRequestDidNotMakeDoesNotCount(t *testing.T) {
	for name, c := range map[string]struct {
		claims bool
		why    string
	}{"nobody's": {false, "not controlled by this request"}, "a false one": {true, "spec.body, spec.subject"}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, manually)
			f.reconcile()
			f.asks()
			forged := testenv.MakeNotification(f.rr.Namespace, "x").Obj()
			forged.ObjectMeta = f.guessed("approval")
			forged.Spec.RemediationRef, forged.Spec.Purpose, forged.Spec.Channels = f.ref(), v1alpha1.PurposeApprovalNeeded, f.rr.Spec.Notification.Channels
			forged.Spec.Subject, forged.Spec.Body = "All is well", "kubectl delete namespace shop"
			if c.claims {
				f.forge(forged)
			} else {
				f.Expect(env.Client.Create(ctx, forged)).To(Succeed())
			}
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAwaitingApproval), "the request goes on")
			if c.claims {
				f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(forged), forged)).To(Succeed())
				f.Expect(forged.Spec.Cancel).To(BeTrue())
				f.end(forged, entry.KindNotification, func() { forged.Status.Phase = v1alpha1.NotificationCancelled })
				f.reconcile()
			}
			f.expectForeign(slices.Index(f.events(), "ForeignChild"), c.why)
			f.Expect(f.asking().UID).NotTo(Equal(forged.UID))
			f.Expect(f.asking().Spec.Subject).To(HavePrefix("Approval needed: "))
			f.approves()
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))
		})
	}
}

// What strangers wrote has no line of its own among ours, and leaves room for the commands.
func TestAQuestionKeepsItsCommandsWhateverIsQuoted(t *testing.T) {
	const fake = "\nkubectl holdfast approve another -n shop --reason ''\n"
	for name, hostile := range map[string]string{
		"lines": fake, "other breaks": "\u2028kubectl holdfast approve another\rkubectl holdfast approve another\u0085kubectl holdfast approve another\v", "long": strings.Repeat("\n<", 4000), "credentials": "token=hunter2 " + fake,
	} {
		t.Run(name, func(t *testing.T) {
			short := func(n int) string { return strings.ToValidUTF8(hostile[:min(len(hostile), n)], "") }
			f := newFixture(t, manually, func(rr *v1alpha1.RemediationRequest) {
				rr.Spec.Signal.Name, rr.Spec.Signal.Labels = short(250), map[string]v1alpha1.LabelValue{"pod": v1alpha1.LabelValue(short(250))}
			})
			f.reconcile()
			f.asks(func(a *v1alpha1.AIAnalysis) {
				a.Status.RootCause, a.Status.Recommendation.Rationale = short(8000), short(8000)
				for range 10 {
					a.Status.Evidence = append(a.Status.Evidence, v1alpha1.Evidence{Tool: short(120), Purpose: short(250), Excerpt: short(1000)})
					a.Status.Alternatives = append(a.Status.Alternatives, v1alpha1.Alternative{Action: short(250), RejectedReason: short(8000)})
				}
			})
			f.reconcile()
			body := f.asking().Spec.Body
			f.Expect(len(body)).To(BeNumerically("<=", 12<<10))
			f.Expect(body).NotTo(ContainSubstring("hunter2"))
			var commands []string
			for _, line := range strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune("\n\r\v\f\u0085\u2028\u2029", r) }) {
				if strings.HasPrefix(line, "kubectl") {
					commands = append(commands, line)
				}
			}
			end := fmt.Sprintf(" %s -n %s --reason ''", f.analysis().Name, f.rr.Namespace)
			f.Expect(commands).To(Equal([]string{"kubectl holdfast approve" + end, "kubectl holdfast reject" + end}))
		})
	}
}

func TestAQuestionSaysWhatWouldBeDoneAndAsWhom(t *testing.T) {
	for name, c := range map[string]struct{ account, workflow, says string }{
		"no account":          {"", "rollout-undo", "\nRuns as: no service account, so no step would run\n"},
		"an unknown workflow": {"remediator", "format-disk", "\nStep: none, because the recommended workflow \"format-disk\" is not in the catalogue\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, manually, func(rr *v1alpha1.RemediationRequest) { rr.Spec.ServiceAccountName = c.account })
			f.reconcile()
			f.asks(func(a *v1alpha1.AIAnalysis) { a.Status.Recommendation.WorkflowID = c.workflow })
			f.reconcile()
			f.Expect(f.asking().Spec.Body).To(ContainSubstring(c.says))
		})
	}
}
