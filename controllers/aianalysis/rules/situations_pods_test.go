package rules_test

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

// The scheduler's messages.
const (
	lackOfCPU  = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
	lackOfBoth = "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient memory."
	noSelector = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
	noClaim    = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
)

// asking is a template with a request of cpu, on is one for certain nodes.
func asking(image, cpu string) corev1.PodTemplateSpec {
	t := template(image, "64Mi")
	t.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	return t
}

func on(image, zone string) corev1.PodTemplateSpec {
	t := template(image, "64Mi")
	t.Spec.NodeSelector = map[string]string{"zone": zone}
	return t
}

// some of four pods run, the others wait with this message.
func (w *world) someWait(running, waiting int, message string) {
	d := w.deployment(4, over(48*time.Hour))
	t := template("cart:1", "64Mi")
	rs := w.rollOut(d, 1, t)
	w.several(rs, t, running, ran(t)...)
	w.several(rs, t, waiting, unschedulable(message))
}

func (w *world) several(rs *appsv1.ReplicaSet, t corev1.PodTemplateSpec, n int, changes ...func(*corev1.Pod)) {
	for range n {
		w.podOf(rs, t, changes...)
	}
}

var scheduling = []situation{
	{seen: "No node has enough cpu or memory left for some of the pods, and no rollout is under way.", recommended: "scale replicas=3", make: func(w *world) { w.someWait(3, 1, lackOfCPU) }},
	{seen: "The same, and other nodes have taints.", recommended: "scale replicas=2", make: func(w *world) { w.someWait(2, 2, lackOfBoth) }},
	{seen: "The same, and no pod has a node. *Simulated.*", make: func(w *world) { w.someWait(0, 4, lackOfCPU) }},
	{seen: "The same of a StatefulSet: the lowest ordinal that waits is 1 of 4.", kind: "StatefulSet", recommended: "scale replicas=1", make: func(w *world) {
		s := w.statefulSet(4, "cart:1")
		t := template("cart:1", "64Mi")
		w.podOf(s, t, app(running()), hash("new"))
		w.podOf(s, t, unschedulable(lackOfCPU), hash("new"))
	}},
	{seen: "The same of a DaemonSet.", kind: "DaemonSet", make: func(w *world) {
		d := w.daemonSet(2, "cart:1")
		w.podOf(d, template("cart:1", "64Mi"), app(running()), generation("1"))
		w.podOf(d, template("cart:1", "64Mi"), unschedulable("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector."), generation("1"))
	}},
	{seen: "Some of the pods wait for room, others for a claim.", make: func(w *world) {
		d := w.deployment(4, over(48*time.Hour))
		t := template("cart:1", "64Mi")
		rs := w.rollOut(d, 1, t)
		w.several(rs, t, 1, ran(t)...)
		w.several(rs, t, 2, unschedulable(lackOfCPU))
		w.several(rs, t, 1, unschedulable(noClaim))
	}},
	{seen: "No node has enough left since a rollout that asks for more, and pods of the earlier revision serve. *Simulated.*", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		w.since(asking("cart:1", "100m"), asking("cart:2", "64"), unschedulable(lackOfCPU))
	}},
	{seen: "No node has enough left for the new pods of a rollout that asks for no more.", make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:2", "64Mi"), unschedulable(lackOfCPU))
	}},
	{seen: "No node fits the node selector, affinity or tolerations since a rollout that changed them, and pods of the earlier revision serve. *Simulated.*", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		w.since(on("cart:1", "a"), on("cart:1", "b"), unschedulable(noSelector))
	}},
	{seen: "The same, and no pod of the earlier revision serves.", make: func(w *world) {
		d := w.deployment(1)
		w.rollOut(d, 1, on("cart:1", "a"))
		w.podOf(w.rollOut(d, 2, on("cart:1", "b")), on("cart:1", "b"), unschedulable(noSelector))
	}},
	{seen: "No node fits the selector for some of the pods, and no rollout is under way: 2 of 4 pods run.", make: func(w *world) { w.someWait(2, 2, noSelector) }},
	{seen: "Some nodes do not fit the selector, and the others have too little left.", make: func(w *world) {
		w.someWait(2, 2, "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector.")
	}},
	{seen: "All nodes have taints, or take no pods.", make: func(w *world) {
		w.someWait(2, 2, "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s).")
	}},
	{seen: "A claim is not bound, or is not there. *Simulated.*", make: func(w *world) { w.someWait(2, 2, noClaim) }},
	{seen: "The pods have scheduling gates. *Simulated.*", make: func(w *world) {
		w.alone(template("cart:1", "64Mi"), func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
			p.Status.Phase = corev1.PodPending
		})
	}},
	{seen: "The scheduler says something else.", make: func(w *world) { w.someWait(2, 2, "no nodes available to schedule pods") }},
}

// slow is a container that runs and is not ready.
func slow() *corev1.ContainerStatus {
	s := running()
	s.Ready = false
	return s
}

