package workflowexecution

import (
	"encoding/json"
	"maps"
	"math"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// counts are fields of a workload's status.
type counts map[string]any

// reportCounts sets the status of a workload as its controller would, for the newest generation.
func (f *fixture) reportCounts(target client.Object, c counts) {
	GinkgoHelper()
	Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(target), target)).To(Succeed())
	status := counts{"observedGeneration": target.GetGeneration()}
	maps.Copy(status, c)
	text, err := json.Marshal(map[string]any{"status": status})
	Expect(err).NotTo(HaveOccurred())
	Expect(env.Client.Status().Patch(f.ctx, target, client.RawPatch(types.MergePatchType, text))).To(Succeed())
}

// fail gives a pod a container that waits for this reason.
func (f *fixture) fail(pod *corev1.Pod, reason string) {
	GinkgoHelper()
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", Image: "web:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "password=hunter2"}}}}
	Expect(env.Client.Status().Update(f.ctx, pod)).To(Succeed())
}

var _ = Describe("WaitForRollout", func() {
	var f *fixture
	var p *process
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
	})
	wait := func(o ...stepOption) v1alpha1.WorkflowStep {
		return step("WaitForRollout", append([]stepOption{within(24 * time.Hour)}, o...)...)
	}
	image := step("SetImage", parameters{"image": "web:9"})
	// last is the step that was begun last.
	last := func(wfe *v1alpha1.WorkflowExecution) v1alpha1.StepStatus {
		all := f.get(wfe).Status.Steps
		return all[len(all)-1]
	}

	Describe("of a Deployment", func() {
		var d *appsv1.Deployment
		BeforeEach(func() { d = f.deployment(template("web:2")) })

		It("shows how far it is, and what is wrong with the pods", func() {
			rs := f.replicaSet(d, 2, "web:9")
			f.fail(f.pod("web-hash2-x", labelled(map[string]string{"pod-template-hash": "hash2"}), ownedBy(rs)), "ImagePullBackOff")
			f.pod("stranger")
			f.reportCounts(d, counts{"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3})
			wfe := f.workflow(d, steps(image, wait()))
			Expect(p.drive(wfe).RequeueAfter).To(Equal(pollInterval))
			Expect(last(wfe).Message).To(ContainSubstring("its controller has not observed generation 2 yet, only 1"))
			f.reportCounts(d, counts{"replicas": 4, "updatedReplicas": 1, "readyReplicas": 3, "availableReplicas": 3})
			p.drive(wfe)
			Expect(last(wfe).Message).To(Equal("1 of 3 pods updated, 3 available, 3 old left; pod web-hash2-x: ImagePullBackOff in container app"))
			f.reportCounts(d, counts{"replicas": 4, "updatedReplicas": 3, "readyReplicas": 4, "availableReplicas": 4})
			p.drive(wfe)
			Expect(f.get(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowExecuting), "an old pod is left")
			f.reportCounts(d, counts{"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3})
			live := p.run(wfe)
			Expect(live.Status.Outcome).To(Equal("success"))
			Expect(live.Status.Steps[1].Message).To(Equal("3 of 3 pods updated, 3 available"))
		})

		patient := func(seconds int64) {
			GinkgoHelper()
			Expect(env.Client.Patch(f.ctx, d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"progressDeadlineSeconds":`+strconv.FormatInt(seconds, 10)+`}}`)))).To(Succeed())
			f.reportCounts(d, counts{"replicas": 3})
		}

		It("waits as long as pods come further, and no longer than progressDeadlineSeconds without", func() {
			patient(120)
			wfe := f.workflow(d, steps(wait(retries(0))))
			p.drive(wfe)
			for updated := range 3 {
				f.pass(119 * time.Second)
				f.reportCounts(d, counts{"replicas": 3, "updatedReplicas": updated + 1, "readyReplicas": 0})
				p.drive(wfe)
				Expect(f.get(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowExecuting))
			}
			began := f.clock.Now()
			live := p.run(wfe)
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
			Expect(live.Status.FailureReason).To(Equal("step WaitForRollout failed: no progress for 2m0s: 3 of 3 pods updated, 0 available"))
			Expect(f.clock.Now().Sub(began)).To(BeNumerically("~", 2*time.Minute, 3*time.Second))
		})

		It("does not take pods that come and go for progress", func() {
			patient(60)
			wfe := f.workflow(d, steps(wait()))
			p.drive(wfe)
			for i := range 8 {
				f.reportCounts(d, counts{"replicas": 3, "updatedReplicas": 3, "readyReplicas": i % 2, "availableReplicas": i % 2})
				p.drive(wfe)
				f.pass(10 * time.Second)
			}
			p.drive(wfe)
			Expect(f.get(wfe).Status.FailureReason).To(ContainSubstring("no progress for 1m0s: 3 of 3 pods updated"))
		})

		It("ends with the step's timeout, and with the workflow's", func() {
			patient(math.MaxInt32) // no deadline
			live := p.run(f.workflow(d, steps(wait(within(20*time.Minute)))))
			Expect(live.Status.FailureReason).To(Equal("step WaitForRollout failed: timed out after 20m0s: 0 of 3 pods updated, 0 available, 3 old left"))
			live = p.run(f.workflow(d, steps(wait()), func(s *v1alpha1.WorkflowExecutionSpec) { s.Timeout = &metav1.Duration{Duration: 15 * time.Minute} }))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowTimedOut))
			Expect(live.Status.FailureReason).To(Equal("the workflow timed out after 15m0s at step WaitForRollout: 0 of 3 pods updated, 0 available, 3 old left"))
		})

		It("needs no right to list pods", func() {
			f.grant("nearsighted", ruleFor("apps", "deployments", "get"))
			f.reportCounts(d, counts{"replicas": 3, "updatedReplicas": 3, "readyReplicas": 1, "availableReplicas": 1})
			wfe := f.workflow(d, steps(wait()), as("nearsighted"))
			p.drive(wfe)
			Expect(last(wfe).Message).To(Equal("3 of 3 pods updated, 1 available; pods not read: the service account may not list pods"))
			f.report(d, 3)
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})

		It("is what a Wait for the status tells of, too", func() {
			f.report(d, 1)
			live := p.run(f.workflow(d, steps(step("Wait", parameters{"for": "target.status.availableReplicas >= target.spec.replicas"}, within(5*time.Second)))))
			Expect(live.Status.FailureReason).To(Equal("step Wait failed: timed out after 5s: target.status.availableReplicas >= target.spec.replicas is false; 1 of 3 pods updated, 1 available"))
		})

		It("says that a paused one has to be resumed", func() {
			f.pause(d)
			f.reportCounts(d, counts{"replicas": 3, "updatedReplicas": 0})
			live := p.run(f.workflow(d, steps(wait(retries(3)))))
			Expect(live.Status.FailureReason).To(ContainSubstring("manual action is needed: Deployment " + f.namespace + "/web is paused; resume it (kubectl rollout resume)"))
			Expect(live.Status.Steps[0].Attempt).To(BeEquivalentTo(1))
		})

		It("is what post-conditions that do not hold are explained with, and they wait for minReadySeconds", func() {
			rs := f.replicaSet(d, 1, "web:2")
			f.fail(f.pod("web-hash1-x", labelled(map[string]string{"pod-template-hash": "hash1"}), ownedBy(rs)), "CrashLoopBackOff")
			Expect(env.Client.Patch(f.ctx, d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"minReadySeconds":120}}`)))).To(Succeed())
			f.report(d, 2)
			began := f.clock.Now()
			live := p.run(f.workflow(d, steps(step("Wait", parameters{"seconds": "0"})), post("target.status.availableReplicas >= target.spec.replicas")))
			Expect(live.Status.FailureReason).To(Equal("post-conditions did not hold within 2m20s: helped: is false; 2 of 3 pods updated, 2 available; pod web-hash1-x: CrashLoopBackOff in container app"))
			Expect(f.clock.Now().Sub(began)).To(BeNumerically(">=", 140*time.Second))
		})
	})

	Describe("of a StatefulSet", func() {
		var s *appsv1.StatefulSet
		BeforeEach(func() { s = f.statefulSet() })
		strategy := func(text string) {
			GinkgoHelper()
			Expect(env.Client.Patch(f.ctx, s, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"updateStrategy":`+text+`}}`)))).To(Succeed())
		}

		It("waits until there is one revision", func() {
			wfe := f.workflow(s, steps(image, wait()))
			p.drive(wfe)
			f.reportCounts(s, counts{"replicas": 3, "readyReplicas": 3, "availableReplicas": 3, "updatedReplicas": 1, "currentReplicas": 2, "currentRevision": "web-1", "updateRevision": "web-2"})
			p.drive(wfe)
			Expect(last(wfe).Message).To(HavePrefix("1 of 3 pods updated, 3 available, 2 old left"))
			f.reportCounts(s, counts{"updatedReplicas": 3, "currentReplicas": 3, "currentRevision": "web-2"})
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})

		It("does not wait for pods that a partition keeps at the old revision", func() {
			strategy(`{"type":"RollingUpdate","rollingUpdate":{"partition":2}}`)
			wfe := f.workflow(s, steps(image, wait(onFailure(v1alpha1.FailureRollback), retries(3))))
			p.drive(wfe)
			f.reportCounts(s, counts{"replicas": 3, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 0, "currentReplicas": 3, "currentRevision": "web-1", "updateRevision": "web-2"})
			p.drive(wfe)
			live := f.get(wfe)
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
			Expect(live.Status.Steps[1].Message).To(Equal("manual action is needed: the partition of StatefulSet " + f.namespace + "/web is 2: 2 of its pods keep the old template until somebody lowers " +
				"spec.updateStrategy.rollingUpdate.partition; 0 of 3 pods updated, 2 available, 3 old left"))
			Expect(live.Status.RollbacksPerformed).To(BeEquivalentTo(1))
		})

		It("takes a partitioned rollout of somebody else for what it is, as kubectl does", func() {
			strategy(`{"type":"RollingUpdate","rollingUpdate":{"partition":2}}`)
			wfe := f.workflow(s, steps(wait()))
			status := counts{"replicas": 3, "readyReplicas": 3, "availableReplicas": 2, "updatedReplicas": 1, "currentReplicas": 2, "currentRevision": "web-1", "updateRevision": "web-2"}
			f.reportCounts(s, status)
			p.drive(wfe)
			Expect(f.get(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowExecuting))
			status["availableReplicas"] = 3
			f.reportCounts(s, status)
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})

		It("says that OnDelete needs somebody who deletes the pods, unless that is done", func() {
			strategy(`{"type":"OnDelete","rollingUpdate":null}`)
			status := counts{"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "currentReplicas": 1, "currentRevision": "web-1", "updateRevision": "web-2"}
			Expect(env.Client.Patch(f.ctx, s, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":1}}`)))).To(Succeed())
			f.pod("web-0", ownedBy(s), labelled(map[string]string{"controller-revision-hash": "web-1"}))
			wfe := f.workflow(s, steps(image, wait(onFailure(v1alpha1.FailureRollback))))
			p.drive(wfe)
			f.reportCounts(s, status)
			p.drive(wfe)
			Expect(f.get(wfe).Status.Steps[1].Message).To(ContainSubstring("manual action is needed: the update strategy of StatefulSet " + f.namespace + "/web is OnDelete: 1 of its pods keep the old template until somebody deletes them"))

			wfe = f.workflow(s, steps(image, step("RestartPods"), wait()))
			p.drive(wfe)
			f.pod("web-0", ownedBy(s), labelled(map[string]string{"controller-revision-hash": "web-2"}))
			f.reportCounts(s, status)
			p.drive(wfe)
			Expect(f.get(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowExecuting), "the status is still that from before")
			status["updatedReplicas"] = 1
			f.reportCounts(s, status)
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})
	})

	Describe("of a DaemonSet", func() {
		status := func(updated, available int) counts {
			return counts{"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 2, "updatedNumberScheduled": updated, "numberAvailable": available}
		}

		It("counts nodes, and has ten minutes and minReadySeconds", func() {
			d := f.daemonSet()
			Expect(env.Client.Patch(f.ctx, d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"minReadySeconds":90}}`)))).To(Succeed())
			wfe := f.workflow(d, steps(image, wait()))
			p.drive(wfe)
			f.reportCounts(d, status(1, 2))
			p.drive(wfe)
			Expect(last(wfe).Message).To(Equal("1 of 2 pods updated, 2 available, 1 old left"))
			f.reportCounts(d, status(2, 1))
			f.pass(11 * time.Minute)
			p.drive(wfe)
			Expect(f.get(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowExecuting))
			Expect(p.run(wfe).Status.FailureReason).To(ContainSubstring("no progress for 11m30s: 2 of 2 pods updated, 1 available"))
			wfe = f.workflow(d, steps(wait()))
			f.reportCounts(d, status(2, 2))
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})

		It("says that OnDelete needs somebody who deletes the pods", func() {
			d := f.daemonSet()
			Expect(env.Client.Patch(f.ctx, d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`)))).To(Succeed())
			f.pod("old", ownedBy(d), labelled(map[string]string{"pod-template-generation": "1"}))
			f.pod("new", ownedBy(d), labelled(map[string]string{"pod-template-generation": "2"}))
			wfe := f.workflow(d, steps(image, wait()))
			p.drive(wfe)
			f.reportCounts(d, status(1, 2))
			p.drive(wfe)
			Expect(f.get(wfe).Status.FailureReason).To(ContainSubstring("the update strategy of DaemonSet " + f.namespace + "/web is OnDelete: 1 of its pods keep the old template until somebody deletes them; 1 of 2 pods updated"))
		})
	})

	It("is for workloads", func() {
		f.grant("config-reader", ruleFor("", "configmaps", "get"))
		c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "flag"}}
		Expect(env.Client.Create(f.ctx, c)).To(Succeed())
		Expect(p.run(f.workflow(c, steps(wait()), as("config-reader"))).Status.FailureReason).To(ContainSubstring("the target is a ConfigMap of v1, expected for WaitForRollout one of"))
	})
})
