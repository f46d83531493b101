package rules

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// facts are what the playbook decides on.
type facts struct {
	kind, namespace, name string

	// supported: the rules know targets of this kind; exists: there is one; deleting: it is being deleted.
	supported, exists, deleting bool

	paused             bool
	generation         int64
	observedGeneration int64
	// workload has the live template, and whether a change of it waits for a person.
	workload investigator.Workload
	// desired replicas (of a DaemonSet: pods), how many pods there are, and how many are of the newest template and available.
	desired, replicas, updated, available int32
	// toUpdate is how many pods a rollout brings to the newest template: all, but for a partition.
	toUpdate int32

	// deadline is how long a rollout may make no progress.
	deadline time.Duration
	// deadlineExceeded: the rollout made no progress for that long; its message is stuck.
	deadlineExceeded bool
	stuck            string
	// createFailure is why pods cannot be made at all (a quota, an admission), if so.
	createFailure string
	// rolledOut is when the newest rollout was over; zero while it is not, or nobody says.
	rolledOut time.Time

	// revisions of a Deployment, newest first. number is the newest one's as the Deployment says, 0 if it does not.
	revisions []revision
	number    int64
	// newestHash is the label that pods of the newest template of a StatefulSet have (of a DaemonSet: the number), if it is known.
	newestHash string
	pods       []pod
	// terminating is how many more pods are on their way out.
	terminating int
	// truncated: there are more pods, containers or ReplicaSets than were read.
	truncated bool
	// warnings are the texts of events, newest first, each once.
	warnings []string
}

// revision is one ReplicaSet of a Deployment.
type revision struct {
	uid     types.UID
	number  int64
	created time.Time
	// template without what differs between two restarts.
	template corev1.PodTemplateSpec
}

type pod struct {
	uid     types.UID
	name    string
	created time.Time
	// owner is the ReplicaSet, StatefulSet or DaemonSet that made it; hash its label of a revision.
	owner types.UID
	hash  string
	ready bool
	// memoryLimit is what all its containers together may take.
	memoryLimit resource.Quantity
	containers  []container
	// unschedulable is the scheduler's message, if it found no node; gates are the first scheduling gates that keep the scheduler from looking for one.
	unschedulable string
	gates         []string
	// notMet are the first readiness gates that are not met.
	notMet []string
	// missing is what an event says is not there: a ConfigMap or a Secret that a volume needs.
	missing string
}

type container struct {
	name string
	// init containers start before the others; sidecars are those of them that go on running.
	init, sidecar bool
	image         string
	memoryLimit   resource.Quantity
	restarts      int32
	ready         bool
	// waiting is the reason why it does not run (CrashLoopBackOff, ImagePullBackOff, …), with the kubelet's message.
	waiting, message string
	// ended is the newest termination, nil if there was none.
	ended *termination
	// running: it runs now, whatever was before.
	running bool
}

type termination struct {
	reason   string
	exitCode int32
	at       time.Time
}

// what the container is, in words.
func (c *container) what() string {
	switch {
	case c.sidecar:
		return "native sidecar"
	case c.init:
		return "init container"
	}
	return "container"
}

// in finds the container in a template, among those of its sort.
func (c *container) in(t *corev1.PodTemplateSpec) (corev1.Container, bool) {
	all := t.Spec.Containers
	if c.init {
		all = t.Spec.InitContainers
	}
	for _, spec := range all[:min(len(all), maxContainers)] {
		if spec.Name == c.name {
			return spec, true
		}
	}
	return corev1.Container{}, false
}

// newest is the revision that the Deployment rolls out now, if it was among those that were read. Its number is in its ReplicaSet before the Deployment has it.
func (f *facts) newest() (revision, bool) {
	if len(f.revisions) == 0 || f.revisions[0].number < f.number {
		return revision{}, false
	}
	return f.revisions[0], true
}

// previous is the newest revision before it whose template is another.
func (f *facts) previous() (revision, bool) {
	newest, ok := f.newest()
	if !ok {
		return revision{}, false
	}
	for _, r := range f.revisions[1:] {
		if !sameTemplate(newest, r) {
			return r, true
		}
	}
	return revision{}, false
}

// ofNewest reports whether the pod has the newest template, as far as its owner or label says.
func (f *facts) ofNewest(p *pod) bool {
	if newest, ok := f.newest(); ok {
		return p.owner == newest.uid
	}
	return f.newestHash != "" && p.hash == f.newestHash
}

// olderServes reports whether a pod of an older template is ready.
func (f *facts) olderServes() bool {
	_, known := f.newest()
	for i := range f.pods {
		if p := &f.pods[i]; p.ready && (known || f.newestHash != "" && p.hash != "") && !f.ofNewest(p) {
			return true
		}
	}
	return false
}
