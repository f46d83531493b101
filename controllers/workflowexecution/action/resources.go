package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/quantity"
)

// increase as the parameter "only" refuses whatever is not above what is there.
const increase = "increase"

// setResources sets limits and requests of one container.
type setResources struct {
	container string
	wanted    []wanted
	only      string
}

// wanted is what a step asks for of one resource; nil leaves it.
type wanted struct {
	resource       string
	limit, request *resource.Quantity
}

func (a setResources) plan(_ context.Context, w Workload, t *unstructured.Unstructured, _ time.Time) (from, to state, adjustments []v1alpha1.Adjustment, err error) {
	if err := w.supports("SetResources", workloads...); err != nil {
		return nil, nil, nil, err
	}
	c, adjustments, err := pick(w, t, a.container)
	if err != nil {
		return nil, nil, nil, err
	}
	old := resourcesOf(c)
	ofPod, _, _ := unstructured.NestedMap(t.Object, "spec", "template", "spec", "resources")
	changed := runtime.DeepCopyJSON(old)
	for _, want := range a.wanted {
		err := a.permits(want, old)
		if err == nil {
			err = want.fits(ofPod)
		}
		var more []v1alpha1.Adjustment
		if err == nil {
			more, err = want.apply(changed)
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%w (%s, container %s)", err, w, nameOf(c))
		}
		adjustments = append(adjustments, more...)
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("encode the resources of %s: %w", w, err)
	}
	after, err := json.Marshal(changed)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("encode the resources of %s: %w", w, err)
	}
	return state{"container": nameOf(c), "resources": string(before)}, state{"container": nameOf(c), "resources": string(after)}, adjustments, nil
}

// permits refuses, if the step says only: increase, what is not above what the container has. Without a limit it may use all there is, so every limit is a decrease.
func (a setResources) permits(want wanted, resources map[string]any) error {
	if a.only != increase {
		return nil
	}
	for _, v := range []struct {
		field, name string
		wanted      *resource.Quantity
	}{{"limits", want.resource + "Limit", want.limit}, {"requests", want.resource + "Request", want.request}} {
		if v.wanted == nil {
			continue
		}
		present, err := quantityAt(resources, v.field, want.resource)
		switch {
		case err != nil:
			return err
		case present == nil && v.field == "limits":
			return fmt.Errorf("%w: parameter %q of SetResources is %q, but the container has no limit, so any limit is a decrease", ErrParameter, v.name, v.wanted)
		case present != nil && v.wanted.Cmp(*present) <= 0:
			return fmt.Errorf("%w: parameter %q of SetResources is %q, expected more than the current %s, because parameter \"only\" is \"increase\"", ErrParameter, v.name, v.wanted, present)
		}
	}
	return nil
}

// fits refuses what is above the limit of the whole pod: the API server would.
func (w wanted) fits(ofPod map[string]any) error {
	limit, err := quantityAt(ofPod, "limits", w.resource)
	if err != nil || limit == nil {
		return err
	}
	for name, wanted := range map[string]*resource.Quantity{w.resource + "Limit": w.limit, w.resource + "Request": w.request} {
		if wanted != nil && wanted.Cmp(*limit) > 0 {
			return fmt.Errorf("%w: parameter %q of SetResources is %q, expected at most the limit of the whole pod, %s", ErrParameter, name, wanted, limit)
		}
	}
	return nil
}

// apply sets what is wanted. The API server refuses a request above its limit, so the one of the two that the step does not name follows the other.
func (w wanted) apply(resources map[string]any) (adjustments []v1alpha1.Adjustment, err error) {
	limit, err := quantityAt(resources, "limits", w.resource)
	if err != nil {
		return nil, err
	}
	request, err := quantityAt(resources, "requests", w.resource)
	if err != nil {
		return nil, err
	}
	newLimit, newRequest := w.limit, w.request
	if newLimit != nil && newRequest == nil && request != nil && request.Cmp(*newLimit) > 0 {
		newRequest = newLimit
		adjustments = append(adjustments, v1alpha1.Adjustment{Adjustment: fmt.Sprintf("lowered the %s request from %s to %s", w.resource, request, newLimit),
			Reason: "a request above the new limit would be refused"})
	}
	if newRequest != nil && newLimit == nil && limit != nil && newRequest.Cmp(*limit) > 0 {
		newLimit = newRequest
		adjustments = append(adjustments, v1alpha1.Adjustment{Adjustment: fmt.Sprintf("raised the %s limit from %s to %s", w.resource, limit, newRequest),
			Reason: "the new request would be refused above the limit"})
	}
	if newLimit != nil {
		err = unstructured.SetNestedField(resources, newLimit.String(), "limits", w.resource)
	}
	if err == nil && newRequest != nil {
		err = unstructured.SetNestedField(resources, newRequest.String(), "requests", w.resource)
	}
	return adjustments, err
}

