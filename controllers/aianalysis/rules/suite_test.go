package rules_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/rules"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// api is a real API server. Nothing but the tests makes ReplicaSets, pods and statuses there.
var api client.WithWatch

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	cluster, err := localcluster.Start(context.Background(), localcluster.Options{Profile: localcluster.ControlPlane})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = cluster.Stop() }()
	if api, err = client.NewWithWatch(cluster.RESTConfig(), client.Options{Scheme: clientgoscheme.Scheme}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// world is one test's namespace.
type world struct {
	Gomega
	ctx       context.Context
	namespace string
	// pods counts those of each owner, for their names.
	pods map[string]int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Gomega: NewWithT(t), ctx: t.Context(), pods: map[string]int{}}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "rules-"}}
	w.Expect(api.Create(w.ctx, ns)).To(Succeed())
	w.namespace = ns.Name
	return w
}

var podLabels = map[string]string{"app": "cart"}

func template(image, memory string) corev1.PodTemplateSpec {
	c := corev1.Container{Name: "app", Image: image}
	if memory != "" {
		c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: podLabels}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
}

// deployment makes a Deployment called cart whose controller has observed its spec.
func (w *world) deployment(replicas int32, changes ...func(*appsv1.DeploymentSpec, *appsv1.DeploymentStatus)) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cart"}}
	d.Spec = appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: podLabels}, Template: template("cart:1", "64Mi")}
	status := appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: replicas}
	for _, change := range changes {
		change(&d.Spec, &status)
	}
	w.Expect(api.Create(w.ctx, d)).To(Succeed())
	d.Status = status
	w.Expect(api.Status().Update(w.ctx, d)).To(Succeed())
	return d
}

// revision rolls out a template with this image and memory limit.
func (w *world) revision(d *appsv1.Deployment, number int, image, memory string) *appsv1.ReplicaSet {
	return w.rollOut(d, number, template(image, memory))
}

// rollOut puts a template into the Deployment, which its controller observes, and makes the ReplicaSet. Number after number, the last one is the newest.
func (w *world) rollOut(d *appsv1.Deployment, number int, t corev1.PodTemplateSpec) *appsv1.ReplicaSet {
	status := d.Status
	d.Spec.Template = *t.DeepCopy()
	w.Expect(api.Update(w.ctx, d)).To(Succeed())
	d.Status = status
	d.Status.ObservedGeneration = d.Generation
	w.Expect(api.Status().Update(w.ctx, d)).To(Succeed())
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.namespace, Name: "cart-" + strconv.Itoa(number), Labels: podLabels,
		Annotations:     map[string]string{"deployment.kubernetes.io/revision": strconv.Itoa(number)},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
	}}
	rs.Spec = appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: podLabels}, Template: t}
	w.Expect(api.Create(w.ctx, rs)).To(Succeed())
	return rs
}

// pod makes a pod of an owner with this container status; see withoutNode.
func (w *world) pod(owner client.Object, image, memory string, status *corev1.ContainerStatus) *corev1.Pod {
	if status == nil {
		return w.podOf(owner, template(image, memory), unschedulable("0/3 nodes are available: 3 Insufficient cpu."))
	}
	return w.podOf(owner, template(image, memory), app(status))
}

// podOf makes a pod of an owner. Changes are made to it, its status included, before it is there.
func (w *world) podOf(owner client.Object, t corev1.PodTemplateSpec, changes ...func(*corev1.Pod)) *corev1.Pod {
	gvk, err := api.GroupVersionKindFor(owner)
	w.Expect(err).NotTo(HaveOccurred())
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: fmt.Sprintf("%s-%d", owner.GetName(), w.pods[owner.GetName()]), Labels: maps.Clone(podLabels),
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, gvk)}}, Spec: *t.Spec.DeepCopy()}
	w.pods[owner.GetName()]++
	for _, change := range changes {
		change(p)
	}
	status := p.Status
	w.Expect(api.Create(w.ctx, p)).To(Succeed())
	p.Status = status
	w.Expect(api.Status().Update(w.ctx, p)).To(Succeed())
	return p
}

