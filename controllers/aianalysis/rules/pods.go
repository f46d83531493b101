package rules

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// maxNames is how many gates of a pod are told of, and how many containers of a revision.
const maxNames = 3

// readPods fills the pods that one of the owners controls. Pods on their way out, or evicted and replaced, say nothing about what runs.
func (r *Rules) readPods(ctx context.Context, w workload, owners []types.UID, f *facts) error {
	err := pages(ctx, r.live, w, f, func() *corev1.PodList { return &corev1.PodList{} }, func(list *corev1.PodList) bool {
		for i := range list.Items {
			p := &list.Items[i]
			owner := metav1.GetControllerOf(p)
			switch {
			case owner == nil || !slices.Contains(owners, owner.UID) || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded:
				continue
			case p.DeletionTimestamp != nil:
				f.terminating++
				continue
			case len(f.pods) == maxPods:
				return false
			}
			out := podFacts(p, owner.UID)
			if f.kind == "DaemonSet" {
				out.hash = p.Labels[generationLabel]
			}
			f.pods = append(f.pods, out)
			f.truncated = f.truncated || len(p.Spec.InitContainers) > maxContainers || len(p.Spec.Containers) > maxContainers
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("list the pods: %w", err)
	}
	return nil
}

func podFacts(p *corev1.Pod, owner types.UID) pod {
	out := pod{uid: p.UID, name: p.Name, created: p.CreationTimestamp.Time, owner: owner, hash: p.Labels[appsv1.ControllerRevisionHashLabelKey],
		memoryLimit: investigator.MemoryLimit(ptr.Deref(p.Spec.Resources, corev1.ResourceRequirements{}))}
	met := map[corev1.PodConditionType]bool{}
	for _, c := range p.Status.Conditions {
		met[c.Type] = c.Status == corev1.ConditionTrue
		switch {
		case c.Type == corev1.PodReady:
			out.ready = c.Status == corev1.ConditionTrue
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable:
			out.unschedulable = investigator.Quote(c.Message, maxMessage)
			if out.unschedulable == "" {
				out.unschedulable = "no node fits"
			}
		}
	}
	for _, g := range p.Spec.SchedulingGates[:min(len(p.Spec.SchedulingGates), maxNames)] {
		out.gates = append(out.gates, g.Name)
	}
	for _, g := range p.Spec.ReadinessGates {
		if !met[g.ConditionType] && len(out.notMet) < maxNames {
			out.notMet = append(out.notMet, string(g.ConditionType))
		}
	}
	out.containers = append(containersOf(p.Spec.InitContainers, p.Status.InitContainerStatuses, true), containersOf(p.Spec.Containers, p.Status.ContainerStatuses, false)...)
	return out
}

// containersOf are the containers that have a status, of the first maxContainers.
func containersOf(specs []corev1.Container, statuses []corev1.ContainerStatus, init bool) []container {
	specs = specs[:min(len(specs), maxContainers)]
	var all []container
	for _, status := range statuses[:min(len(statuses), maxContainers)] {
		c := containerFacts(status)
		c.init = init
		if i := slices.IndexFunc(specs, func(s corev1.Container) bool { return s.Name == c.name }); i >= 0 {
			c.image, c.memoryLimit = specs[i].Image, investigator.MemoryLimit(specs[i].Resources)
			c.sidecar = init && ptr.Deref(specs[i].RestartPolicy, "") == corev1.ContainerRestartPolicyAlways
		}
		all = append(all, c)
	}
	return all
}

func containerFacts(s corev1.ContainerStatus) container {
	c := container{name: s.Name, image: s.Image, restarts: s.RestartCount, ready: s.Ready, running: s.State.Running != nil}
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

// maxWarnings is how many texts of events are kept.
const maxWarnings = 20

// notThere is how the kubelet says in an event that a volume needs what is not there. A container that needs it in its environment says so itself.
var notThere = regexp.MustCompile(`(configmap|secret) "[^"]{1,253}" not found|references non-existent (config|secret) key: \S{1,253}`)

// readEvents reads the warnings about the target, what it owns, and its pods: evidence for the root cause. Decisions depend on two of them, that pods cannot be made,
// and that a volume needs what is not there. Events carry a time in one of three fields, by who wrote them.
func (r *Rules) readEvents(ctx context.Context, owners []types.UID, f *facts) error {
	pods := map[types.UID]*pod{}
	for i := range f.pods {
		pods[f.pods[i].uid] = &f.pods[i]
	}
	events, err := r.warningsAbout(ctx, f.namespace, func(uid types.UID) bool { return pods[uid] != nil || slices.Contains(owners, uid) })
	if err != nil {
		return fmt.Errorf("list the events: %w", err)
	}
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return seen(b).Compare(seen(a)) })
	for _, e := range events {
		p := pods[e.InvolvedObject.UID]
		switch {
		case p != nil && e.Reason == "FailedMount" && p.missing == "":
			p.missing = notThere.FindString(investigator.Quote(e.Message, maxMessage))
		case p == nil && e.Reason == "FailedCreate" && f.createFailure == "" && len(f.pods) < int(f.desired):
			f.createFailure = e.Message
		}
		if text := investigator.Quote(e.Reason+": "+e.Message, maxQuoted); len(f.warnings) < maxWarnings && !slices.Contains(f.warnings, text) {
			f.warnings = append(f.warnings, text)
		}
	}
	return nil
}

// warningsAbout reads the warnings about some objects, page by page. Most are about others, and anybody may make more.
func (r *Rules) warningsAbout(ctx context.Context, namespace string, wanted func(types.UID) bool) (found []corev1.Event, _ error) {
	next := ""
	for range maxPages {
		var page corev1.EventList
		err := r.live.List(ctx, &page, client.InNamespace(namespace), client.Limit(maxEvents), client.Continue(next),
			client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("type", corev1.EventTypeWarning)})
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			if e := &page.Items[i]; wanted(e.InvolvedObject.UID) && len(found) < maxEvents {
				found = append(found, *e)
			}
		}
		if next = page.Continue; next == "" {
			break
		}
	}
	return found, nil
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
