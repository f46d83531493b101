package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/outbox"
)

func TestSetReadyFollowsThePhase(t *testing.T) {
	g := NewWithT(t)
	rr := &v1alpha1.RemediationRequest{}
	rr.Generation = 3
	ready := func() *metav1.Condition {
		return meta.FindStatusCondition(rr.Status.Conditions, v1alpha1.ConditionReady)
	}
	lifecycle.SetReady(rr, v1alpha1.RemediationExecuting, v1alpha1.RemediationCompleted, "")
	g.Expect(ready()).To(And(HaveField("Status", metav1.ConditionUnknown), HaveField("Reason", "Executing"), HaveField("ObservedGeneration", int64(3))))
	lifecycle.SetReady(rr, v1alpha1.RemediationFailed, v1alpha1.RemediationCompleted, strings.Repeat("why ", 2000))
	g.Expect(ready().Status).To(Equal(metav1.ConditionFalse))
	g.Expect(len(ready().Message)).To(BeNumerically("<=", 1024))
	lifecycle.SetReady(rr, v1alpha1.RemediationCompleted, v1alpha1.RemediationCompleted, "")
	g.Expect(ready().Status).To(Equal(metav1.ConditionTrue))
}

// `kubectl wait --for=condition=Finished` is answered by every ending of every kind, and by nothing else.
func TestFinishedComesWithEveryEnding(t *testing.T) {
	g := NewWithT(t)
	finished := func(o outbox.Object) *metav1.Condition {
		_, conditions := o.OutboxStatus()
		return meta.FindStatusCondition(*conditions, v1alpha1.ConditionFinished)
	}
	check := func(o outbox.Object, phase string, final bool) {
		if !final {
			g.Expect(finished(o)).To(BeNil(), phase)
			return
		}
		g.Expect(finished(o)).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", phase), HaveField("ObservedGeneration", int64(3))), phase)
	}
	generation := metav1.ObjectMeta{Generation: 3}
	for _, p := range []v1alpha1.RemediationPhase{"Pending", "Analyzing", "AwaitingApproval", "Executing", "Notifying", "Completed", "Failed", "Rejected", "TimedOut", "Cancelled"} {
		o := &v1alpha1.RemediationRequest{ObjectMeta: generation}
		lifecycle.SetReady(o, p, v1alpha1.RemediationCompleted, "why")
		check(o, string(p), p.Final())
	}
	for _, p := range []v1alpha1.AnalysisPhase{"Pending", "Investigating", "AwaitingApproval", "Completed", "Rejected", "Failed", "TimedOut", "Cancelled"} {
		o := &v1alpha1.AIAnalysis{ObjectMeta: generation}
		lifecycle.SetReady(o, p, v1alpha1.AnalysisCompleted, "why")
		check(o, string(p), p.Final())
	}
	for _, p := range []v1alpha1.WorkflowPhase{"Pending", "Validating", "Executing", "Verifying", "RollingBack", "Completed", "Failed", "TimedOut", "Cancelled"} {
		o := &v1alpha1.WorkflowExecution{ObjectMeta: generation}
		lifecycle.SetReady(o, p, v1alpha1.WorkflowCompleted, "why")
		check(o, string(p), p.Final())
	}
	for _, p := range []v1alpha1.NotificationPhase{"Pending", "Sending", "Retrying", "Sent", "PartiallySent", "Failed", "Cancelled"} {
		o := &v1alpha1.NotificationRequest{ObjectMeta: generation}
		lifecycle.SetReady(o, p, v1alpha1.NotificationSent, "why")
		check(o, string(p), p.Final())
	}
}

func TestAnUnknownPhaseIsLoggedAndChangesNothing(t *testing.T) {
	g := NewWithT(t)
	var logged []string
	log := funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{})
	result, err := lifecycle.UnknownPhase(logf.IntoContext(t.Context(), log), "Negotiating")
	g.Expect(err).NotTo(HaveOccurred(), "an error would be retried")
	g.Expect(result).To(BeZero())
	g.Expect(logged).To(ConsistOf(And(ContainSubstring("Unknown phase"), ContainSubstring(`"phase"="Negotiating"`))))
}

func TestReleasedNeedsADeletionWithoutOurFinalizer(t *testing.T) {
	now := metav1.Now()
	for name, c := range map[string]struct {
		meta     metav1.ObjectMeta
		released bool
	}{
		"alive":                            {metav1.ObjectMeta{}, false},
		"deleted, our finalizer is there":  {metav1.ObjectMeta{DeletionTimestamp: &now, Finalizers: []string{outbox.Finalizer}}, false},
		"deleted, another's keeps it":      {metav1.ObjectMeta{DeletionTimestamp: &now, Finalizers: []string{"example.com/other"}}, true},
		"alive, though our finalizer went": {metav1.ObjectMeta{Finalizers: []string{"example.com/other"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(lifecycle.Released(&v1alpha1.RemediationRequest{ObjectMeta: c.meta})).To(Equal(c.released))
		})
	}
}

func TestRemainingIsNeverNegative(t *testing.T) {
	g := NewWithT(t)
	begin := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	limit := &metav1.Duration{Duration: time.Minute}
	left, ok := lifecycle.Remaining(begin, limit, begin.Add(20*time.Second))
	g.Expect(left).To(Equal(40 * time.Second))
	g.Expect(ok).To(BeTrue())
	left, _ = lifecycle.Remaining(begin, limit, begin.Add(time.Hour))
	g.Expect(left).To(BeZero())
	_, ok = lifecycle.Remaining(begin, nil, begin)
	g.Expect(ok).To(BeFalse())
}

// Whoever may write the status may have filled the list up. The four CRDs take 16.
func TestSetReadyFindsRoom(t *testing.T) {
	g := NewWithT(t)
	rr := &v1alpha1.RemediationRequest{}
	rr.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionForeignChild, Status: metav1.ConditionTrue}}
	for i := range 14 {
		rr.Status.Conditions = append(rr.Status.Conditions, metav1.Condition{Type: fmt.Sprint("Strange", i), Status: metav1.ConditionTrue})
	}
	lifecycle.SetReady(rr, v1alpha1.RemediationExecuting, v1alpha1.RemediationCompleted, "")
	g.Expect(rr.Status.Conditions).To(HaveLen(16), "what is in the way of nothing stays")
	lifecycle.SetReady(rr, v1alpha1.RemediationFailed, v1alpha1.RemediationCompleted, "")
	g.Expect(rr.Status.Conditions).To(ConsistOf(HaveField("Type", v1alpha1.ConditionForeignChild), HaveField("Type", v1alpha1.ConditionReady), HaveField("Type", v1alpha1.ConditionFinished)))
}
