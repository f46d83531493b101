package workflowexecution

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The controllers of workloads do not run here: these helpers make what they would make.

func template(image string, containers ...string) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}}
	for _, name := range append([]string{"app"}, containers...) {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: name, Image: image})
	}
	return t
}

func limited(limit, request string) corev1.PodTemplateSpec {
	t := template("web:1")
	t.Spec.Containers[0].Resources = corev1.ResourceRequirements{
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)},
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(request), corev1.ResourceCPU: resource.MustParse("100m")},
	}
	return t
}

func (f *fixture) deployment(t corev1.PodTemplateSpec) *appsv1.Deployment {
	GinkgoHelper()
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "web"},
		Spec:       appsv1.DeploymentSpec{Replicas: ptr.To(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: t},
	}
	Expect(env.Client.Create(f.ctx, d)).To(Succeed())
	return d
}

func (f *fixture) statefulSet() *appsv1.StatefulSet {
	GinkgoHelper()
	s := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "web"},
		Spec:       appsv1.StatefulSetSpec{Replicas: ptr.To(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: template("web:2")},
	}
	Expect(env.Client.Create(f.ctx, s)).To(Succeed())
	return s
}

func (f *fixture) daemonSet() *appsv1.DaemonSet {
	GinkgoHelper()
	d := &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "web"},
		Spec:       appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: template("web:2")},
	}
	Expect(env.Client.Create(f.ctx, d)).To(Succeed())
	return d
}

// metaOption changes the metadata of what a workload's controller makes.
type metaOption func(*metav1.ObjectMeta)

// ownedBy makes a workload the controller.
func ownedBy(owner client.Object) metaOption {
	GinkgoHelper()
	gvk, err := env.Client.GroupVersionKindFor(owner)
	Expect(err).NotTo(HaveOccurred())
	return func(m *metav1.ObjectMeta) {
		m.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, gvk)}
	}
}

func labelled(labels map[string]string) metaOption {
	return func(m *metav1.ObjectMeta) { maps.Copy(m.Labels, labels) }
}

// because is the change cause of a revision.
func because(cause string) metaOption {
	return func(m *metav1.ObjectMeta) { m.Annotations["kubernetes.io/change-cause"] = cause }
}

func called(name string) metaOption { return func(m *metav1.ObjectMeta) { m.Name = name } }

func apply(m *metav1.ObjectMeta, options []metaOption) {
	for _, o := range options {
		o(m)
	}
}

// replicaSet is one revision of a Deployment.
func (f *fixture) replicaSet(d *appsv1.Deployment, number int, image string, options ...metaOption) *appsv1.ReplicaSet {
	GinkgoHelper()
	hash := fmt.Sprintf("hash%d", number)
	t := *d.Spec.Template.DeepCopy()
	t.Spec.Containers[0].Image = image
	t.Labels = maps.Clone(t.Labels)
	t.Labels["pod-template-hash"] = hash
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: d.Name + "-" + hash, Labels: t.Labels,
			Annotations: map[string]string{"deployment.kubernetes.io/revision": strconv.Itoa(number)}},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: t.Labels}, Template: t},
	}
	apply(&rs.ObjectMeta, append(options, ownedBy(d)))
	Expect(env.Client.Create(f.ctx, rs)).To(Succeed())
	return rs
}

// controllerRevision is one revision of a StatefulSet or DaemonSet, as their controllers write it.
func (f *fixture) controllerRevision(by client.Object, t corev1.PodTemplateSpec, number int64, image string, options ...metaOption) {
	GinkgoHelper()
	t = *t.DeepCopy()
	t.Spec.Containers[0].Image = image
	text, err := json.Marshal(t)
	Expect(err).NotTo(HaveOccurred())
	var content map[string]any
	Expect(json.Unmarshal(text, &content)).To(Succeed())
	f.controllerRevisionOf(by, number, content, options...)
}

// controllerRevisionOf is a revision with any content: the API server takes it as it is.
func (f *fixture) controllerRevisionOf(by client.Object, number int64, content map[string]any, options ...metaOption) {
	GinkgoHelper()
	content["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": content}})
	Expect(err).NotTo(HaveOccurred())
	r := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: fmt.Sprintf("web-%d", number), Labels: map[string]string{"app": "web"}},
		Data:       runtime.RawExtension{Raw: data}, Revision: number,
	}
	apply(&r.ObjectMeta, append(options, ownedBy(by)))
	Expect(env.Client.Create(f.ctx, r)).To(Succeed())
}

// pod makes a pod; unscheduled as it is, deleting it removes it at once.
func (f *fixture) pod(name string, options ...metaOption) *corev1.Pod {
	GinkgoHelper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "web:1"}}},
	}
	apply(&p.ObjectMeta, options)
	Expect(env.Client.Create(f.ctx, p)).To(Succeed())
	return p
}

// pods are the names of the pods that are not being deleted.
func (f *fixture) pods() []string {
	GinkgoHelper()
	list := &corev1.PodList{}
	Expect(env.Client.List(f.ctx, list, client.InNamespace(f.namespace))).To(Succeed())
	names := []string{}
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			names = append(names, list.Items[i].Name)
		}
	}
	return names
}

func (f *fixture) live(d *appsv1.Deployment) *appsv1.Deployment {
	GinkgoHelper()
	live := &appsv1.Deployment{}
	Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(d), live)).To(Succeed())
	return live
}

// report sets the status as the Deployment controller would, for the newest generation.
func (f *fixture) report(d *appsv1.Deployment, available int32) {
	GinkgoHelper()
	live := f.live(d)
	live.Status = appsv1.DeploymentStatus{ObservedGeneration: live.Generation, Replicas: available, UpdatedReplicas: available, ReadyReplicas: available, AvailableReplicas: available}
	Expect(env.Client.Status().Update(f.ctx, live)).To(Succeed())
}

func (f *fixture) pause(d *appsv1.Deployment) { GinkgoHelper(); f.setPaused(d, true) }

func (f *fixture) resume(d *appsv1.Deployment) { GinkgoHelper(); f.setPaused(d, false) }

func (f *fixture) setPaused(d *appsv1.Deployment, paused bool) {
	GinkgoHelper()
	live := f.live(d)
	live.Spec.Paused = paused
	Expect(env.Client.Update(f.ctx, live)).To(Succeed())
}

func scaleBy(f *fixture, d *appsv1.Deployment, replicas int32) {
	GinkgoHelper()
	live := f.live(d)
	live.Spec.Replicas = &replicas
	Expect(env.Client.Update(f.ctx, live)).To(Succeed())
}

func ruleFor(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func serviceAccount(f *fixture, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}
}

func namespaceOf(f *fixture) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
}
