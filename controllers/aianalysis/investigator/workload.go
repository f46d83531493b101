package investigator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/internal/quantity"
)

// Workload is what a recommendation is held against: the live template, and whether a change of it reaches the pods.
type Workload struct {
	Template corev1.PodTemplateSpec
	// Person says why a change of the template waits for a person; empty if it reaches all pods by itself. Pending: pods are still of an older template.
	Person  string
	Pending bool
	// OnDelete: a pod that is made again is of the newest template.
	OnDelete bool
}

// OfDeployment has no strategy that waits for a person.
func OfDeployment(d *appsv1.Deployment) Workload { return Workload{Template: d.Spec.Template} }

// OfStatefulSet knows OnDelete and partitions.
func OfStatefulSet(s *appsv1.StatefulSet) Workload {
	w := Workload{Template: s.Spec.Template, Pending: s.Status.UpdatedReplicas < ptr.Deref(s.Spec.Replicas, 1)}
	switch rolling := s.Spec.UpdateStrategy.RollingUpdate; {
	case s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType:
		w.Person, w.OnDelete = onDelete, true
	case rolling != nil && ptr.Deref(rolling.Partition, 0) > 0:
		w.Person = fmt.Sprintf("spec.updateStrategy.rollingUpdate.partition is %d: a change of the template reaches only pods from ordinal %d up, and a person decides when the others follow.",
			*rolling.Partition, *rolling.Partition)
	}
	return w
}

// OfDaemonSet knows OnDelete.
func OfDaemonSet(d *appsv1.DaemonSet) Workload {
	w := Workload{Template: d.Spec.Template, Pending: d.Status.UpdatedNumberScheduled < d.Status.DesiredNumberScheduled}
	if d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		w.Person, w.OnDelete = onDelete, true
	}
	return w
}

const onDelete = "spec.updateStrategy.type is OnDelete: a change of the template reaches a pod only once a person deletes the pod."

// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets,verbs=get

// ReadWorkload reads the target from the API server; nil when it is not there, or of a kind that no workflow changes.
func ReadWorkload(ctx context.Context, live client.Reader, namespace string, t v1alpha1.Target) (*Workload, error) {
	if t.APIVersion != appsv1.SchemeGroupVersion.String() {
		return nil, nil
	}
	var w Workload
	var err error
	key := client.ObjectKey{Namespace: namespace, Name: t.Name}
	switch t.Kind {
	case "Deployment":
		var d appsv1.Deployment
		err = live.Get(ctx, key, &d)
		w = OfDeployment(&d)
	case "StatefulSet":
		var s appsv1.StatefulSet
		err = live.Get(ctx, key, &s)
		w = OfStatefulSet(&s)
	case "DaemonSet":
		var d appsv1.DaemonSet
		err = live.Get(ctx, key, &d)
		w = OfDaemonSet(&d)
	default:
		return nil, nil
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the target %s %s: %w", t.Kind, key, err)
	}
	return &w, nil
}

// Hold returns the finding as Check did, without a recommendation that could have no effect on the target. w is nil when nothing is known about it.
func Hold(c *catalogue.Catalogue, w *Workload, f Finding) Finding {
	if w == nil || f.Recommendation == nil {
		return f
	}
	if problem := w.objection(c, *f.Recommendation); problem != "" {
		return reject(c, f, problem)
	}
	return f
}

// objection says why a recommendation, which can be run, would not change what it is meant to change; or nothing.
func (w *Workload) objection(c *catalogue.Catalogue, r Recommendation) string {
	workflow, _ := c.Get(r.WorkflowID)
	plan, err := workflow.Render(r.Parameters)
	if err != nil {
		return err.Error()
	}
	for _, step := range plan.Steps {
		if problem := w.LeftToPerson(step.Action); problem != "" {
			return problem
		}
		if step.Action != "SetResources" && step.Action != "SetImage" {
			continue
		}
		if problem := w.objectionToChange(string(step.Parameters["container"]), string(step.Parameters["memoryLimit"])); problem != "" {
			return problem
		}
	}
	return ""
}

// LeftToPerson says why an action of a step would wait for a person, or do what is left to one; or nothing.
func (w *Workload) LeftToPerson(action string) string {
	switch action {
	case "SetResources", "SetImage", "RolloutRestart", "RolloutUndo":
		return w.Person
	case "RestartPods":
		if w.OnDelete && w.Pending {
			return "to make the pods again would roll out the newest template, which a person does pod by pod: spec.updateStrategy.type is OnDelete."
		}
	}
	return ""
}

// objectionToChange looks at the container that is to be changed, and at its new memory limit, if it gets one.
func (w *Workload) objectionToChange(name, memory string) string {
	present, problem := w.container(name)
	if problem != "" || memory == "" {
		return problem
	}
	to, err := quantity.Parse(memory)
	if err != nil {
		return err.Error()
	}
	limit, pods := MemoryLimit(present.Resources), MemoryLimit(ptr.Deref(w.Template.Spec.Resources, corev1.ResourceRequirements{}))
	switch {
	case limit.IsZero():
		return fmt.Sprintf("container %s has no memory limit in the template, so a limit of %s is no increase", present.Name, memory)
	case to.Cmp(limit) <= 0:
		return fmt.Sprintf("memoryLimit is %q, expected more than the present limit of container %s, %s", memory, present.Name, limit.String())
	case !pods.IsZero() && to.Cmp(pods) > 0:
		return fmt.Sprintf("memoryLimit is %q, expected at most the memory limit of the whole pod, %s", memory, pods.String())
	}
	return ""
}

// maxNamed is how many containers an objection names.
const maxNamed = 5

// defaultContainer is the annotation of a template that names the container to change when a step names none; without it, that is the first.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// container finds the one that a step changes, or says why there is none.
func (w *Workload) container(name string) (corev1.Container, string) {
	if name == "" {
		all := w.Template.Spec.Containers
		byDefault := w.Template.Annotations[defaultContainer]
		if i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == byDefault }); i >= 0 {
			return all[i], ""
		}
		if len(all) > 0 {
			return all[0], ""
		}
	}
	all := slices.Concat(w.Template.Spec.Containers, w.Template.Spec.InitContainers)
	names := make([]string, 0, min(len(all), maxNamed))
	for _, c := range all {
		if c.Name == name {
			return c, ""
		}
		if len(names) < maxNamed {
			names = append(names, c.Name)
		}
	}
	return corev1.Container{}, fmt.Sprintf("container is %.64q, expected one of the template: %s", name, strings.Join(names, ", "))
}

// MemoryLimit is the limit that resources have; zero for none. A limit that nobody can compute with, such as 1e100, limits nothing.
func MemoryLimit(r corev1.ResourceRequirements) resource.Quantity {
	limit := *r.Limits.Memory()
	if quantity.Check(limit) != nil {
		return resource.Quantity{}
	}
	return limit
}
