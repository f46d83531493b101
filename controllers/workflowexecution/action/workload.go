package action

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/outbox"
)

// FieldManager is the name under which the target's managedFields show what a workflow has changed.
const FieldManager = "holdfast-workflow"

// Workload is the target of a workflow, and the client that acts on it, with the rights of the workflow's account.
type Workload struct {
	Client client.Client
	Kind   schema.GroupVersionKind
	Key    client.ObjectKey
}

// String names the target in messages.
func (w Workload) String() string { return w.Kind.Kind + " " + w.Key.String() }

// Get reads the live target. ErrGone when there is none.
func (w Workload) Get(ctx context.Context) (*unstructured.Unstructured, error) {
	target := &unstructured.Unstructured{}
	target.SetGroupVersionKind(w.Kind)
	err := w.Client.Get(ctx, w.Key, target)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: %s does not exist", ErrGone, w)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", w, err)
	}
	return target, nil
}

// get is Get, and makes sure that the target is the one that was planned for.
func (w Workload) get(ctx context.Context, uid string) (*unstructured.Unstructured, error) {
	target, err := w.Get(ctx)
	if err != nil {
		return nil, err
	}
	if string(target.GetUID()) != uid {
		return nil, fmt.Errorf("%w: %s has uid %s, the step was planned for %s: it was deleted and created again", ErrGone, w, target.GetUID(), uid)
	}
	return target, nil
}

// supports refuses, as ErrParameter, what this action cannot do with a target of that kind.
func (w Workload) supports(action string, kinds ...string) error {
	if w.Kind.Group == "apps" && slices.Contains(kinds, w.Kind.Kind) {
		return nil
	}
	return fmt.Errorf("%w: the target is a %s of %s, expected for %s one of %v of apps/v1", ErrParameter, w.Kind.Kind, w.Kind.GroupVersion(), action, kinds)
}

// refusePaused refuses, as kubectl does, to change the template of a paused Deployment: nothing would happen until it is resumed.
func refusePaused(w Workload, t *unstructured.Unstructured) error {
	if paused, _, _ := unstructured.NestedBool(t.Object, "spec", "paused"); paused {
		return fmt.Errorf("%w: %s is paused, resume it first (kubectl rollout resume)", ErrNoEffect, w)
	}
	return nil
}

// refused reports whether the API server certainly did not carry out a write.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) ||
		apierrors.IsUnauthorized(err) || apierrors.IsMethodNotSupported(err) || apierrors.IsRequestEntityTooLargeError(err) ||
		apierrors.IsUnsupportedMediaType(err) || apierrors.IsNotAcceptable(err)
}

func bounded(text string) string { return outbox.Bound(text, 256) }
