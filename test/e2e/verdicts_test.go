//go:build unix

package e2e

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/rules"
)

// What docs/verdicts.md says of situations that real controllers, a real scheduler and the simulated node make.
func TestVerdictsOfWhatTheSimulationMakes(t *testing.T) {
	claim := func(p *corev1.PodSpec) {
		p.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "absent"}}}}
	}
	for name, c := range map[string]struct {
		// first and then are what is rolled out; without then, first is what fails.
		first, then func(*corev1.PodSpec)
		// cause is in the root cause.
		cause, recommended string
	}{
		"crash":          {then: image("app:crash"), cause: "does not keep running", recommended: "rollout-undo"},
		"image":          {then: image("app:missing"), cause: "cannot be pulled", recommended: "rollout-undo"},
		"memory":         {first: needsMore, cause: "runs out of memory", recommended: "increase-memory"},
		"more-cpu":       {then: cpu("64"), cause: "find no node with enough room", recommended: "rollout-undo"},
		"too-much-cpu":   {first: cpu("64"), cause: "find no node with enough room"},
		"selector":       {then: func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"zone": "absent"} }, cause: "fit no node", recommended: "rollout-undo"},
		"first-selector": {first: func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"zone": "absent"} }, cause: "fit no node"},
		"claim":          {first: claim, cause: "need a volume that is not there"},
		"gates": {first: func(p *corev1.PodSpec) { p.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}} },
			cause: "kept from the scheduler by gates"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			labels := map[string]string{"app": name}
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
				Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"holdfast.dev/needs-memory": "96Mi"}},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
				},
			}}
			if c.first != nil {
				c.first(&d.Spec.Template.Spec)
			}
			f.create(d)
			if c.then != nil {
				f.Eventually(func() int32 { f.read(d); return d.Status.AvailableReplicas }).Should(BeEquivalentTo(2))
				f.Eventually(func() error {
					f.read(d)
					c.then(&d.Spec.Template.Spec)
					return f.client.Update(ctx, d)
				}).Should(Succeed())
			}
			f.Eventually(func() concluded {
				finding, err := rules.New(f.client).Investigate(ctx, investigator.Request{Namespace: f.namespace, Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: name}})
				f.Expect(err).NotTo(HaveOccurred())
				v := concluded{Cause: finding.RootCause}
				if r := finding.Recommendation; r != nil && r.Confidence >= 80 {
					v.Recommended = r.WorkflowID
				}
				return v
			}).Should(And(HaveField("Cause", ContainSubstring(c.cause)), HaveField("Recommended", c.recommended)))
		})
	}
}

// concluded is a root cause, and a workflow that would be approved at 80, if one is recommended.
type concluded struct{ Cause, Recommended string }

func image(name string) func(*corev1.PodSpec) {
	return func(p *corev1.PodSpec) { p.Containers[0].Image = name }
}

func cpu(amount string) func(*corev1.PodSpec) {
	return func(p *corev1.PodSpec) {
		p.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(amount)}
	}
}

func needsMore(p *corev1.PodSpec) {
	p.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
}
