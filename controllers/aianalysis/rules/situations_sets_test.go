package rules_test

import (
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// appsSet is what a test changes of a StatefulSet, daemonSet of a DaemonSet, before they are there.
type (
	appsSet struct {
		spec   appsv1.StatefulSetSpec
		status appsv1.StatefulSetStatus
	}
	daemonSet struct {
		spec   appsv1.DaemonSetSpec
		status appsv1.DaemonSetStatus
	}
)

// statefulSet makes one whose controller has observed its spec. Its newest revision is called new, an earlier one old.
func (w *world) statefulSet(replicas int32, image string, changes ...func(*appsSet)) *appsv1.StatefulSet {
	content := appsSet{
		spec:   appsv1.StatefulSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: podLabels}, Template: template(image, "64Mi")},
		status: appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: replicas, UpdatedReplicas: replicas, CurrentRevision: "old", UpdateRevision: "new"},
	}
	for _, change := range changes {
		change(&content)
	}
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cart"}, Spec: content.spec}
	w.Expect(api.Create(w.ctx, s)).To(Succeed())
	s.Status = content.status
	w.Expect(api.Status().Update(w.ctx, s)).To(Succeed())
	return s
}

// daemonSet makes one whose controller has observed its spec. Its newest template has generation 1.
func (w *world) daemonSet(nodes int32, image string, changes ...func(*daemonSet)) *appsv1.DaemonSet {
	content := daemonSet{
		spec:   appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: podLabels}, Template: template(image, "64Mi")},
		status: appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: nodes, CurrentNumberScheduled: nodes, UpdatedNumberScheduled: nodes},
	}
	for _, change := range changes {
		change(&content)
	}
	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cart"}, Spec: content.spec}
	w.Expect(api.Create(w.ctx, d)).To(Succeed())
	d.Status = content.status
	w.Expect(api.Status().Update(w.ctx, d)).To(Succeed())
	return d
}

// hash is the revision of a StatefulSet's pod, generation that of a DaemonSet's.
func hash(h string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels[appsv1.ControllerRevisionHashLabelKey] = h }
}

func generation(n string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels["pod-template-generation"] = n }
}

func partition(n int32) func(*appsSet) {
	return func(s *appsSet) {
		s.spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To(n)}
	}
}

func onDelete(s *appsSet) {
	s.spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
}

// serving is the status of so many available and updated replicas.
func serving(available, updated int32) func(*appsSet) {
	return func(s *appsSet) {
		s.status.ReadyReplicas, s.status.AvailableReplicas, s.status.UpdatedReplicas = available, available, updated
	}
}

var strategies = []situation{
	{seen: "A StatefulSet with a partition: all pods are available, and as many are updated as the partition lets.", kind: "StatefulSet", make: func(w *world) {
		s := w.statefulSet(2, "cart:2", partition(1), serving(2, 1))
		w.podOf(s, template("cart:1", "64Mi"), app(running()), hash("old"))
		w.podOf(s, template("cart:2", "64Mi"), app(running()), hash("new"))
	}},
	{seen: "A StatefulSet with a partition: a container was killed for its memory.", kind: "StatefulSet", make: func(w *world) {
		s := w.statefulSet(2, "cart:2", partition(1), serving(1, 1))
		w.podOf(s, template("cart:1", "64Mi"), app(killed()), hash("old"))
		w.podOf(s, template("cart:2", "64Mi"), app(running()), hash("new"))
	}},
	{seen: "A StatefulSet with OnDelete: all pods are available, some of an older template.", kind: "StatefulSet", make: func(w *world) {
		s := w.statefulSet(2, "cart:2", onDelete, serving(2, 0))
		w.podOf(s, template("cart:1", "64Mi"), app(running()), hash("old"))
		w.podOf(s, template("cart:1", "64Mi"), app(running()), hash("old"))
	}},
	{seen: "A StatefulSet with OnDelete: a container was killed for its memory.", kind: "StatefulSet", make: func(w *world) {
		w.podOf(w.statefulSet(1, "cart:1", onDelete), template("cart:1", "64Mi"), app(killed()), hash("new"))
	}},
	{seen: "A StatefulSet with OnDelete: a pod of an older template crashes, and to make it again would update it.", kind: "StatefulSet", make: func(w *world) {
		s := w.statefulSet(2, "cart:2", onDelete, serving(1, 1))
		w.podOf(s, template("cart:1", "64Mi"), app(crashed("Error", 1)), hash("old"))
		w.podOf(s, template("cart:2", "64Mi"), app(running()), hash("new"))
	}},
	{seen: "A StatefulSet with OnDelete: a pod crashes, and all are of the newest template.", kind: "StatefulSet", recommended: "restart-pods", make: func(w *world) {
		w.podOf(w.statefulSet(1, "cart:1", onDelete), template("cart:1", "64Mi"), app(crashed("Error", 1)), hash("new"))
	}},
	{seen: "A DaemonSet with OnDelete: a container was killed for its memory.", kind: "DaemonSet", make: func(w *world) {
		d := w.daemonSet(1, "cart:1", func(s *daemonSet) { s.spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType })
		w.podOf(d, template("cart:1", "64Mi"), app(killed()), generation("1"))
	}},
	{seen: "A DaemonSet that is rolled out: a container was killed for its memory.", kind: "DaemonSet", recommended: "increase-memory container=app memoryLimit=128Mi", auto: true, make: func(w *world) {
		w.podOf(w.daemonSet(1, "cart:1"), template("cart:1", "64Mi"), app(killed()), generation("1"))
	}},
}

var nothing = []situation{
	{seen: "Everything is available and of the newest template.", make: func(w *world) {
		w.pod(w.revision(w.deployment(1, whole(1)), 1, "cart:1", ""), "cart:1", "", running())
	}},
	{seen: "Everything of a DaemonSet is.", kind: "DaemonSet", make: func(w *world) {
		w.podOf(w.daemonSet(1, "cart:1", func(s *daemonSet) { s.status.NumberReady, s.status.NumberAvailable = 1, 1 }), template("cart:1", ""), app(running()), generation("1"))
	}},
	{seen: "The target does not exist.", make: func(*world) {}},
	{seen: "It is of another kind.", kind: "CronJob", make: func(*world) {}},
	{seen: "It is scaled to zero.", make: func(w *world) { w.deployment(0) }},
	{seen: "Its rollout is paused.", make: func(w *world) {
		w.deployment(1, func(s *appsv1.DeploymentSpec, _ *appsv1.DeploymentStatus) { s.Paused = true })
	}},
	{seen: "It is being deleted.", make: func(w *world) {
		d := w.deployment(1)
		d.Finalizers = []string{"example.com/hold"}
		w.Expect(api.Update(w.ctx, d)).To(Succeed())
		w.Expect(api.Delete(w.ctx, d)).To(Succeed())
	}},
}
