package remediation_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/remediation"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

func withCoolDown(d time.Duration) func(*fixture) {
	return func(f *fixture) {
		f.options = append(f.options, remediation.WithCoolDown(d, nil))
		f.start()
	}
}

// again makes another request of the same alert and target, and drives that from now on.
func (f *fixture) again(change ...func(*v1alpha1.RemediationRequest)) *fixture {
	next := *f
	next.rr = testenv.MakeRemediation(f.rr.Namespace, "cart").Auto(80).Obj()
	next.rr.Name = fmt.Sprintf("again-%d", f.clock.Now().UnixNano())
	for _, c := range change {
		c(next.rr)
	}
	next.Expect(env.Client.Create(ctx, next.rr)).To(Succeed())
	return &next
}

// act drives a request to its end, through a workflow that ends in a phase.
func (f *fixture) act(phase v1alpha1.WorkflowPhase) {
	f.reconcile()
	f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
	f.reconcile()
	f.endWorkflow(phase, "because")
	f.reconcile()
	f.endNotification(v1alpha1.NotificationSent)
	f.reconcile()
	f.Expect(f.phase().Final()).To(BeTrue())
}

func TestARequestIsHeldBackWhileItsTargetCoolsDown(t *testing.T) {
	first := newFixture(t)
	withCoolDown(time.Hour)(first)
	first.act(v1alpha1.WorkflowCompleted)
	first.pass(20 * time.Minute)

	f := first.again()
	f.start() // the requests are the memory
	f.announced()
	f.reconcile()
	until := first.get().Status.CompletedTime.Add(time.Hour).UTC().Format(time.RFC3339)
	why := And(ContainSubstring("RemediationRequest %s (uid %s)", first.rr.Name, first.rr.UID), ContainSubstring("the outcome remediated"), ContainSubstring("over at "+until), ContainSubstring("delete that request"))
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationNotifying))
	f.Expect(f.condition(v1alpha1.ConditionCoolingDown)).To(HaveValue(And(HaveField("Status", metav1.ConditionTrue), HaveField("Message", why))))
	f.Expect(f.announced()).To(ContainElement(And(HavePrefix("Warning CoolingDown"), why)))
	f.Expect(f.notification().Spec.Subject).To(HavePrefix("Held back after an earlier remediation: KubePodCrashLooping on Deployment"))
	f.Expect(f.notification().Spec.Body).To(why)
	f.Expect(f.get().Status.Analysis).To(BeEmpty(), "nothing was begun")
	f.endNotification(v1alpha1.NotificationSent)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationCompleted))
	f.Expect(f.events()).To(Equal([]string{"Received", "NotificationStarted", "Completed"}))
	f.Expect(f.record(2)).To(And(HaveField("Outcome", "no-action"), HaveField("FailureReason", why)))

	f.pass(41 * time.Minute)
	later := f.again()
	later.reconcile()
	later.Expect(later.phase()).To(Equal(v1alpha1.RemediationAnalyzing), "a request that was held back holds nothing back")
}

