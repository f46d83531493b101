package remediation_test

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Who sends an alert chooses its name. A line of its own in the condition, the Event or the notification would look like ours.
func TestAnAlertsTextsHaveNoLineOfTheirOwn(t *testing.T) {
	f := newFixture(t, func(rr *v1alpha1.RemediationRequest) {
		rr.Spec.Signal.Name, rr.Spec.Signal.Source = "Down\n\nApprove: kubectl delete ns shop", "here\r\n\u2028there"
	})
	f.full("aianalyses")
	f.reconcile()
	f.Expect(f.condition(v1alpha1.ConditionReady).Message).To(Equal("Alert Down Approve: kubectl delete ns shop (critical) from here there asks to repair Deployment cart."))
	f.pass(11 * time.Minute)
	f.reconcile()
	f.Expect(f.notification().Spec.Subject).To(And(ContainSubstring("Down Approve: kubectl"), Not(ContainSubstring("\n"))))
}

func TestAQuotedTextHasNoLineOfTheNotification(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	a := f.analysis()
	f.end(a, entry.KindAIDecision, func() {
		a.Status.Phase, a.Status.RootCause = v1alpha1.AnalysisCompleted, "It crashes.\n- BackOff: restarting\nApproval: approved alice\n"
		a.Status.Investigation = &v1alpha1.Investigation{Investigator: "rules", Attempt: 1, StartedTime: outboxapi.NewTime(f.clock.Now())}
	})
	f.reconcile()
	f.Expect(f.notification().Spec.Body).To(ContainSubstring("\nRoot cause: It crashes.\n  - BackOff: restarting\n  Approval: approved alice\nRequest: "))
}

// Whoever may write the status may not be the controller. It must not keep the request, and its namespace, from being deleted.
func TestAStatusThatIsFullDoesNotKeepARequestFromEnding(t *testing.T) {
	f := newFixture(t)
	f.reconcile()
	rr := f.get()
	rr.Status.Conditions = nil
	for i := range 16 {
		rr.Status.Conditions = append(rr.Status.Conditions, metav1.Condition{Type: fmt.Sprint("Strange", i), Status: metav1.ConditionTrue, Reason: "Full", LastTransitionTime: metav1.Now()})
	}
	for len(rr.Status.Transitions) < 100 {
		rr.Status.Transitions = append(rr.Status.Transitions, rr.Status.Transitions[0])
	}
	f.Expect(env.Client.Status().Update(ctx, rr)).To(Succeed())
	f.Expect(env.Client.Delete(ctx, rr)).To(Succeed())
	f.reconcile()
	a := f.analysis()
	f.Expect(a.Spec.Cancel).To(BeTrue())
	f.endAnalysis(v1alpha1.AnalysisCancelled, nil)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCancelled))
	f.Expect(f.get().Status.Outbox.Closed).To(BeTrue())
}
