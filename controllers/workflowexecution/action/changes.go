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

// Lasting is what of an intent is needed after its step has succeeded, to look whether the change still stands; nil for a step that changes nothing.
func Lasting(action string, intent map[string]string) map[string]string {
	switch {
	case len(intent) == 0:
		return nil
	case action == "RestartPods": // without the uids of the pods, which are many
		return map[string]string{uidKey: intent[uidKey], templateKey: intent[templateKey]}
	case action == "Scale" || ChangesTemplate(action):
		return intent
	}
	return nil
}

// ChangesTemplate reports whether an action changes the target's pod template.
func ChangesTemplate(action string) bool {
	return slices.Contains([]string{"RolloutRestart", "RolloutUndo", "SetResources", "SetImage"}, action)
}

// Overwritten says for each of the changes, the oldest first, what is there instead, "" where the change still stands. A later change of the same workflow
// overwrites nothing: the target is looked at as it was before that.
func Overwritten(ctx context.Context, w Workload, changes []Change) ([]string, error) {
	instead := make([]string, len(changes))
	if len(changes) == 0 {
		return instead, nil
	}
	t, err := w.get(ctx, changes[0].Intent[uidKey])
	if errors.Is(err, ErrGone) {
		for i := range instead {
			instead[i] = err.Error()
		}
		return instead, nil
	}
	if err != nil {
		return nil, err
	}
	rewound := false // the template is only what it meant before the workflow's later steps, and not the same text
	for i, c := range slices.Backward(changes) {
		switch a := c.Action.(type) {
		case *restartPods:
			if !rewound {
				instead[i], err = a.overwritten(t, c.Intent)
			}
		case editor:
			if instead[i], err = a.rewind(ctx, w, t, c.Intent); errors.Is(err, ErrNoEffect) {
				return instead, nil // what was there before has left the history: how it was then is not known any more
			}
			_, other := a.edit.(scale)
			rewound = rewound || !other
		}
		if err != nil {
			return nil, err
		}
	}
	return instead, nil
}

// rewind says what is there instead of a change, and puts the target back to where it was before that, in memory.
func (e editor) rewind(ctx context.Context, w Workload, t *unstructured.Unstructured, intent map[string]string) (string, error) {
	from, to := states(intent)
	found, err := e.overwritten(ctx, w, t, from, to)
	if err != nil {
		return "", err
	}
	return found, e.set(ctx, w, t, from)
}