// app is a pod that has a node, whose container app has this status.
func app(s *corev1.ContainerStatus) func(*corev1.Pod) { return status(false, "app", s) }

// status is that of one more container; the pod is ready if all of them are.
func status(init bool, name string, s *corev1.ContainerStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		s = s.DeepCopy()
		s.Name, s.Image = name, "image"
		all := true
		for _, c := range append(append([]corev1.ContainerStatus{*s}, p.Status.ContainerStatuses...), p.Status.InitContainerStatuses...) {
			all = all && c.Ready
		}
		p.Status.Phase, p.Status.Conditions = corev1.PodRunning, []corev1.PodCondition{{Type: corev1.PodReady, Status: ready(all)}}
		if init {
			p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, *s)
		} else {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, *s)
		}
	}
}

// unschedulable is a pod that the scheduler finds no node for.
func unschedulable(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: corev1.PodReasonUnschedulable, Message: message}}}
	}
}

func ready(is bool) corev1.ConditionStatus {
	if is {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// withoutNode is the status of a container whose pod waits for a node.
func withoutNode() *corev1.ContainerStatus { return nil }

func running() *corev1.ContainerStatus {
	return &corev1.ContainerStatus{Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}
}

func waiting(reason, message string) *corev1.ContainerStatus {
	return &corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func crashed(reason string, exitCode int32) *corev1.ContainerStatus {
	s := waiting("CrashLoopBackOff", "back-off 40s restarting failed container")
	s.RestartCount = 6
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: reason, ExitCode: exitCode, FinishedAt: metav1.Now()}
	return s
}

func (w *world) warn(about types.UID, reason, message string) {
	e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "warning-"}, Type: corev1.EventTypeWarning, Reason: reason, Message: message,
		InvolvedObject: corev1.ObjectReference{Namespace: w.namespace, UID: about}, LastTimestamp: metav1.Now()}
	w.Expect(api.Create(w.ctx, e)).To(Succeed())
}

// investigate asks the rules, and makes sure that what they recommend can be run, and would have an effect.
func (w *world) investigate(kind string, options ...rules.Option) investigator.Finding {
	q := investigator.Request{Namespace: w.namespace, Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: kind, Name: "cart"}}
	f, err := rules.New(api, options...).Investigate(w.ctx, q)
	w.Expect(err).NotTo(HaveOccurred())
	c, err := catalogue.Default()
	w.Expect(err).NotTo(HaveOccurred())
	checked, err := investigator.Check(c, kind, f)
	w.Expect(err).NotTo(HaveOccurred())
	if f.Recommendation != nil {
		w.Expect(checked.Recommendation).To(Equal(f.Recommendation), checked.NoActionReason)
		w.Expect(f.Alternatives).NotTo(BeEmpty())
		w.Expect(f.Recommendation.Rationale).NotTo(BeEmpty())
	} else {
		w.Expect(f.NoActionReason).NotTo(BeEmpty())
	}
	live, err := investigator.ReadWorkload(w.ctx, api, w.namespace, q.Target)
	w.Expect(err).NotTo(HaveOccurred())
	w.Expect(investigator.Hold(c, live, checked)).To(Equal(checked), "a recommendation can change what it blames")
	for _, a := range f.Alternatives {
		w.Expect(a.RejectedReason).NotTo(BeEmpty(), a.Action)
	}
	return checked
}

// alternative is the one that was weighed under this name.
func (w *world) alternative(f investigator.Finding, action string) investigator.Alternative {
	for _, a := range f.Alternatives {
		if a.Action == action {
			return a
		}
	}
	w.Expect(f.Alternatives).To(ContainElement(HaveField("Action", action)))
	return investigator.Alternative{}
}

func progressing(status corev1.ConditionStatus, reason string, at time.Time) appsv1.DeploymentCondition {
	return appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: status, Reason: reason, Message: reason + " of cart",
		LastUpdateTime: metav1.NewTime(at), LastTransitionTime: metav1.NewTime(at)}
}
