package rules_test

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const notFound = `Back-off pulling image "cart:missing": ErrImagePull: not found`

func pullFails() *corev1.ContainerStatus { return waiting("ImagePullBackOff", notFound) }

var images = []situation{
	{seen: "An image cannot be pulled since the newest rollout, and pods of the earlier revision serve. *Simulated.*", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:missing", "64Mi"), app(pullFails()))
	}},
	{seen: "The same, and no pod of the earlier revision is left.", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		d := w.deployment(1)
		w.revision(d, 1, "cart:1", "64Mi")
		w.pod(w.revision(d, 2, "cart:missing", "64Mi"), "cart:missing", "64Mi", pullFails())
	}},
	{seen: "The image of an init container cannot be pulled since the newest rollout.", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		bad := withInit(template("cart:1", "64Mi"), "16Mi", nil)
		bad.Spec.InitContainers[0].Image = "prepare:missing"
		w.since(withInit(template("cart:1", "64Mi"), "16Mi", nil), bad, app(waiting("PodInitializing", "")), status(true, "prepare", pullFails()))
	}},
	{seen: "An image cannot be pulled, and the earlier revision has the same.", make: func(w *world) {
		d := w.deployment(1)
		w.revision(d, 1, "cart:missing", "32Mi")
		w.pod(w.revision(d, 2, "cart:missing", "64Mi"), "cart:missing", "64Mi", pullFails())
	}},
	{seen: "The image of an injected container cannot be pulled.", make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:2", "64Mi"), inject, app(running()), status(false, "proxy", pullFails()))
	}},
	{seen: "A StatefulSet's image cannot be pulled since the newest rollout, and pods of the earlier template serve.", kind: "StatefulSet", make: func(w *world) {
		s := w.statefulSet(2, "cart:missing", func(s *appsSet) { s.status.UpdatedReplicas = 1 })
		w.podOf(s, template("cart:1", "64Mi"), app(running()), hash("old"))
		w.podOf(s, template("cart:missing", "64Mi"), app(pullFails()), hash("new"))
	}},
}

func noConfigMap() *corev1.ContainerStatus {
	return waiting("CreateContainerConfigError", `configmap "cart-2" not found`)
}

// withoutVolume is a rollout whose pods need a Secret that an event says is not there.
func withoutVolume(w *world) {
	d := w.deployment(2)
	w.pod(w.revision(d, 1, "cart:1", "64Mi"), "cart:1", "64Mi", running())
	p := w.pod(w.revision(d, 2, "cart:2", "64Mi"), "cart:2", "64Mi", waiting("ContainerCreating", ""))
	w.warn(p.UID, "FailedMount", `MountVolume.SetUp failed for volume "tls" : secret "cart-tls" not found`)
}

var configuration = []situation{
	{seen: "A container's environment needs a ConfigMap, a Secret or a key that is not there, since the newest rollout.", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:2", "64Mi"), app(noConfigMap()))
	}},
	{seen: "A volume needs one that is not there, since the newest rollout.", recommended: "rollout-undo toRevision=1", auto: true, later: 2 * time.Minute, make: withoutVolume},
	{seen: "The same, and the pods are younger than two minutes: it may be there by now.", make: withoutVolume},
	{seen: "One is not there, and no rollout explains it: somebody deleted it.", make: func(w *world) {
		w.alone(template("cart:1", "64Mi"), app(noConfigMap()))
	}},
}

var crashes = []situation{
	{seen: "A container crashes since the newest rollout, and pods of the earlier revision serve. *Simulated.*", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:crash", "64Mi"), app(crashed("Error", 1)))
	}},
	{seen: "The same, and no pod of the earlier revision is left.", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		d := w.deployment(1)
		w.revision(d, 1, "cart:1", "64Mi")
		w.pod(w.revision(d, 2, "cart:crash", "64Mi"), "cart:crash", "64Mi", crashed("Error", 1))
	}},
	{seen: "Pods of the revision before crash as well.", recommended: "rollout-undo toRevision=1", make: func(w *world) {
		d := w.deployment(2)
		w.revision(d, 1, "cart:1", "64Mi")
		w.pod(w.revision(d, 2, "cart:crash", "64Mi"), "cart:crash", "64Mi", crashed("Error", 1))
		w.pod(w.revision(d, 3, "cart2:crash", "64Mi"), "cart2:crash", "64Mi", crashed("Error", 1))
	}},
	{seen: "An init container crashes since the newest rollout.", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		w.since(template("cart:1", "64Mi"), withInit(template("cart:2", "64Mi"), "16Mi", nil), app(waiting("PodInitializing", "")), status(true, "prepare", crashed("Error", 1)))
	}},
	{seen: "A container crashes since a restart: the earlier revision has the same template.", recommended: "restart-pods", make: func(w *world) {
		again := template("cart:1", "64Mi")
		again.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-11-23T04:05:06Z"}
		w.since(template("cart:1", "64Mi"), again, app(crashed("Error", 1)))
	}},
	{seen: "A container crashes, and the newest rollout was over more than a day ago.", recommended: "restart-pods", make: func(w *world) {
		d := w.deployment(1, over(48*time.Hour))
		w.revision(d, 1, "cart:1", "64Mi")
		w.pod(w.revision(d, 2, "cart:2", "64Mi"), "cart:2", "64Mi", crashed("Error", 1))
	}},
	{seen: "An injected container crashes.", make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:2", "64Mi"), inject, app(running()), status(false, "proxy", crashed("Error", 1)))
	}},
	{seen: "A container crashed once, long ago, and runs; its pod is not ready for another reason.", recommended: "rollout-restart", make: func(w *world) {
		d := w.deployment(1, over(48*time.Hour))
		s := running()
		s.Ready, s.RestartCount = false, 1
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 255, FinishedAt: metav1.NewTime(time.Now().Add(-24 * time.Hour))}
		w.pod(w.revision(d, 1, "cart:1", "64Mi"), "cart:1", "64Mi", s)
	}, later: time.Hour},
	{seen: "A StatefulSet's container crashes since the newest rollout, and pods of the earlier template serve.", kind: "StatefulSet", make: func(w *world) {
		s := w.statefulSet(2, "cart:crash", func(s *appsSet) { s.status.UpdatedReplicas = 1 })
		w.podOf(s, template("cart:1", "64Mi"), app(running()), hash("old"))
		w.podOf(s, template("cart:crash", "64Mi"), app(crashed("Error", 1)), hash("new"))
	}},
	{seen: "A DaemonSet's container crashes since the newest rollout, and pods of the earlier template serve.", kind: "DaemonSet", make: func(w *world) {
		d := w.daemonSet(2, "cart:crash", func(s *daemonSet) { s.status.UpdatedNumberScheduled = 1 })
		w.podOf(d, template("cart:1", "64Mi"), app(running()), generation("0"))
		w.podOf(d, template("cart:crash", "64Mi"), app(crashed("Error", 1)), generation("1"))
	}},
	{seen: "A StatefulSet's container crashes, and no rollout is under way.", kind: "StatefulSet", recommended: "restart-pods", make: func(w *world) {
		w.podOf(w.statefulSet(1, "cart:1"), template("cart:1", "64Mi"), app(crashed("Error", 1)), hash("new"))
	}},
}
