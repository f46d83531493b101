package action

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// setImage sets the image of one container.
type setImage struct{ container, image string }

func (a setImage) plan(_ context.Context, w Workload, t *unstructured.Unstructured, _ time.Time) (state, state, []v1alpha1.Adjustment, error) {
	if err := w.supports("SetImage", workloads...); err != nil {
		return nil, nil, nil, err
	}
	c, adjustments, err := pick(w, t, a.container)
	if err != nil {
		return nil, nil, nil, err
	}
	old, _ := c["image"].(string)
	return state{"container": nameOf(c), "image": old}, state{"container": nameOf(c), "image": a.image}, adjustments, nil
}

func (setImage) matches(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) (bool, error) {
	c := container(t, s["container"])
	return c != nil && c["image"] == s["image"], nil
}

func (setImage) set(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) error {
	c := container(t, s["container"])
	if c == nil {
		return fmt.Errorf("%w: container %q is gone", ErrChanged, s["container"])
	}
	c["image"] = s["image"]
	return nil
}

func (setImage) describe(from, to state) string {
	return fmt.Sprintf("set the image of %s from %s to %s", to["container"], bounded(from["image"]), bounded(to["image"]))
}

func (setImage) overwritten(_ context.Context, _ Workload, t *unstructured.Unstructured, _, to state) (string, error) {
	switch c := container(t, to["container"]); {
	case c == nil:
		return "no container " + to["container"], nil
	case c["image"] != to["image"]:
		return fmt.Sprintf("image %s of %s", bounded(fmt.Sprint(c["image"])), to["container"]), nil
	}
	return "", nil
}

func (setImage) previous(from state) map[string]string { return from }
