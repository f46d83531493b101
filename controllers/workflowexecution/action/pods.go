package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

const (
	// maxPods bounds one RestartPods, since the workflow's status keeps the uids.
	maxPods = 250
	// maxRefusals bounds the evictions that one Apply tries in vain: pods of one budget are refused together.
	maxRefusals = 5
)

// podsKey is the intent's list of "name/uid", separated by blanks, countKey their number, templateKey the hash of the template that the new pods are made of.
const (
	podsKey     = "pods"
	countKey    = "count"
	templateKey = "template"
)

// restartPods evicts the target's pods, which honours their disruption budgets; its controller makes new ones. There is nothing to undo.
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
	template, err := templateHash(t)
	if err != nil {
		return Plan{}, err
	}
	return Plan{
		Intent:  map[string]string{uidKey: string(t.GetUID()), podsKey: strings.Join(pods, " "), countKey: strconv.Itoa(len(pods)), templateKey: template},
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
		err := w.each(ctx, appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"), selector, func(set *metav1.PartialObjectMetadata) {
			if metav1.IsControlledBy(set, t) {
				owners[set.UID] = true
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list the ReplicaSets of %s: %w", w, err)
		}
	}
	if wanted, selectable := a.selector.Requirements(); selectable {
		selector = selector.Add(wanted...)
	}
	var pods []string
	err = w.each(ctx, corev1.SchemeGroupVersion.WithKind("PodList"), selector, func(pod *metav1.PartialObjectMetadata) {
		if owner := metav1.GetControllerOf(pod); owner != nil && owners[owner.UID] && pod.DeletionTimestamp == nil {
			pods = append(pods, pod.Name+"/"+string(pod.UID))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", w, err)
	}
	slices.Sort(pods)
	return pods, nil
}

// each calls visit for the objects of the target's namespace that a selector matches: their metadata only, and a page at a time, since the target's owner chooses how many there are and how large.
func (w Workload) each(ctx context.Context, list schema.GroupVersionKind, selector labels.Selector, visit func(*metav1.PartialObjectMetadata)) error {
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		page := &metav1.PartialObjectMetadataList{}
		page.SetGroupVersionKind(list)
		return page, w.Client.List(ctx, page, &client.ListOptions{Namespace: w.Key.Namespace, LabelSelector: selector, Limit: o.Limit, Continue: o.Continue})
	})
	return pages.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		visit(o.(*metav1.PartialObjectMetadata))
		return nil
	})
}

// Apply evicts the pods of the intent that are still there. A budget that lets no pod go refuses with 429 until others are ready again: those wait for the next Apply.
func (a *restartPods) Apply(ctx context.Context, w Workload, intent map[string]string, attempt Attempt) (Progress, error) {
	t, left, err := a.left(ctx, w, intent)
	if err != nil {
		return Progress{}, err
	}
	if len(left) == 0 {
		return Progress{Done: true, Message: "restarted " + intent[countKey] + " pods"}, nil
	}
	// A refusal says nothing about pods of another budget: begin with another pod each minute.
	first := int(max(0, attempt.Now.Sub(attempt.Began)/time.Minute)) % len(left)
	evicted, refusals, why := 0, 0, ""
	for _, pod := range slices.Concat(left[first:], left[:first]) {
		switch err := evict(ctx, w, pod); {
		case err == nil:
			evicted++
		case !later(err):
			return Progress{}, fmt.Errorf("evict pod %s: %w", pod.Name, err)
		default:
			if refusals++; why == "" {
				why = "pod " + pod.Name + " cannot be evicted now: " + bounded(explain(err))
			}
		}
		if refusals == maxRefusals {
			break
		}
	}
	if evicted == len(left) {
		return Progress{Done: true, Message: "restarted " + intent[countKey] + " pods"}, nil
	}
	count, _ := strconv.Atoi(intent[countKey])
	gone := count - len(left) + evicted
	return Progress{Message: fmt.Sprintf("evicted %d of %d pods; %s", gone, count, why), Reached: int64(gone), Patience: patienceOf(t)}, nil
}

// evict asks for one pod to be deleted, under the uid that the intent names. That it is gone already is no error.
func evict(ctx context.Context, w Workload, pod *corev1.Pod) error {
	eviction := &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}}}
	return client.IgnoreNotFound(w.Client.SubResource("eviction").Create(ctx, pod, eviction))
}

// later reports whether another look may find the pod gone, or its eviction permitted: a budget refuses it with 429; two budgets for one pod are 500, until somebody
// deletes one of them; and a conflict says that another pod has the name now.
func later(err error) bool {
	return apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) || strings.Contains(err.Error(), "more than one PodDisruptionBudget")
}

// explain adds which budget it is, and how many healthy pods it needs.
func explain(err error) string {
	text := err.Error()
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			text += " " + cause.Message
		}
	}
	return text
}

func (a *restartPods) Applied(ctx context.Context, w Workload, intent map[string]string) (bool, error) {
	_, left, err := a.left(ctx, w, intent)
	return err == nil && len(left) == 0, err
}

// left are the pods of the intent that still are the target's, and not being deleted.
func (a *restartPods) left(ctx context.Context, w Workload, intent map[string]string) (*unstructured.Unstructured, []*corev1.Pod, error) {
	t, err := w.get(ctx, intent[uidKey])
	if err != nil {
		return nil, nil, err
	}
	now, err := a.pods(ctx, w, t)
	if err != nil {
		return nil, nil, err
	}
	var pods []*corev1.Pod
	for _, text := range strings.Fields(intent[podsKey]) {
		if !slices.Contains(now, text) {
			continue
		}
		name, uid, _ := strings.Cut(text, "/")
		pods = append(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.Key.Namespace, Name: name, UID: types.UID(uid)}})
	}
	return t, pods, nil
}

func (a *restartPods) Undo(context.Context, Workload, map[string]string) (bool, string, error) {
	return false, "restarts of pods cannot be undone", nil
}

// overwritten looks whether the pods are of another template than that they were restarted with: then it is not the restart that has helped.
func (a *restartPods) overwritten(t *unstructured.Unstructured, intent map[string]string) (string, error) {
	template, err := templateHash(t)
	if err != nil || template == intent[templateKey] {
		return "", err
	}
	return "another pod template", nil
}

// templateHash is the same as long as a template is. The API server returns the same text for it.
func templateHash(t *unstructured.Unstructured) (string, error) {
	template, _, err := unstructured.NestedMap(t.Object, "spec", "template")
	if err != nil {
		return "", fmt.Errorf("read the template of %s: %w", t.GetName(), err)
	}
	text, err := json.Marshal(template)
	if err != nil {
		return "", fmt.Errorf("encode the template of %s: %w", t.GetName(), err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func selectorName(s labels.Selector) string {
	if s.Empty() {
		return "(no selector was given)"
	}
	return "the selector " + bounded(s.String())
}
