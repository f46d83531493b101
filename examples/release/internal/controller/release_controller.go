// Package controller reconciles Releases.
package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	deliveryv1 "example.com/release-operator/api/v1"
)

// ReleaseReconciler reconciles a Release object.
type ReleaseReconciler struct {
	client.Client
	Scheme *runtime.Scheme
}

// +kubebuilder:rbac:groups=delivery.example.com,resources=releases,verbs=get;list;watch
// +kubebuilder:rbac:groups=delivery.example.com,resources=releases/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;patch

// Reconcile gives the image to the Deployment, and follows its rollout.
func (r *ReleaseReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	rel := &deliveryv1.Release{}
	if err := r.Get(ctx, req.NamespacedName, rel); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}

	if rel.Status.Phase == "" {
		rel.Status.Phase = "Pending"
		if err := r.Status().Update(ctx, rel); err != nil {
			return ctrl.Result{}, err
		}
	}

	deployment := &appsv1.Deployment{}
	if err := r.Get(ctx, client.ObjectKey{Namespace: rel.Namespace, Name: rel.Spec.Deployment}, deployment); err != nil {
		return ctrl.Result{}, r.fail(ctx, rel, fmt.Errorf("get deployment %s: %w", rel.Spec.Deployment, err))
	}
	if len(deployment.Spec.Template.Spec.Containers) == 0 {
		return ctrl.Result{}, r.fail(ctx, rel, fmt.Errorf("deployment %s has no container", rel.Spec.Deployment))
	}

	if rel.Status.Image != rel.Spec.Image {
		return ctrl.Result{}, r.release(ctx, rel, deployment)
	}
	if rel.Status.Phase == "Progressing" && available(deployment) {
		return ctrl.Result{}, r.live(ctx, req)
	}
	return ctrl.Result{}, nil
}

// release changes the image, and then patches the status.
func (r *ReleaseReconciler) release(ctx context.Context, rel *deliveryv1.Release, deployment *appsv1.Deployment) error {
	changed := deployment.DeepCopy()
	changed.Spec.Template.Spec.Containers[0].Image = rel.Spec.Image
	if err := r.Patch(ctx, changed, client.StrategicMergeFrom(deployment)); err != nil {
		return r.fail(ctx, rel, fmt.Errorf("patch deployment %s: %w", deployment.Name, err))
	}

	before := rel.DeepCopy()
	rel.Status.Phase = "Progressing"
	rel.Status.Image = rel.Spec.Image
	rel.Status.Releases++
	rel.Status.Message = ""
	setAvailable(rel, metav1.ConditionFalse, "Progressing")
	return r.Status().Patch(ctx, rel, client.MergeFrom(before))
}

// live is called when the Deployment runs the image. Others write the status, too, so it is read again after a conflict.
func (r *ReleaseReconciler) live(ctx context.Context, req ctrl.Request) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		rel := &deliveryv1.Release{}
		if err := r.Get(ctx, req.NamespacedName, rel); err != nil {
			return client.IgnoreNotFound(err)
		}
		rel.Status.Phase = "Live"
		setAvailable(rel, metav1.ConditionTrue, "Live")
		return r.Status().Update(ctx, rel)
	})
}

// fail records an error in the status, and returns it.
func (r *ReleaseReconciler) fail(ctx context.Context, rel *deliveryv1.Release, cause error) error {
	before := rel.DeepCopy()
	rel.Status.Phase = "Failed"
	rel.Status.Message = cause.Error()
	setAvailable(rel, metav1.ConditionFalse, "Failed")
	if err := r.Status().Patch(ctx, rel, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("%w, and the status does not say so: %w", cause, err)
	}
	return cause
}

func setAvailable(rel *deliveryv1.Release, status metav1.ConditionStatus, reason string) {
	meta.SetStatusCondition(&rel.Status.Conditions, metav1.Condition{
		Type: "Available", Status: status, Reason: reason, Message: rel.Status.Message, ObservedGeneration: rel.Generation,
	})
}

func available(deployment *appsv1.Deployment) bool {
	s := deployment.Status
	return s.ObservedGeneration >= deployment.Generation && s.UpdatedReplicas > 0 && s.AvailableReplicas >= s.UpdatedReplicas
}

// SetupWithManager sets up the controller with the Manager.
func (r *ReleaseReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&deliveryv1.Release{}).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(r.ofDeployment)).
		Named("release").
		Complete(r)
}

// ofDeployment finds the Releases of a Deployment.
func (r *ReleaseReconciler) ofDeployment(ctx context.Context, deployment client.Object) []reconcile.Request {
	all := &deliveryv1.ReleaseList{}
	if err := r.List(ctx, all, client.InNamespace(deployment.GetNamespace())); err != nil {
		return nil
	}
	var requests []reconcile.Request
	for i := range all.Items {
		if all.Items[i].Spec.Deployment == deployment.GetName() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
	}
	return requests
}
