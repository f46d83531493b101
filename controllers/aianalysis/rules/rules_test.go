package rules_test

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/rules"
)

func TestOutOfMemoryRaisesTheLimit(t *testing.T) {
	for name, c := range map[string]struct{ limit, expected string }{
		"doubles":           {"64Mi", "128Mi"},
		"rounds up to MiB":  {"100M", "191Mi"},
		"up to the highest": {"40Gi", "65536Mi"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.deployment(1)
			w.revision(d, 1, "cart:1", c.limit)
			rs := w.revision(d, 2, "cart:2", c.limit)
			w.pod(rs, "cart:2", c.limit, crashed("OOMKilled", 137))

			f := w.investigate("Deployment")

			w.Expect(f.RootCause).To(And(ContainSubstring("out of memory"), ContainSubstring(c.limit), ContainSubstring("exit code 137")))
			w.Expect(f.Recommendation.WorkflowID).To(Equal("increase-memory"))
			w.Expect(f.Recommendation.Parameters).To(Equal(map[string]string{"container": "app", "memoryLimit": c.expected}))
			w.Expect(f.Recommendation.Confidence).To(BeNumerically(">=", 75))
			w.Expect(f.Recommendation.Confidence).To(BeNumerically("<=", 90))
			w.alternative(f, "rollout-undo")
		})
	}
}

func TestOutOfMemoryIsSeenRightAfterTheKill(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1)
	rs := w.revision(d, 1, "cart:1", "64Mi")
	// Not in back-off yet.
	w.pod(rs, "cart:1", "64Mi", &corev1.ContainerStatus{State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.Now()}}})
	w.Expect(w.investigate("Deployment").Recommendation.WorkflowID).To(Equal("increase-memory"))
}

func TestOutOfMemoryWithoutALimitIsLeftToAPerson(t *testing.T) {
	for name, limit := range map[string]string{"no limit": "", "at the highest": "64Gi"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.deployment(1)
			rs := w.revision(d, 1, "cart:1", limit)
			w.pod(rs, "cart:1", limit, crashed("OOMKilled", 137))
			f := w.investigate("Deployment")
			w.Expect(f.Recommendation).To(BeNil())
			w.Expect(w.alternative(f, "increase-memory").RejectedReason).To(Equal(f.NoActionReason))
		})
	}
}

// The API server takes 1e100 for a limit. To compare it with another is work that grows with the exponent.
func TestALimitThatNobodyCanComputeWithLimitsNothing(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1)
	w.revision(d, 1, "cart:1", "1e100")
	rs := w.revision(d, 2, "cart:2", "1e100")
	w.pod(rs, "cart:2", "1e100", crashed("OOMKilled", 137))
	f := w.investigate("Deployment")
	w.Expect(f.RootCause).To(ContainSubstring("without a memory limit"))
	w.Expect(f.Recommendation).To(BeNil())
	w.Expect(w.alternative(f, "rollout-undo").RejectedReason).To(ContainSubstring("a lower one (none)"))
}

func TestAnOldKillOfAReadyPodIsOver(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1, whole(1))
	rs := w.revision(d, 1, "cart:1", "64Mi")
	status := running()
	status.RestartCount = 1
	status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, FinishedAt: metav1.Now()}
	w.pod(rs, "cart:1", "64Mi", status)

	w.Expect(w.investigate("Deployment").Recommendation.WorkflowID).To(Equal("increase-memory"))
	later := testclock.NewFakePassiveClock(time.Now().Add(time.Hour))
	w.Expect(w.investigate("Deployment", rules.WithClock(later)).Recommendation).To(BeNil())
}

