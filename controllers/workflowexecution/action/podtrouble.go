package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// maxPodsSeen bounds the pods that are read for a message.
	maxPodsSeen = 500
	// maxTroubles is how many pods a message names.
	maxTroubles = 3
	// templateGenerationLabel is on the pods of a DaemonSet, which has the number of its newest template in an annotation.
	templateGenerationLabel = "pod-template-generation"
)

// seen is what the target's pods show.
type seen struct {
	listed   bool
	unlisted string // why not
	old      int64  // pods that are not of the newest template and stay; counted for StatefulSets and DaemonSets
	troubles []string
	more     int
}

// podsSeen looks at the target's pods, for a message. An account that may not list them still can wait: the counters of the target decide.
func podsSeen(ctx context.Context, w Workload, t *unstructured.Unstructured) seen {
	selector, err := selectorOf(t)
	if err != nil {
		return seen{unlisted: err.Error()}
	}
	list := &corev1.PodList{}
	err = w.Client.List(ctx, list, client.InNamespace(w.Key.Namespace), client.MatchingLabelsSelector{Selector: selector}, client.Limit(maxPodsSeen))
	switch {
	case apierrors.IsForbidden(err):
		return seen{unlisted: "the service account may not list pods"}
	case err != nil:
		return seen{unlisted: err.Error()}
	}
	s := seen{listed: true}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { // the newest first: those of the newest template
		if newer := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); newer != 0 {
			return newer
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range list.Items {
		pod := &list.Items[i]
		if !ofWorkload(pod, w, t) {
			continue
		}
		if pod.DeletionTimestamp == nil && ofOldTemplate(pod, t) {
			s.old++
		}
		switch trouble := troubleOf(pod); {
		case trouble == "":
		case len(s.troubles) < maxTroubles:
			s.troubles = append(s.troubles, "pod "+pod.Name+": "+trouble)
		default:
			s.more++
		}
	}
	return s
}

// ofWorkload reports whether a pod that the selector finds is the target's. That of a Deployment belongs to a ReplicaSet, which is named for the Deployment and the template's hash.
func ofWorkload(pod *corev1.Pod, w Workload, t *unstructured.Unstructured) bool {
	if w.Kind.Kind != "Deployment" {
		return metav1.IsControlledBy(pod, t)
	}
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "ReplicaSet" && owner.Name == t.GetName()+"-"+pod.Labels["pod-template-hash"]
}

// ofOldTemplate reports whether a pod of a StatefulSet or a DaemonSet was made of an older template, by the labels that their controllers set.
func ofOldTemplate(pod *corev1.Pod, t *unstructured.Unstructured) bool {
	switch t.GetKind() {
	case "StatefulSet":
		update, _, _ := unstructured.NestedString(t.Object, "status", "updateRevision")
		return pod.Labels[appsv1.ControllerRevisionHashLabelKey] != update
	case "DaemonSet":
		return pod.Labels[templateGenerationLabel] != t.GetAnnotations()[appsv1.DeprecatedTemplateGeneration]
	}
	return false
}

// String is what follows the counters in a message.
func (s seen) String() string {
	if !s.listed {
		return "; pods not read: " + bounded(s.unlisted)
	}
	text := ""
	for _, trouble := range s.troubles {
		text += "; " + trouble
	}
	if s.more > 0 {
		text += fmt.Sprintf("; %d more", s.more)
	}
	return text
}

// troubleOf says why a pod is not available, in the words of `kubectl get pods` where it has some. "" when nothing is wrong with it.
func troubleOf(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "Terminating"
	}
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			return ""
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			return bounded(strings.TrimSuffix(c.Reason+", "+c.Message, ", "))
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return bounded(strings.TrimSuffix("Failed, "+pod.Status.Reason, ", "))
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if trouble := troubleIn(c); trouble != "" {
			return bounded(trouble + " in container " + c.Name)
		}
	}
	return "not ready"
}

// troubleIn says why a container does not run, "" if it does, or is only about to.
func troubleIn(c corev1.ContainerStatus) string {
	last := ""
	if t := c.LastTerminationState.Terminated; t != nil {
		last = " after " + ended(t)
	}
	switch {
	case c.State.Waiting != nil && !slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, c.State.Waiting.Reason):
		return c.State.Waiting.Reason + last
	case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
		return ended(c.State.Terminated)
	case c.State.Running != nil && !c.Ready && last != "":
		return "restarted" + last
	}
	return ""
}

func ended(t *corev1.ContainerStateTerminated) string {
	if t.Reason == "" || t.Reason == "Error" {
		return fmt.Sprintf("exit code %d", t.ExitCode)
	}
	return t.Reason
}
