package workflowexecution

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

var _ = Describe("A workflow", func() {
	var f *fixture
	var p *process
	var d *appsv1.Deployment
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
		d = f.deployment(template("web:2"))
	})

	scaleTo := func(n v1alpha1.ParameterValue, o ...stepOption) v1alpha1.WorkflowStep {
		return step("Scale", append(o, parameters{"replicas": n})...)
	}

	It("runs its steps, waits, verifies, and records every change", func() {
		f.report(d, 1)
		wfe := f.workflow(d, steps(scaleTo("2"), step("Wait", parameters{"for": "target.status.availableReplicas >= target.spec.replicas"}, within(2*time.Minute))),
			pre("target.spec.replicas >= 1"), post("target.status.availableReplicas >= target.spec.replicas"))

		res := p.drive(wfe)
		Expect(res.RequeueAfter).To(Equal(pollInterval))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(2)))
		f.report(d, 2)
		f.pass(3 * time.Second)
		live := p.run(wfe)

		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowCompleted))
		Expect(live).To(controllertest.HaveTrail("Created/Pending", "ValidationStarted/Validating", "ValidationPassed/Executing", "StepCompleted/Executing", "StepCompleted/Verifying", "Completed/Completed/final"))
		expectChain(live)
		ready := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionReady)
		Expect(ready.Status).To(Equal(metav1.ConditionTrue))
		r := lastRecord(live)
		Expect(r.Outcome).To(Equal("success"))
		Expect(r.EffectivenessScore).To(HaveValue(BeEquivalentTo(100)))
		Expect(r.RemediationID).To(Equal("by-hand"))
		Expect(r.PreConditionsPassed).To(HaveValue(BeTrue()))
		Expect(r.PostConditionsPassed).To(HaveValue(BeTrue()))
		Expect(r.ValidationResults).To(HaveLen(2))
		Expect([]*int64{r.TotalSteps, r.StepsSucceeded, r.StepsFailed, r.RetriesPerformed, r.RollbacksPerformed}).To(HaveExactElements(
			HaveValue(BeEquivalentTo(2)), HaveValue(BeEquivalentTo(2)), HaveValue(BeEquivalentTo(0)), HaveValue(BeEquivalentTo(0)), HaveValue(BeEquivalentTo(0))))
		Expect(r.TotalDurationSeconds).To(HaveValue(BeEquivalentTo(3)))
		Expect(r.StepsExecuted[0].Previous).To(HaveKeyWithValue("replicas", "3"))
		Expect(r.StepsExecuted[1].Duration).To(BeEquivalentTo(3))
		Expect(r.ActedAs).To(Equal("system:serviceaccount:" + f.namespace + ":" + account))
		Expect(r.WorkflowVersion).To(BeEmpty(), "it was made by hand")
		Expect(f.wire.effects).To(HaveLen(1))
		Expect(f.wire.effects[0].user).To(Equal("system:serviceaccount:" + f.namespace + ":" + account))
	})

	It("without an account fails validation", func() {
		wfe := f.workflow(d, steps(scaleTo("2")), as(""))
		live := p.run(wfe)
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.FailureReason).To(ContainSubstring("spec.serviceAccountName is empty"))
		Expect(live).To(controllertest.HaveTrail("Created/Pending", "ValidationStarted/Validating", "Failed/Failed/final"))
		r := lastRecord(live)
		Expect(r.ExecutionStartedAt.Time).To(BeTemporally("==", live.CreationTimestamp.Time))
		Expect(r.Outcome).To(Equal("failure"))
		Expect(r.ActedAs).To(BeEmpty())
		Expect(r.PreConditionsPassed).To(BeNil())
	})

	It("does nothing when a pre-condition does not hold", func() {
		wfe := f.workflow(d, steps(scaleTo("2")), pre("target.status.availableReplicas >= 1"))
		live := p.run(wfe)
		Expect(live.Status.FailureReason).To(ContainSubstring("ready: is false"))
		Expect(lastRecord(live).PreConditionsPassed).To(HaveValue(BeFalse()))
		Expect(f.wire.effects).To(BeEmpty())
	})

	DescribeTable("fails validation when an expression is wrong, before anything is done", func(change specOption, expected string) {
		live := p.run(f.workflow(d, steps(scaleTo("2")), change))
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.FailureReason).To(ContainSubstring(expected))
		Expect(live.Status.Steps).To(BeEmpty())
		Expect(lastRecord(live).ValidationResults).NotTo(BeEmpty())
	},
		Entry("pre", pre("target.spec.replicas >="), "pre-condition ready: expression does not compile"),
		Entry("post", post("1 + 1"), "post-condition helped: expression returns int"),
	)

	It("rolls back, newest first, when the post-conditions do not hold in time", func() {
		wfe := f.workflow(d, steps(scaleTo("5"), scaleTo("7"), step("RolloutRestart"), step("SetImage", parameters{"image": "web:3"})), post("target.status.availableReplicas >= 1"))
		live := p.run(wfe)
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live).To(controllertest.EndWithTrail("VerificationFailed/RollingBack", "StepRolledBack/RollingBack", "StepRolledBack/RollingBack", "StepRolledBack/RollingBack", "Failed/Failed/final"))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
		Expect(f.live(d).Spec.Template.Spec.Containers[0].Image).To(Equal("web:2"))
		r := lastRecord(live)
		Expect(r.Outcome).To(Equal("failure"))
		Expect(r.EffectivenessScore).To(HaveValue(BeZero()))
		Expect(r.RollbacksPerformed).To(HaveValue(BeEquivalentTo(3)))
		Expect(r.PostConditionsPassed).To(HaveValue(BeFalse()))
		Expect(r.FailureReason).To(ContainSubstring("helped: is false"))
		Expect(r.StepsExecuted[0].Status).To(Equal("rolled-back"))
		Expect(r.StepsExecuted[2].Status).To(Equal("success"), "a restart leaves nothing to undo")
	})

	It("gives post-conditions time to become true", func() {
		f.report(d, 0)
		wfe := f.workflow(d, steps(scaleTo("5")), post("target.status.availableReplicas >= 1"))
		Expect(p.drive(wfe).RequeueAfter).To(Equal(pollInterval))
		f.pass(15 * time.Second)
		Expect(p.drive(wfe).RequeueAfter).To(Equal(slowPollInterval))
		f.report(d, 5)
		Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
	})

	It("does not believe a status that is older than the spec", func() {
		f.report(d, 9)
		wfe := f.workflow(d, steps(scaleTo("5"), step("Wait", parameters{"for": "target.status.availableReplicas >= target.spec.replicas"}, within(10*time.Second))))
		live := p.run(wfe)
		Expect(live.Status.FailureReason).To(ContainSubstring("has not observed generation 2 yet"))
	})

	It("does not restore what somebody else has changed since", func() {
		wfe := f.workflow(d, steps(step("SetImage", parameters{"image": "web:3"}), scaleTo("5")), post("target.status.availableReplicas >= 1"))
		p.drive(wfe)
		changed := f.live(d)
		changed.Spec.Replicas = ptr.To(int32(9))
		Expect(env.Client.Update(f.ctx, changed)).To(Succeed())
		live := p.run(wfe)
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(9)))
		Expect(f.live(d).Spec.Template.Spec.Containers[0].Image).To(Equal("web:2"), "the older step is still undone")
		Expect(live).To(controllertest.EndWithTrail("VerificationFailed/RollingBack", "StepRollbackFailed/RollingBack", "StepRolledBack/RollingBack", "Failed/Failed/final"))
		r := lastRecord(live)
		Expect(r.Outcome).To(Equal("partial"))
		Expect(r.StepsExecuted[1].Message).To(ContainSubstring("somebody else changed the target"))
	})

	Describe("whose step fails", func() {
		never := func(o ...stepOption) v1alpha1.WorkflowStep {
			return step("Wait", append(o, parameters{"for": "false"}, within(5*time.Second))...)
		}

		It("is aborted, and leaves what was changed", func() {
			live := p.run(f.workflow(d, steps(scaleTo("5"), never(), scaleTo("6"))))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
			Expect(live.Status.FailureReason).To(Equal("step Wait failed: timed out after 5s: false is false"))
			Expect(live).To(controllertest.EndWithTrail("StepCompleted/Executing", "StepFailed/Executing", "Failed/Failed/final"))
			Expect(live.Status.Outcome).To(Equal("partial"))
			Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(5)))
		})

		It("is rolled back", func() {
			live := p.run(f.workflow(d, steps(scaleTo("5"), never(onFailure(v1alpha1.FailureRollback)))))
			Expect(live).To(controllertest.EndWithTrail("StepCompleted/Executing", "StepFailed/RollingBack", "StepRolledBack/RollingBack", "Failed/Failed/final"))
			Expect(live.Status.Outcome).To(Equal("failure"))
			Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
		})

		It("goes on", func() {
			live := p.run(f.workflow(d, steps(never(onFailure(v1alpha1.FailureContinue)), scaleTo("6")), post("target.spec.replicas == 6")))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowCompleted))
			r := lastRecord(live)
			Expect(r.Outcome).To(Equal("partial"))
			Expect(r.EffectivenessScore).To(HaveValue(BeEquivalentTo(80)))
			Expect(r.StepsFailed).To(HaveValue(BeEquivalentTo(1)))
			Expect(r.FailureReason).To(ContainSubstring("step Wait failed"))
		})

		It("has failed when no step succeeded", func() {
			live := p.run(f.workflow(d, steps(never(onFailure(v1alpha1.FailureContinue)))))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
			Expect(live.Status.Outcome).To(Equal("failure"))
		})

		It("is retried with a growing pause, and every attempt is recorded", func() {
			live := p.run(f.workflow(d, steps(never(retries(2)))))
			Expect(live).To(controllertest.EndWithTrail("StepAttemptFailed/Executing", "StepAttemptFailed/Executing", "StepFailed/Executing", "Failed/Failed/final"))
			r := lastRecord(live)
			Expect(r.RetriesPerformed).To(HaveValue(BeEquivalentTo(2)))
			Expect(r.StepsExecuted[0].Attempts).To(BeEquivalentTo(3))
			Expect(r.StepsExecuted[0].Duration).To(BeNumerically(">=", 5+2+5+4+5))
		})
	})

	It("times out, and rolls back if the step says so", func() {
		live := p.run(f.workflow(d, steps(scaleTo("5"), step("Wait", parameters{"for": "false"}, within(time.Hour), onFailure(v1alpha1.FailureRollback))),
			func(s *v1alpha1.WorkflowExecutionSpec) { s.Timeout = &metav1.Duration{Duration: 20 * time.Second} }))
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowTimedOut))
		Expect(live).To(controllertest.EndWithTrail("StepCompleted/Executing", "StepFailed/RollingBack", "StepRolledBack/RollingBack", "TimedOut/TimedOut/final"))
		Expect(live.Status.FailureReason).To(ContainSubstring("timed out after 20s at step Wait"))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
	})

	It("can be read and written by a Go client, which writes durations in its own way", func() {
		wfe := f.workflow(d, steps(step("Wait")), func(s *v1alpha1.WorkflowExecutionSpec) { s.Timeout = nil })
		raw := &unstructured.Unstructured{}
		raw.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WorkflowExecution"))
		Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(wfe), raw)).To(Succeed())
		timeout, _, err := unstructured.NestedString(raw.Object, "spec", "timeout")
		Expect(err).NotTo(HaveOccurred())
		Expect(timeout).To(Equal("30m"))
		live := f.get(wfe)
		live.Labels = map[string]string{"a": "b"}
		Expect(env.Client.Update(f.ctx, live)).To(Succeed())
		live.Spec.Timeout = &metav1.Duration{Duration: time.Hour}
		Expect(env.Client.Update(f.ctx, live)).To(MatchError(ContainSubstring("timeout is immutable")))
	})

	Describe("that is stopped", func() {
		It("ends its wait at once and leaves what was changed", func() {
			wfe := f.workflow(d, steps(scaleTo("5"), step("Wait", parameters{"for": "false"}), scaleTo("6")))
			p.drive(wfe)
			f.cancel(wfe)
			live := p.run(wfe)
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowCancelled))
			Expect(live.Status.FailureReason).To(Equal("the workflow was cancelled at step Wait"))
			Expect(live.Status.Outcome).To(Equal("partial"))
			Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(5)))
			expectChain(live)
		})

		It("ends before it began", func() {
			wfe := f.workflow(d, steps(scaleTo("5")))
			f.cancel(wfe)
			live := p.run(wfe)
			Expect(live).To(controllertest.HaveTrail("Cancelled/Cancelled/final"))
			Expect(live.Status.Outcome).To(Equal("failure"))
		})

		It("says that it was deleted", func() {
			wfe := f.workflow(d, steps(step("Wait", parameters{"for": "false"})))
			p.drive(wfe)
			Expect(env.Client.Delete(f.ctx, wfe)).To(Succeed())
			live := p.run(wfe)
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowCancelled))
			Expect(live.Status.FailureReason).To(ContainSubstring("was deleted at step Wait"))
		})

		It("finishes a rollback first", func() {
			wfe := f.workflow(d, steps(scaleTo("5"), step("Wait", parameters{"for": "false"}, within(time.Second), onFailure(v1alpha1.FailureRollback))))
			p.drive(wfe)
			f.pass(time.Second)
			_, err := p.try(wfe)
			Expect(err).NotTo(HaveOccurred())
			Expect(f.get(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowRollingBack))
			f.cancel(wfe)
			live := p.run(wfe)
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowCancelled))
			Expect(live.Status.RollbacksPerformed).To(BeEquivalentTo(1))
			Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
		})

		It("is left alone when it goes without our finalizer", func() {
			wfe := f.workflow(d, steps(scaleTo("5")))
			Expect(env.Client.Patch(f.ctx, f.get(wfe), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/other","holdfast.dev/outbox"]}}`)))).To(Succeed())
			Expect(env.Client.Delete(f.ctx, wfe)).To(Succeed())
			Expect(env.Client.Patch(f.ctx, f.get(wfe), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/other"]}}`)))).To(Succeed())
			_, err := p.try(wfe)
			Expect(err).NotTo(HaveOccurred())
			Expect(f.get(wfe).Status.Outbox.IsZero()).To(BeTrue())
		})
	})

	It("says clearly that its target is gone", func() {
		gone := d.DeepCopy()
		gone.Name = "nobody"
		live := p.run(f.workflow(gone, steps(scaleTo("2", retries(3)))))
		Expect(live.Status.FailureReason).To(ContainSubstring("nobody does not exist"))
		Expect(live.Status.Steps[0].Attempt).To(BeEquivalentTo(1), "a retry cannot help")
	})

	It("pauses a step while its outbox is full, and still ends when it is cancelled", func() {
		f.store = (&testenv.Watermarks{}).WithLimits(outbox.Limits{EntryBytes: 64 << 10, SoftBytes: 200 << 10, HardBytes: 256 << 10, HardEntries: 8})
		p = f.start()
		var pauses []v1alpha1.WorkflowStep
		for range 10 {
			pauses = append(pauses, step("Wait", parameters{"seconds": "0"}))
		}
		wfe := f.workflow(d, steps(pauses...))
		Expect(p.drive(wfe).RequeueAfter).To(Equal(10 * time.Second))
		blocked := f.get(wfe)
		Expect(meta.IsStatusConditionTrue(blocked.Status.Conditions, outbox.ConditionBlocked)).To(BeTrue())
		Expect(blocked.Status.Phase).To(Equal(v1alpha1.WorkflowExecuting))
		f.cancel(wfe)
		Expect(p.run(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowCancelled))
	})

	It("stays as it is in a phase that this release does not know", func() {
		wfe := f.get(f.workflow(d, steps(scaleTo("5"))))
		wfe.Status.Phase = "Negotiating"
		before := wfe.DeepCopy()
		res, err := p.phase(f.ctx, &scope{wfe: wfe, status: &wfe.Status, now: f.clock.Now()})
		Expect(err).NotTo(HaveOccurred())
		Expect(res).To(BeZero())
		Expect(wfe).To(Equal(before))
		Expect(f.get(wfe).ResourceVersion).To(Equal(before.ResourceVersion))
	})

	It("fails in a namespace that is being deleted", func() {
		wfe := f.workflow(d, steps(scaleTo("5")))
		Expect(env.Client.Delete(f.ctx, namespaceOf(f))).To(Succeed())
		live := p.run(wfe)
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		Expect(live.Status.FailureReason).To(ContainSubstring("namespace " + f.namespace + " is being deleted"))
	})
})