func TestACrashLoopThatBeganWithARolloutIsUndone(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(2)
	w.revision(d, 3, "cart:1", "64Mi")
	good := w.revision(d, 4, "cart:2", "64Mi")
	bad := w.revision(d, 10, "cart:crash", "64Mi") // 10 comes after 4, also where it sorts before it as a text
	w.pod(good, "cart:2", "64Mi", running())
	p := w.pod(bad, "cart:crash", "64Mi", crashed("Error", 1))
	w.warn(p.UID, "BackOff", "Back-off restarting failed container app")
	w.warn("0f1c0b5e-0000-4000-8000-000000000000", "BackOff", "somebody else's")

	f := w.investigate("Deployment")

	w.Expect(f.Recommendation.WorkflowID).To(Equal("rollout-undo"))
	w.Expect(f.Recommendation.Parameters).To(Equal(map[string]string{"toRevision": "4"}))
	w.Expect(f.Recommendation.Confidence).To(BeNumerically(">=", 80))
	w.Expect(f.RootCauseConfidence).To(BeNumerically(">=", 80))
	w.Expect(f.RootCause).To(And(ContainSubstring("revision 10"), ContainSubstring("exit code 1 (Error)"), ContainSubstring(p.Name), ContainSubstring("BackOff: Back-off restarting")))
	w.Expect(f.RootCause).NotTo(ContainSubstring("somebody else's"))
	w.Expect(w.alternative(f, "rollout-restart").Confidence).To(BeNumerically("<", 50))
}

func TestACrashLoopIsUndoneWithoutPodsOfTheOldRevision(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1)
	w.revision(d, 1, "cart:1", "64Mi")
	bad := w.revision(d, 2, "cart:crash", "64Mi")
	w.pod(bad, "cart:crash", "64Mi", &corev1.ContainerStatus{State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1, FinishedAt: metav1.Now()}}})
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation.WorkflowID).To(Equal("rollout-undo"))
	w.Expect(f.Recommendation.Confidence).To(BeNumerically(">=", 80))
}

func TestWhenTheRevisionBeforeFailsTooItGoesFurtherBack(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(2)
	w.revision(d, 1, "cart:1", "64Mi")
	bad := w.revision(d, 2, "cart:crash", "64Mi")
	worse := w.revision(d, 3, "cart2:crash", "64Mi")
	w.pod(bad, "cart:crash", "64Mi", crashed("Error", 1))
	w.pod(worse, "cart2:crash", "64Mi", crashed("Error", 1))
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation.Parameters).To(Equal(map[string]string{"toRevision": "1"}))
	w.Expect(f.Recommendation.Confidence).To(BeNumerically("<", 80), "it is less certain that the rollout is the cause")
}

func TestACrashLoopThatNoRolloutExplainsIsRestarted(t *testing.T) {
	for name, c := range map[string]struct {
		revisions int
		since     time.Duration
	}{
		"no earlier revision": {1, 0},
		"rolled out long ago": {2, 48 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.deployment(1, func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) {
				if c.since > 0 {
					s.Conditions = append(s.Conditions, progressing(corev1.ConditionTrue, "NewReplicaSetAvailable", time.Now().Add(-c.since)))
				}
			})
			rs := w.revision(d, 0, "cart:1", "64Mi")
			for n := 1; n < c.revisions; n++ {
				rs = w.revision(d, n, "cart:crash", "64Mi")
			}
			w.pod(rs, "cart:crash", "64Mi", crashed("Error", 1))
			f := w.investigate("Deployment")
			w.Expect(f.Recommendation.WorkflowID).To(Equal("restart-pods"))
			w.Expect(f.Recommendation.Confidence).To(BeNumerically("<", 50))
			w.Expect(w.alternative(f, "rollout-undo").RejectedReason).NotTo(BeEmpty())
		})
	}
}

func TestAFailedPullThatBeganWithARolloutIsUndone(t *testing.T) {
	for _, reason := range []string{"ImagePullBackOff", "ErrImagePull", "InvalidImageName"} {
		t.Run(reason, func(t *testing.T) {
			w := newWorld(t)
			d := w.deployment(1)
			w.revision(d, 1, "cart:1", "64Mi")
			bad := w.revision(d, 2, "cart:missing", "64Mi")
			w.pod(bad, "cart:missing", "64Mi", waiting(reason, `Back-off pulling image "cart:missing"`))
			f := w.investigate("Deployment")
			w.Expect(f.Recommendation.WorkflowID).To(Equal("rollout-undo"))
			w.Expect(f.Recommendation.Parameters).To(HaveKeyWithValue("toRevision", "1"))
			w.Expect(f.Recommendation.Confidence).To(BeNumerically(">=", 80))
			w.Expect(f.RootCause).To(And(ContainSubstring("cart:missing"), ContainSubstring(reason)))
		})
	}
}

