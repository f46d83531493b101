package aianalysis

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

func alternative(text string) investigator.Alternative {
	return investigator.Alternative{Action: text, Confidence: 1, RejectedReason: text}
}

var _ = Describe("a manager", func() {
	It("investigates by the rules, accepts a decision, and writes its rows", func() {
		f := newFixture()
		f.crashingDeployment()
		stop, err := env.StartManager(func(mgr ctrl.Manager, w *outbox.Writer) error {
			r, err := New(mgr.GetClient(), mgr.GetAPIReader(), w, mgr.GetEventRecorder("holdfast"))
			if err != nil {
				return err
			}
			return r.SetupWithManager(mgr, 2)
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })

		approved, manual := f.analysis(auto(80)), f.analysis()
		phase := func(a *v1alpha1.AIAnalysis) func() v1alpha1.AnalysisPhase {
			return func() v1alpha1.AnalysisPhase { return f.get(a).Status.Phase }
		}
		Eventually(phase(manual), testenv.Timeout, testenv.Interval).Should(Equal(v1alpha1.AnalysisAwaitingApproval))
		f.alter(manual, decided(v1alpha1.VerdictRejected))
		Eventually(phase(approved), testenv.Timeout, testenv.Interval).Should(Equal(v1alpha1.AnalysisCompleted))
		Eventually(phase(manual), testenv.Timeout, testenv.Interval).Should(Equal(v1alpha1.AnalysisRejected))

		drained := func() bool {
			a := f.get(approved)
			return len(a.Status.Outbox.Entries) == 0 && len(a.Finalizers) == 0
		}
		Eventually(drained, testenv.Timeout, testenv.Interval).Should(BeTrue(), "drained, and free to be deleted")
		rows, err := env.Rows(f.ctx, "ai_analysis_audit", approved.UID)
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(2))
		Expect(rows[1]).To(And(
			HaveKeyWithValue("event", BeEquivalentTo("AutoApproved")), HaveKeyWithValue("final", true), HaveKeyWithValue("recommended_action", BeEquivalentTo("rollout-undo")),
			HaveKeyWithValue("approval_status", BeEquivalentTo("auto-approved")), HaveKeyWithValue("investigator", BeEquivalentTo("rules")), HaveKeyWithValue("action_confidence", BeNumerically(">=", 80)),
			HaveKeyWithValue("holmesgpt_response_time_ms", Not(BeNil())), HaveKeyWithValue("investigation_completed_at", BeAssignableToTypeOf(time.Time{}))))
	})
})

var _ = Describe("the catalogue", func() {
	It("has workflows that the API server takes", func() {
		f := newFixture()
		c, err := catalogue.Default()
		Expect(err).NotTo(HaveOccurred())
		for _, id := range c.IDs() {
			w, _ := c.Get(id)
			plan, err := w.Render(map[string]map[string]string{"increase-memory": {"memoryLimit": "1Gi"}, "scale": {"replicas": "2"}, "set-image": {"image": "cart:2"}}[id])
			Expect(err).NotTo(HaveOccurred())
			Expect(env.Client.Create(f.ctx, &v1alpha1.WorkflowExecution{
				ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: id},
				Spec: v1alpha1.WorkflowExecutionSpec{
					RemediationRef: v1alpha1.RemediationRef{Name: "r", UID: "u"}, WorkflowID: id, Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"},
					Steps: plan.Steps, PreConditions: plan.PreConditions, PostConditions: plan.PostConditions,
				},
			}, client.DryRunAll)).To(Succeed(), id)
		}
	})
})

// crashingDeployment makes what a Deployment controller and a kubelet leave behind when a rollout crashes.
func (f *fixture) crashingDeployment() {
	GinkgoHelper()
	labels := map[string]string{"app": "cart"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "cart:crash"}}}}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "cart"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}}
	Expect(env.Client.Create(f.ctx, d)).To(Succeed())
	owned := func(owner client.Object, kind string) []metav1.OwnerReference {
		return []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind(kind))}
	}
	var newest *appsv1.ReplicaSet
	for _, revision := range []string{"1", "2"} {
		template := *template.DeepCopy()
		if revision == "1" {
			template.Spec.Containers[0].Image = "cart:v1"
		}
		newest = &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "cart-" + revision, Labels: labels, OwnerReferences: owned(d, "Deployment"),
			Annotations: map[string]string{"deployment.kubernetes.io/revision": revision}},
			Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template}}
		Expect(env.Client.Create(f.ctx, newest)).To(Succeed())
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "cart-2-x", Labels: labels, OwnerReferences: owned(newest, "ReplicaSet")}, Spec: template.Spec}
	Expect(env.Client.Create(f.ctx, pod)).To(Succeed())
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Image: "cart:crash", RestartCount: 3,
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}}
	Expect(env.Client.Status().Update(f.ctx, pod)).To(Succeed())
}
