package remediation_test

import (
	"errors"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/remediation"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// probes are children of each kind that an API server would take.
func (f *fixture) probes() map[string]client.Object {
	name := metav1.ObjectMeta{Namespace: f.rr.Namespace, Name: "probe"}
	ref := v1alpha1.RemediationRef{Name: "by-hand", UID: "by-hand"}
	return map[string]client.Object{
		"aianalyses": &v1alpha1.AIAnalysis{ObjectMeta: name, Spec: v1alpha1.AIAnalysisSpec{RemediationRef: ref, Signal: f.rr.Spec.Signal, Target: f.rr.Spec.Target}},
		"workflowexecutions": &v1alpha1.WorkflowExecution{ObjectMeta: name, Spec: v1alpha1.WorkflowExecutionSpec{RemediationRef: ref, WorkflowID: "rollout-undo", Target: f.rr.Spec.Target,
			Steps: []v1alpha1.WorkflowStep{{Name: "undo", Action: "RolloutUndo"}}}},
		"notificationrequests": testenv.MakeNotification(f.rr.Namespace, "probe").Obj(),
	}
}

// probe makes a child that is not kept.
func (f *fixture) probe(kind string) error {
	return env.Client.Create(ctx, f.probes()[kind], client.DryRunAll)
}

// full fills the namespace's quota of some kinds, and waits until the API server keeps it. Nobody works out a quota's use here, since that is the controller manager's work.
func (f *fixture) full(kinds ...string) *corev1.ResourceQuota {
	hard, used := corev1.ResourceList{}, corev1.ResourceList{}
	for _, kind := range kinds {
		name := corev1.ResourceName("count/" + kind + ".holdfast.dev")
		hard[name], used[name] = resource.MustParse("5"), resource.MustParse("5")
	}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: f.rr.Namespace, Name: "team"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
	f.Expect(env.Client.Create(ctx, quota)).To(Succeed())
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used}
	f.Expect(env.Client.Status().Update(ctx, quota)).To(Succeed())
	for _, kind := range kinds {
		f.Eventually(func() error { return f.probe(kind) }, testenv.Timeout).Should(MatchError(ContainSubstring("exceeded quota: team")))
	}
	return quota
}

// lift takes the quota away.
func (f *fixture) lift(quota *corev1.ResourceQuota, kinds ...string) {
	f.Expect(env.Client.Delete(ctx, quota)).To(Succeed())
	for _, kind := range kinds {
		f.Eventually(func() error { return f.probe(kind) }, testenv.Timeout).Should(Succeed())
	}
}

func (f *fixture) condition(kind string) *metav1.Condition {
	return meta.FindStatusCondition(f.get().Status.Conditions, kind)
}

// announced are the Events so far.
func (f *fixture) announced() []string {
	var all []string
	for {
		select {
		case e := <-f.recorder.Events:
			all = append(all, e)
		default:
			return all
		}
	}
}

// blocked expects the request to wait in a phase, and to say for what, once.
func (f *fixture) blocked(phase v1alpha1.RemediationPhase, condition, reason, why string) {
	f.announced()
	f.Expect(f.reconcile().RequeueAfter).To(And(BeNumerically(">", 0), BeNumerically("<=", lifecycle.BlockedRetry)))
	f.Expect(f.phase()).To(Equal(phase))
	f.Expect(f.condition(condition)).To(HaveValue(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", reason), HaveField("Message", ContainSubstring(why)))))
	f.Expect(f.announced()).To(ContainElement(And(HavePrefix("Warning "+condition), ContainSubstring(why))))
	f.pass(time.Minute)
	f.reconcile()
	f.Expect(f.announced()).To(BeEmpty(), "it is said once")
}

func TestAFullQuotaIsWaitedFor(t *testing.T) {
	const full = "exceeded quota: team"
	f := newFixture(t)
	quota := f.full("aianalyses")
	f.blocked(v1alpha1.RemediationPending, v1alpha1.ConditionAnalysisBlocked, "QuotaExceeded", full)
	f.lift(quota, "aianalyses")
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
	f.Expect(f.condition(v1alpha1.ConditionAnalysisBlocked)).To(HaveValue(HaveField("Status", metav1.ConditionFalse)))

	f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
	quota = f.full("workflowexecutions")
	f.blocked(v1alpha1.RemediationAnalyzing, v1alpha1.ConditionWorkflowBlocked, "QuotaExceeded", full)
	f.lift(quota, "workflowexecutions")
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationExecuting))

	f.endWorkflow(v1alpha1.WorkflowCompleted, "")
	quota = f.full("notificationrequests")
	f.blocked(v1alpha1.RemediationExecuting, v1alpha1.ConditionNotificationBlocked, "QuotaExceeded", full)
	f.Expect(f.get().Status.Outcome).To(BeEmpty(), "people are told first")
	f.lift(quota, "notificationrequests")
	f.reconcile()
	f.endNotification(v1alpha1.NotificationSent)
	f.reconcile()
	f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted", "WorkflowStarted", "NotificationStarted", "Completed"}))
	f.Expect(f.get().Status.FailureReason).To(BeEmpty())
}