func TestWhatHoldsARequestBack(t *testing.T) {
	completed := func(f *fixture) { f.act(v1alpha1.WorkflowCompleted) }
	asItIs := func(*v1alpha1.RemediationRequest) {}
	for name, c := range map[string]struct {
		earlier func(*v1alpha1.RemediationRequest)
		drive   func(f *fixture)
		later   func(*v1alpha1.RemediationRequest)
		held    bool
	}{
		"a repair":                        {asItIs, completed, asItIs, true},
		"one that failed":                 {asItIs, func(f *fixture) { f.act(v1alpha1.WorkflowFailed) }, asItIs, true},
		"one that timed out":              {asItIs, func(f *fixture) { f.act(v1alpha1.WorkflowTimedOut) }, asItIs, true},
		"for a request of another signal": {asItIs, completed, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Signal.Name, rr.Spec.Signal.Severity = "Other", "info" }, true},
		"not one of another fingerprint":  {asItIs, completed, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Signal.Fingerprint = strings.Repeat("a", 64) }, false},
		"not one of another target":       {asItIs, completed, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Target.Name = "other" }, false},
		"not one of another kind":         {asItIs, completed, func(rr *v1alpha1.RemediationRequest) { rr.Spec.Target.Kind = "StatefulSet" }, false},
		"not one without an account":      {func(rr *v1alpha1.RemediationRequest) { rr.Spec.ServiceAccountName = "" }, completed, asItIs, false},
		"not one that found nothing to do": {asItIs, func(f *fixture) {
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, nil)
			f.reconcile()
			f.endNotification(v1alpha1.NotificationSent)
			f.reconcile()
		}, asItIs, false},
		"not one whose workflow changed nothing": {asItIs, func(f *fixture) {
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
			w := f.workflow()
			f.end(w, entry.KindExecution, func() {
				w.Status.Phase, w.Status.FailureReason = v1alpha1.WorkflowFailed, "pre-conditions did not hold"
			})
			f.reconcile()
			f.endNotification(v1alpha1.NotificationSent)
			f.reconcile()
		}, asItIs, false},
		"not one whose account may not change the target": {asItIs, func(f *fixture) {
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
			w := f.workflow()
			f.end(w, entry.KindExecution, func() { // as TestWorkflowExecution has it of an account that may read only
				at := outboxapi.NewTime(f.clock.Now())
				w.Status.Phase, w.Status.FailureReason, w.Status.StartedTime = v1alpha1.WorkflowFailed, `cannot patch resource "deployments"`, &at
				w.Status.Steps = []v1alpha1.StepStatus{{Name: "undo", Action: "RolloutUndo", State: v1alpha1.StepFailed, Failed: true, Attempt: 2, StartedTime: at}}
			})
			f.reconcile()
			f.endNotification(v1alpha1.NotificationSent)
			f.reconcile()
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationFailed))
		}, asItIs, false},
		"not one that runs": {asItIs, func(f *fixture) {
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
		}, asItIs, false},
		"not one that was cancelled": {asItIs, func(f *fixture) {
			f.reconcile()
			f.endAnalysis(v1alpha1.AnalysisCompleted, undo)
			f.reconcile()
			f.cancel()
			f.reconcile()
			f.endWorkflow(v1alpha1.WorkflowCancelled, "")
			f.reconcile()
		}, asItIs, false},
		"not one that was deleted": {asItIs, func(f *fixture) {
			f.act(v1alpha1.WorkflowCompleted)
			f.Expect(env.Vanish(ctx, f.get())).To(Succeed())
		}, asItIs, false},
	} {
		t.Run(name, func(t *testing.T) {
			first := newFixture(t, c.earlier)
			withCoolDown(time.Hour)(first)
			c.drive(first)
			f := first.again(c.later)
			f.reconcile()
			if c.held {
				f.Expect(f.condition(v1alpha1.ConditionCoolingDown)).To(HaveValue(HaveField("Status", metav1.ConditionTrue)))
				return
			}
			f.Expect(f.condition(v1alpha1.ConditionCoolingDown)).To(BeNil())
			f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
		})
	}
	t.Run("not one of another namespace", func(t *testing.T) {
		first := newFixture(t)
		withCoolDown(time.Hour)(first)
		first.act(v1alpha1.WorkflowCompleted)
		f := newFixture(t)
		withCoolDown(time.Hour)(f)
		f.reconcile()
		f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
	})
	t.Run("none without a cool-down", func(t *testing.T) {
		first := newFixture(t)
		first.act(v1alpha1.WorkflowCompleted)
		f := first.again()
		f.reconcile()
		f.Expect(f.phase()).To(Equal(v1alpha1.RemediationAnalyzing))
	})
}

