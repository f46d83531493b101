package remediation_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/controllers/remediation"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
)

// withTarget makes the target, and hands over its uid.
func withTarget(t *testing.T, uid *types.UID) func(*v1alpha1.RemediationRequest) {
	return func(rr *v1alpha1.RemediationRequest) {
		labels := map[string]string{"app": "cart"}
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: rr.Namespace, Name: rr.Spec.Target.Name}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "cart:1"}}}},
		}}
		NewWithT(t).Expect(env.Client.Create(ctx, d)).To(Succeed())
		*uid = d.UID
	}
}

func TestTheRecordSaysWhoAskedWhatForAndThroughWhat(t *testing.T) {
	var target types.UID
	f := newFixture(t, withTarget(t, &target), func(rr *v1alpha1.RemediationRequest) {
		rr.Spec.Signal.Annotations = map[string]v1alpha1.AnnotationValue{"summary": "cart crashes, token=abcdefgh"}
		for i := range 31 {
			rr.Spec.Signal.Annotations[strings.Repeat("a", i+1)] = v1alpha1.AnnotationValue(strings.Repeat("x", 1024))
		}
	})
	me := f.get().Spec.RequestedBy
	f.Expect(me).NotTo(BeEmpty(), "the policy writes it")
	f.reconcile()
	first := f.record(0)
	f.Expect(first.RequestedBy).To(Equal(me))
	f.Expect(first.CancelledBy).To(BeEmpty())
	f.Expect(first.Target.UID).To(Equal(string(target)))
	f.Expect(first.Children).To(BeEmpty())
	f.Expect(first.Policy).To(Equal(&models.Policy{
		ServiceAccountName: "remediator", ApprovalMode: "Auto", AutoApproveAbove: ptr.To(int64(80)), Channels: []string{"console"},
		TimeoutSeconds:          map[string]int64{"analysis": 600, "approval": 3600, "execution": 1800, "notification": 600, "total": 7200},
		TTLAfterFinishedSeconds: ptr.To(int64(86400)),
	}))
	f.Expect(first.SignalContext.Annotations).To(HaveKeyWithValue("holdfast.dev/cut", ContainSubstring("of 32 annotations, sha256 of all ")), "they are bounded as labels are")

	f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
	f.reconcile()
	f.endWorkflow(v1alpha1.WorkflowCompleted, "")
	f.reconcile()
	f.endNotification(v1alpha1.NotificationSent)
	f.reconcile()
	last := f.record(4)
	f.Expect(last.Children).To(Equal([]models.Child{
		{Service: "AIAnalysis", Name: f.analysis().Name, UID: string(f.analysis().UID)},
		{Service: "WorkflowExecution", Name: f.workflow().Name, UID: string(f.workflow().UID)},
		{Service: "Notification", Name: f.notification().Name, UID: string(f.notification().UID)},
	}))
	f.Expect(f.notification().Spec.Purpose).To(Equal(v1alpha1.PurposeOutcome))
}

func TestTheRecordSaysWhoCancelled(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	f.cancel()
	f.reconcile()
	f.end(f.analysis(), "ai-decision", func() {})
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCancelled))
	last := f.record(2)
	f.Expect(last.CancelledBy).To(Equal(f.get().Spec.RequestedBy))
	f.Expect(last.RequestedBy).To(Equal(last.CancelledBy))
}

func TestWhatIsCancelledAtOnceHasItsNames(t *testing.T) {
	f := newFixture(t, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Cancel = true })
	f.reconcile()
	f.Expect(f.record(0)).To(And(HaveField("RequestedBy", Not(BeEmpty())), HaveField("CancelledBy", Not(BeEmpty())), HaveField("Target.UID", "")))
}

// Without the policy anybody may write any name: none is recorded, also when the policy comes later.
func TestNamesThatNobodyChecked(t *testing.T) {
	g := NewWithT(t)
	t.Cleanup(func() { g.Expect(config.Install(ctx, env.Config, nil)).To(Succeed()) })
	name := metav1.ObjectMeta{Name: remediation.IdentityPolicy}
	for _, o := range []client.Object{
		&admissionv1.MutatingAdmissionPolicyBinding{ObjectMeta: name}, &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: name},
		&admissionv1.MutatingAdmissionPolicy{ObjectMeta: name}, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: name},
	} {
		g.Expect(env.Client.Delete(ctx, o)).To(Succeed())
	}
	forge := func(rr *v1alpha1.RemediationRequest) {
		rr.Spec.RequestedBy, rr.Spec.Cancel, rr.Spec.CancelledBy = "boss@example.com", true, "boss@example.com"
	}
	// Until the API server has noticed that both are gone, which it does one by one.
	g.Eventually(func() error {
		rr := testenv.MakeRemediation(metav1.NamespaceDefault, "probe").Obj()
		forge(rr)
		return env.Client.Create(ctx, rr, client.DryRunAll)
	}).WithTimeout(testenv.Timeout).WithPolling(testenv.Interval).Should(Succeed())
	g.Eventually(func() (string, error) {
		rr := testenv.MakeRemediation(metav1.NamespaceDefault, "probe").Obj()
		err := env.Client.Create(ctx, rr, client.DryRunAll)
		return rr.Spec.RequestedBy, err
	}).WithTimeout(testenv.Timeout).WithPolling(testenv.Interval).Should(BeEmpty())

	nameless := newFixture(t)
	g.Expect(nameless.get().Spec.RequestedBy).To(BeEmpty())
	nameless.reconcile()
	g.Expect(nameless.record(0).RequestedBy).To(BeEmpty())

	early, late := newFixture(t, forge), newFixture(t, forge)
	early.reconcile()
	g.Expect(early.record(0)).To(And(HaveField("Outcome", "cancelled"), HaveField("RequestedBy", ""), HaveField("CancelledBy", "")))

	made := late.get().CreationTimestamp.Time
	g.Eventually(func() bool { // times of the API server have whole seconds
		probe := testenv.MakeRemediation(late.rr.Namespace, "probe").Obj()
		g.Expect(env.Client.Create(ctx, probe, client.DryRunAll)).To(Succeed())
		return probe.CreationTimestamp.After(made)
	}).WithTimeout(testenv.Timeout).WithPolling(testenv.Interval).Should(BeTrue())
	g.Expect(config.Install(ctx, env.Config, nil)).To(Succeed())
	late.reconcile()
	g.Expect(late.record(0)).To(And(HaveField("RequestedBy", ""), HaveField("CancelledBy", "")), "the policy was not there then")
}