func TestWhatStaysBlockedEndsWithTheReasonWhenItsTimeIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		kind      string
		until     func(f *fixture)
		condition string
		reason    string
	}{
		"the analysis": {"aianalyses", func(*fixture) {}, v1alpha1.ConditionAnalysisBlocked, "Phase Pending exceeded its timeout of 10m0s: the analysis could not be created: create cart-"},
		"the workflow": {"workflowexecutions", func(f *fixture) {
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
		}, v1alpha1.ConditionWorkflowBlocked, "Phase Analyzing exceeded its timeout of 10m0s: the workflow could not be created: create cart-"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.full(c.kind)
			c.until(f)
			f.reconcile()
			f.pass(9 * time.Minute)
			f.reconcile()
			f.Expect(f.get().Status.Outcome).To(BeEmpty())
			f.pass(2 * time.Minute)
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationNotifying), "people are told")
			f.Expect(f.notification().Spec.Body).To(ContainSubstring("exceeded quota: team"))
			f.endNotification(v1alpha1.NotificationSent)
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationTimedOut))
			f.Expect(f.get().Status.FailureReason).To(And(HavePrefix(c.reason), ContainSubstring("exceeded quota: team")))
			f.Expect(f.condition(c.condition).Status).To(Equal(metav1.ConditionFalse))
		})
	}
}

func TestANotificationThatStaysBlockedDoesNotHoldUpTheEnd(t *testing.T) {
	f := newFixture(t)
	f.full("aianalyses", "notificationrequests")
	f.reconcile()
	f.pass(11 * time.Minute)
	f.reconcile()
	f.Expect(f.condition(v1alpha1.ConditionNotificationBlocked)).To(HaveValue(HaveField("Status", metav1.ConditionTrue)))
	f.pass(9 * time.Minute)
	f.start() // what is waited for, and since when, is in the resource
	f.reconcile()
	f.Expect(f.get().Status.Phase).To(Equal(v1alpha1.RemediationPending), "the notification has its own time")
	f.announced()
	f.pass(2 * time.Minute)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationTimedOut))
	f.Expect(f.get().Status.FailureReason).To(And(ContainSubstring("the analysis could not be created"), ContainSubstring("(notification not sent: create cart-"), ContainSubstring("exceeded quota: team")))
	f.Expect(f.announced()).To(ContainElement(And(HavePrefix("Warning TimedOut"), ContainSubstring("exceeded quota"))))
	f.Expect(f.events()).To(Equal([]string{"Received", "TimedOut"}))
}

func TestWhatIsBlockedCanBeCancelled(t *testing.T) {
	f := newFixture(t)
	f.full("aianalyses")
	f.reconcile()
	f.cancel()
	f.reconcile()
	f.Expect(f.events()).To(Equal([]string{"Received", "Cancelled"}))
}

// The process dies at every write while a quota is full, and after it was lifted.
func TestADeathWhileBlockedRepeatsAndLosesNothing(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture(t)
		quota := f.full("aianalyses")
		f.killAt(n, beforeWrite)
		f.reconcile()
		f.lift(quota, "aianalyses")
		f.reconcile()
		f.Expect(f.events()).To(Equal([]string{"Received", "AnalysisStarted"}), "the %dth", n)
		if f.writesLeft > 0 {
			f.Expect(n).To(BeNumerically(">", 4))
			break
		}
	}
}

