package action

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// maxPods bounds one RestartPods, since the workflow's status keeps the uids.
const maxPods = 250

// podsKey is the intent's list of "name/uid", separated by blanks, countKey their number.
const (
	podsKey  = "pods"
	countKey = "count"
)

// restartPods deletes the target's pods; its controller makes new ones. There is nothing to undo.
type restartPods struct{ selector labels.Selector }

func (a *restartPods) Plan(ctx context.Context, w Workload, _ time.Time) (Plan, error) {
	if err := w.supports("RestartPods", workloads...); err != nil {
		return Plan{}, err
	}
	t, err := w.Get(ctx)
	if err != nil {
		return Plan{}, err
	}
	pods, err := a.pods(ctx, w, t)
	if err != nil {
		return Plan{}, err
	}
	switch {
	case len(pods) == 0:
		why := "no pod of the target matches " + selectorName(a.selector)
		return Plan{Nothing: true, Message: why, Adjustments: []v1alpha1.Adjustment{{Adjustment: "restarted no pods", Reason: why}}}, nil
	case len(pods) > maxPods:
		return Plan{}, fmt.Errorf("%w: %d pods of %s match %s, expected at most %d; narrow the parameter \"selector\", or use RolloutRestart", ErrParameter, len(pods), w, selectorName(a.selector), maxPods)
	}
	return Plan{
		Intent:  map[string]string{uidKey: string(t.GetUID()), podsKey: strings.Join(pods, " "), countKey: strconv.Itoa(len(pods))},
		Message: fmt.Sprintf("restart %d pods", len(pods)),
	}, nil
}

// pods lists "name/uid" of the pods that belong to the target, through its ReplicaSets if it is a Deployment, and are not being deleted.
func (a *restartPods) pods(ctx context.Context, w Workload, t *unstructured.Unstructured) ([]string, error) {
	selector, err := selectorOf(t)
	if err != nil {
		return nil, err
	}
	owners := map[types.UID]bool{t.GetUID(): true}
	if w.Kind.Kind == "Deployment" {
		sets := &appsv1.ReplicaSetList{}
		if err := w.Client.List(ctx, sets, client.InNamespace(w.Key.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return nil, fmt.Errorf("list the ReplicaSets of %s: %w", w, err)
		}
		for i := range sets.Items {
			if metav1.IsControlledBy(&sets.Items[i], t) {
				owners[sets.Items[i].UID] = true
			}
		}
	}
	if wanted, selectable := a.selector.Requirements(); selectable {
		selector = selector.Add(wanted...)
	}
	list := &corev1.PodList{}
	if err := w.Client.List(ctx, list, client.InNamespace(w.Key.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", w, err)
	}
	var pods []string
	for i := range list.Items {
		pod := &list.Items[i]
		if owner := metav1.GetControllerOf(pod); owner != nil && owners[owner.UID] && pod.DeletionTimestamp == nil {
			pods = append(pods, pod.Name+"/"+string(pod.UID))
		}
	}
	slices.Sort(pods)
	return pods, nil
}

func (a *restartPods) Apply(ctx context.Context, w Workload, intent map[string]string, _, _ time.Time) (Progress, error) {
	for _, pod := range podsOf(w, intent) {
		err := w.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) { // a conflict: another pod has the name now
			return Progress{}, fmt.Errorf("delete pod %s: %w", pod.Name, err)
		}
	}
	return Progress{Done: true, Message: "restarted " + intent[countKey] + " pods"}, nil
}

func (a *restartPods) Applied(ctx context.Context, w Workload, intent map[string]string) (bool, error) {
	for _, pod := range podsOf(w, intent) {
		live := &metav1.PartialObjectMetadata{}
		live.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
		err := w.Client.Get(ctx, client.ObjectKeyFromObject(pod), live)
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return false, fmt.Errorf("read pod %s: %w", pod.Name, err)
		case live.UID == pod.UID && live.DeletionTimestamp == nil:
			return false, nil
		}
	}
	return true, nil
}

func (a *restartPods) Undo(context.Context, Workload, map[string]string) (bool, string, error) {
	return false, "restarted pods are not undone", nil
}

// podsOf are the pods that the intent names.
func podsOf(w Workload, intent map[string]string) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, text := range strings.Fields(intent[podsKey]) {
		name, uid, _ := strings.Cut(text, "/")
		pods = append(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Key.Namespace, Name: name, UID: types.UID(uid)}})
	}
	return pods
}

func selectorName(s labels.Selector) string {
	if s.Empty() {
		return "(no selector was given)"
	}
	return "the selector " + bounded(s.String())
}
