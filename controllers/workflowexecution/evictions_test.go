package workflowexecution

import (
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// makeReady gives pods the status of running ones: a budget protects no others.
func (f *fixture) makeReady(names ...string) {
	GinkgoHelper()
	for _, name := range names {
		pod := &corev1.Pod{}
		Expect(env.Client.Get(f.ctx, client.ObjectKey{Namespace: f.namespace, Name: name}, pod)).To(Succeed())
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
		Expect(env.Client.Status().Update(f.ctx, pod)).To(Succeed())
	}
}

// budget makes a disruption budget for the pods of the target that lets one go at a time, and none yet.
func (f *fixture) budget(name string) *policyv1.PodDisruptionBudget {
	GinkgoHelper()
	pdb := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
	Expect(env.Client.Create(f.ctx, pdb)).To(Succeed())
	f.permit(pdb, 0)
	return pdb
}

// permit sets the status of a budget as its controller would, which does not run here.
func (f *fixture) permit(pdb *policyv1.PodDisruptionBudget, n int32) {
	GinkgoHelper()
	Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(pdb), pdb)).To(Succeed())
	pdb.Status = policyv1.PodDisruptionBudgetStatus{ObservedGeneration: pdb.Generation, DisruptionsAllowed: n, CurrentHealthy: 1 + n, DesiredHealthy: 1, ExpectedPods: 2}
	Expect(env.Client.Status().Update(f.ctx, pdb)).To(Succeed())
}

var _ = Describe("RestartPods and a disruption budget", func() {
	var f *fixture
	var p *process
	var d *appsv1.Deployment
	var pdb *policyv1.PodDisruptionBudget
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
		d = f.deployment(template("web:2"))
		rs := f.replicaSet(d, 1, "web:2")
		for _, name := range []string{"a", "b", "c"} {
			f.pod(name, ownedBy(rs))
		}
		f.pod("quarantined", labelled(map[string]string{"app": "none"}), ownedBy(rs))
		f.makeReady("a", "b", "c")
		pdb = f.budget("web")
	})
	restart := func(o ...stepOption) *v1alpha1.WorkflowExecution {
		return f.workflow(d, steps(step("RestartPods", append(o, retries(1))...)))
	}

	It("restarts as many pods as the budget lets go, and says how far it is", func() {
		wfe := restart()
		Expect(p.drive(wfe).RequeueAfter).To(Equal(pollInterval))
		live := f.get(wfe)
		Expect(f.pods()).To(ConsistOf("a", "b", "c", "quarantined"))
		Expect(live.Status.Steps[0].Intent["pods"]).To(And(ContainSubstring("a/"), ContainSubstring("b/"), ContainSubstring("c/"), Not(ContainSubstring("quarantined"))), "written before anything is done")
		Expect(live.Status.Steps[0].Message).To(HavePrefix("evicted 0 of 3 pods; pod a cannot be evicted now: Cannot evict pod as it would violate the pod's disruption budget. " +
			"The disruption budget web needs 1 healthy pods and has 1 currently"))
		for left := 2; left >= 0; left-- {
			f.permit(pdb, 1)
			f.pass(pollInterval)
			if left > 0 {
				p.drive(wfe)
				Expect(f.pods()).To(HaveLen(left + 1))
				Expect(f.get(wfe).Status.Steps[0].Progress.Reached).To(BeEquivalentTo(3 - left))
			}
		}
		live = p.run(wfe)
		Expect(live.Status.Outcome).To(Equal("success"))
		Expect(live.Status.Steps[0].Message).To(Equal("restarted 3 pods"))
		Expect(live.Status.Steps[0].Attempt).To(BeEquivalentTo(1), "a refusal is no failed attempt")
		Expect(f.pods()).To(ConsistOf("quarantined"))
		Expect(f.wire.effects).To(HaveLen(3))
	})

	It("leaves the pods alone that the budget never lets go, and says so when the time is over", func() {
		live := p.run(restart(within(30 * time.Second)))
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.Steps[0].Attempt).To(BeEquivalentTo(2))
		Expect(live.Status.FailureReason).To(MatchRegexp(`timed out after 30s: evicted 0 of 3 pods; pod [abc] cannot be evicted now: Cannot evict pod as it would violate the pod's disruption budget`))
		Expect(f.pods()).To(HaveLen(4))
	})

	It("gives up when no pod has gone for as long as a rollout may stand still", func() {
		f.permit(pdb, 1)
		live := p.run(restart(within(24 * time.Hour)))
		Expect(live.Status.FailureReason).To(MatchRegexp(`no progress for 10m0s: evicted 1 of 3 pods; pod [abc] cannot be evicted now`))
		Expect(f.pods()).To(HaveLen(3))
	})

	It("says that two budgets cover a pod, and goes on when one is deleted", func() {
		second := f.budget("web-too")
		wfe := restart()
		p.drive(wfe)
		Expect(f.get(wfe).Status.Steps[0].Message).To(ContainSubstring("cannot be evicted now: This pod has more than one PodDisruptionBudget"))
		Expect(env.Client.Delete(f.ctx, second)).To(Succeed())
		f.permit(pdb, 3)
		Eventually(func() v1alpha1.WorkflowPhase { // the API server reads budgets from a cache of its own
			f.pass(pollInterval)
			p.drive(wfe)
			return f.get(wfe).Status.Phase
		}).WithTimeout(testenv.Timeout).WithPolling(testenv.Interval).Should(Equal(v1alpha1.WorkflowCompleted))
	})

	It("does not sleep for as long as the answer says", func() {
		Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(pdb), pdb)).To(Succeed())
		pdb.Status.ObservedGeneration = 0 // a budget that its controller has not seen: 429, try again in 10 s
		Expect(env.Client.Status().Update(f.ctx, pdb)).To(Succeed())
		asked := 0
		f.wire.answer = func(r *http.Request) *http.Response {
			if strings.HasSuffix(r.URL.Path, "/eviction") {
				asked++
			}
			return nil
		}
		wfe := restart()
		for range 10 {
			if asked > 0 {
				break
			}
			_, err := p.try(wfe)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(asked).To(Equal(3), "each pod once in a pass")
		Expect(f.get(wfe).Status.Steps[0].Message).To(ContainSubstring("still being processed"))
	})
})
