package investigator_test

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

func limit(memory string) corev1.ResourceRequirements {
	if memory == "" {
		return corev1.ResourceRequirements{}
	}
	return corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}}
}

// template has the containers app and log, and the init container prepare.
func template(memory, ofPod string) corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "prepare", Resources: limit("32Mi")}},
		Containers:     []corev1.Container{{Name: "app", Resources: limit(memory)}, {Name: "log"}},
	}}
	if ofPod != "" {
		t.Spec.Resources = ptr.To(limit(ofPod))
	}
	return t
}

func TestWhatWouldHaveNoEffectIsNotRecommended(t *testing.T) {
	raise := func(container, memory string) investigator.Recommendation {
		r := investigator.Recommendation{WorkflowID: "increase-memory", Parameters: map[string]string{"memoryLimit": memory}, Confidence: 90}
		if container != "" {
			r.Parameters["container"] = container
		}
		return r
	}
	restart := investigator.Recommendation{WorkflowID: "rollout-restart", Confidence: 90}
	pods := investigator.Recommendation{WorkflowID: "restart-pods", Confidence: 90}
	deployment := investigator.OfDeployment(&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template("128Mi", "")}})
	byDefault := deployment
	byDefault.Template.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": "log"}
	onDelete := investigator.OfStatefulSet(&appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](2), Template: template("128Mi", ""),
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}}, Status: appsv1.StatefulSetStatus{UpdatedReplicas: 1}})
	partition := investigator.OfStatefulSet(&appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Template: template("128Mi", ""),
		UpdateStrategy: appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](2)}}}})
	daemon := investigator.OfDaemonSet(&appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template("128Mi", ""),
		UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}}})
	for name, c := range map[string]struct {
		workload investigator.Workload
		r        investigator.Recommendation
		kind     string
		expected string // "" when it stays
	}{
		"an increase":                    {deployment, raise("app", "256Mi"), "Deployment", ""},
		"an increase, in another unit":   {deployment, raise("app", "0.5Gi"), "Deployment", ""},
		"of an init container":           {deployment, raise("prepare", "64Mi"), "Deployment", ""},
		"the present limit":              {deployment, raise("app", "128Mi"), "Deployment", "expected more than the present limit of container app, 128Mi"},
		"the present limit, in kibi":     {deployment, raise("app", "131072Ki"), "Deployment", "expected more than the present limit"},
		"below the present limit":        {deployment, raise("app", "64Mi"), "Deployment", "expected more than the present limit"},
		"half a byte":                    {deployment, raise("app", "512m"), "Deployment", `memoryLimit is "512m"`},
		"a kilobyte":                     {deployment, raise("app", "1024"), "Deployment", `memoryLimit is "1024"`},
		"more than there is":             {deployment, raise("app", "7Ei"), "Deployment", `memoryLimit is "7Ei"`},
		"one that has no limit":          {deployment, raise("log", "256Mi"), "Deployment", "container log has no memory limit"},
		"one that is injected":           {deployment, raise("proxy", "256Mi"), "Deployment", `container is "proxy", expected one of the template: app, log, prepare`},
		"the first of several, unnamed":  {deployment, raise("", "128Mi"), "Deployment", "the present limit of container app"},
		"the default one, unnamed":       {byDefault, raise("", "256Mi"), "Deployment", "container log has no memory limit"},
		"above that of the pod":          {investigator.OfDeployment(&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: template("128Mi", "192Mi")}}), raise("app", "256Mi"), "Deployment", "at most the memory limit of the whole pod, 192Mi"},
		"an image of one that is not":    {deployment, investigator.Recommendation{WorkflowID: "set-image", Parameters: map[string]string{"image": "proxy:2", "container": "proxy"}}, "Deployment", `container is "proxy"`},
		"with OnDelete":                  {onDelete, raise("app", "256Mi"), "StatefulSet", "is OnDelete"},
		"a restart with OnDelete":        {daemon, restart, "DaemonSet", "is OnDelete"},
		"pods with OnDelete, half done":  {onDelete, pods, "StatefulSet", "would roll out the newest template"},
		"pods with OnDelete, all of one": {daemon, pods, "DaemonSet", ""},
		"with a partition":               {partition, raise("app", "256Mi"), "StatefulSet", "partition is 2"},
		"a restart of a Deployment":      {deployment, restart, "Deployment", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f := finding()
			f.Recommendation = &c.r
			checked, err := investigator.Check(load(t), c.kind, f)
			g.Expect(err).NotTo(HaveOccurred())
			got := investigator.Hold(load(t), &c.workload, checked)
			if c.expected == "" {
				g.Expect(got).To(Equal(checked))
				g.Expect(got.Recommendation).NotTo(BeNil(), got.NoActionReason)
				return
			}
			g.Expect(got.Recommendation).To(BeNil())
			g.Expect(got.NoActionReason).To(ContainSubstring(c.expected))
			g.Expect(got.Alternatives[0]).To(And(HaveField("WorkflowID", c.r.WorkflowID), HaveField("RejectedReason", ContainSubstring(c.expected))))
		})
	}
}

func TestATargetThatIsNotKnownObjectsToNothing(t *testing.T) {
	g := NewWithT(t)
	f, err := investigator.Check(load(t), "Deployment", finding())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(investigator.Hold(load(t), nil, f)).To(Equal(f))
}