func TestAFailedPullThatAnUndoWouldNotFixIsNotUndone(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1)
	w.revision(d, 1, "cart:missing", "32Mi")
	same := w.revision(d, 2, "cart:missing", "64Mi")
	w.pod(same, "cart:missing", "64Mi", waiting("ImagePullBackOff", ""))
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation).To(BeNil())
	w.alternative(f, "rollout-undo")
}

func TestPodsWithoutANodeNeedCapacity(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(3)
	rs := w.revision(d, 1, "cart:1", "64Mi")
	w.pod(rs, "cart:1", "64Mi", running())
	w.pod(rs, "cart:1", "64Mi", running())
	w.pod(rs, "cart:1", "64Mi", withoutNode())
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation.WorkflowID).To(Equal("scale"))
	w.Expect(f.Recommendation.Parameters).To(Equal(map[string]string{"replicas": "2"}))
	w.Expect(f.Recommendation.Confidence).To(BeNumerically("<", 80), "a person decides on fewer replicas")
	w.Expect(f.RootCause).To(ContainSubstring("Insufficient cpu"))
}

func TestWhenNoPodHasANodeFewerDoNotHelp(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(2)
	rs := w.revision(d, 1, "cart:1", "64Mi")
	w.pod(rs, "cart:1", "64Mi", withoutNode())
	w.pod(rs, "cart:1", "64Mi", withoutNode())
	w.Expect(w.investigate("Deployment").Recommendation).To(BeNil())
}

func TestAStuckRolloutIsRestarted(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1, func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) {
		s.Conditions = append(s.Conditions, progressing(corev1.ConditionFalse, "ProgressDeadlineExceeded", time.Now()))
	})
	rs := w.revision(d, 1, "cart:1", "64Mi")
	status := running()
	status.Ready = false
	w.pod(rs, "cart:1", "64Mi", status)
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation.WorkflowID).To(Equal("rollout-restart"))
	w.Expect(f.RootCause).To(ContainSubstring("ProgressDeadlineExceeded of cart"))
}

func TestPodsThatCannotBeMade(t *testing.T) {
	w := newWorld(t)
	w.deployment(1, func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) {
		s.Conditions = append(s.Conditions, appsv1.DeploymentCondition{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "exceeded quota: team"})
	})
	f := w.investigate("Deployment")
	w.Expect(f.Recommendation).To(BeNil())
	w.Expect(f.RootCause).To(ContainSubstring("exceeded quota: team"))
}

// whole is the status of a Deployment that is as it should be.
func whole(replicas int32) func(*appsv1.DeploymentSpec, *appsv1.DeploymentStatus) {
	return func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) {
		s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas = replicas, replicas, replicas
	}
}

func TestNothingIsRecommendedWhereNothingCanBeDone(t *testing.T) {
	for name, c := range map[string]struct {
		make     func(*world)
		kind     string
		expected string
	}{
		"healthy": {func(w *world) {
			d := w.deployment(1, whole(1))
			w.pod(w.revision(d, 1, "cart:1", ""), "cart:1", "", running())
		}, "Deployment", "is healthy"},
		"does not exist": {func(*world) {}, "Deployment", "does not exist"},
		"unknown kind":   {func(*world) {}, "CronJob", "do not know targets"},
		"scaled to zero": {func(w *world) { w.deployment(0) }, "Deployment", "scaled to zero"},
		"paused": {func(w *world) {
			w.deployment(1, func(s *appsv1.DeploymentSpec, _ *appsv1.DeploymentStatus) { s.Paused = true })
		}, "Deployment", "is paused"},
		"being deleted": {func(w *world) {
			d := w.deployment(1, func(*appsv1.DeploymentSpec, *appsv1.DeploymentStatus) {})
			d.Finalizers = []string{"example.com/hold"}
			w.Expect(api.Update(w.ctx, d)).To(Succeed())
			w.Expect(api.Delete(w.ctx, d)).To(Succeed())
		}, "Deployment", "being deleted"},
		"not seen yet": {func(w *world) {
			w.deployment(1, func(_ *appsv1.DeploymentSpec, s *appsv1.DeploymentStatus) { s.ObservedGeneration = 0 })
		}, "Deployment", "has not seen the newest spec"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.make(w)
			f := w.investigate(c.kind)
			w.Expect(f.Recommendation).To(BeNil())
			w.Expect(f.RootCause).To(ContainSubstring(c.expected))
		})
	}
}

