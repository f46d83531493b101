package action

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Change is a step that has succeeded, and what it saved.
type Change struct {
	Action Action
	Intent map[string]string
}

// Stays reports whether an action changes the target's spec: that is looked at again before the workflow claims to have helped.
func Stays(action string) bool { return action == "Scale" || ChangesTemplate(action) }

// ChangesTemplate reports whether an action changes the target's pod template.
func ChangesTemplate(action string) bool {
	return slices.Contains([]string{"RolloutRestart", "RolloutUndo", "SetResources", "SetImage"}, action)
}

// Overwritten says for each of the changes, the oldest first, what is there instead, "" where the change still stands. A later change of the same workflow
// overwrites nothing: the target is looked at as it was before that.
func Overwritten(ctx context.Context, w Workload, changes []Change) ([]string, error) {
	instead := make([]string, len(changes))
	var t *unstructured.Unstructured
	for i, c := range slices.Backward(changes) {
		e, ok := c.Action.(editor)
		if !ok {
			continue
		}
		if t == nil {
			var err error
			if t, err = w.get(ctx, c.Intent[uidKey]); errors.Is(err, ErrGone) {
				for j := range instead {
					instead[j] = err.Error()
				}
				return instead, nil
			} else if err != nil {
				return nil, err
			}
		}
		from, to := states(c.Intent)
		found, err := e.overwritten(ctx, w, t, from, to)
		if err != nil {
			return nil, err
		}
		instead[i] = found
		if i == 0 {
			break
		}
		if err := e.set(ctx, w, t, from); errors.Is(err, ErrNoEffect) {
			return instead, nil // what was there before has left the history: how it was then is not known any more
		} else if err != nil {
			return nil, err
		}
	}
	return instead, nil
}
