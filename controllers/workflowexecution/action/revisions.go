package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/quantity"
)

// revisionNumber is the annotation by which the Deployment controller numbers ReplicaSets.
const revisionNumber = "deployment.kubernetes.io/revision"

// revision is one template of a workload's history. A Deployment keeps its history in ReplicaSets, the others in ControllerRevisions. Templates stay
// untyped, so fields that this release does not know survive.
type revision struct {
	name     string
	number   int64
	template map[string]any
	cause    string
}

func historyKind(w Workload) schema.GroupVersionKind {
	if w.Kind.Kind == "Deployment" {
		return appsv1.SchemeGroupVersion.WithKind("ReplicaSet")
	}
	return appsv1.SchemeGroupVersion.WithKind("ControllerRevision")
}

// revisions reads the workload's history, oldest first.
func revisions(ctx context.Context, w Workload, t *unstructured.Unstructured) ([]revision, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(historyKind(w))
	selector, err := selectorOf(t)
	if err != nil {
		return nil, err
	}
	if err := w.Client.List(ctx, list, client.InNamespace(w.Key.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list the %ss of %s: %w", historyKind(w).Kind, w, err)
	}
	var history []revision
	for i := range list.Items {
		if !metav1.IsControlledBy(&list.Items[i], t) {
			continue
		}
		r, err := revisionOf(&list.Items[i])
		if err != nil {
			return nil, err
		}
		if r.number > 0 {
			history = append(history, r)
		}
	}
	slices.SortFunc(history, func(a, b revision) int { return cmp.Compare(a.number, b.number) })
	return history, nil
}

func getRevision(ctx context.Context, w Workload, name string) (revision, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(historyKind(w))
	err := w.Client.Get(ctx, client.ObjectKey{Namespace: w.Key.Namespace, Name: name}, o)
	if apierrors.IsNotFound(err) {
		return revision{}, fmt.Errorf("%w: %s %s, which has the template, is no longer in the history of %s", ErrNoEffect, historyKind(w).Kind, name, w)
	}
	if err != nil {
		return revision{}, fmt.Errorf("read %s %s: %w", historyKind(w).Kind, name, err)
	}
	return revisionOf(o)
}

// revisionOf reads a ReplicaSet, or a ControllerRevision, whose data is a patch that sets spec.template.
func revisionOf(o *unstructured.Unstructured) (revision, error) {
	r := revision{name: o.GetName(), cause: o.GetAnnotations()[changeCause]}
	var path []string
	switch o.GetKind() {
	case "ReplicaSet":
		r.number, _ = strconv.ParseInt(o.GetAnnotations()[revisionNumber], 10, 64)
		path = []string{"spec", "template"}
	case "ControllerRevision":
		r.number, _, _ = unstructured.NestedInt64(o.Object, "revision")
		path = []string{"data", "spec", "template"}
	default:
		return revision{}, fmt.Errorf("read %s %s: expected a ReplicaSet or a ControllerRevision", o.GetKind(), r.name)
	}
	template, _, err := unstructured.NestedMap(o.Object, path...)
	if err != nil {
		return revision{}, fmt.Errorf("read the template of %s %s: %w", o.GetKind(), r.name, err)
	}
	unstructured.RemoveNestedField(template, "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	unstructured.RemoveNestedField(template, "metadata", "creationTimestamp")
	delete(template, "$patch")
	r.template = template
	return r, nil
}

// currentRevision is the revision that holds the target's template, nil when none does yet.
func currentRevision(history []revision, t *unstructured.Unstructured) (*revision, error) {
	live, _, err := unstructured.NestedMap(t.Object, "spec", "template")
	if err != nil {
		return nil, fmt.Errorf("read the template of %s: %w", t.GetName(), err)
	}
	for i := len(history) - 1; i >= 0; i-- {
		same, err := sameTemplate(history[i].template, live)
		if err != nil || same {
			return &history[i], err
		}
	}
	return nil, nil
}

// sameTemplate compares as the Deployment controller does, by meaning and without the hash label. Templates that differ only by a restart are the same.
func sameTemplate(a, b map[string]any) (bool, error) {
	left, err := typedTemplate(a)
	if err != nil {
		return false, err
	}
	right, err := typedTemplate(b)
	if err != nil {
		return false, err
	}
	return equality.Semantic.DeepEqual(left, right), nil
}

// typedTemplate decodes a template whose quantities may be compared. That of a ControllerRevision is raw JSON: the API server has not read its quantities.
func typedTemplate(content map[string]any) (*corev1.PodTemplateSpec, error) {
	if err := quantity.CheckIn[corev1.PodTemplateSpec](content); err != nil {
		return nil, fmt.Errorf("read a pod template: %w", err)
	}
	template := &corev1.PodTemplateSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, template); err != nil {
		return nil, fmt.Errorf("read a pod template: %w", err)
	}
	delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(template.Annotations, restartedAt)
	template.CreationTimestamp = metav1.Time{}
	return template, nil
}

func numbers(history []revision) string {
	texts := make([]string, 0, len(history))
	for _, r := range history {
		texts = append(texts, strconv.FormatInt(r.number, 10))
	}
	if len(texts) == 0 {
		return "it has none"
	}
	return bounded(strings.Join(texts, ", "))
}

// selectorOf is the selector by which a workload finds its pods and its history.
func selectorOf(t *unstructured.Unstructured) (labels.Selector, error) {
	content, _, err := unstructured.NestedMap(t.Object, "spec", "selector")
	if err != nil {
		return nil, fmt.Errorf("read the selector of %s: %w", t.GetName(), err)
	}
	wanted := &metav1.LabelSelector{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, wanted); err != nil {
		return nil, fmt.Errorf("read the selector of %s: %w", t.GetName(), err)
	}
	selector, err := metav1.LabelSelectorAsSelector(wanted)
	if err != nil {
		return nil, fmt.Errorf("read the selector of %s: %w", t.GetName(), err)
	}
	return selector, nil
}