func TestPodsOfOthersDoNotCount(t *testing.T) {
	w := newWorld(t)
	d := w.deployment(1, whole(1))
	w.pod(w.revision(d, 1, "cart:1", ""), "cart:1", "", running())
	other := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "other", UID: "0f1c0b5e-0000-4000-8000-000000000000"}}
	w.pod(other, "other:crash", "", crashed("Error", 1)) // with the same labels
	w.Expect(w.investigate("Deployment").RootCause).To(ContainSubstring("is healthy"))
}

func TestStatefulSetsAndDaemonSetsAreInvestigatedToo(t *testing.T) {
	w := newWorld(t)
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cart"},
		Spec: appsv1.StatefulSetSpec{Selector: &metav1.LabelSelector{MatchLabels: podLabels}, Template: template("cart:crash", "64Mi")}}
	w.Expect(api.Create(w.ctx, s)).To(Succeed())
	w.pod(s, "cart:crash", "64Mi", crashed("Error", 1))
	f := w.investigate("StatefulSet")
	w.Expect(f.Recommendation.WorkflowID).To(Equal("restart-pods"))
	w.Expect(w.alternative(f, "rollout-undo").RejectedReason).To(ContainSubstring("Deployments only"))

	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "cart"},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: podLabels}, Template: template("cart:1", "64Mi")}}
	w.Expect(api.Create(w.ctx, d)).To(Succeed())
	w.pod(d, "cart:1", "64Mi", crashed("OOMKilled", 137))
	w.Expect(w.investigate("DaemonSet").Recommendation.WorkflowID).To(Equal("increase-memory"))
}

func TestWhatTheServerDoesNotAnswerIsAnError(t *testing.T) {
	w := newWorld(t)
	w.deployment(1)
	refused := errors.New("refused")
	broken := interceptor.NewClient(api, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return refused }})
	_, err := rules.New(broken).Investigate(w.ctx, investigator.Request{Namespace: w.namespace, Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"}})
	w.Expect(err).To(MatchError(refused))
	w.Expect(err).To(MatchError(ContainSubstring("list the ReplicaSets")))
}

func TestTheEvidenceIsWhatWasRead(t *testing.T) {
	t.Run("of a target that fails", func(t *testing.T) {
		w := newWorld(t)
		d := w.deployment(1)
		w.revision(d, 1, "cart:1", "64Mi")
		rs := w.revision(d, 2, "cart:2", "64Mi")
		w.pod(rs, "cart:2", "64Mi", crashed("Error", 1))
		e := w.investigate("Deployment").Evidence
		w.Expect(e).To(HaveLen(4))
		w.Expect(e[0]).To(And(HaveField("Tool", "get"), HaveField("Purpose", HavePrefix("target Deployment ")), HaveField("Excerpt", ContainSubstring("of 1 replicas are available"))))
		w.Expect(e[1]).To(And(HaveField("Tool", "list"), HaveField("Purpose", "ReplicaSets of the target"), HaveField("Excerpt", And(HavePrefix("revision 2"), ContainSubstring("app cart:1, memory limit 64Mi")))))
		w.Expect(e[2]).To(And(HaveField("Purpose", "pods of the target"), HaveField("Excerpt", And(ContainSubstring("(revision 2): not ready"), ContainSubstring("app cart:2"), ContainSubstring("exit code 1")))))
		w.Expect(e[3]).To(And(HaveField("Purpose", "events of type Warning of the target"), HaveField("Excerpt", "none")))
	})
	t.Run("of a target that is not there", func(t *testing.T) {
		w := newWorld(t)
		w.Expect(w.investigate("Deployment").Evidence).To(HaveExactElements(HaveField("Excerpt", "not found")))
	})
	t.Run("of a kind that the rules do not know", func(t *testing.T) {
		w := newWorld(t)
		w.Expect(w.investigate("CronJob").Evidence).To(BeEmpty())
	})
}
