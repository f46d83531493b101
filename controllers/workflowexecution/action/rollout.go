package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

const (
	// restartedAt is the annotation of the pod template by which `kubectl rollout restart` too starts a rollout.
	restartedAt = "kubectl.kubernetes.io/restartedAt"
	// changeCause is the annotation that says in a rollout's history why it was made. It is restored with the template.
	changeCause = "kubernetes.io/change-cause"
	// templateBytes bounds a template that is kept in the intent because no revision holds it yet.
	templateBytes = 16 << 10
)

// rolloutRestart puts a time into the template, so that every pod is made anew. Going back to the old time would be one more restart, hence nothing to undo.
type rolloutRestart struct{}

func (rolloutRestart) plan(_ context.Context, w Workload, t *unstructured.Unstructured, now time.Time) (state, state, []v1alpha1.Adjustment, error) {
	if err := w.supports("RolloutRestart", workloads...); err != nil {
		return nil, nil, nil, err
	}
	if err := refusePaused(w, t); err != nil {
		return nil, nil, nil, err
	}
	return state{"restartedAt": restarted(t)}, state{"restartedAt": now.UTC().Format(time.RFC3339Nano)}, nil, nil
}

// matches accepts a later restart, whoever made it, as this one: another is not needed.
func (rolloutRestart) matches(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) (bool, error) {
	if restarted(t) == s["restartedAt"] {
		return true, nil
	}
	live, liveErr := time.Parse(time.RFC3339Nano, restarted(t))
	wanted, wantedErr := time.Parse(time.RFC3339Nano, s["restartedAt"])
	return liveErr == nil && wantedErr == nil && !live.Before(wanted), nil
}

func (rolloutRestart) set(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) error {
	return unstructured.SetNestedField(t.Object, s["restartedAt"], "spec", "template", "metadata", "annotations", restartedAt)
}

func (rolloutRestart) describe(_, to state) string {
	return "restart the rollout, at " + to["restartedAt"]
}

// overwritten takes a later restart for somebody else's: the pods that are there now are of that one.
func (rolloutRestart) overwritten(_ context.Context, _ Workload, t *unstructured.Unstructured, _, to state) (string, error) {
	if at := restarted(t); at != to["restartedAt"] {
		return strings.TrimSpace("a restart at " + bounded(at)), nil
	}
	return "", nil
}

func (rolloutRestart) previous(state) map[string]string { return nil }

func restarted(t *unstructured.Unstructured) string {
	at, _, _ := unstructured.NestedString(t.Object, "spec", "template", "metadata", "annotations", restartedAt)
	return at
}

// rolloutUndo restores the template of an earlier revision, as `kubectl rollout undo` does. The change cause is the only annotation of the target that it restores.
type rolloutUndo struct {
	// toRevision is 0 for the revision before the current one.
	toRevision int64
}

func (a rolloutUndo) plan(ctx context.Context, w Workload, t *unstructured.Unstructured, _ time.Time) (from, to state, adjustments []v1alpha1.Adjustment, err error) {
	if err := w.supports("RolloutUndo", workloads...); err != nil {
		return nil, nil, nil, err
	}
	if err := refusePaused(w, t); err != nil {
		return nil, nil, nil, err
	}
	history, err := revisions(ctx, w, t)
	if err != nil {
		return nil, nil, nil, err
	}
	current, err := currentRevision(history, t)
	if err != nil {
		return nil, nil, nil, err
	}
	if from, err = revisionState(current, t); err != nil {
		return nil, nil, nil, err
	}
	target, adjustments, err := a.choose(w, history, current)
	if err != nil {
		return nil, nil, nil, err
	}
	if to, err = revisionState(target, t); err != nil {
		return nil, nil, nil, err
	}
	return from, to, adjustments, nil
}

