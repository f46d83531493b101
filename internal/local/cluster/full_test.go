//go:build unix

package cluster

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const eventually = time.Minute

// workloads makes Deployments in a namespace and reads their pods.
type workloads struct {
	client    *kubernetes.Clientset
	namespace string
}

// deployment has one container with the image; change may alter it before it is created.
func (w workloads) deployment(ctx context.Context, t *testing.T, name, image string, change func(*corev1.PodTemplateSpec)) {
	t.Helper()
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}},
			},
		},
	}
	if change != nil {
		change(&d.Spec.Template)
	}
	_, err := w.client.AppsV1().Deployments(w.namespace).Create(ctx, d, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

func (w workloads) update(ctx context.Context, t *testing.T, name string, change func(*corev1.PodTemplateSpec)) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		d, err := w.client.AppsV1().Deployments(w.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&d.Spec.Template)
		_, err = w.client.AppsV1().Deployments(w.namespace).Update(ctx, d, metav1.UpdateOptions{})
		return err
	}).WithTimeout(eventually).Should(Succeed())
}

// complete reports whether a Deployment's newest template is rolled out everywhere.
func (w workloads) complete(ctx context.Context, name string) func() (bool, error) {
	return func() (bool, error) {
		d, err := w.client.AppsV1().Deployments(w.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		s := d.Status
		return s.ObservedGeneration == d.Generation && s.Replicas == 1 && s.UpdatedReplicas == 1 && s.AvailableReplicas == 1, nil
	}
}

// containers returns the status of the first container of each of a Deployment's pods that run the image.
func (w workloads) containers(ctx context.Context, name, image string) func() ([]corev1.ContainerStatus, error) {
	return func() ([]corev1.ContainerStatus, error) {
		pods, err := w.client.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return nil, err
		}
		var found []corev1.ContainerStatus
		for _, pod := range pods.Items {
			if pod.Spec.Containers[0].Image == image {
				found = append(found, pod.Status.ContainerStatuses...)
			}
		}
		return found, nil
	}
}

func waitingFor(reason string) types.GomegaMatcher {
	return HaveField("State.Waiting", And(Not(BeNil()), HaveField("Reason", reason)))
}

func diedOf(reason string, code int32) types.GomegaMatcher {
	return HaveField("LastTerminationState.Terminated", And(Not(BeNil()), HaveField("Reason", reason), HaveField("ExitCode", code)))
}

// hasEvent waits until an Event with the reason was recorded for a pod of the Deployment.
func (w workloads) hasEvent(ctx context.Context, t *testing.T, name, reason string) {
	t.Helper()
	NewWithT(t).Eventually(func() ([]corev1.Event, error) {
		list, err := w.client.CoreV1().Events(w.namespace).List(ctx, metav1.ListOptions{})
		return list.Items, err
	}).WithTimeout(eventually).Should(ContainElement(And(
		HaveField("Reason", reason),
		HaveField("InvolvedObject.Kind", "Pod"), HaveField("InvolvedObject.Name", HavePrefix(name+"-")))))
}

func setImage(image string) func(*corev1.PodTemplateSpec) {
	return func(template *corev1.PodTemplateSpec) { template.Spec.Containers[0].Image = image }
}

func setMemory(limit string) func(*corev1.PodTemplateSpec) {
	return func(template *corev1.PodTemplateSpec) {
		template.Annotations = map[string]string{"holdfast.dev/needs-memory": "192Mi"}
		template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
	}
}

func TestFull(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	c, err := Start(ctx, Options{Profile: Full, Progress: t.Output(), Dir: t.TempDir()})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = c.Stop() })
	t.Run("workloads", func(t *testing.T) { testWorkloads(t, c) })
	t.Run("after Stop nothing is left", func(t *testing.T) {
		g := NewWithT(t)
		pids := c.pids()
		g.Expect(pids).To(HaveLen(5))
		g.Expect(c.Stop()).To(Succeed())
		for _, pid := range pids {
			g.Expect(gone(pid)).To(BeTrue(), "process %d", pid)
		}
	})
}

