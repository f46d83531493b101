// Package controller reconciles Buckets.
package controller

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	storagev1 "example.com/bucket-operator/api/v1"
)

// finalizer keeps a Bucket until the storage service has removed what it stands for.
const finalizer = "storage.example.com/bucket"

// BucketReconciler reconciles a Bucket object.
type BucketReconciler struct {
	client.Client
	Scheme *runtime.Scheme
	// URL of the storage service.
	URL string
}

// +kubebuilder:rbac:groups=storage.example.com,resources=buckets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=storage.example.com,resources=buckets/status,verbs=get;update;patch

// Reconcile tells the storage service which buckets there are.
func (r *BucketReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	bucket := &storagev1.Bucket{}
	if err := r.Get(ctx, req.NamespacedName, bucket); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !bucket.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.remove(ctx, bucket)
	}

	before := bucket.DeepCopy()
	if controllerutil.AddFinalizer(bucket, finalizer) {
		if err := r.Patch(ctx, bucket, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
			return ctrl.Result{}, err
		}
	}
	if bucket.Status.QuotaGiB == bucket.Spec.QuotaGiB {
		return ctrl.Result{}, nil
	}

	if bucket.Status.State == "" {
		bucket.Status.State = "Creating"
		if err := r.Status().Update(ctx, bucket); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.call(ctx, http.MethodPut, bucket, fmt.Sprint(bucket.Spec.QuotaGiB)); err != nil {
		return ctrl.Result{}, r.fail(ctx, bucket, err)
	}
	bucket.Status.State, bucket.Status.Reason = "Ready", ""
	bucket.Status.QuotaGiB = bucket.Spec.QuotaGiB
	return ctrl.Result{}, r.Status().Update(ctx, bucket)
}

// remove cleans up outside, and lets the Bucket go.
func (r *BucketReconciler) remove(ctx context.Context, bucket *storagev1.Bucket) error {
	if !controllerutil.ContainsFinalizer(bucket, finalizer) {
		return nil
	}
	if err := r.call(ctx, http.MethodDelete, bucket, ""); err != nil {
		return r.fail(ctx, bucket, err)
	}
	before := bucket.DeepCopy()
	controllerutil.RemoveFinalizer(bucket, finalizer)
	return client.IgnoreNotFound(r.Patch(ctx, bucket, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

// fail records an error in the status, and returns it.
func (r *BucketReconciler) fail(ctx context.Context, bucket *storagev1.Bucket, cause error) error {
	before := bucket.DeepCopy()
	bucket.Status.State, bucket.Status.Reason = "Failed", cause.Error()
	if err := r.Status().Patch(ctx, bucket, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("%w, and the status does not say so: %w", cause, err)
	}
	return cause
}

// call is idempotent, both ways.
func (r *BucketReconciler) call(ctx context.Context, method string, bucket *storagev1.Bucket, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, r.URL+"/buckets/"+url.PathEscape(bucket.Name), strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s bucket %s: the storage service answered %s", method, bucket.Name, answer.Status)
	}
	return nil
}

// SetupWithManager sets up the controller with the Manager.
func (r *BucketReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&storagev1.Bucket{}).
		Named("bucket").
		Complete(r)
}
