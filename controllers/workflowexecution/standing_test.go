package workflowexecution

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
)

var _ = Describe("A workflow whose target somebody else has changed since", func() {
	var f *fixture
	var p *process
	var d *appsv1.Deployment
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
		d = f.deployment(limited("256Mi", "128Mi"))
	})
	available := post("target.status.availableReplicas >= target.spec.replicas")
	patch := func(text string) {
		GinkgoHelper()
		Expect(env.Client.Patch(f.ctx, f.live(d), client.RawPatch(types.StrategicMergePatchType, []byte(text)))).To(Succeed())
	}

	It("is not credited with the repair of another workflow", func() {
		first := f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "512Mi"})), available)
		p.drive(first)
		second := f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "2Gi"})), available)
		p.drive(second)
		f.report(d, 3)

		ended := p.run(second)
		Expect(ended.Status.Outcome).To(Equal("success"))
		ended = p.run(first)
		Expect(ended.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(ended.Status.Outcome).To(Equal("failure"), "nothing of it remains")
		Expect(ended.Status.FailureReason).To(And(HavePrefix("somebody else has changed the target: step SetResources: "),
			HaveSuffix("changed by somebody else since: limits.memory 2Gi of app")))
		Expect(ended).To(controllertest.EndWithTrail("StepCompleted/Verifying", "Failed/Failed/final"))
		r := lastRecord(ended)
		Expect(r.PostConditionsPassed).To(HaveValue(BeTrue()), "as they were found")
		Expect(r.StepsExecuted[0].Status).To(Equal("failure"))
		Expect(r.EffectivenessScore).To(HaveValue(BeZero()))
		Expect(f.live(d).Spec.Template.Spec.Containers[0].Resources.Limits.Memory().String()).To(Equal("2Gi"), "nothing is rolled back")
	})

	DescribeTable("says which of its changes is gone", func(s v1alpha1.WorkflowStep, change, instead string) {
		f.replicaSet(d, 1, "web:0")
		f.pod("a", ownedBy(f.replicaSet(d, 2, "web:1")))
		wfe := f.workflow(d, steps(s, step("Wait", parameters{"seconds": "5"})))
		Expect(p.drive(wfe).RequeueAfter).To(BeNumerically(">", 0))
		patch(change)
		f.report(d, 3)
		live := p.run(wfe)
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.Steps[0].Failed).To(BeTrue())
		Expect(live.Status.Steps[0].Message).To(ContainSubstring("; changed by somebody else since: " + instead))
		Expect(f.wire.effects).To(HaveLen(1))
	},
		Entry("Scale", step("Scale", parameters{"replicas": "5"}), `{"spec":{"replicas":3}}`, "3 replicas"),
		Entry("SetImage", step("SetImage", parameters{"image": "web:9"}), `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"web:8"}]}}}}`, "image web:8 of app"),
		Entry("SetImage, container renamed", step("SetImage", parameters{"image": "web:9"}), `{"spec":{"template":{"spec":{"containers":[{"$patch":"replace"},{"name":"main","image":"web:8"}]}}}}`, "no container app"),
		Entry("SetResources", step("SetResources", parameters{"cpuLimit": "2"}), `{"spec":{"template":{"spec":{"containers":[{"name":"app","resources":{"limits":{"cpu":null}}}]}}}}`, "limits.cpu none of app"),
		Entry("RolloutRestart", step("RolloutRestart"), `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2099-01-01T00:00:00Z"}}}}}`, "a restart at 2099-01-01T00:00:00Z"),
		Entry("RestartPods", step("RestartPods"), `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"web:8"}]}}}}`, "another pod template"),
		Entry("RolloutUndo", step("RolloutUndo"), `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"web:8"}]}}}}`, "another pod template than that of revision 1 (web-hash1)"),
	)

	It("in what it has not changed has helped", func() {
		wfe := f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "512Mi"}), step("Wait", parameters{"seconds": "5"})))
		p.drive(wfe)
		patch(`{"spec":{"replicas":7,"template":{"spec":{"containers":[{"name":"app","image":"web:8","resources":{"limits":{"cpu":"3"}}}]}}}}`)
		Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
	})

	It("is told from one that has changed it twice itself", func() {
		f.replicaSet(d, 1, "web:0")
		f.pod("a", ownedBy(f.replicaSet(d, 2, "web:1")))
		wfe := f.workflow(d, steps(step("RestartPods"), step("Scale", parameters{"replicas": "5"}), step("SetImage", parameters{"image": "web:9"}), step("SetResources", parameters{"memoryLimit": "512Mi"}), step("RolloutRestart"),
			step("RolloutUndo", parameters{"toRevision": "1"}), step("SetResources", parameters{"memoryLimit": "1Gi"}), step("Scale", parameters{"replicas": "4"}), step("RolloutRestart")))
		Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
	})

	It("keeps what still is its own", func() {
		wfe := f.workflow(d, steps(step("SetImage", parameters{"image": "web:9"}), step("Scale", parameters{"replicas": "5"}), step("Wait", parameters{"seconds": "5"})))
		p.drive(wfe)
		patch(`{"spec":{"replicas":7}}`)
		live := p.run(wfe)
		Expect(live.Status.Outcome).To(Equal("partial"))
		Expect(live.Status.Steps[0].Failed).To(BeFalse())
		Expect(f.live(d).Spec.Template.Spec.Containers[0].Image).To(Equal("web:9"))
	})

	It("that was made again has nothing of it", func() {
		wfe := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}), step("Wait", parameters{"seconds": "5"})))
		p.drive(wfe)
		Expect(env.Client.Delete(f.ctx, d)).To(Succeed())
		f.deployment(template("web:2"))
		live := p.run(wfe)
		Expect(live.Status.Outcome).To(Equal("failure"))
		Expect(live.Status.FailureReason).To(ContainSubstring("it was deleted and created again"))
	})

	It("is undone by no rollback", func() {
		first := f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "512Mi"}), step("Wait", parameters{"for": "false"}, within(10*time.Second), onFailure(v1alpha1.FailureRollback))))
		p.drive(first)
		patch(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"web:8","resources":{"limits":{"memory":"2Gi"}}}]}}}}`)
		ended := p.run(first)
		Expect(ended).To(controllertest.EndWithTrail("StepFailed/RollingBack", "StepRollbackFailed/RollingBack", "Failed/Failed/final"))
		c := f.live(d).Spec.Template.Spec.Containers[0]
		Expect(c.Image).To(Equal("web:8"))
		Expect(c.Resources.Limits[corev1.ResourceMemory]).To(Equal(resource.MustParse("2Gi")))
	})
})
