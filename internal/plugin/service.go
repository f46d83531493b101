package plugin

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/holdfast-dev/holdfast/internal/portforward"
)

// reportsLabels are those of the report service in our manifests.
const reportsLabels = "app.kubernetes.io/name=holdfast,app.kubernetes.io/component=reports"

// aroundReports is what helps somebody who cannot reach the report service through the cluster.
const aroundReports = "--reports-url names one"

// reportsTarget finds the report service. find finds a Pod of it that is ready, each time it is asked; host is the service's name in the cluster, which its certificate has.
func (c *cluster) reportsTarget(ctx context.Context, name string) (find func(context.Context) (portforward.Target, error), host string, err error) {
	s, err := c.reportsService(ctx, name)
	if err != nil {
		return nil, "", err
	}
	find = func(ctx context.Context) (portforward.Target, error) { return c.readyPod(ctx, s) }
	return find, s.Name + "." + s.Namespace + ".svc", nil
}

func (c *cluster) reportsService(ctx context.Context, name string) (*corev1.Service, error) {
	services := c.clientset.CoreV1().Services(c.system)
	if name != "" {
		s, err := services.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, mayNot(err, "find the report service")
		}
		return s, nil
	}
	list, err := services.List(ctx, metav1.ListOptions{LabelSelector: reportsLabels})
	switch {
	case err != nil:
		return nil, mayNot(err, "find the report service")
	case len(list.Items) == 0:
		return nil, fmt.Errorf("no report service: the namespace %s has no Service with the labels %s; give --system-namespace or --reports-service if it is elsewhere, or --reports-url", c.system, reportsLabels)
	case len(list.Items) > 1:
		return nil, fmt.Errorf("the namespace %s has %d report services, as %s and %s; choose one with --reports-service", c.system, len(list.Items), list.Items[0].Name, list.Items[1].Name)
	}
	return &list.Items[0], nil
}

// readyPod is a Pod of a Service, and the port that the Service's first one leads to.
func (c *cluster) readyPod(ctx context.Context, s *corev1.Service) (portforward.Target, error) {
	if len(s.Spec.Ports) == 0 || len(s.Spec.Selector) == 0 {
		return portforward.Target{}, fmt.Errorf("the Service %s in %s has no port or no selector, expected both; %s", s.Name, s.Namespace, aroundReports)
	}
	pods, err := c.clientset.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(s.Spec.Selector).String()})
	if err != nil {
		return portforward.Target{}, mayNot(err, "find a Pod of the report service")
	}
	var states []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp == nil && ready(pod) {
			port, err := portOf(pod, &s.Spec.Ports[0])
			return portforward.Target{Namespace: pod.Namespace, Pod: pod.Name, Port: port}, err
		}
		states = append(states, pod.Name+" is "+string(pod.Status.Phase))
	}
	if len(states) == 0 {
		states = []string{"there is none"}
	}
	return portforward.Target{}, fmt.Errorf("no Pod of the Service %s in %s is ready: %s; `%s -n %s describe pods -l %s` says why (a Pod is not ready while its database is away)", s.Name, s.Namespace, strings.Join(states, ", "),
		c.kubectl(), quoted(s.Namespace), quoted(reportsLabels))
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// portOf is a Service's port in a Pod.
func portOf(pod *corev1.Pod, of *corev1.ServicePort) (int32, error) {
	if n := of.TargetPort.IntValue(); n > 0 {
		return int32(n), nil
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == of.TargetPort.StrVal {
				return port.ContainerPort, nil
			}
		}
	}
	return 0, fmt.Errorf("the Pod %s in %s has no port %q, to which its Service leads", pod.Name, pod.Namespace, of.TargetPort.StrVal)
}

// mayForward adds to an error of a port-forward that the right to it is missing: the error itself is only a text.
func (c *cluster) mayForward(ctx context.Context, err error) error {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: c.system, Verb: "create", Resource: "pods", Subresource: "portforward"},
	}}
	answer, failed := c.clientset.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if failed != nil || answer.Status.Allowed {
		return err
	}
	return fmt.Errorf("you may not create pods/portforward in the namespace %s, which leads to the report service; the Role holdfast-reports-port-forward gives that right (docs/kubectl.md#rights), or %s: %w", c.system, aroundReports, err)
}

// mayNot says what gives a right that is missing on the way to the report service.
func mayNot(err error, doing string) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%s: %w; the Role holdfast-reports-port-forward gives that right (docs/kubectl.md#rights), or %s", doing, err, aroundReports)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
