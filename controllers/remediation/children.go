package remediation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

// errRefused says that the API server will never accept a child as it is.
var errRefused = errors.New("refused")

// childName follows from the request's name and uid: a request that is made again under its name does not find its predecessor's children.
func childName(rr *v1alpha1.RemediationRequest, part string) string {
	name := rr.Name
	if most := 253 - len(part) - 10; len(name) > most {
		name = name[:most]
	}
	sum := sha256.Sum256([]byte(rr.UID))
	return fmt.Sprintf("%s-%s-%s", name, hex.EncodeToString(sum[:4]), part)
}

func analysisName(rr *v1alpha1.RemediationRequest) string     { return childName(rr, "analysis") }
func workflowName(rr *v1alpha1.RemediationRequest) string     { return childName(rr, "workflow") }
func notificationName(rr *v1alpha1.RemediationRequest) string { return childName(rr, "notification") }

// create makes a child, or finds the one that an earlier attempt created. It carries the outbox finalizer from the beginning, and the request's trace context.
func (r *Reconciler) create(ctx context.Context, rr *v1alpha1.RemediationRequest, name string, child outbox.Object) error {
	child.SetNamespace(rr.Namespace)
	child.SetName(name)
	child.SetFinalizers([]string{outbox.Finalizer})
	child.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "holdfast"})
	annotations := map[string]string{}
	if tp, ok := rr.Annotations[outbox.TraceparentAnnotation]; ok {
		annotations[outbox.TraceparentAnnotation] = tp
	}
	child.SetAnnotations(annotations)
	if err := controllerutil.SetControllerReference(rr, child, r.client.Scheme()); err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	err := r.client.Create(ctx, child)
	switch {
	case apierrors.IsAlreadyExists(err):
		return r.find(ctx, rr, name, child)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("%w: make %s: the namespace is terminating", errRefused, name)
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
		return fmt.Errorf("%w: make %s: %w", errRefused, name, err)
	case err != nil:
		return fmt.Errorf("make %s: %w", name, err)
	}
	return nil
}

func (r *Reconciler) find(ctx context.Context, rr *v1alpha1.RemediationRequest, name string, child outbox.Object) error {
	if err := r.live.Get(ctx, client.ObjectKey{Namespace: rr.Namespace, Name: name}, child); err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if !metav1.IsControlledBy(child, rr) {
		return fmt.Errorf("%w: make %s: a resource of that name belongs to somebody else", errRefused, name)
	}
	return nil
}

// cancelChildren asks every child that is not closed to stop, and tells how many those are.
func (r *Reconciler) cancelChildren(ctx context.Context, s *scope) (open int, _ error) {
	for _, child := range s.children() {
		if closed(child) {
			continue
		}
		open++
		if cancelled(child) || child.GetDeletionTimestamp() != nil {
			continue
		}
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
		if err := r.client.Patch(ctx, child, patch); client.IgnoreNotFound(err) != nil {
			return open, fmt.Errorf("cancel %s: %w", child.GetName(), err)
		}
	}
	return open, nil
}

func cancelled(child outbox.Object) bool {
	switch c := child.(type) {
	case *v1alpha1.AIAnalysis:
		return c.Spec.Cancel
	case *v1alpha1.WorkflowExecution:
		return c.Spec.Cancel
	case *v1alpha1.NotificationRequest:
		return c.Spec.Cancel
	}
	return false
}

func refTo(rr *v1alpha1.RemediationRequest) v1alpha1.RemediationRef {
	return v1alpha1.RemediationRef{Name: rr.Name, UID: rr.UID}
}
