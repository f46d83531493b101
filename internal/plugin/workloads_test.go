//go:build unix

package plugin_test

import (
	"regexp"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// broken makes a Deployment whose last rollout crash-loops.
func (f *fixture) broken(name string) *appsv1.Deployment {
	f.t.Helper()
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](1),
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/" + name + ":v1"}}}},
	}}
	f.create(d)
	f.Eventually(func() int32 { f.read(d); return d.Status.AvailableReplicas }).Should(BeEquivalentTo(1))
	f.Expect(api.Patch(ctx, d, client.RawPatch(types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example.com/`+name+`:crash"}]}}}}`)))).To(Succeed())
	f.Eventually(func() []string {
		pods := &corev1.PodList{}
		f.Expect(api.List(ctx, pods, client.InNamespace(f.namespace), client.MatchingLabels(labels))).To(Succeed())
		var waiting []string
		for i := range pods.Items {
			for _, s := range pods.Items[i].Status.ContainerStatuses {
				if s.State.Waiting != nil {
					waiting = append(waiting, s.State.Waiting.Reason)
				}
			}
		}
		return waiting
	}).Should(ContainElement("CrashLoopBackOff"))
	return d
}

// workflow is one by hand, without steps.
func (f *fixture) workflow(name string) *v1alpha1.WorkflowExecution {
	wfe := &v1alpha1.WorkflowExecution{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}
	wfe.Spec = v1alpha1.WorkflowExecutionSpec{RemediationRef: v1alpha1.RemediationRef{Name: "by-hand", UID: "by-hand"}, WorkflowID: "by-hand", ServiceAccountName: "remediator",
		Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"}}
	return wfe
}

// approver binds a user to the role of people who decide.
func (f *fixture) approver(user string) {
	f.t.Helper()
	f.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "approver-" + user},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-approver"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}})
}

var ofUID = regexp.MustCompile(`-[0-9a-f]{8}-`)

// hashless is an output without the part of names that comes from a uid.
func hashless(text string) string { return ofUID.ReplaceAllString(text, "-HASH-") }
