package rules_test

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var killed = func() *corev1.ContainerStatus { return crashed("OOMKilled", 137) }

// limit is a memory limit.
func limit(memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}}
}

// withInit adds an init container called prepare.
func withInit(t corev1.PodTemplateSpec, memory string, policy *corev1.ContainerRestartPolicy) corev1.PodTemplateSpec {
	t.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "prepare:1", Resources: limit(memory), RestartPolicy: policy}}
	return t
}

var always = ptr.To(corev1.ContainerRestartPolicyAlways)

// inject puts a container called proxy into the pod, which no template has.
func inject(p *corev1.Pod) {
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy:1", Resources: limit("32Mi")})
}

// together is a limit for all containers of a pod.
func together(t corev1.PodTemplateSpec, memory string) corev1.PodTemplateSpec {
	t.Spec.Resources = ptr.To(limit(memory))
	return t
}

// since has pods of revision 1, which run, and of revision 2, which are as the changes make them.
func (w *world) since(good, bad corev1.PodTemplateSpec, changes ...func(*corev1.Pod)) {
	d := w.deployment(2)
	w.podOf(w.rollOut(d, 1, good), good, ran(good)...)
	w.podOf(w.rollOut(d, 2, bad), bad, changes...)
}

// ran is a pod whose containers run, and whose init containers have ended, or run when they are sidecars.
func ran(t corev1.PodTemplateSpec) []func(*corev1.Pod) {
	changes := []func(*corev1.Pod){app(running())}
	for _, c := range t.Spec.InitContainers {
		s := running()
		if c.RestartPolicy == nil {
			s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}
		}
		changes = append(changes, status(true, c.Name, s))
	}
	return changes
}

// alone has one revision, and pods that are as the changes make them.
func (w *world) alone(t corev1.PodTemplateSpec, changes ...func(*corev1.Pod)) {
	w.podOf(w.rollOut(w.deployment(1), 1, t), t, changes...)
}

// over is a Deployment whose rollout is over, so long ago.
func over(ago time.Duration) func(*appsv1.DeploymentSpec, *appsv1.DeploymentStatus) {
	return func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) {
		s.UpdatedReplicas = s.Replicas
		s.Conditions = append(s.Conditions, progressing(corev1.ConditionTrue, "NewReplicaSetAvailable", time.Now().Add(-ago)))
	}
}

var memory = []situation{
	{seen: "A container was killed at the limit that the template has. *Simulated.*", recommended: "increase-memory container=app memoryLimit=128Mi", auto: true, make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:2", "64Mi"), app(killed()))
	}},
	{seen: "The same, and the revision before had a higher limit.", recommended: "increase-memory container=app memoryLimit=128Mi", auto: true, make: func(w *world) {
		w.since(template("cart:1", "128Mi"), template("cart:2", "64Mi"), app(killed()))
	}},
	{seen: "It was killed less than half an hour ago, and runs again.", recommended: "increase-memory container=app memoryLimit=128Mi", auto: true, make: func(w *world) {
		s := running()
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.Now()}
		w.alone(template("cart:1", "64Mi"), app(s))
	}},
	{seen: "A container was killed, and another one crashes.", recommended: "increase-memory container=app memoryLimit=128Mi", make: func(w *world) {
		t := template("cart:1", "64Mi")
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: "log", Image: "log:1"})
		w.alone(t, app(killed()), status(false, "log", crashed("Error", 1)))
	}},
	{seen: "A container was killed and runs again; since then another image cannot be pulled, since the newest rollout.", recommended: "rollout-undo toRevision=1", auto: true, make: func(w *world) {
		good, bad := template("cart:1", "64Mi"), template("cart:missing", "64Mi")
		d := w.deployment(2)
		s := running()
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.Now()}
		w.podOf(w.rollOut(d, 1, good), good, app(s))
		w.podOf(w.rollOut(d, 2, bad), bad, app(waiting("ImagePullBackOff", "not found")))
	}},
	{seen: "An init container was killed.", recommended: "increase-memory container=prepare memoryLimit=32Mi", auto: true, make: func(w *world) {
		w.since(withInit(template("cart:1", "64Mi"), "16Mi", nil), withInit(template("cart:2", "64Mi"), "16Mi", nil), app(waiting("PodInitializing", "")), status(true, "prepare", killed()))
	}},
	{seen: "A native sidecar (an init container with restartPolicy Always) was killed.", recommended: "increase-memory container=prepare memoryLimit=32Mi", auto: true, make: func(w *world) {
		w.since(withInit(template("cart:1", "64Mi"), "16Mi", always), withInit(template("cart:2", "64Mi"), "16Mi", always), app(running()), status(true, "prepare", killed()))
	}},
	{seen: "A container was killed that the template does not have: something injects it.", make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:2", "64Mi"), inject, app(running()), status(false, "proxy", killed()))
	}},
	{seen: "The same, and it is a native sidecar.", make: func(w *world) {
		w.since(template("cart:1", "64Mi"), template("cart:2", "64Mi"), func(p *corev1.Pod) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "proxy", Image: "proxy:1", RestartPolicy: always, Resources: limit("32Mi")})
		}, app(running()), status(true, "proxy", killed()))
	}},
	{seen: "A container and an injected one were killed.", recommended: "increase-memory container=app memoryLimit=128Mi", make: func(w *world) {
		w.alone(template("cart:1", "64Mi"), inject, status(false, "proxy", killed()), app(killed()))
	}},
	{seen: "A container without a limit was killed, in a pod that has one for all its containers.", make: func(w *world) {
		t := together(template("cart:1", ""), "64Mi")
		w.alone(t, app(killed()))
	}},
	{seen: "The same, and the container has a limit of its own.", make: func(w *world) {
		t := together(template("cart:1", "64Mi"), "64Mi")
		w.alone(t, app(killed()))
	}},
	{seen: "A container was killed, and neither it nor its pod has a limit.", make: func(w *world) {
		w.alone(template("cart:1", ""), app(killed()))
	}},
	{seen: "The pods have a limit that the template does not set.", make: func(w *world) {
		w.alone(template("cart:1", ""), func(p *corev1.Pod) { p.Spec.Containers[0].Resources = limit("64Mi") }, app(killed()))
	}},
	{seen: "The template has a higher limit than the pod that was killed.", make: func(w *world) {
		d := w.deployment(1)
		old := w.revision(d, 1, "cart:1", "64Mi")
		w.revision(d, 2, "cart:1", "256Mi")
		w.pod(old, "cart:1", "64Mi", killed())
	}},
	{seen: "The template has a lower limit than the pod that was killed.", make: func(w *world) {
		w.alone(template("cart:1", "64Mi"), func(p *corev1.Pod) { p.Spec.Containers[0].Resources = limit("96Mi") }, app(killed()))
	}},
	{seen: "The limit has no unit: 1024, which is a kilobyte.", make: func(w *world) { w.alone(template("cart:1", "1024"), app(killed())) }},
	{seen: "The limit is half a byte: 512m.", make: func(w *world) { w.alone(template("cart:1", "512m"), app(killed())) }},
	{seen: "The limit is 64 GiB or more.", make: func(w *world) { w.alone(template("cart:1", "64Gi"), app(killed())) }},
	{seen: "The limit cannot be computed with (1e100).", make: func(w *world) { w.alone(template("cart:1", "1e100"), app(killed())) }},
}