// An applier makes a request anew as soon as its TTL has deleted it. So the one that acted stays until its cool-down is over.
func TestTheTTLWaitsForTheCoolDown(t *testing.T) {
	shortLived := func(rr *v1alpha1.RemediationRequest) { rr.Spec.TTLAfterFinished = seconds(60) }
	try := func(f *fixture) ctrl.Result {
		result, err := f.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.rr)})
		f.Expect(err).NotTo(HaveOccurred())
		return result
	}
	f := newFixture(t, shortLived)
	withCoolDown(time.Hour)(f)
	f.act(v1alpha1.WorkflowCompleted)
	f.pass(2 * time.Minute)
	f.announced()
	for range 2 {
		f.Expect(try(f).RequeueAfter).To(BeNumerically("~", 58*time.Minute, time.Second))
	}
	f.Expect(f.get().DeletionTimestamp).To(BeNil())
	until := f.get().Status.CompletedTime.Add(time.Hour).UTC().Format(time.RFC3339)
	f.Expect(f.condition(v1alpha1.ConditionCoolingDown)).To(HaveValue(And(HaveField("Reason", "Repaired"), HaveField("Message", ContainSubstring("over at "+until)))))
	f.Expect(f.announced()).To(ConsistOf(ContainSubstring("is not deleted")), "it is said once")

	held := f.again(shortLived)
	held.reconcile()
	held.endNotification(v1alpha1.NotificationSent)
	held.reconcile()
	f.pass(2 * time.Minute)
	try(held)
	held.Expect(held.get().DeletionTimestamp).NotTo(BeNil(), "what was held back did not act")

	f.pass(time.Hour)
	try(f)
	f.Expect(f.get().DeletionTimestamp).NotTo(BeNil())
}

func TestARequestThatIsHeldBackStaysHeldBack(t *testing.T) {
	first := newFixture(t)
	withCoolDown(time.Hour)(first)
	first.act(v1alpha1.WorkflowCompleted)
	first.pass(55 * time.Minute)
	f := first.again()
	f.full("notificationrequests")
	f.reconcile()
	f.Expect(f.condition(v1alpha1.ConditionNotificationBlocked)).NotTo(BeNil())
	f.pass(9 * time.Minute)
	f.reconcile()
	f.Expect(f.phase()).To(Equal(v1alpha1.RemediationPending))
	f.Expect(f.get().Status.Analysis).To(BeEmpty(), "nor is anything begun after the cool-down")
	f.pass(2 * time.Minute)
	f.reconcile()
	f.Expect(f.events()).To(Equal([]string{"Received", "Completed"}))
	f.Expect(f.get().Status.FailureReason).To(And(HavePrefix("Held back: "), ContainSubstring("nobody was told")))
}

// A manager asks its cache, which finds the few requests of an alert among thousands.
func TestTheCacheFindsEarlierRequestsByTheirFingerprint(t *testing.T) {
	mgr, err := env.NewManager()
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	first := newFixture(t)
	first.act(v1alpha1.WorkflowCompleted)
	first.options = append(first.options, remediation.WithCoolDown(time.Hour, nil))
	first.client = interceptor.NewClient(env.Client, interceptor.Funcs{List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
		return mgr.GetClient().List(ctx, list, o...)
	}})
	first.start()
	g.Expect(first.reconciler.SetupWithManager(mgr, 1)).To(Succeed())
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.GetCache().Start(within) }()
	g.Expect(mgr.GetCache().WaitForCacheSync(within)).To(BeTrue())
	f := first.again()
	f.reconcile()
	f.Expect(f.condition(v1alpha1.ConditionCoolingDown)).To(HaveValue(HaveField("Status", metav1.ConditionTrue)))
	cancel()
	g.Expect(<-stopped).To(Succeed())
}

// Shards by uid ask the API server. Whoever makes requests chooses how many there are of one fingerprint, and how large they are.
func TestEarlierRequestsAreReadInPages(t *testing.T) {
	first := newFixture(t)
	pages := 0
	reader := interceptor.NewClient(env.Client, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, o ...client.ListOption) error {
		options := (&client.ListOptions{}).ApplyOptions(o)
		first.Expect(options.Limit).To(BeNumerically(">", 0))
		options.Limit = 1
		pages++
		return c.List(ctx, list, options)
	}})
	first.options = append(first.options, remediation.WithCoolDown(time.Hour, reader))
	first.start()
	first.act(v1alpha1.WorkflowCompleted)
	first.again(func(rr *v1alpha1.RemediationRequest) { rr.Name = "a-before" })
	first.again(func(rr *v1alpha1.RemediationRequest) { rr.Name = "z-behind" })
	pages = 0
	f := first.again()
	f.reconcile()
	f.Expect(f.condition(v1alpha1.ConditionCoolingDown)).To(HaveValue(HaveField("Message", ContainSubstring(first.rr.Name))))
	f.Expect(pages).To(BeNumerically(">=", 4))
}