// choose picks the revision to roll back to: the one that the parameter names, or the newest that is not current. It skips revisions that differ from the current one only by a
// restart, because they would fix nothing.
func (a rolloutUndo) choose(w Workload, history []revision, current *revision) (*revision, []v1alpha1.Adjustment, error) {
	if a.toRevision > 0 {
		for i := range history {
			if history[i].number == a.toRevision {
				return &history[i], nil, nil
			}
		}
		return nil, nil, fmt.Errorf("%w: parameter \"toRevision\" is \"%d\", expected a revision in the history of %s: %s", ErrParameter, a.toRevision, w, numbers(history))
	}
	var adjustments []v1alpha1.Adjustment
	for i := len(history) - 1; i >= 0; i-- {
		r := &history[i]
		if current == nil {
			return r, nil, nil
		}
		if r.name == current.name {
			continue
		}
		same, err := sameTemplate(r.template, current.template)
		if err != nil || !same {
			return r, adjustments, err
		}
		adjustments = append(adjustments, v1alpha1.Adjustment{Adjustment: fmt.Sprintf("skipped revision %d", r.number), Reason: "it differs from the current one only by a restart"})
	}
	return nil, nil, fmt.Errorf("%w: the history of %s has no earlier revision to go back to", ErrParameter, w)
}

// revisionState names a revision. If no revision has the template yet, because its controller has not observed it, the state has the template itself.
func revisionState(r *revision, t *unstructured.Unstructured) (state, error) {
	if r != nil {
		return state{"revision": strconv.FormatInt(r.number, 10), "name": r.name}, nil
	}
	template, _, err := unstructured.NestedMap(t.Object, "spec", "template")
	if err != nil {
		return nil, fmt.Errorf("read the template of %s: %w", t.GetName(), err)
	}
	text, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("encode the template of %s: %w", t.GetName(), err)
	}
	if len(text) > templateBytes {
		return nil, fmt.Errorf("%w: the current template of %s is not in its history yet and, with %d bytes, too large to save elsewhere; try again when its controller has observed it", ErrNoEffect, t.GetName(), len(text))
	}
	return state{"revision": "", "name": "", "template": string(text)}, nil
}

func (rolloutUndo) matches(ctx context.Context, w Workload, t *unstructured.Unstructured, s state) (bool, error) {
	template, _, err := templateOf(ctx, w, s)
	if err != nil {
		return false, err
	}
	live, _, err := unstructured.NestedMap(t.Object, "spec", "template")
	if err != nil {
		return false, fmt.Errorf("read the template of %s: %w", w, err)
	}
	return sameTemplate(template, live)
}

func (rolloutUndo) set(ctx context.Context, w Workload, t *unstructured.Unstructured, s state) error {
	template, cause, err := templateOf(ctx, w, s)
	if err != nil {
		return err
	}
	if s["name"] != "" {
		annotations := t.GetAnnotations()
		delete(annotations, changeCause)
		if cause != "" {
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[changeCause] = cause
		}
		t.SetAnnotations(annotations)
	}
	return unstructured.SetNestedMap(t.Object, template, "spec", "template")
}

// templateOf is the template of a state, and the change cause that goes with it.
func templateOf(ctx context.Context, w Workload, s state) (template map[string]any, cause string, err error) {
	if s["name"] == "" {
		if err := json.Unmarshal([]byte(s["template"]), &template); err != nil {
			return nil, "", fmt.Errorf("%w: the intent holds no template: %w", ErrNoEffect, err)
		}
		return template, "", nil
	}
	r, err := getRevision(ctx, w, s["name"])
	if err != nil {
		return nil, "", err
	}
	return r.template, r.cause, nil
}

func (rolloutUndo) describe(from, to state) string {
	return "go from " + revisionName(from) + " to " + revisionName(to)
}

// overwritten finds a revision that has left the history not current: that of the live template never leaves it.
func (a rolloutUndo) overwritten(ctx context.Context, w Workload, t *unstructured.Unstructured, _, to state) (string, error) {
	same, err := a.matches(ctx, w, t, to)
	if same || err != nil && !errors.Is(err, ErrNoEffect) {
		return "", err
	}
	return "another pod template than that of " + revisionName(to), nil
}

func (rolloutUndo) previous(from state) map[string]string {
	return map[string]string{"revision": from["revision"], "name": from["name"]}
}

func revisionName(s state) string {
	if s["name"] == "" {
		return "the template that was not yet in the history"
	}
	return "revision " + s["revision"] + " (" + s["name"] + ")"
}
