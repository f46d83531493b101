package rules

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// Lists are bounded; what is beyond is said in the root cause.
const (
	maxPods        = 200
	maxReplicaSets = 100
	maxEvents      = 500
)

// revisionAnnotation is how the Deployment controller numbers ReplicaSets.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// workload is what the three kinds of targets have in common.
type workload struct {
	meta     metav1.ObjectMeta
	selector *metav1.LabelSelector
}

func (r *Rules) gather(ctx context.Context, q investigator.Request) (*facts, error) {
	f := &facts{kind: q.Target.Kind, namespace: q.Namespace, name: q.Target.Name}
	if q.Target.APIVersion != appsv1.SchemeGroupVersion.String() {
		return f, nil
	}
	w, err := r.readTarget(ctx, q, f)
	if err != nil || !f.exists {
		return f, err
	}
	owners := []types.UID{w.meta.UID}
	if f.kind == "Deployment" {
		if owners, err = r.readReplicaSets(ctx, w, f); err != nil {
			return nil, err
		}
	}
	if err := r.readPods(ctx, w, owners, f); err != nil {
		return nil, err
	}
	return f, r.readEvents(ctx, append(owners, w.meta.UID), f)
}

// readTarget reads the target itself. A kind that is not known, or a target that is not there, is a fact and no error.
func (r *Rules) readTarget(ctx context.Context, q investigator.Request, f *facts) (w workload, err error) {
	key := client.ObjectKey{Namespace: q.Namespace, Name: q.Target.Name}
	switch q.Target.Kind {
	case "Deployment":
		var d appsv1.Deployment
		if err = r.live.Get(ctx, key, &d); err == nil {
			w = ofDeployment(&d, f)
		}
	case "StatefulSet":
		var s appsv1.StatefulSet
		if err = r.live.Get(ctx, key, &s); err == nil {
			w = workload{s.ObjectMeta, s.Spec.Selector}
			f.desired, f.updated, f.available = ptr.Deref(s.Spec.Replicas, 1), s.Status.UpdatedReplicas, s.Status.AvailableReplicas
			f.observedGeneration = s.Status.ObservedGeneration
		}
	case "DaemonSet":
		var d appsv1.DaemonSet
		if err = r.live.Get(ctx, key, &d); err == nil {
			w = workload{d.ObjectMeta, d.Spec.Selector}
			f.desired, f.updated, f.available = d.Status.DesiredNumberScheduled, d.Status.UpdatedNumberScheduled, d.Status.NumberAvailable
			f.observedGeneration = d.Status.ObservedGeneration
		}
	default:
		return w, nil
	}
	f.supported = true
	if apierrors.IsNotFound(err) {
		return w, nil
	}
	if err != nil {
		return w, fmt.Errorf("read the target: %w", err)
	}
	f.exists, f.deleting, f.generation = true, w.meta.DeletionTimestamp != nil, w.meta.Generation
	return w, nil
}

func ofDeployment(d *appsv1.Deployment, f *facts) workload {
	f.desired, f.updated, f.available = ptr.Deref(d.Spec.Replicas, 1), d.Status.UpdatedReplicas, d.Status.AvailableReplicas
	f.observedGeneration, f.paused = d.Status.ObservedGeneration, d.Spec.Paused
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded":
			f.deadlineExceeded, f.stuck = true, c.Message
		case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionTrue && c.Reason == "NewReplicaSetAvailable":
			f.rolledOut = c.LastUpdateTime.Time
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			f.createFailure = c.Message
		}
	}
	return workload{d.ObjectMeta, d.Spec.Selector}
}

// readReplicaSets fills the revisions and returns the uids of the target's ReplicaSets.
func (r *Rules) readReplicaSets(ctx context.Context, w workload, f *facts) ([]types.UID, error) {
	var list appsv1.ReplicaSetList
	if err := r.list(ctx, &list, f.namespace, w.selector, maxReplicaSets); err != nil {
		return nil, fmt.Errorf("list the ReplicaSets: %w", err)
	}
	f.truncated = f.truncated || list.Continue != ""
	var owned []types.UID
	for i := range list.Items {
		rs := &list.Items[i]
		if !metav1.IsControlledBy(rs, &w.meta) {
			continue
		}
		owned = append(owned, rs.UID)
		number, err := strconv.ParseInt(rs.Annotations[revisionAnnotation], 10, 64)
		if err != nil {
			continue // not numbered yet
		}
		rev := revision{uid: rs.UID, number: number, created: rs.CreationTimestamp.Time, containers: map[string]template{}}
		for _, c := range rs.Spec.Template.Spec.Containers {
			rev.containers[c.Name] = template{image: c.Image, memoryLimit: memoryLimit(c)}
		}
		f.revisions = append(f.revisions, rev)
	}
	slices.SortFunc(f.revisions, func(a, b revision) int { return int(b.number - a.number) })
	return owned, nil
}

// list reads what a selector matches, from the API server, at most limit items.
func (r *Rules) list(ctx context.Context, into client.ObjectList, namespace string, selector *metav1.LabelSelector, limit int64) error {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return fmt.Errorf("read the target's selector: %w", err)
	}
	return r.live.List(ctx, into, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: s}, client.Limit(limit))
}
