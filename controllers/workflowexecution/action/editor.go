package action

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// state is one side of an edit: the part of the target that it changes, as texts.
type state map[string]string

// edit is an action that changes one part of the target's spec from one state to another.
type edit interface {
	// plan reads from, the state now, and decides on to. It refuses with ErrParameter or ErrNoEffect.
	plan(ctx context.Context, w Workload, t *unstructured.Unstructured, now time.Time) (from, to state, adjustments []v1alpha1.Adjustment, err error)
	// matches reports whether the target is in that state.
	matches(ctx context.Context, w Workload, t *unstructured.Unstructured, s state) (bool, error)
	// set puts the target into that state, in memory.
	set(ctx context.Context, w Workload, t *unstructured.Unstructured, s state) error
	// describe says in one clause what going from one state to the other is.
	describe(from, to state) string
	// overwritten says what of the part that the edit changed is there instead, "" if all of it still is in the state to.
	overwritten(ctx context.Context, w Workload, t *unstructured.Unstructured, from, to state) (string, error)
	// previous is what of from is worth showing, nil when going back to it would restore nothing.
	previous(from state) map[string]string
}

// editor makes an Action of an edit. Its intent holds the target's uid and both states, under the prefixes below.
type editor struct{ edit }

const (
	uidKey     = "uid"
	fromPrefix = "from."
	toPrefix   = "to."
	// patchTries bounds how often one Apply follows a target whose status keeps changing under it.
	patchTries = 8
)

func (e editor) Plan(ctx context.Context, w Workload, now time.Time) (Plan, error) {
	t, err := w.Get(ctx)
	if err != nil {
		return Plan{}, err
	}
	if t.GetDeletionTimestamp() != nil {
		return Plan{}, fmt.Errorf("%w: %s is being deleted", ErrGone, w)
	}
	from, to, adjustments, err := e.plan(ctx, w, t, now)
	if err != nil {
		return Plan{}, err
	}
	already, err := e.matches(ctx, w, t, to)
	if err != nil {
		return Plan{}, err
	}
	if already {
		why := e.describe(from, to) + ": already so"
		return Plan{Nothing: true, Message: why, Adjustments: append(adjustments, v1alpha1.Adjustment{Adjustment: "left the target unchanged", Reason: why})}, nil
	}
	intent := map[string]string{uidKey: string(t.GetUID())}
	for k, v := range from {
		intent[fromPrefix+k] = v
	}
	for k, v := range to {
		intent[toPrefix+k] = v
	}
	return Plan{Intent: intent, Previous: e.previous(from), Adjustments: adjustments, Message: e.describe(from, to)}, nil
}

func (e editor) Apply(ctx context.Context, w Workload, intent map[string]string, _ Attempt) (Progress, error) {
	from, to := states(intent)
	if _, err := e.move(ctx, w, intent[uidKey], from, to); err != nil {
		return Progress{}, err
	}
	return Progress{Done: true, Message: e.describe(from, to)}, nil
}

func (e editor) Applied(ctx context.Context, w Workload, intent map[string]string) (bool, error) {
	t, err := w.get(ctx, intent[uidKey])
	if err != nil {
		return false, err
	}
	_, to := states(intent)
	return e.matches(ctx, w, t, to)
}

func (e editor) Undo(ctx context.Context, w Workload, intent map[string]string) (bool, string, error) {
	from, to := states(intent)
	moved, err := e.move(ctx, w, intent[uidKey], to, from)
	if err != nil {
		return false, "", err
	}
	if !moved {
		return false, "the target already is as it was before the step", nil
	}
	return true, e.describe(to, from), nil
}

// move brings the target from one state to the other with a merge patch that the resource version guards. moved is false when it was there already.
func (e editor) move(ctx context.Context, w Workload, uid string, from, to state) (moved bool, err error) {
	for range patchTries {
		t, err := w.get(ctx, uid)
		if err != nil {
			return false, err
		}
		if there, err := e.matches(ctx, w, t, to); err != nil || there {
			return false, err
		}
		untouched, err := e.matches(ctx, w, t, from)
		if err != nil {
			return false, err
		}
		if !untouched {
			return false, fmt.Errorf("%w: %s of %s was not done", ErrChanged, e.describe(from, to), w)
		}
		changed := t.DeepCopy()
		if err := e.set(ctx, w, changed, to); err != nil {
			return false, err
		}
		err = w.Client.Patch(ctx, changed, client.MergeFromWithOptions(t, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager))
		switch {
		case err == nil:
			return true, nil
		case refused(err):
			return false, fmt.Errorf("%w: patch %s: %w", ErrNoEffect, w, err)
		case !apierrors.IsConflict(err):
			return false, fmt.Errorf("patch %s: %w", w, err)
		}
	}
	return false, fmt.Errorf("%w: patch %s: too many concurrent changes by others", ErrNoEffect, w)
}

func states(intent map[string]string) (from, to state) {
	from, to = state{}, state{}
	for k, v := range intent {
		if name, ok := strings.CutPrefix(k, fromPrefix); ok {
			from[name] = v
		} else if name, ok := strings.CutPrefix(k, toPrefix); ok {
			to[name] = v
		}
	}
	return from, to
}
