package rules

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// readPods fills the pods that one of the owners controls. Pods on their way out, or evicted and replaced, say nothing about what runs.
func (r *Rules) readPods(ctx context.Context, w workload, owners []types.UID, f *facts) error {
	var list corev1.PodList
	if err := r.list(ctx, &list, f.namespace, w.selector, maxPods); err != nil {
		return fmt.Errorf("list the pods: %w", err)
	}
	f.truncated = f.truncated || list.Continue != ""
	for i := range list.Items {
		p := &list.Items[i]
		owner := metav1.GetControllerOf(p)
		if owner == nil || !slices.Contains(owners, owner.UID) || p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		f.pods = append(f.pods, podFacts(p, owner.UID))
	}
	return nil
}

func podFacts(p *corev1.Pod, owner types.UID) pod {
	out := pod{uid: p.UID, name: p.Name, created: p.CreationTimestamp.Time, owner: owner}
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady:
			out.ready = c.Status == corev1.ConditionTrue
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable:
			out.unschedulable = c.Message
			if out.unschedulable == "" {
				out.unschedulable = "no node fits"
			}
		}
	}
	specs := slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
	for n, status := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		c := containerFacts(status)
		c.init = n < len(p.Status.InitContainerStatuses)
		if i := slices.IndexFunc(specs, func(s corev1.Container) bool { return s.Name == c.name }); i >= 0 {
			c.image, c.memoryLimit = specs[i].Image, memoryLimit(specs[i])
		}
		out.containers = append(out.containers, c)
	}
	return out
}

func containerFacts(s corev1.ContainerStatus) container {
	c := container{name: s.Name, image: s.Image, restarts: s.RestartCount, running: s.State.Running != nil}
	if s.State.Waiting != nil {
		c.waiting, c.message = s.State.Waiting.Reason, s.State.Waiting.Message
	}
	ended := s.State.Terminated
	if ended == nil {
		ended = s.LastTerminationState.Terminated
	}
	if ended != nil {
		c.ended = &termination{reason: ended.Reason, exitCode: ended.ExitCode, at: ended.FinishedAt.Time}
	}
	return c
}

// readEvents adds the texts of warnings about the target, what it owns, and its pods: evidence for the root cause, decisions don't need them. Events
// carry a time in one of three fields, by who wrote them.
func (r *Rules) readEvents(ctx context.Context, owners []types.UID, f *facts) error {
	var list corev1.EventList
	if err := r.live.List(ctx, &list, client.InNamespace(f.namespace), client.Limit(maxEvents),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("type", corev1.EventTypeWarning)}); err != nil {
		return fmt.Errorf("list the events: %w", err)
	}
	about := slices.Clone(owners)
	for i := range f.pods {
		about = append(about, f.pods[i].uid)
	}
	events := slices.DeleteFunc(list.Items, func(e corev1.Event) bool { return !slices.Contains(about, e.InvolvedObject.UID) })
	slices.SortFunc(events, func(a, b corev1.Event) int { return seen(b).Compare(seen(a)) })
	for _, e := range events {
		text := investigator.Clean(e.Reason+": "+e.Message, 300)
		if !slices.Contains(f.warnings, text) {
			f.warnings = append(f.warnings, text)
		}
	}
	return nil
}

func seen(e corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}