func (setResources) matches(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) (bool, error) {
	c := container(t, s["container"])
	if c == nil {
		return false, nil
	}
	live, err := typedResources(resourcesOf(c))
	if err != nil {
		return false, fmt.Errorf("read the resources of %s: %w", t.GetName(), err)
	}
	content, err := resourcesIn(s)
	if err != nil {
		return false, err
	}
	wanted, err := typedResources(content)
	if err != nil {
		return false, fmt.Errorf("%w: the intent holds resources %q: %w", ErrNoEffect, bounded(s["resources"]), err)
	}
	return equality.Semantic.DeepEqual(live, wanted), nil
}

// typedResources decodes resources whose quantities may be compared.
func typedResources(content map[string]any) (typed corev1.ResourceRequirements, err error) {
	if err := quantity.CheckIn[corev1.ResourceRequirements](content); err != nil {
		return typed, err
	}
	text, err := json.Marshal(content)
	if err != nil {
		return typed, err
	}
	err = json.Unmarshal(text, &typed)
	return typed, err
}

// resourcesIn are the resources that an intent holds.
func resourcesIn(s state) (content map[string]any, err error) {
	if err := json.Unmarshal([]byte(s["resources"]), &content); err != nil {
		return nil, fmt.Errorf("%w: the intent holds resources %q: %w", ErrNoEffect, bounded(s["resources"]), err)
	}
	return content, nil
}

func (setResources) set(_ context.Context, _ Workload, t *unstructured.Unstructured, s state) error {
	c := container(t, s["container"])
	if c == nil {
		return fmt.Errorf("%w: container %q is gone", ErrChanged, s["container"])
	}
	resources, err := resourcesIn(s)
	if err != nil {
		return err
	}
	c["resources"] = resources
	return nil
}

func (setResources) describe(from, to state) string {
	return fmt.Sprintf("set the resources of %s from %s to %s", to["container"], bounded(from["resources"]), bounded(to["resources"]))
}

// overwritten compares what the step has changed, and not what it has left as it was.
func (setResources) overwritten(_ context.Context, _ Workload, t *unstructured.Unstructured, from, to state) (string, error) {
	c := container(t, to["container"])
	if c == nil {
		return "no container " + to["container"], nil
	}
	before, err := resourcesIn(from)
	if err != nil {
		return "", err
	}
	after, err := resourcesIn(to)
	if err != nil {
		return "", err
	}
	for _, field := range []string{"limits", "requests"} {
		for _, name := range []string{"memory", "cpu"} {
			was, wasErr := quantityAt(before, field, name)
			set, setErr := quantityAt(after, field, name)
			if err := errors.Join(wasErr, setErr); err != nil {
				return "", err
			}
			if sameQuantity(was, set) {
				continue
			}
			is, err := quantityAt(resourcesOf(c), field, name)
			if err != nil {
				return err.Error(), nil //nolint:nilerr // what cannot be read is not what the step has set
			}
			if !sameQuantity(set, is) {
				return fmt.Sprintf("%s.%s %s of %s", field, name, quantityText(is), to["container"]), nil
			}
		}
	}
	return "", nil
}

func sameQuantity(a, b *resource.Quantity) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Cmp(*b) == 0
}

func quantityText(q *resource.Quantity) string {
	if q == nil {
		return "none"
	}
	return q.String()
}

func (setResources) previous(from state) map[string]string { return from }

func resourcesOf(c map[string]any) map[string]any {
	if r, ok := c["resources"].(map[string]any); ok {
		return r
	}
	return map[string]any{}
}

func quantityAt(resources map[string]any, path ...string) (*resource.Quantity, error) {
	value, ok, err := unstructured.NestedFieldNoCopy(resources, path...)
	if err != nil || !ok {
		return nil, err
	}
	q, err := quantity.Parse(fmt.Sprint(value))
	if err != nil {
		return nil, fmt.Errorf("read resources.%s.%s: %w", path[0], path[1], err)
	}
	return &q, nil
}
