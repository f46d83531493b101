package workflowexecution

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Whoever may write the status may not be the controller. What it writes ends the workflow badly, but end it must: its request, and its namespace, wait for that in deletion.
var _ = Describe("A status that another hand wrote", func() {
	var f *fixture
	var p *process
	var wfe *v1alpha1.WorkflowExecution
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
		wfe = f.workflow(f.deployment(template("web:2")), steps(step("Wait", parameters{"for": "false"})), post("false"))
		p.drive(wfe)
	})
	write := func(change func(*v1alpha1.WorkflowExecutionStatus)) {
		GinkgoHelper()
		live := f.get(wfe)
		change(&live.Status)
		Expect(env.Client.Status().Update(f.ctx, live)).To(Succeed())
	}

	DescribeTable("with more steps than the spec does not hold the workflow in deletion", func(state v1alpha1.StepState) {
		write(func(s *v1alpha1.WorkflowExecutionStatus) {
			for len(s.Steps) < 3 {
				s.Steps = append(s.Steps, v1alpha1.StepStatus{Name: "more", Action: "Wait", State: state, Attempt: 1, StartedTime: outboxapi.NewTime(f.clock.Now())})
			}
		})
		Expect(env.Client.Delete(f.ctx, f.get(wfe))).To(Succeed())
		live := p.run(wfe)
		Expect(live).To(controllertest.EndWithTrail("Cancelled/Cancelled/final"))
		Expect(lastRecord(live).StepsExecuted).To(HaveLen(1))
	},
		Entry("that run", v1alpha1.StepRunning),
		Entry("that failed", v1alpha1.StepFailed),
		Entry("that succeeded", v1alpha1.StepSucceeded),
	)

	It("with the phase Verifying, and without when that began, comes to an end", func() {
		write(func(s *v1alpha1.WorkflowExecutionStatus) { s.Phase, s.VerifyingTime = v1alpha1.WorkflowVerifying, nil })
		Expect(p.run(wfe).Status.FailureReason).To(ContainSubstring("post-conditions did not hold within"))
		Expect(client.IgnoreNotFound(env.Client.Delete(f.ctx, wfe))).To(Succeed())
	})
})