// stuckRollout is a Deployment that made no progress for progressDeadlineSeconds.
func stuckRollout(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) {
	s.Conditions = append(s.Conditions, progressing(corev1.ConditionFalse, "ProgressDeadlineExceeded", time.Now()))
}

// twoRevisions has a pod of the earlier revision that serves, and one of the newest that does not get ready.
func (w *world) twoRevisions(changes ...func(*appsv1.DeploymentSpec, *appsv1.DeploymentStatus)) {
	d := w.deployment(2, changes...)
	w.pod(w.revision(d, 1, "cart:1", "64Mi"), "cart:1", "64Mi", running())
	w.pod(w.revision(d, 2, "cart:2", "64Mi"), "cart:2", "64Mi", slow())
}

var readiness = []situation{
	{seen: "Pods of the newest revision run and do not get ready, pods of the earlier one serve, and progressDeadlineSeconds are over.", recommended: "rollout-undo toRevision=1", auto: true,
		make: func(w *world) { w.twoRevisions(stuckRollout) }},
	{seen: "The same, and the rollout has no deadline; its pods are older than 10 minutes.", recommended: "rollout-undo toRevision=1", auto: true, later: 11 * time.Minute, make: func(w *world) {
		w.twoRevisions(func(s *appsv1.DeploymentSpec, _ *appsv1.DeploymentStatus) {
			s.ProgressDeadlineSeconds = ptr.To[int32](1<<31 - 1)
		})
	}},
	{seen: "The same, and the deadline is not over.", later: 5 * time.Minute, make: func(w *world) { w.twoRevisions() }},
	{seen: "The rollout is stuck, pods run and do not get ready, and no pod of an earlier revision serves.", recommended: "rollout-restart", make: func(w *world) {
		w.pod(w.revision(w.deployment(1, stuckRollout), 1, "cart:1", "64Mi"), "cart:1", "64Mi", slow())
	}},
	{seen: "Pods run and are not ready any more, long after the rollout.", recommended: "rollout-restart", later: time.Hour, make: func(w *world) {
		w.pod(w.revision(w.deployment(1, over(48*time.Hour)), 1, "cart:1", "64Mi"), "cart:1", "64Mi", slow())
	}},
	{seen: "Pods are not ready yet, and younger than two minutes.", make: func(w *world) {
		w.pod(w.revision(w.deployment(1, over(48*time.Hour)), 1, "cart:1", "64Mi"), "cart:1", "64Mi", slow())
	}},
	{seen: "The containers have not been started.", later: time.Hour, make: func(w *world) {
		w.pod(w.revision(w.deployment(1, over(48*time.Hour)), 1, "cart:1", "64Mi"), "cart:1", "64Mi", waiting("ContainerCreating", ""))
	}},
	{seen: "The containers are ready, and a readiness gate is not met.", later: time.Hour, make: func(w *world) {
		t := template("cart:1", "64Mi")
		w.podOf(w.rollOut(w.deployment(1, over(48*time.Hour)), 1, t), t, app(running()), func(p *corev1.Pod) {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/target-health"}}
			p.Status.Conditions[0].Status = corev1.ConditionFalse
		})
	}},
	{seen: "All pods are ready, and not yet available: minReadySeconds.", make: func(w *world) {
		d := w.deployment(1, over(time.Minute), func(s *appsv1.DeploymentSpec, _ *appsv1.DeploymentStatus) { s.MinReadySeconds = 300 })
		w.pod(w.revision(d, 1, "cart:1", "64Mi"), "cart:1", "64Mi", running())
	}},
	{seen: "All pods are ready, and the last of an earlier revision are about to go.", make: func(w *world) {
		d := w.deployment(1, whole(1), func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) { s.Replicas = 2 })
		w.pod(w.revision(d, 1, "cart:1", "64Mi"), "cart:1", "64Mi", running())
		w.pod(w.revision(d, 2, "cart:2", "64Mi"), "cart:2", "64Mi", running())
	}},
	{seen: "Pods are missing, and nothing says why.", kind: "StatefulSet", make: func(w *world) {
		w.podOf(w.statefulSet(2, "cart:1", serving(1, 1)), template("cart:1", "64Mi"), app(running()), hash("new"))
	}},
	{seen: "A Deployment says that pods cannot be made: a quota, an admission.", make: func(w *world) {
		w.deployment(1, func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) {
			s.Conditions = append(s.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota: team"})
		})
	}},
	{seen: "An event says that pods of a StatefulSet or DaemonSet cannot be made.", kind: "StatefulSet", make: func(w *world) {
		s := w.statefulSet(1, "cart:1", func(s *appsSet) { s.status.Replicas, s.status.UpdatedReplicas = 0, 0 })
		w.warn(s.UID, "FailedCreate", "create Pod cart-0 in StatefulSet cart failed error: exceeded quota: team")
	}},
	{seen: "The controller has not seen the newest spec yet.", make: func(w *world) {
		w.deployment(1, func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) { s.ObservedGeneration = 0 })
	}},
}
