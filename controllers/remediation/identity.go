package remediation

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/guard"
	"github.com/holdfast-dev/holdfast/outbox"
)

// IdentityPolicy names the ValidatingAdmissionPolicy, and its binding, that make sure who asks and who cancels.
const IdentityPolicy = "holdfast-identity"

var identities = guard.Policy{Name: IdentityPolicy, Resource: "remediationrequests", Texts: []string{"request.userInfo.username", "requestedBy", "cancelledBy"},
	Lacks: "does not compare requestedBy and cancelledBy with request.userInfo.username"}

// nameBytes bounds a user name in the status and in the record, whose column has 255 characters.
const nameBytes = 255

// checkedName is a name of the spec, if the policy that compares it with the caller has been in force since the request was made. Otherwise it is empty: anybody may have written it.
func (r *Reconciler) checkedName(ctx context.Context, rr *v1alpha1.RemediationRequest, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	problem, err := identities.Problem(ctx, r.live, rr.CreationTimestamp.Time)
	if err != nil || problem != "" {
		return "", err
	}
	return outbox.Bound(name, nameBytes), nil
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets,verbs=get

// identify notes who asked, and which target stands behind the name. Both are looked at once, as the request is taken up.
func (r *Reconciler) identify(ctx context.Context, s *scope) (err error) {
	st := &s.rr.Status
	if st.RequestedBy, err = r.checkedName(ctx, s.rr, s.rr.Spec.RequestedBy); err != nil {
		return err
	}
	target := s.rr.Spec.Target
	if target.APIVersion != appsv1.SchemeGroupVersion.String() || !slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, target.Kind) {
		return nil // the controller has no right to read others
	}
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(schema.FromAPIVersionAndKind(target.APIVersion, target.Kind))
	err = r.live.Get(ctx, client.ObjectKey{Namespace: s.rr.Namespace, Name: target.Name}, live)
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		return nil
	case err != nil:
		return fmt.Errorf("read the target: %w", err)
	}
	st.TargetUID = live.UID
	return nil
}

// noteCanceller notes who cancelled. Who deletes a request is not known: the API server's audit log says it.
func (r *Reconciler) noteCanceller(ctx context.Context, rr *v1alpha1.RemediationRequest) (err error) {
	if rr.Spec.Cancel {
		rr.Status.CancelledBy, err = r.checkedName(ctx, rr, rr.Spec.CancelledBy)
	}
	return err
}
