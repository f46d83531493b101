package rules_test

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/rules"
)

// Whatever strangers make beside the target, and however much of it, what is read is bounded, and what belongs to the target is found.
func TestStrangersDoNotHideTheTarget(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(2)
	stranger := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "a-stranger", UID: "0f1c0b5e-0000-4000-8000-000000000000"}}
	for range 210 { // more than a page, and before the target's by name
		w.podOf(stranger, template("cart:1", "64Mi"), app(running()))
	}
	w.pod(w.revision(d, 1, "cart:1", "64Mi"), "cart:1", "64Mi", running())
	w.pod(w.revision(d, 2, "cart:crash", "64Mi"), "cart:crash", "64Mi", crashed("Error", 1))
	f := w.investigate("Deployment")
	w.Expect(f.RootCause).To(ContainSubstring("in 1 of 2 pods"))
	w.Expect(f.RootCause).NotTo(ContainSubstring("than were looked at"))
	w.Expect(f.Recommendation.WorkflowID).To(Equal("rollout-undo"))
}

func TestStrangersDoNotHideTheTargetsEvents(t *testing.T) {
	w := newWorld(t)
	for i := range 510 { // more than a page, and before the target's by name
		e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: fmt.Sprintf("a-stranger-%03d", i)}, Type: corev1.EventTypeWarning, Reason: "BackOff", Message: "again",
			InvolvedObject: corev1.ObjectReference{Namespace: w.namespace, UID: "0f1c0b5e-0000-4000-8000-000000000000"}}
		w.Expect(api.Create(w.ctx, e)).To(Succeed())
	}
	withoutVolume(w)
	f := w.investigate("Deployment", rules.WithClock(testclock.NewFakePassiveClock(time.Now().Add(2*time.Minute))))
	w.Expect(f.RootCause).To(ContainSubstring(`secret "cart-tls" not found`))
}

func TestMoreContainersThanAreLookedAtAreSaid(t *testing.T) {
	w := newWorld(t)
	many := template("cart:1", "64Mi")
	changes := []func(*corev1.Pod){app(running())}
	for i := range 40 {
		name := fmt.Sprintf("c%d", i)
		many.Spec.Containers = append(many.Spec.Containers, corev1.Container{Name: name, Image: "c:1"})
		changes = append(changes, status(false, name, crashed("Error", 1)))
	}
	w.alone(many, changes...)
	f := w.investigate("Deployment")
	w.Expect(f.RootCause).To(And(ContainSubstring("Container c0 "), ContainSubstring("Containers that fail beside it: 30."), ContainSubstring("than were looked at")))
}

// The Deployment says which revision is its newest. When that one was not read, another one is not blamed.
func TestARevisionThatWasNotReadIsNotGuessed(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1)
	w.revision(d, 1, "cart:1", "64Mi")
	w.pod(w.revision(d, 2, "cart:crash", "64Mi"), "cart:crash", "64Mi", crashed("Error", 1))
	d.Annotations = map[string]string{"deployment.kubernetes.io/revision": "3"}
	w.Expect(api.Update(w.ctx, d)).To(Succeed())
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation.WorkflowID).To(Equal("restart-pods"))
	w.Expect(w.alternative(f, "rollout-undo").RejectedReason).To(ContainSubstring("not among those that were read"))
}

// While not all pods are known, none is taken away.
func TestNothingIsScaledByAPartOfThePods(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(250)
	t1 := template("cart:1", "64Mi")
	rs := w.rollOut(d, 1, t1)
	w.several(rs, t1, 205, ran(t1)...)
	w.several(rs, t1, 5, unschedulable(lackOfCPU))
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation).To(BeNil())
	w.Expect(f.RootCause).To(ContainSubstring("than were looked at"))
}
