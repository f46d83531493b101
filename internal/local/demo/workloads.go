package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// needsMemory is how much the simulated node pretends that a pod uses; see package cluster for this and for the tags crash and missing.
const needsMemory = "holdfast.dev/needs-memory"

// registry of the images, from which nobody pulls.
const registry = "registry.example.com/shop/"

// workload is a Deployment, what goes wrong with it, and what should become of it.
type workload struct {
	name string
	// tag is rolled out first; badTag, if there is one, after it.
	tag, badTag string
	// memory is the limit, needs what the pods use; "" for neither.
	memory, needs string
	// symptom is the reason that the containers show when they fail; "" for a workload that is well.
	symptom string
	alert   alertRule
	// approveAbove is the confidence from which on no person is asked; nil: always ask one.
	approveAbove *int32
	// execution is the timeout of the workflow.
	execution time.Duration
	// ends is the phase that its remediation ends in, with the outcome.
	ends, outcome string
	story         string
}

func (w workload) image(tag string) string { return registry + w.name + ":" + tag }

// start makes the Deployment as it was when it was well, or never was.
func (d *demo) start(ctx context.Context, w workload) error {
	labels := map[string]string{"app": w.name}
	container := corev1.Container{Name: "app", Image: w.image(w.tag)}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
	if w.memory != "" {
		template.Annotations = map[string]string{needsMemory: w.needs}
		container.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(w.memory)}
	}
	template.Spec.Containers = []corev1.Container{container}
	deployment := &appsv1.Deployment{ObjectMeta: inShop(w.name), Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template,
	}}
	if err := d.admin.Create(ctx, deployment); err != nil {
		return fmt.Errorf("make Deployment %s: %w", w.name, err)
	}
	return nil
}

// rollOut changes the image, as a release does.
func (d *demo) rollOut(ctx context.Context, w workload) error {
	deployment := &appsv1.Deployment{ObjectMeta: inShop(w.name)}
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, w.image(w.badTag))
	if err := d.admin.Patch(ctx, deployment, client.RawPatch("application/strategic-merge-patch+json", []byte(patch))); err != nil {
		return fmt.Errorf("roll out %s: %w", w.image(w.badTag), err)
	}
	return nil
}

// awaitHealthy waits until every replica is of the newest template and available.
func (d *demo) awaitHealthy(ctx context.Context, w workload) (counts string, err error) {
	err = poll(ctx, "Deployment "+w.name+" is available", time.Minute, func(ctx context.Context) (bool, string, error) {
		deployment, err := d.deployment(ctx, w)
		if err != nil {
			return false, "", err
		}
		s := deployment.Status
		counts = fmt.Sprintf("%d of %d replicas available", s.AvailableReplicas, *deployment.Spec.Replicas)
		wanted := *deployment.Spec.Replicas
		return s.ObservedGeneration == deployment.Generation && s.UpdatedReplicas == wanted && s.Replicas == wanted && s.AvailableReplicas == wanted, counts, nil
	})
	return counts, err
}

func (d *demo) deployment(ctx context.Context, w workload) (*appsv1.Deployment, error) {
	deployment := &appsv1.Deployment{}
	return deployment, d.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: w.name}, deployment)
}

// awaitFailing waits until a container shows the symptom, and returns what the pods show.
func (d *demo) awaitFailing(ctx context.Context, w workload) (symptoms string, err error) {
	err = poll(ctx, fmt.Sprintf("a pod of %s shows %s", w.name, w.symptom), time.Minute, func(ctx context.Context) (bool, string, error) {
		pods := &corev1.PodList{}
		if err := d.admin.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels{"app": w.name}); err != nil {
			return false, "", err
		}
		failing, state := 0, ""
		for i := range pods.Items {
			for _, c := range pods.Items[i].Status.ContainerStatuses {
				if text := symptom(c); strings.Contains(text, w.symptom) {
					failing++
					state = text
				}
			}
		}
		symptoms = fmt.Sprintf("%s in %d of %d pods", state, failing, len(pods.Items))
		return failing > 0, symptoms, nil
	})
	return symptoms, err
}

// symptom is why a container does not run, in the words of kubectl get pods.
func symptom(c corev1.ContainerStatus) string {
	var parts []string
	if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
		parts = append(parts, c.State.Waiting.Reason)
	}
	if t := c.LastTerminationState.Terminated; t != nil {
		parts = append(parts, fmt.Sprintf("%s, exit code %d", t.Reason, t.ExitCode))
	}
	return strings.Join(parts, " after ")
}

// describeTemplate is what a repair changes: image, memory limit and revision.
func describeTemplate(d *appsv1.Deployment) string {
	c := d.Spec.Template.Spec.Containers[0]
	text := "image " + strings.TrimPrefix(c.Image, registry)
	if limit, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
		text = "memory limit " + limit.String()
	}
	return fmt.Sprintf("%s, revision %s, %d of %d available", text, d.Annotations["deployment.kubernetes.io/revision"], d.Status.AvailableReplicas, *d.Spec.Replicas)
}