// testWorkloads runs its parts at the same time: most of each is waiting.
func testWorkloads(t *testing.T, c *Cluster) {
	ctx := t.Context()
	w := workloads{client: kubernetes.NewForConfigOrDie(c.RESTConfig()), namespace: "shop"}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
	_, err := w.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Eventually(func() error {
		_, err := w.client.CoreV1().ServiceAccounts(w.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	}).WithTimeout(eventually).Should(Succeed())

	t.Run("parts", func(t *testing.T) {
		t.Run("a bad rollout crash-loops, and undoing it heals", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			w.deployment(ctx, t, "crashing", "shop:1", nil)
			g.Eventually(w.complete(ctx, "crashing")).WithTimeout(eventually).Should(BeTrue())
			w.update(ctx, t, "crashing", setImage("shop:crash"))
			g.Eventually(w.containers(ctx, "crashing", "shop:crash")).WithTimeout(eventually).Should(ConsistOf(And(
				waitingFor("CrashLoopBackOff"), diedOf("Error", 1), HaveField("RestartCount", BeNumerically(">=", 2)), HaveField("Ready", false))))
			g.Expect(w.complete(ctx, "crashing")()).To(BeFalse())
			w.hasEvent(ctx, t, "crashing", "BackOff")
			w.update(ctx, t, "crashing", setImage("shop:1"))
			g.Eventually(w.complete(ctx, "crashing")).WithTimeout(eventually).Should(BeTrue())
		})
		t.Run("an image that is missing is not pulled", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			w.deployment(ctx, t, "absent", "shop:missing", nil)
			g.Eventually(w.containers(ctx, "absent", "shop:missing")).WithTimeout(eventually).Should(ConsistOf(waitingFor("ErrImagePull")))
			g.Eventually(w.containers(ctx, "absent", "shop:missing")).WithTimeout(eventually).Should(ConsistOf(waitingFor("ImagePullBackOff")))
			w.hasEvent(ctx, t, "absent", "Failed")
			w.update(ctx, t, "absent", setImage("shop:2"))
			g.Eventually(w.complete(ctx, "absent")).WithTimeout(eventually).Should(BeTrue())
		})
		t.Run("too little memory kills, and more of it heals", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			w.deployment(ctx, t, "hungry", "shop:1", setMemory("0.1Gi"))
			g.Eventually(w.containers(ctx, "hungry", "shop:1")).WithTimeout(eventually).Should(ConsistOf(And(
				waitingFor("CrashLoopBackOff"), diedOf("OOMKilled", 137), HaveField("RestartCount", BeNumerically(">=", 1)))))
			w.update(ctx, t, "hungry", setMemory("192Mi"))
			g.Eventually(w.complete(ctx, "hungry")).WithTimeout(eventually).Should(BeTrue())
		})
		t.Run("what does not fit on the node stays pending, and the scheduler says so", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			w.deployment(ctx, t, "huge", "shop:1", func(template *corev1.PodTemplateSpec) {
				template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("64")}
			})
			w.hasEvent(ctx, t, "huge", "FailedScheduling")
			g.Expect(w.containers(ctx, "huge", "shop:1")()).To(BeEmpty())
		})
		t.Run("a job completes, and one that crashes fails", func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			for name, image := range map[string]string{"good": "shop:1", "bad": "shop:crash"} {
				none := int32(0)
				job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.JobSpec{
					BackoffLimit: &none, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
						RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "work", Image: image}}}}}}
				_, err := w.client.BatchV1().Jobs(w.namespace).Create(ctx, job, metav1.CreateOptions{})
				g.Expect(err).NotTo(HaveOccurred())
			}
			status := func(name string) func() (batchv1.JobStatus, error) {
				return func() (batchv1.JobStatus, error) {
					job, err := w.client.BatchV1().Jobs(w.namespace).Get(ctx, name, metav1.GetOptions{})
					return job.Status, err
				}
			}
			g.Eventually(status("good")).WithTimeout(eventually).Should(HaveField("Succeeded", int32(1)))
			g.Eventually(status("bad")).WithTimeout(eventually).Should(HaveField("Failed", int32(1)))
		})
	})

	t.Run("a restarted API server finds the controllers again", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.RestartAPIServer(ctx)).To(Succeed())
		w.deployment(ctx, t, "late", "shop:1", nil)
		g.Eventually(w.complete(ctx, "late")).WithTimeout(eventually).Should(BeTrue())
	})

	t.Run("children go with their owner, and everything with its namespace", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(w.client.AppsV1().Deployments(w.namespace).Delete(ctx, "late", metav1.DeleteOptions{})).To(Succeed())
		g.Eventually(w.containers(ctx, "late", "shop:1")).WithTimeout(eventually).Should(BeEmpty())
		g.Expect(w.client.CoreV1().Namespaces().Delete(ctx, w.namespace, metav1.DeleteOptions{})).To(Succeed())
		g.Eventually(func() bool {
			_, err := w.client.CoreV1().Namespaces().Get(ctx, w.namespace, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		}).WithTimeout(eventually).Should(BeTrue())
	})
}
