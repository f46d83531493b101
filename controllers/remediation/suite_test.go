package remediation_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/controllers/remediation"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/outbox"
)

var (
	env *testenv.Env
	ctx = context.Background()
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

// errDied is what a write of a process that dies there returns: the test starts over with a new one.
var errDied = errors.New("the process died here")

// death is on which side of a write a process dies.
type death int

const (
	beforeWrite death = iota
	afterWrite
)

func (d death) String() string { return [...]string{"before a write", "after a write"}[d] }

// fixture drives one request by hand, and plays the children's controllers.
type fixture struct {
	*WithT
	client     client.Client
	writer     *outbox.Writer
	clock      controllertest.Clock
	reconciler *remediation.Reconciler
	options    []remediation.Option
	rr         *v1alpha1.RemediationRequest
	recorder   *controllertest.Recorder
	// writesLeft counts down to the write at which the process dies; where says on which side of it.
	writesLeft int
	where      death
}

func newFixture(t *testing.T, change ...func(*v1alpha1.RemediationRequest)) *fixture {
	f := &fixture{WithT: NewWithT(t)}
	f.clock = controllertest.NewClock()
	f.client = interceptor.NewClient(env.Client, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return f.write(func() error { return c.Create(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return f.write(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return f.write(func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
	})
	f.start()
	f.rr = testenv.MakeRemediation(env.Namespace(ctx, "remediation"), "cart").Auto(80).Obj()
	for _, c := range change {
		c(f.rr)
	}
	f.Expect(env.Client.Create(ctx, f.rr)).To(Succeed())
	f.clock.SetTime(time.Now()) // or a second that began meanwhile would have it made in the future
	return f
}

// start makes a new process: nothing in memory.
func (f *fixture) start() {
	f.writer = outbox.NewWriter(f.client, env.Client, &testenv.Watermarks{}, outbox.WithClock(f.clock))
	f.recorder = controllertest.NewRecorder(func(wrong string) { f.Expect(wrong).To(BeEmpty()) })
	var err error
	f.reconciler, err = remediation.New(f.client, env.Client, f.writer, f.recorder, append(f.options, remediation.WithClock(f.clock))...)
	f.Expect(err).NotTo(HaveOccurred())
}

func (f *fixture) write(do func() error) error {
	if f.writesLeft--; f.writesLeft != 0 {
		return do()
	}
	if f.where == afterWrite {
		f.Expect(client.IgnoreAlreadyExists(do())).To(Succeed())
	}
	return errDied
}

// reconcile runs until nothing changes any more, and returns when it asked to look again.
func (f *fixture) reconcile() ctrl.Result {
	for range 20 {
		before := f.get().ResourceVersion
		result, err := f.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.rr)})
		if errors.Is(err, errDied) {
			f.start()
			continue
		}
		f.Expect(err).NotTo(HaveOccurred())
		if f.get().ResourceVersion == before {
			return result
		}
	}
	f.Expect(false).To(BeTrue(), "the request does not come to rest")
	return ctrl.Result{}
}

func (f *fixture) get() *v1alpha1.RemediationRequest {
	got := &v1alpha1.RemediationRequest{}
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(f.rr), got)).To(Succeed())
	return got
}

func (f *fixture) cancel() {
	f.Expect(env.Client.Patch(ctx, f.get(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))).To(Succeed())
}

// killAt lets the process die at its nth write from now.
func (f *fixture) killAt(nth int, where death) { f.writesLeft, f.where = nth, where }

func (f *fixture) phase() v1alpha1.RemediationPhase { return f.get().Status.Phase }

func (f *fixture) events() []string {
	var names []string
	for _, e := range controllertest.Entries(f.get()) {
		names = append(names, e.Event)
	}
	return names
}

func (f *fixture) pass(d time.Duration) { f.clock.Pass(d) }

func child[T client.Object](f *fixture, name string, into T) T {
	f.Expect(name).NotTo(BeEmpty())
	f.Expect(env.Client.Get(ctx, client.ObjectKey{Namespace: f.rr.Namespace, Name: name}, into)).To(Succeed())
	return into
}

func (f *fixture) analysis() *v1alpha1.AIAnalysis {
	return child(f, f.get().Status.Analysis, &v1alpha1.AIAnalysis{})
}

func (f *fixture) workflow() *v1alpha1.WorkflowExecution {
	return child(f, f.get().Status.Workflow, &v1alpha1.WorkflowExecution{})
}

func (f *fixture) notification() *v1alpha1.NotificationRequest {
	return child(f, f.get().Status.Notification, &v1alpha1.NotificationRequest{})
}

// end closes a child's record, as its controller does with its last write.
func (f *fixture) end(child outbox.Object, kind string, change func()) {
	w := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{}, outbox.WithClock(f.clock))
	draft := w.Draft(child)
	change()
	f.Expect(draft.Save(ctx, &outbox.Change{Kind: kind, Event: "Ended", Phase: "Ended", Record: map[string]string{}, Final: true})).To(Succeed())
}

func (f *fixture) endAnalysis(phase v1alpha1.AnalysisPhase, r *v1alpha1.Recommendation) {
	a := f.analysis()
	f.end(a, entry.KindAIDecision, func() {
		a.Status.Phase, a.Status.Recommendation = phase, r
		if r != nil && phase == v1alpha1.AnalysisCompleted {
			a.Status.Approval = &v1alpha1.Approval{Status: v1alpha1.ApprovalAutoApproved, DecidedBy: "policy"}
		}
		a.Status.Investigation = &v1alpha1.Investigation{Investigator: "rules", Attempt: 1, StartedTime: outboxapi.NewTime(f.clock.Now())}
	})
}

func (f *fixture) endWorkflow(phase v1alpha1.WorkflowPhase, reason string) {
	w := f.workflow()
	f.end(w, entry.KindExecution, func() {
		w.Status.Phase, w.Status.FailureReason = phase, reason
		w.Status.StartedTime = outboxapi.NewTimePointer(f.clock.Now())
		w.Status.Steps = []v1alpha1.StepStatus{{Name: "undo", Action: "RolloutUndo", State: v1alpha1.StepSucceeded, Attempt: 1, StartedTime: *w.Status.StartedTime}}
	})
}

func (f *fixture) endNotification(phase v1alpha1.NotificationPhase) {
	n := f.notification()
	f.end(n, entry.KindNotification, func() {
		n.Status.Phase, n.Status.SentTime = phase, outboxapi.NewTimePointer(f.clock.Now())
	})
}

// withoutChannels tells nobody.
func withoutChannels(rr *v1alpha1.RemediationRequest) {
	rr.Spec.Notification.Channels = []v1alpha1.Channel{}
}

// manually has a person decide.
func manually(rr *v1alpha1.RemediationRequest) {
	rr.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}
}

var undo = &v1alpha1.Recommendation{WorkflowID: "rollout-undo", Confidence: 93}

func seconds(n int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n) * time.Second}
}
