package action

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// defaultContainer is the annotation of a pod template by which kubectl too picks a container when none is named.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// workloads have a pod template that a workflow may change.
var workloads = []string{"Deployment", "StatefulSet", "DaemonSet"}

// containers are the template's containers, or with "initContainers" its init containers, among which are native sidecars. The maps are shared with t.
func containers(t *unstructured.Unstructured, field string) []map[string]any {
	list, _, _ := unstructured.NestedFieldNoCopy(t.Object, "spec", "template", "spec", field)
	items, _ := list.([]any)
	found := make([]map[string]any, 0, len(items))
	for _, item := range items {
		if c, ok := item.(map[string]any); ok {
			found = append(found, c)
		}
	}
	return found
}

func nameOf(c map[string]any) string { name, _ := c["name"].(string); return name }

func namesOf(all []map[string]any) []string {
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, nameOf(c))
	}
	return names
}

// container finds the container or init container of that name, nil when there is none. No two of a pod have the same.
func container(t *unstructured.Unstructured, name string) map[string]any {
	for _, c := range append(containers(t, "containers"), containers(t, "initContainers")...) {
		if nameOf(c) == name {
			return c
		}
	}
	return nil
}

// pick chooses the container that a step means: the one it names, the only one, the annotated default, or the first. A choice among several is an adjustment.
// An init container is only meant if it is named.
func pick(w Workload, t *unstructured.Unstructured, wanted string) (map[string]any, []v1alpha1.Adjustment, error) {
	all := containers(t, "containers")
	names := namesOf(all)
	switch {
	case wanted != "":
		if c := container(t, wanted); c != nil {
			return c, nil, nil
		}
		return nil, nil, fmt.Errorf("%w: parameter \"container\" is %q, expected one of %s: %s", ErrParameter, bounded(wanted), w, bounded(strings.Join(append(names, namesOf(containers(t, "initContainers"))...), ", ")))
	case len(all) == 0:
		return nil, nil, fmt.Errorf("%w: %s has no containers", ErrParameter, w)
	case len(all) == 1:
		return all[0], nil, nil
	}
	chosen, reason := all[0], "it is the first of "+bounded(strings.Join(names, ", "))
	annotated, _, _ := unstructured.NestedString(t.Object, "spec", "template", "metadata", "annotations", defaultContainer)
	if c := container(t, annotated); c != nil {
		chosen, reason = c, "the annotation "+defaultContainer+" names it"
	}
	return chosen, []v1alpha1.Adjustment{{Adjustment: "chose container " + nameOf(chosen), Reason: "the step names none; " + reason}}, nil
}
