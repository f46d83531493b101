package rules

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

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
	maxContainers  = 32 // of a pod, and as many init containers
	maxReplicaSets = 100
	maxEvents      = 500 // of a page, and of the target
	// Strangers may give their own the same labels: so many pages of pageSize are read for those that belong to the target.
	pageSize = 100
	maxPages = 10
)

const (
	// revisionAnnotation is how the Deployment controller numbers ReplicaSets.
	revisionAnnotation = "deployment.kubernetes.io/revision"
	// generationLabel is on the pods of a DaemonSet: the number of their template, which the API server keeps in an annotation of the DaemonSet.
	generationLabel = "pod-template-generation"
	// restartedAt is what a restart changes in a template, and nothing else.
	restartedAt = "kubectl.kubernetes.io/restartedAt"
	// rolloutTime is how long a rollout may take that has no deadline of its own; it is the default of those that have.
	rolloutTime = 10 * time.Minute
)

// workload is what the three kinds of targets have in common.
type workload struct {
	meta     metav1.ObjectMeta
	selector *metav1.LabelSelector
}

func (r *Rules) gather(ctx context.Context, q investigator.Request) (*facts, error) {
	f := &facts{kind: q.Target.Kind, namespace: q.Namespace, name: q.Target.Name, deadline: rolloutTime}
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
			w = ofStatefulSet(&s, f)
		}
	case "DaemonSet":
		var d appsv1.DaemonSet
		if err = r.live.Get(ctx, key, &d); err == nil {
			w = ofDaemonSet(&d, f)
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
	f.workload = investigator.OfDeployment(d)
	f.desired, f.replicas, f.updated, f.available = ptr.Deref(d.Spec.Replicas, 1), d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.AvailableReplicas
	f.toUpdate, f.observedGeneration, f.paused = f.desired, d.Status.ObservedGeneration, d.Spec.Paused
	f.number, _ = strconv.ParseInt(d.Annotations[revisionAnnotation], 10, 64)
	if s := ptr.Deref(d.Spec.ProgressDeadlineSeconds, math.MaxInt32); s != math.MaxInt32 { // the highest stands for none
		f.deadline = time.Duration(s) * time.Second
	}
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

func ofStatefulSet(s *appsv1.StatefulSet, f *facts) workload {
	f.workload = investigator.OfStatefulSet(s)
	f.desired, f.replicas, f.updated, f.available = ptr.Deref(s.Spec.Replicas, 1), s.Status.Replicas, s.Status.UpdatedReplicas, s.Status.AvailableReplicas
	f.observedGeneration, f.newestHash = s.Status.ObservedGeneration, s.Status.UpdateRevision
	f.deadline += time.Duration(s.Spec.MinReadySeconds) * time.Second
	switch rolling := s.Spec.UpdateStrategy.RollingUpdate; {
	case s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType:
	case rolling != nil:
		f.toUpdate = max(0, f.desired-ptr.Deref(rolling.Partition, 0))
	default:
		f.toUpdate = f.desired
	}
	return workload{s.ObjectMeta, s.Spec.Selector}
}

func ofDaemonSet(d *appsv1.DaemonSet, f *facts) workload {
	f.workload = investigator.OfDaemonSet(d)
	f.desired, f.replicas, f.updated, f.available = d.Status.DesiredNumberScheduled, d.Status.CurrentNumberScheduled, d.Status.UpdatedNumberScheduled, d.Status.NumberAvailable
	f.observedGeneration, f.newestHash = d.Status.ObservedGeneration, d.Annotations[appsv1.DeprecatedTemplateGeneration]
	f.deadline += time.Duration(d.Spec.MinReadySeconds) * time.Second
	if d.Spec.UpdateStrategy.Type != appsv1.OnDeleteDaemonSetStrategyType {
		f.toUpdate = f.desired
	}
	return workload{d.ObjectMeta, d.Spec.Selector}
}

// readReplicaSets fills the revisions and returns the uids of the target's ReplicaSets.
func (r *Rules) readReplicaSets(ctx context.Context, w workload, f *facts) ([]types.UID, error) {
	var owned []types.UID
	err := pages(ctx, r.live, w, f, func() *appsv1.ReplicaSetList { return &appsv1.ReplicaSetList{} }, func(list *appsv1.ReplicaSetList) bool {
		for i := range list.Items {
			rs := &list.Items[i]
			if !metav1.IsControlledBy(rs, &w.meta) {
				continue
			}
			if len(owned) == maxReplicaSets {
				return false
			}
			owned = append(owned, rs.UID)
			number, err := strconv.ParseInt(rs.Annotations[revisionAnnotation], 10, 64)
			if err != nil {
				continue // not numbered yet
			}
			f.revisions = append(f.revisions, revision{uid: rs.UID, number: number, created: rs.CreationTimestamp.Time, template: bare(rs.Spec.Template)})
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("list the ReplicaSets: %w", err)
	}
	slices.SortFunc(f.revisions, func(a, b revision) int { return cmp.Compare(b.number, a.number) })
	return owned, nil
}

// bare is a template without its hash, and without the time of a restart.
func bare(t corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	t = *t.DeepCopy()
	delete(t.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(t.Annotations, restartedAt)
	if len(t.Annotations) == 0 {
		t.Annotations = nil
	}
	return t
}

// sameTemplate compares quantities as they are kept, without computing with them: the API server keeps equal ones equally.
func sameTemplate(a, b revision) bool { return reflect.DeepEqual(a.template, b.template) }

// pages reads what the target's selector matches, page by page, until take has enough and returns false. What is beyond the last page is truncated.
func pages[L client.ObjectList](ctx context.Context, live client.Reader, w workload, f *facts, empty func() L, take func(L) bool) error {
	selector, err := metav1.LabelSelectorAsSelector(w.selector)
	if err != nil {
		return fmt.Errorf("read the target's selector: %w", err)
	}
	next := ""
	for range maxPages {
		page := empty()
		if err := live.List(ctx, page, client.InNamespace(f.namespace), client.MatchingLabelsSelector{Selector: selector}, client.Limit(pageSize), client.Continue(next)); err != nil {
			return err
		}
		if !take(page) {
			break
		}
		if next = page.GetContinue(); next == "" {
			return nil
		}
	}
	f.truncated = true
	return nil
}
