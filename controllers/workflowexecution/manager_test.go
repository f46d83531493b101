package workflowexecution

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

var _ = Describe("In a manager", func() {
	It("a workflow runs, its rows are durable, and its deletion waits for them", func() {
		f := newFixture()
		stop, err := env.StartManager(func(mgr ctrl.Manager, w *outbox.Writer) error {
			r, err := New(mgr.GetClient(), mgr.GetAPIReader(), w, mgr.GetEventRecorder("holdfast"), withVerifyWindow(2*time.Second))
			if err != nil {
				return err
			}
			return r.SetupWithManager(mgr, 2)
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })

		d := f.deployment(template("web:2"))
		f.replicaSet(d, 1, "web:1")
		f.replicaSet(d, 2, "web:2")
		fixed := f.workflow(d, steps(step("RolloutUndo"), step("Wait", parameters{"for": "target.status.availableReplicas >= target.spec.replicas"})), post("target.status.availableReplicas >= target.spec.replicas"))
		Eventually(func() string { return f.live(d).Spec.Template.Spec.Containers[0].Image }).WithTimeout(testenv.Timeout).Should(Equal("web:1"))
		f.report(d, 3)
		ended := func(wfe *v1alpha1.WorkflowExecution) func() v1alpha1.WorkflowPhase {
			return func() v1alpha1.WorkflowPhase { return f.get(wfe).Status.Phase }
		}
		Eventually(ended(fixed)).WithTimeout(testenv.Timeout).Should(Equal(v1alpha1.WorkflowCompleted))

		undone := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"})), post("false"))
		Eventually(ended(undone)).WithTimeout(testenv.Timeout).Should(Equal(v1alpha1.WorkflowFailed))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))

		cancelled := f.workflow(d, steps(step("Wait", parameters{"for": "false"})))
		Eventually(func() []v1alpha1.StepStatus { return f.get(cancelled).Status.Steps }).WithTimeout(testenv.Timeout).Should(HaveLen(1))
		Expect(env.Client.Delete(f.ctx, cancelled)).To(Succeed())

		expected := map[*v1alpha1.WorkflowExecution][]string{
			fixed:     {"Created", "ValidationStarted", "ValidationPassed", "StepCompleted", "StepCompleted", "Completed"},
			undone:    {"Created", "ValidationStarted", "ValidationPassed", "StepCompleted", "VerificationFailed", "StepRolledBack", "Failed"},
			cancelled: {"Created", "ValidationStarted", "ValidationPassed", "Cancelled"},
		}
		for wfe, events := range expected {
			Eventually(func(g Gomega) {
				rows, err := env.Rows(f.ctx, "workflow_execution_audit", wfe.UID)
				g.Expect(err).NotTo(HaveOccurred())
				var got []string
				for i, row := range rows {
					g.Expect(row["sequence"]).To(BeEquivalentTo(i + 1))
					got = append(got, row["event"].(string))
				}
				g.Expect(got).To(Equal(events))
				last := rows[len(rows)-1]
				g.Expect(last["final"]).To(BeTrue())
				g.Expect(last["workflow_id"]).To(Equal("test"))
				g.Expect(last["outcome"]).NotTo(BeNil())
				g.Expect(last["total_duration_seconds"]).NotTo(BeNil())
				g.Expect(last["steps_executed"]).NotTo(BeNil())
			}).WithTimeout(testenv.Timeout).WithPolling(testenv.Interval).Should(Succeed())
		}
		Eventually(func() bool {
			return apierrors.IsNotFound(env.Client.Get(f.ctx, client.ObjectKeyFromObject(cancelled), &v1alpha1.WorkflowExecution{}))
		}).WithTimeout(testenv.Timeout).Should(BeTrue())
	})
})
