package action

import (
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// defaultPatience is how long a rollout may stand still if its target does not say. The API server gives Deployments the same.
	defaultPatience = 10 * time.Minute
	// maxPatience is for targets that ask for more than anybody waits.
	maxPatience = 1000 * time.Hour

	onDelete = "OnDelete"
)

// rollout is how far a workload is, counted as `kubectl rollout status` does. It counts available pods where kubectl counts ready ones, so that minReadySeconds is followed.
type rollout struct {
	kind     string
	name     string // for messages
	observed bool   // the status is of the newest spec
	behind   string // why it is not
	paused   bool

	desired, updated, available int64
	// old pods are there, and not of the newest template; pods that are being deleted may be among them.
	old int64
	// strategy is the update strategy of a StatefulSet or a DaemonSet. Pods of ordinals below the partition keep the old revision.
	strategy  string
	partition int64
	// revised is true while a StatefulSet has pods of two revisions to look after.
	revised bool
	// patience is how long the rollout may stand still.
	patience time.Duration
}

// rolloutOf reads the counters of a Deployment, StatefulSet or DaemonSet. A counter that is missing is zero: the API server omits it.
func rolloutOf(w Workload, t *unstructured.Unstructured) rollout {
	r := rollout{kind: w.Kind.Kind, name: w.String(), patience: patienceOf(t)}
	generation, seen := t.GetGeneration(), counter(t, "observedGeneration")
	r.observed = seen >= generation
	r.behind = fmt.Sprintf("its controller has not observed generation %d yet, only %d", generation, seen)
	r.paused, _, _ = unstructured.NestedBool(t.Object, "spec", "paused")
	r.strategy, _, _ = unstructured.NestedString(t.Object, "spec", "updateStrategy", "type")
	if r.kind == "DaemonSet" {
		r.desired, r.updated, r.available = counter(t, "desiredNumberScheduled"), counter(t, "updatedNumberScheduled"), counter(t, "numberAvailable")
		r.old = max(0, counter(t, "currentNumberScheduled")-r.updated)
		return r
	}
	r.desired, r.updated, r.available = replicas(t), counter(t, "updatedReplicas"), counter(t, "availableReplicas")
	r.old = max(0, counter(t, "replicas")-r.updated)
	r.partition, _, _ = unstructured.NestedInt64(t.Object, "spec", "updateStrategy", "rollingUpdate", "partition")
	current, _, _ := unstructured.NestedString(t.Object, "status", "currentRevision")
	update, _, _ := unstructured.NestedString(t.Object, "status", "updateRevision")
	r.revised = current != update
	return r
}

func counter(t *unstructured.Unstructured, name string) int64 {
	n, _, _ := unstructured.NestedInt64(t.Object, "status", name)
	return n
}

// patienceOf is spec.progressDeadlineSeconds of a Deployment, which the API server keeps above minReadySeconds. The others have none: they get its default, and minReadySeconds.
func patienceOf(t *unstructured.Unstructured) time.Duration {
	deadline, given, _ := unstructured.NestedInt64(t.Object, "spec", "progressDeadlineSeconds")
	switch {
	case !given:
		return defaultPatience + MinReady(t.Object)
	case deadline == math.MaxInt32: // Kubernetes takes it for no deadline
		return maxPatience
	}
	return min(maxPatience, time.Duration(deadline)*time.Second)
}

// MinReady is spec.minReadySeconds of a target: how long a pod must be ready to be available.
func MinReady(target map[string]any) time.Duration {
	seconds, _, _ := unstructured.NestedInt64(target, "spec", "minReadySeconds")
	return min(maxPatience, time.Duration(min(max(seconds, 0), math.MaxInt32))*time.Second)
}

// done reports whether the rollout is over.
func (r rollout) done() bool {
	if !r.observed || r.available < r.desired {
		return false
	}
	switch r.kind {
	case "Deployment":
		return r.updated >= r.desired && r.old == 0
	case "StatefulSet":
		switch {
		case r.strategy == onDelete:
			return true // what is left at the old revision waits for a person: see kept
		case r.partition > 0:
			return r.updated >= r.desired-r.partition
		}
		return !r.revised
	}
	return r.strategy == onDelete || r.updated >= r.desired
}

// kept are the pods that stay at the old template until a person does something. It needs to know how many pods are of an old template: the counters of the status may
// be those from before pods were deleted, which no generation tells.
func (r rollout) kept(old int64) int64 {
	switch {
	case !r.observed:
		return 0
	case r.strategy == onDelete:
		return old
	case r.kind == "StatefulSet" && r.revised:
		return min(r.partition, r.desired)
	}
	return 0
}

// person says what somebody has to do for the kept pods, or for a rollout that is paused.
func (r rollout) person(kept int64) string {
	switch {
	case r.paused:
		return r.name + " is paused; resume it (kubectl rollout resume)"
	case r.strategy == onDelete:
		return fmt.Sprintf("the update strategy of %s is OnDelete: %d of its pods keep the old template until somebody deletes them", r.name, kept)
	}
	return fmt.Sprintf("the partition of %s is %d: %d of its pods keep the old template until somebody lowers spec.updateStrategy.rollingUpdate.partition", r.name, r.partition, kept)
}

// reached grows as the rollout comes further, and is never below zero.
func (r rollout) reached() int64 {
	if !r.observed {
		return 0
	}
	return max(0, r.updated) + max(0, r.available) + max(0, r.desired-r.old)
}

// String says how far the rollout is.
func (r rollout) String() string {
	if !r.observed {
		return r.behind
	}
	text := fmt.Sprintf("%d of %d pods updated, %d available", r.updated, r.desired, r.available)
	if r.old > 0 {
		text += fmt.Sprintf(", %d old left", r.old)
	}
	return text
}
