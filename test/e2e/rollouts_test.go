//go:build unix

package e2e

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/outbox"
)

// workflow makes a workflow of these steps for the target.
func (f *fixture) workflow(target client.Object, steps ...v1alpha1.WorkflowStep) *v1alpha1.WorkflowExecution {
	f.t.Helper()
	gvk, err := f.client.GroupVersionKindFor(target)
	f.Expect(err).NotTo(HaveOccurred())
	wfe := &v1alpha1.WorkflowExecution{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, GenerateName: "fix-", Finalizers: []string{outbox.Finalizer}}, Spec: v1alpha1.WorkflowExecutionSpec{
		RemediationRef: v1alpha1.RemediationRef{Name: "by-hand", UID: "by-hand"}, WorkflowID: "by-hand", ServiceAccountName: "remediator",
		Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: gvk.Kind, Name: target.GetName()}, Steps: steps,
	}}
	f.create(wfe)
	return wfe
}

// run makes a workflow and waits until it has ended.
func (f *fixture) run(target client.Object, steps ...v1alpha1.WorkflowStep) *v1alpha1.WorkflowExecution {
	f.t.Helper()
	wfe := f.workflow(target, steps...)
	f.Eventually(func() bool { f.read(wfe); return wfe.Status.Phase.Final() }).Should(BeTrue())
	return wfe
}

// The controllers of the real cluster set the counters that WaitForRollout reads.
func TestRolloutsOfEveryKindAreWaitedForAsTheirStrategySays(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	labels := map[string]string{"app": "db"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/db:v1"}}}}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	meta := metav1.ObjectMeta{Namespace: f.namespace, Name: "db"}
	set := &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](2), Selector: selector, Template: template}}
	daemons := &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}
	f.create(set)
	f.create(daemons)
	image := func(tag string) v1alpha1.WorkflowStep {
		return v1alpha1.WorkflowStep{Name: "image", Action: "SetImage", Parameters: map[string]v1alpha1.ParameterValue{"image": v1alpha1.ParameterValue("example.com/db:" + tag)}}
	}
	restart := v1alpha1.WorkflowStep{Name: "restart", Action: "RestartPods"}
	wait := v1alpha1.WorkflowStep{Name: "wait", Action: "WaitForRollout", OnFailure: v1alpha1.FailureRollback, Timeout: &metav1.Duration{Duration: time.Hour}}
	strategy := func(target client.Object, text string) {
		t.Helper()
		f.Expect(f.client.Patch(ctx, target, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"updateStrategy":`+text+`}}`)))).To(Succeed())
	}
	person := func(target client.Object, reason string) {
		t.Helper()
		ended := f.run(target, image("v9"), wait)
		f.Expect(ended.Status.FailureReason).To(And(ContainSubstring("step wait failed: manual action is needed"), ContainSubstring(reason)))
		f.Expect(ended.Status.RollbacksPerformed).To(BeEquivalentTo(1))
	}
	for _, target := range []client.Object{set, daemons} {
		f.Expect(f.run(target, wait).Status.Outcome).To(Equal("success"))
		f.Expect(f.run(target, image("v2"), wait).Status.Outcome).To(Equal("success"))
	}
	strategy(set, `{"type":"RollingUpdate","rollingUpdate":{"partition":1}}`)
	person(set, "the partition of StatefulSet "+f.namespace+"/db is 1: 1 of its pods keep the old template")
	for _, target := range []client.Object{set, daemons} {
		strategy(target, `{"type":"OnDelete","rollingUpdate":null}`)
		person(target, "is OnDelete")
		f.Expect(f.run(target, image("v3"), restart, wait).Status.Outcome).To(Equal("success"))
	}
	f.read(daemons)
	f.Expect(daemons.Status.UpdatedNumberScheduled).To(Equal(daemons.Status.DesiredNumberScheduled))
}

func TestPodsAreRestartedAsTheirDisruptionBudgetPermits(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	labels := map[string]string{"app": "cart"}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "cart"}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/cart:v1"}}}}}}
	f.create(d)
	pdb := &policyv1.PodDisruptionBudget{ObjectMeta: d.ObjectMeta, Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: ptr.To(intstr.FromInt32(1)), Selector: d.Spec.Selector}}
	pdb.ResourceVersion, pdb.UID = "", ""
	f.create(pdb)
	f.Eventually(func() int32 { f.read(pdb); return pdb.Status.DisruptionsAllowed }).Should(BeEquivalentTo(1))
	uids := func() map[types.UID]bool {
		pods, all := &corev1.PodList{}, map[types.UID]bool{}
		f.Expect(f.client.List(ctx, pods, client.InNamespace(f.namespace), client.MatchingLabels(labels))).To(Succeed())
		for i := range pods.Items {
			if pods.Items[i].DeletionTimestamp == nil {
				all[pods.Items[i].UID] = true
			}
		}
		return all
	}
	before := uids()

	workflows, err := catalogue.Default()
	f.Expect(err).NotTo(HaveOccurred())
	workflow, _ := workflows.Get("restart-pods")
	plan, err := workflow.Render(nil)
	f.Expect(err).NotTo(HaveOccurred())
	ended := f.workflow(d, plan.Steps...)
	f.Eventually(func() string {
		f.read(ended)
		if len(ended.Status.Steps) == 0 {
			return ""
		}
		return ended.Status.Steps[0].Message
	}).Should(MatchRegexp(`evicted 1 of 3 pods; pod cart-.* cannot be evicted now: Cannot evict pod as it would violate`))
	f.Eventually(func() bool { f.read(ended); return ended.Status.Phase.Final() }).Should(BeTrue())
	f.Expect(ended.Status.Outcome).To(Equal("success"), ended.Status.FailureReason)
	f.Expect(ended.Status.Steps[0].Message).To(Equal("restarted 3 pods"))
	after := uids()
	f.Expect(after).To(HaveLen(3))
	for uid := range before {
		f.Expect(after).NotTo(HaveKey(uid))
	}
}
