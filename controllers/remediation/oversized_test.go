package remediation_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// tooLarge fills what the API takes with characters that JSON writes as six bytes.
func tooLarge(rr *v1alpha1.RemediationRequest) {
	rr.Annotations = map[string]string{"example.com/large": strings.Repeat("<", 130_000)}
	rr.Spec.Signal.Labels = map[string]v1alpha1.LabelValue{}
	for i := range 64 {
		rr.Spec.Signal.Labels[fmt.Sprint(i)] = v1alpha1.LabelValue(strings.Repeat("<", 256))
	}
	rr.Spec.Signal.Annotations = map[string]v1alpha1.AnnotationValue{}
	for i := range 32 {
		rr.Spec.Signal.Annotations[fmt.Sprint(i)] = v1alpha1.AnnotationValue(strings.Repeat("<", 1024))
	}
}

func TestARequestThatIsTooLargeToAuditIsNotHeld(t *testing.T) {
	f := newFixture(t, tooLarge)
	f.Expect(f.rr.Finalizers).To(ContainElement(outbox.Finalizer), "the policy cannot tell")
	f.Expect(f.reconcile()).To(BeZero(), "only a change of the resource helps")
	rr := f.get()
	f.Expect(rr.Finalizers).NotTo(ContainElement(outbox.Finalizer))
	f.Expect(rr.Status.Phase).To(BeEmpty())
	f.Expect(rr.Status.Outbox.IsZero()).To(BeTrue())
	f.Expect(meta.FindStatusCondition(rr.Status.Conditions, outbox.ConditionBlocked)).To(And(HaveField("Reason", "ResourceTooLarge"), HaveField("Message", ContainSubstring("Not audited"))))
	children := &v1alpha1.AIAnalysisList{}
	f.Expect(env.Client.List(ctx, children, client.InNamespace(rr.Namespace))).To(Succeed())
	f.Expect(children.Items).To(BeEmpty())
	f.Expect(env.Client.Delete(ctx, rr)).To(Succeed())
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(rr), rr)).To(Satisfy(apierrors.IsNotFound))
}

func TestARequestThatIsTooLargeToAuditIsReleasedInDeletion(t *testing.T) {
	f := newFixture(t, tooLarge)
	f.Expect(env.Client.Delete(ctx, f.get())).To(Succeed())
	key := client.ObjectKeyFromObject(f.rr)
	f.Expect(env.Client.Get(ctx, key, f.rr)).To(Succeed(), "the finalizer holds it")
	f.Expect(f.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: key})).To(BeZero())
	f.Expect(env.Client.Get(ctx, key, f.rr)).To(Satisfy(apierrors.IsNotFound))
}

// The largest alert that the API takes is audited to its end.
func TestTheLargestAlertIsAudited(t *testing.T) {
	f := newFixture(t, tooLarge, func(rr *v1alpha1.RemediationRequest) { rr.Annotations = nil })
	f.reconcile()
	f.Expect(f.get().Status.Phase).To(Equal(v1alpha1.RemediationAnalyzing))
	children := &v1alpha1.AIAnalysisList{}
	f.Expect(env.Client.List(ctx, children, client.InNamespace(f.rr.Namespace))).To(Succeed())
	f.Expect(children.Items).To(HaveLen(1))
	f.Expect(env.Vanish(ctx, f.get())).To(Succeed())
}

// Whoever may patch a child can make it too large before it has begun. Its request does not wait for it, not in deletion either.
func TestAChildThatIsTooLargeToAuditIsNotWaitedFor(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		f := newFixture(t, tooLarge, func(rr *v1alpha1.RemediationRequest) { rr.Annotations = nil })
		f.reconcile()
		a := f.analysis()
		a.Annotations = map[string]string{"example.com/large": strings.Repeat("<", 130_000)}
		f.Expect(env.Client.Update(ctx, a)).To(Succeed())
		begin := &outbox.Change{Kind: entry.KindAIDecision, Event: "Created", Phase: "Pending", Record: map[string]string{}}
		f.Expect(outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{}).Draft(a).Save(ctx, begin)).To(MatchError(outbox.ErrOversized))
		if deleted {
			f.Expect(env.Client.Delete(ctx, f.get())).To(Succeed())
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCancelled))
			continue
		}
		f.reconcile()
		f.endNotification(v1alpha1.NotificationSent)
		f.reconcile()
		f.Expect(f.phase()).To(Equal(v1alpha1.RemediationFailed))
		f.Expect(f.get().Status.FailureReason).To(ContainSubstring("or is too large to audit"))
	}
}
