package workflowexecution

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
)

var _ = Describe("A condition that costs too much", func() {
	// greedy may be evaluated, and turns out to be too costly for a target with hundreds of entries.
	const greedy = "target.data.all(a, target.data.all(b, target.data[a] == target.data[b]))"

	var f *fixture
	var p *process
	var flags *corev1.ConfigMap
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
		f.grant("config-reader", ruleFor("", "configmaps", "get"))
		flags = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "flags"}, Data: map[string]string{}}
		for i := range 500 {
			flags.Data[fmt.Sprintf("flag-%d", i)] = "on"
		}
		Expect(env.Client.Create(f.ctx, flags)).To(Succeed())
	})

	workflow := func(options ...specOption) *v1alpha1.WorkflowExecution {
		GinkgoHelper()
		return f.workflow(flags, append(options, as("config-reader"))...)
	}
	pause := steps(step("Wait", parameters{"seconds": "0"}))

	DescribeTable("by its estimate fails validation", func(condition specOption, expected string) {
		live := p.run(workflow(condition, pause))
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.FailureReason).To(ContainSubstring(expected))
		Expect(live.Status.Steps).To(BeEmpty())
	},
		Entry("pre", pre("target.a.all(a, target.b.all(b, target.c.all(c, target.d.all(d, a + b == c + d))))"), "pre-condition ready: expression may cost"),
		Entry("post", post("'aaaaaaaaaa'.replace('a','aaaaaaaaaa').replace('a','aaaaaaaaaa').replace('a','aaaaaaaaaa').replace('a','aaaaaaaaaa').replace('a','aaaaaaaaaa').replace('a','aaaaaaaaaa')"+
			".replace('a','aaaaaaaaaa').replace('a','aaaaaaaaaa').size() > 1"), "post-condition helped: expression may cost"),
	)

	It("over its target does not hold as a pre-condition", func() {
		live := p.run(workflow(pre(greedy), pause))
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.FailureReason).To(ContainSubstring("pre-condition ready: the condition costs too much"))
		Expect(live.Status.Steps).To(BeEmpty(), "no account is to blame")
		Expect(lastRecord(live).PreConditionsPassed).To(HaveValue(BeFalse()))
	})

	It("over its target is no post-condition to wait for", func() {
		wfe := workflow(post(greedy), pause)
		Expect(p.drive(wfe).RequeueAfter).To(BeZero())
		live := f.get(wfe)
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.FailureReason).To(ContainSubstring("post-conditions could not be evaluated: helped: the condition costs too much"))
	})

	It("over its target fails a Wait without a retry, also in the next life of the manager", func() {
		wfe := workflow(steps(step("Wait", parameters{"for": v1alpha1.ParameterValue(greedy)}, retries(3))))
		Expect(p.drive(wfe).RequeueAfter).To(BeZero())
		live := f.get(wfe)
		Expect(live.Status.Steps[0].Attempt).To(BeEquivalentTo(1))
		Expect(live.Status.Steps[0].Message).To(ContainSubstring("the condition costs too much"))
		Expect(live).To(controllertest.EndWithTrail("StepFailed/Executing", "Failed/Failed/final"))

		f.start().drive(wfe)
		Expect(f.get(wfe).Status).To(Equal(live.Status), "nothing is left to evaluate")
	})

	It("is not transient, unlike one that was interrupted", func() {
		Expect(transient(fmt.Errorf("look: %w", condition.ErrEnded))).To(BeTrue())
		Expect(transient(fmt.Errorf("look: %w", condition.ErrCost))).To(BeFalse())
	})
})
