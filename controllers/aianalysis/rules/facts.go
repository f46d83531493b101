package rules

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

// facts are what the playbook decides on.
type facts struct {
	kind, namespace, name string

	// supported: the rules know targets of this kind; exists: there is one; deleting: it is being deleted.
	supported, exists, deleting bool

	paused             bool
	generation         int64
	observedGeneration int64
	// desired replicas (of a DaemonSet: pods), and how many are of the newest template and available.
	desired, updated, available int32

	// deadlineExceeded: the rollout made no progress for progressDeadlineSeconds; its message is stuck.
	deadlineExceeded bool
	stuck            string
	// createFailure is why pods cannot be made at all (a quota, an admission), if so.
	createFailure string
	// rolledOut is when the newest rollout was over; zero while it is not, or nobody says.
	rolledOut time.Time

	// revisions of a Deployment, newest first.
	revisions []revision
	pods      []pod
	// truncated: there are more pods or ReplicaSets than were read.
	truncated bool
	// warnings are the texts of events, newest first, each once.
	warnings []string
}

// revision is one ReplicaSet of a Deployment.
type revision struct {
	uid        types.UID
	number     int64
	created    time.Time
	containers map[string]template
}

// template is what a pod template says of one container.
type template struct {
	image       string
	memoryLimit resource.Quantity
}

type pod struct {
	uid     types.UID
	name    string
	created time.Time
	// owner is the ReplicaSet, StatefulSet or DaemonSet that made it.
	owner      types.UID
	ready      bool
	containers []container
	// unschedulable is the scheduler's message, if it found no node.
	unschedulable string
}

type container struct {
	name string
	// init containers end before the others start; no workflow changes them.
	init        bool
	image       string
	memoryLimit resource.Quantity
	restarts    int32
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

// newest is the revision that the Deployment rolls out now.
func (f *facts) newest() (revision, bool) {
	if len(f.revisions) == 0 {
		return revision{}, false
	}
	return f.revisions[0], true
}

// previous is the revision before the newest.
func (f *facts) previous() (revision, bool) {
	if len(f.revisions) < 2 {
		return revision{}, false
	}
	return f.revisions[1], true
}
