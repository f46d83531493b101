package lifecycle

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// +kubebuilder:rbac:groups=holdfast.dev,resources=remediationrequests,verbs=get;list;watch

// ForeignRemediation says why a resource may not write into the trail of the remediation that it names, "" if it may.
//
// The key of that trail is a uid, and whoever makes the resource chooses it. So it must be the uid of the live request of that name in the resource's namespace. A workflow that
// is made by hand, without a request, has an id that is no UUID: no request can ever have it. Only resources without an entry are checked, since the request may be gone
// later. cached may be behind, so live decides.
func ForeignRemediation(ctx context.Context, cached, live client.Reader, obj outbox.Object, ref v1alpha1.RemediationRef) (string, error) {
	if o := outboxapi.Get(obj); o != nil && o.LastSequence > 0 {
		return "", nil
	}
	var rr *v1alpha1.RemediationRequest
	key := client.ObjectKey{Namespace: obj.GetNamespace(), Name: ref.Name}
	for _, reader := range []client.Reader{cached, live} {
		rr = &v1alpha1.RemediationRequest{} // the cache's copy of a request that is gone must not count
		err := reader.Get(ctx, key, rr)
		switch {
		case err == nil && rr.UID == ref.UID:
			return "", nil
		case err != nil && !apierrors.IsNotFound(err):
			return "", fmt.Errorf("read the request that remediationRef names: %w", err)
		}
	}
	switch {
	case rr.UID != "":
		return fmt.Sprintf("spec.remediationRef.uid is %.64q, expected %q, the uid of RemediationRequest %s", ref.UID, rr.UID, ref.Name), nil
	case uuid.Validate(string(ref.UID)) == nil:
		return fmt.Sprintf("spec.remediationRef names RemediationRequest %.253q (uid %.64q), which is not in this namespace; expected a live request, or for work by hand an id that is no UUID",
			ref.Name, ref.UID), nil
	}
	return "", nil
}

// EventRefused is the event of the one entry of a resource that may not write into the trail that it names.
const EventRefused = "RemediationRefused"

// RefuseRemediation puts into the conditions that a resource may not write into the trail of the remediation that it names.
func RefuseRemediation(obj outbox.Object, why string) {
	_, conditions := obj.OutboxStatus()
	meta.SetStatusCondition(conditions, metav1.Condition{Type: v1alpha1.ConditionRemediationRefused, Status: metav1.ConditionTrue, Reason: "NotTheLiveRequest",
		Message: outbox.Bound(why, 1024), ObservedGeneration: obj.GetGeneration()})
}

// RemediationID is the remediation_id of a resource's records: its remediation's uid, or its own when it may not write into that trail.
func RemediationID(obj outbox.Object, ref v1alpha1.RemediationRef) string {
	if _, conditions := obj.OutboxStatus(); meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionRemediationRefused) {
		return string(obj.GetUID())
	}
	return string(ref.UID)
}
