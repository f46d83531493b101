package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// BlockedRetry is the requeue delay of a resource that waits for somebody else. An event may start the reconciler earlier.
const BlockedRetry = 10 * time.Second

// UnknownPhase ends the reconcile of a resource whose phase this release does not know. A newer release wrote the phase, and will continue the work. So the reconciler changes nothing
// and does not retry; it logs an error. Cancellation and deletion are checked before the phase, so they work for such a resource too.
func UnknownPhase(ctx context.Context, phase string) (ctrl.Result, error) {
	logf.FromContext(ctx).Error(nil, "Unknown phase; the resource is left unchanged. Run the release that wrote it", "phase", phase)
	return ctrl.Result{}, nil
}

// Closed reports whether a resource's record is closed: its last entry was written.
func Closed(obj outbox.Object) bool {
	o := outboxapi.Get(obj)
	return o != nil && o.Closed
}

// Released reports whether a resource is in deletion without the outbox finalizer. It gets no more entries.
func Released(obj outbox.Object) bool {
	return obj.GetDeletionTimestamp() != nil && !controllerutil.ContainsFinalizer(obj, outbox.Finalizer)
}

// Phase is a phase of one of the kinds.
type Phase interface {
	~string
	Final() bool
}

// SetReady recomputes the Ready condition from the phase: Unknown until the phase is final, then True if it is the one that means success, else False. Whatever the ending, it
// adds the condition Finished, which `kubectl wait` can wait for.
func SetReady[P Phase](obj outbox.Object, phase, success P, message string) {
	status := metav1.ConditionUnknown
	switch {
	case phase == success:
		status = metav1.ConditionTrue
	case phase.Final():
		status = metav1.ConditionFalse
	}
	condition := metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: string(phase), Message: outbox.Bound(message, 1024), ObservedGeneration: obj.GetGeneration()}
	_, conditions := obj.OutboxStatus()
	meta.SetStatusCondition(conditions, condition)
	if phase.Final() {
		condition.Type, condition.Status, condition.Message = v1alpha1.ConditionFinished, metav1.ConditionTrue, ""
		meta.SetStatusCondition(conditions, condition)
	}
	if len(*conditions) > maxConditions {
		*conditions = slices.DeleteFunc(*conditions, func(c metav1.Condition) bool { return !slices.Contains(ourConditions, c.Type) })
	}
}

// maxConditions is how many the CRDs take. Anybody who may write the status may have filled them up: a resource that could not take its last condition could not end, nor be deleted.
const maxConditions = 16

// ourConditions are those that the controllers set.
var ourConditions = []string{
	v1alpha1.ConditionReady, v1alpha1.ConditionFinished, v1alpha1.ConditionRemediationRefused, v1alpha1.ConditionDecisionRefused, v1alpha1.ConditionForeignChild, v1alpha1.ConditionCoolingDown,
	v1alpha1.ConditionAnalysisBlocked, v1alpha1.ConditionWorkflowBlocked, v1alpha1.ConditionNotificationBlocked, v1alpha1.ConditionApprovalNotificationBlocked, outbox.ConditionBlocked,
}

// Announce emits a Kubernetes Event for a transition that was saved. note has the details.
func Announce(recorder events.EventRecorder, obj outbox.Object, eventType, event, note string) {
	recorder.Eventf(obj, nil, eventType, event, event, "%s", outbox.Bound(note, 1000))
}

// Normal and Warning are the types of Events.
const (
	Normal  = corev1.EventTypeNormal
	Warning = corev1.EventTypeWarning
)

// Remaining is the time left until start+limit, zero when it has passed; ok is false when there is no limit.
func Remaining(start time.Time, limit *metav1.Duration, now time.Time) (left time.Duration, ok bool) {
	if limit == nil {
		return 0, false
	}
	return max(0, start.Add(limit.Duration).Sub(now)), true
}

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get

// NamespaceEnding reports whether a namespace is being deleted, or gone. Nothing new starts there. live reads from the API server, not from a cache.
func NamespaceEnding(ctx context.Context, live client.Reader, namespace string) (bool, error) {
	ns := &corev1.Namespace{}
	if err := live.Get(ctx, client.ObjectKey{Name: namespace}, ns); err != nil {
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, fmt.Errorf("read namespace %s: %w", namespace, err)
	}
	return ns.DeletionTimestamp != nil, nil
}
