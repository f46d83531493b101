// Package lifecycle has what the four reconcilers share around their phases: how a reconcile ends, the Ready condition, Events, and deadlines. What a phase does
// stays in the reconcilers.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

// BlockedRetry is how soon a controller looks again after its outbox had no room, beside the event that the relay's trim brings.
const BlockedRetry = 10 * time.Second

// Result ends a reconcile. Conflicts are silent, since the event of the newer version starts the reconciler again; so is a resource that is on its way out
// without our finalizer.
func Result(res ctrl.Result, err error) (ctrl.Result, error) {
	if err = outbox.IgnoreConflict(err); err == nil || errors.Is(err, outbox.ErrReleased) {
		return res, nil
	}
	if errors.Is(err, outbox.ErrFull) {
		return ctrl.Result{RequeueAfter: BlockedRetry}, nil
	}
	return ctrl.Result{}, err
}

// SetReady recomputes the Ready condition from the phase: Unknown while it works, then True or False.
func SetReady(obj outbox.ConditionedObject, phase string, final, succeeded bool, message string) {
	status := metav1.ConditionUnknown
	switch {
	case final && succeeded:
		status = metav1.ConditionTrue
	case final:
		status = metav1.ConditionFalse
	}
	if len(message) > 1024 {
		message = outbox.Bound(message, 1024)
	}
	conditions := obj.GetConditions()
	meta.SetStatusCondition(&conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: phase, Message: message, ObservedGeneration: obj.GetGeneration()})
	obj.SetConditions(conditions)
}

// Announce makes a Kubernetes Event for a transition that was saved.
func Announce(recorder events.EventRecorder, obj outbox.Object, eventType, event, note string) {
	if note == "" {
		note = event
	}
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

// NamespaceEnding tells whether a namespace is being deleted, or gone. Nothing new is begun there. live reads from the API server, not from a cache.
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