// webhook has the API server ask at a URL before it takes an analysis, and waits until it does.
func (f *fixture) webhook(t *testing.T, url string) *admissionv1.ValidatingWebhookConfiguration {
	webhook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: f.rr.Namespace}, Webhooks: []admissionv1.ValidatingWebhook{{
		Name: "down.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: ptr.To(admissionv1.SideEffectClassNone), FailurePolicy: ptr.To(admissionv1.Fail),
		ClientConfig:      admissionv1.WebhookClientConfig{URL: ptr.To(url)},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: f.rr.Namespace}},
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{"holdfast.dev"}, APIVersions: []string{"*"}, Resources: []string{"aianalyses"}}}},
	}}}
	f.Expect(env.Client.Create(ctx, webhook)).To(Succeed())
	t.Cleanup(func() { f.Expect(client.IgnoreNotFound(env.Client.Delete(ctx, webhook))).To(Succeed()) })
	f.Eventually(func() error { return f.probe("aianalyses") }, testenv.Timeout).Should(MatchError(ContainSubstring("failed calling webhook")))
	return webhook
}

func TestAnAdmissionWebhookThatIsDownIsWaitedFor(t *testing.T) {
	f := newFixture(t)
	webhook := f.webhook(t, "https://127.0.0.1:1/validate")
	f.blocked(v1alpha1.RemediationPending, v1alpha1.ConditionAnalysisBlocked, "WebhookUnavailable", "down.example.com")
	f.Expect(env.Client.Delete(ctx, webhook)).To(Succeed())
	f.Eventually(func() error { return f.probe("aianalyses") }, testenv.Timeout).Should(Succeed())
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
}

// Each write of the condition starts the reconciler again. An error that names the port of its connection is another one each time.
func TestAnErrorThatChangesEachTimeDoesNotKeepTheReconcilerBusy(t *testing.T) {
	f := newFixture(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.Expect(listener.Close()).To(Succeed()) })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Read(make([]byte, 1))
			_ = connection.(*net.TCPConn).SetLinger(0) // resets it
			_ = connection.Close()
		}
	}()
	f.webhook(t, "https://"+listener.Addr().String()+"/validate")
	f.blocked(v1alpha1.RemediationPending, v1alpha1.ConditionAnalysisBlocked, "WebhookUnavailable", "reset by peer")
	before := f.get().ResourceVersion
	f.pass(time.Minute)
	f.reconcile()
	f.Expect(f.get().ResourceVersion).To(Equal(before))
}

func TestOnlyWhatMayPassIsWaitedFor(t *testing.T) {
	of := v1alpha1.GroupVersion.WithResource("aianalyses").GroupResource()
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a full quota":                              {apierrors.NewForbidden(of, "a", errors.New("exceeded quota: team, requested: count/aianalyses.holdfast.dev=1, used: count/aianalyses.holdfast.dev=5, limited: count/aianalyses.holdfast.dev=5")), "QuotaExceeded"},
		"a quota that was just made":                {apierrors.NewForbidden(of, "a", errors.New("status unknown for quota: team, resources: count/aianalyses.holdfast.dev")), "QuotaExceeded"},
		"a kind without the quota it needs":         {apierrors.NewForbidden(of, "a", errors.New("insufficient quota to consume: count/aianalyses.holdfast.dev")), "QuotaExceeded"},
		"a right that the manager lacks":            {apierrors.NewForbidden(of, "a", errors.New(`User "system:serviceaccount:holdfast:manager" cannot create resource "aianalyses" in API group "holdfast.dev" in the namespace "shop"`)), "NotAuthorized"},
		"a busy API server":                         {apierrors.NewTooManyRequests("try later", 1), "TooManyRequests"},
		"a webhook that is down":                    {apierrors.NewInternalError(errors.New(`failed calling webhook "x": connection refused`)), "WebhookUnavailable"},
		"a webhook that refuses":                    {apierrors.NewForbidden(of, "a", errors.New(`admission webhook "x" denied the request: not here`)), ""},
		"a policy that refuses a child named quota": {apierrors.NewForbidden(of, "exceeded-quota-analysis", errors.New(`ValidatingAdmissionPolicy 'p' with binding 'b' denied request: not here`)), ""},
		"a policy that refuses":                     {apierrors.NewForbidden(of, "a", errors.New(`ValidatingAdmissionPolicy 'p' with binding 'b' denied request: not here`)), ""},
		"an API server that is away":                {errors.New("connection refused"), ""},
		"a spec that breaks a rule":                 {apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("AIAnalysis").GroupKind(), "a", nil), ""},
		"another failure of the API server":         {apierrors.NewInternalError(errors.New("etcd")), ""},
	} {
		t.Run(name, func(t *testing.T) { NewWithT(t).Expect(remediation.BlockedBy(c.err)).To(Equal(c.want)) })
	}
}
