package action

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// scale sets spec.replicas.
type scale struct{ replicas int64 }

func (a scale) plan(_ context.Context, w Workload, t *unstructured.Unstructured, _ time.Time) (state, state, []v1alpha1.Adjustment, error) {
	if err := w.supports("Scale", "Deployment", "StatefulSet"); err != nil {
		return nil, nil, nil, err
	}
	return state{"replicas": strconv.FormatInt(replicas(t), 10)}, state{"replicas": strconv.FormatInt(a.replicas, 10)}, nil, nil
}

func (scale) matches(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) (bool, error) {
	return strconv.FormatInt(replicas(t), 10) == s["replicas"], nil
}

func (scale) set(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) error {
	n, err := strconv.ParseInt(s["replicas"], 10, 32)
	if err != nil {
		return fmt.Errorf("%w: the intent holds replicas %q: %w", ErrNoEffect, s["replicas"], err)
	}
	return unstructured.SetNestedField(t.Object, n, "spec", "replicas")
}

func (scale) describe(from, to state) string {
	return "scale from " + from["replicas"] + " to " + to["replicas"] + " replicas"
}

func (scale) overwritten(_ context.Context, _ Workload, t *unstructured.Unstructured, _, to state) (string, error) {
	if n := strconv.FormatInt(replicas(t), 10); n != to["replicas"] {
		return n + " replicas", nil
	}
	return "", nil
}

func (scale) previous(from state) map[string]string { return from }

// replicas is what the target asks for; absent is one, as the API server defaults it.
func replicas(t *unstructured.Unstructured) int64 {
	if n, ok, err := unstructured.NestedInt64(t.Object, "spec", "replicas"); ok && err == nil {
		return n
	}
	return 1
}
