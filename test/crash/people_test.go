package crash

import (
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

// decide is what people do when they see a resource. A request is cancelled or deleted by its name, and an analysis that nobody owns is decided by its own. One that has an owner is approved when the reminder
// was sent.
func decide(w *world, o outbox.Object) {
	switch o := o.(type) {
	case *v1alpha1.RemediationRequest:
		if o.Status.Phase != v1alpha1.RemediationAwaitingApproval {
			return
		}
		switch {
		case o.Name == "cancelled" && !o.Spec.Cancel:
			patch(w, o, `{"spec":{"cancel":true}}`)
		case o.Name == "deleted" && o.DeletionTimestamp == nil:
			if err := env.Client.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
				w.t.Errorf("delete %s: %v", o.Name, err)
			}
		}
	case *v1alpha1.AIAnalysis:
		if o.Status.Phase == v1alpha1.AnalysisAwaitingApproval && o.Spec.Decision == nil && metav1.GetControllerOf(o) == nil {
			patch(w, o, fmt.Sprintf(`{"spec":{"decision":{"verdict":%q,"method":"api","decidedBy":%q}}}`, decisions[o.Name], me()))
		}
	case *v1alpha1.NotificationRequest:
		if o.Spec.Purpose == v1alpha1.PurposeApprovalReminder && o.Status.Phase == v1alpha1.NotificationSent {
			approve(w, o)
		}
	}
}

// approve decides on the request that a message is about.
func approve(w *world, message *v1alpha1.NotificationRequest) {
	rr, a := &v1alpha1.RemediationRequest{}, &v1alpha1.AIAnalysis{}
	err := env.Client.Get(ctx, client.ObjectKey{Namespace: message.Namespace, Name: message.Spec.RemediationRef.Name}, rr)
	if err == nil {
		err = env.Client.Get(ctx, client.ObjectKey{Namespace: message.Namespace, Name: rr.Status.Analysis}, a)
	}
	switch {
	case client.IgnoreNotFound(err) != nil:
		w.t.Errorf("decide on %s: %v", message.Spec.RemediationRef.Name, err)
	case err == nil && a.Spec.Decision == nil:
		patch(w, a, fmt.Sprintf(`{"spec":{"decision":{"verdict":%q,"method":"api","decidedBy":%q}}}`, v1alpha1.VerdictApproved, me()))
	}
}

var decisions = map[string]v1alpha1.Verdict{"approved": v1alpha1.VerdictApproved, "rejected": v1alpha1.VerdictRejected}

// me is who the tests are to the API server.
var me = sync.OnceValue(func() string {
	review := &authenticationv1.SelfSubjectReview{}
	if err := env.Client.Create(ctx, review); err != nil {
		panic(err)
	}
	return review.Status.UserInfo.Username
})

func patch(w *world, o client.Object, merge string) {
	err := env.Client.Patch(ctx, o.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(merge)))
	if client.IgnoreNotFound(err) != nil {
		w.t.Errorf("patch %s %s: %v", kindOf(o), o.GetName(), err)
	}
}

// rollOut says what the Deployment controller, which envtest does not have, would say: that the newest spec is rolled out.
func rollOut(w *world, d *appsv1.Deployment) {
	if d.Status.ObservedGeneration == d.Generation {
		return
	}
	n := ptr.Deref(d.Spec.Replicas, 1)
	status := fmt.Sprintf(`{"status":{"observedGeneration":%d,"replicas":%d,"updatedReplicas":%d,"readyReplicas":%d,"availableReplicas":%d}}`, d.Generation, n, n, n, n)
	err := env.Client.Status().Patch(ctx, d.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(status)))
	if client.IgnoreNotFound(err) != nil {
		w.t.Errorf("roll out %s: %v", d.Name, err)
	}
}

// makeAgain is the other half of that controller: a pod that was deleted comes back under its name.
func makeAgain(w *world, gone *corev1.Pod) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: gone.Namespace, Name: gone.Name, Labels: gone.Labels, OwnerReferences: gone.OwnerReferences}, Spec: podSpec()}
	if err := env.Client.Create(ctx, pod); err != nil {
		w.t.Errorf("make pod %s again: %v", pod.Name, err)
	}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/cart:v1"}}}
}

// deployment makes a Deployment of three, and pods of it.
func deployment(w *world, name string, pods int) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec()}}}
	w.create(d)
	for i := range pods {
		w.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, i), Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}}, Spec: podSpec()})
	}
}
