package outbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// large is a test with workflows of a size, and a writer whose Events it sees.
type large struct {
	*WithT
	namespace string
	recorder  *events.FakeRecorder
	writer    *outbox.Writer
}

func newLarge(t *testing.T) *large {
	l := &large{WithT: NewWithT(t), namespace: env.Namespace(ctx, "large"), recorder: events.NewFakeRecorder(10)}
	l.writer = outbox.NewWriter(env.Client, env.Client, &acknowledged{}, outbox.WithRecorder(l.recorder))
	return l
}

const pad = "example.com/pad"

// workflow makes one that has exactly so many bytes as JSON, managed fields and all.
func (l *large) workflow(bytes int, finalizers ...string) *v1alpha1.WorkflowExecution {
	const block = 6*1024 + len(`"p00":"",`)
	o := &v1alpha1.WorkflowExecution{ObjectMeta: metav1.ObjectMeta{GenerateName: "large-", Namespace: l.namespace, Finalizers: finalizers, Annotations: map[string]string{pad: ""}}}
	o.Spec.RemediationRef = v1alpha1.RemediationRef{Name: "cart-crash", UID: "by-hand"}
	o.Spec.WorkflowID, o.Spec.Target = "rollout-undo", v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "cart"}
	blocks := max(0, bytes-16<<10) / block
	for i := range 20 {
		parameters := map[string]v1alpha1.ParameterValue{}
		for j := range min(20, max(0, blocks-20*i)) {
			parameters[fmt.Sprintf("p%02d", j)] = v1alpha1.ParameterValue(strings.Repeat("<", 1024)) // six bytes each
		}
		o.Spec.Steps = append(o.Spec.Steps, v1alpha1.WorkflowStep{Name: fmt.Sprint("step-", i), Action: "Wait", Parameters: parameters})
	}
	l.Expect(env.Client.Create(ctx, o)).To(Succeed())
	for size := sizeOf(o); size != bytes; size = sizeOf(o) {
		l.Expect(l.annotate(o, padding(o)+bytes-size)).To(Succeed())
	}
	return o
}

// annotate gives the annotation a length in bytes of JSON. Most characters have six: annotations may have few characters.
func (l *large) annotate(o client.Object, length int) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, pad, strings.Repeat("<", length/6)+strings.Repeat("x", length%6))
	return env.Client.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(patch)))
}

func padding(o client.Object) int {
	text := o.GetAnnotations()[pad]
	return len(text) + 5*strings.Count(text, "<")
}

// fill makes a resource as large as the API server takes it.
func (l *large) fill(o client.Object) {
	for step := 64 << 10; step > 0; {
		if err := l.annotate(o, padding(o)+step); err != nil {
			l.Expect(err).To(MatchError(ContainSubstring("etcdserver: request is too large")))
			step /= 2
		}
	}
}

func sizeOf(o client.Object) int {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return len(text)
}

func (l *large) live(o *v1alpha1.WorkflowExecution) *v1alpha1.WorkflowExecution {
	got := &v1alpha1.WorkflowExecution{}
	l.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), got)).To(Succeed())
	return got
}

func (l *large) gone(o client.Object) {
	err := env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)
	l.Expect(err).To(Satisfy(apierrors.IsNotFound), "it is gone, and so can be its namespace")
}

// read is what a manager's cache has: no managed fields.
func (l *large) read(o *v1alpha1.WorkflowExecution) *v1alpha1.WorkflowExecution {
	cached := l.live(o)
	cached.ManagedFields = nil
	return cached
}

func execution(event string, bytes int, final bool) *outbox.Change {
	return &outbox.Change{Kind: entry.KindExecution, Event: event, Phase: "Executing", Final: final, Record: map[string]any{"text": strings.Repeat("x", bytes)}}
}

// entryBytes is nearly the largest record that an entry holds.
const entryBytes = 63 << 10

func TestTheLargestAuditableResourceHoldsAFullOutbox(t *testing.T) {
	l := newLarge(t)
	o := l.read(l.workflow(outbox.DefaultLimits().ResourceBytes()))
	draft := l.writer.Draft(o)
	for i := range 12 {
		o.Status.Steps = append(o.Status.Steps, v1alpha1.StepStatus{Name: fmt.Sprint(i), Action: "Wait", State: v1alpha1.StepRunning, Attempt: 1, Message: strings.Repeat("m", 8000),
			StartedTime: outboxapi.NewTime(now)})
	}
	l.Expect(draft.Save(ctx, execution("Started", entryBytes, false))).To(Succeed())
	l.Expect(o.Finalizers).To(ContainElement(outbox.Finalizer))
	entries := 1
	for ; ; entries++ {
		if err := l.writer.Draft(o).Save(ctx, execution("More", entryBytes, false)); err != nil {
			l.Expect(err).To(MatchError(outbox.ErrFull))
			break
		}
	}
	l.Expect(entries).To(BeNumerically(">=", 7))
	o = l.read(o)
	l.Expect(l.writer.Draft(o).Save(ctx, execution("Completed", entryBytes, true))).To(Succeed(), "the closing entry has its room")
	l.Expect(l.recorder.Events).To(BeEmpty())
	l.Expect(env.Vanish(ctx, o)).To(Succeed())
}

func TestAResourceThatIsTooLargeIsNotHeld(t *testing.T) {
	most := outbox.DefaultLimits().ResourceBytes()
	for name, finalizers := range map[string][]string{"without the finalizer": nil, "with the finalizer of a policy": {outbox.Finalizer}, "with another's": {"example.com/other", outbox.Finalizer}} {
		for where, size := range map[string]int{"just too large": most + 1, "as large as can be": 1_560_000} {
			t.Run(name+", "+where, func(t *testing.T) {
				l := newLarge(t)
				o := l.workflow(size, finalizers...)
				if size > most+1 {
					l.fill(o)
					if len(finalizers) > 0 {
						l.Expect(env.Client.Delete(ctx, o.DeepCopy())).To(MatchError(ContainSubstring("etcdserver: request is too large")), "the finalizer keeps it from being deleted")
					}
				}
				for _, save := range []func(d *outbox.Draft, o *v1alpha1.WorkflowExecution) error{
					func(d *outbox.Draft, o *v1alpha1.WorkflowExecution) error {
						o.Status.Phase = v1alpha1.WorkflowValidating
						return d.Save(ctx, execution("Started", 10, false))
					},
					func(d *outbox.Draft, o *v1alpha1.WorkflowExecution) error {
						o.Status.Phase = v1alpha1.WorkflowValidating
						return d.Save(ctx, nil)
					},
					func(d *outbox.Draft, _ *v1alpha1.WorkflowExecution) error {
						return d.Reserve(ctx, 1)
					},
				} {
					cached := l.read(o)
					l.Expect(save(l.writer.Draft(cached), cached)).To(And(MatchError(outbox.ErrOversized), MatchError(MatchRegexp(`it has \d+ bytes as JSON, expected at most %d beside its outbox`, most))))
				}
				got := l.live(o)
				l.Expect(got.Finalizers).NotTo(ContainElement(outbox.Finalizer))
				l.Expect(got.Status.Phase).To(BeEmpty())
				l.Expect(got.Status.Outbox.IsZero()).To(BeTrue())
				l.Expect(<-l.recorder.Events).To(MatchRegexp(`^Warning ResourceTooLarge Not audited: it has \d+ bytes`))
				blocked := meta.FindStatusCondition(got.Status.Conditions, outbox.ConditionBlocked)
				if size == most+1 {
					l.Expect(blocked).To(HaveField("Reason", "ResourceTooLarge"))
					l.Expect(l.recorder.Events).To(BeEmpty(), "it is said once")
				}
				if len(finalizers) > 1 {
					l.Expect(env.Client.Patch(ctx, got, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
				}
				l.Expect(env.Client.Delete(ctx, got)).To(Succeed())
				l.gone(got)
			})
		}
	}
}

// A controller whose status is too large has a fault of its own: nobody's resource is let go for it.
func TestAStatusThatIsTooLargeIsNotTheResourcesFault(t *testing.T) {
	l := newLarge(t)
	o := l.read(l.workflow(20_000))
	draft := l.writer.Draft(o)
	for i := range 20 {
		o.Status.Steps = append(o.Status.Steps, v1alpha1.StepStatus{Name: fmt.Sprint(i), Action: "Wait", State: v1alpha1.StepRunning, Attempt: 1, Message: strings.Repeat("<", 8000), StartedTime: outboxapi.NewTime(now)})
		o.Status.Validations = append(o.Status.Validations, v1alpha1.ValidationResult{Name: fmt.Sprint(i), Stage: v1alpha1.StagePre, Message: strings.Repeat("<", 8000), Time: outboxapi.NewTime(now)})
	}
	err := draft.Save(ctx, execution("Started", 10, false))
	l.Expect(err).To(MatchError(And(ContainSubstring("etcdserver: request is too large"), ContainSubstring("its status was to become too large"))))
	l.Expect(err).NotTo(Or(MatchError(outbox.ErrOversized), MatchError(outbox.ErrFull)))
	l.Expect(l.recorder.Events).To(BeEmpty())
	l.Expect(env.Vanish(ctx, o)).To(Succeed())
}

// The way of a namespace's deletion: the resource is deleted first, and the manager comes later.
func TestAResourceThatIsTooLargeIsReleasedInDeletion(t *testing.T) {
	l := newLarge(t)
	o := l.workflow(1_400_000, outbox.Finalizer)
	l.Expect(env.Client.Delete(ctx, o.DeepCopy())).To(Succeed())
	o = l.read(o)
	l.Expect(l.writer.Draft(o).Save(ctx, execution("Cancelled", 10, true))).To(MatchError(outbox.ErrOversized))
	l.gone(o)
	l.Expect(<-l.recorder.Events).To(ContainSubstring("ResourceTooLarge"))
}

func TestAResourceThatWasMadeSmallerIsAudited(t *testing.T) {
	l := newLarge(t)
	most := outbox.DefaultLimits().ResourceBytes()
	o := l.workflow(most + 1)
	l.Expect(l.writer.Draft(l.read(o)).Save(ctx, execution("Started", 10, false))).To(MatchError(outbox.ErrOversized))
	o = l.live(o)
	l.Expect(l.annotate(o, 0)).To(Succeed())
	l.Expect(l.writer.Draft(o).Save(ctx, execution("Started", 10, false))).To(Succeed())
	got := l.live(o)
	l.Expect(got.Finalizers).To(ContainElement(outbox.Finalizer))
	l.Expect(got.Status.Outbox.LastSequence).To(BeEquivalentTo(1))
	l.Expect(meta.IsStatusConditionFalse(got.Status.Conditions, outbox.ConditionBlocked)).To(BeTrue())
	l.Expect(env.Vanish(ctx, got)).To(Succeed())
}

// A record that has begun is not given up: somebody made the resource grow, and has to make it smaller.
func TestARecordOfAResourceThatGrewWaitsForRoom(t *testing.T) {
	l := newLarge(t)
	o := l.workflow(outbox.DefaultLimits().ResourceBytes())
	l.Expect(l.writer.Draft(o).Save(ctx, execution("Started", 10, false))).To(Succeed())
	short := padding(o)
	l.fill(o)
	for range 2 {
		o = l.read(o)
		err := l.writer.Draft(o).Save(ctx, execution("More", entryBytes, false))
		l.Expect(err).To(And(MatchError(outbox.ErrFull), MatchError(ContainSubstring("shorten its annotations or labels"))))
		l.Expect(l.live(o).Finalizers).To(ContainElement(outbox.Finalizer))
		l.Expect(l.live(o).Status.Outbox.LastSequence).To(BeEquivalentTo(1))
	}
	l.Expect(env.Client.Delete(ctx, l.live(o))).To(MatchError(ContainSubstring("etcdserver: request is too large")))

	o = l.live(o)
	l.Expect(l.annotate(o, short)).To(Succeed(), "what shrinks fits")
	l.Expect(env.Client.Delete(ctx, o)).To(Succeed())
	o = l.read(o)
	l.Expect(l.writer.Draft(o).Save(ctx, execution("Cancelled", entryBytes, true))).To(Succeed())
	l.Expect(env.Vanish(ctx, o)).To(Succeed())
}

// Requests of this size were taken before the CRD bounded the keys of maps, and neither they nor their namespaces could be deleted.
func TestARequestFromBeforeKeysWereBoundedIsReleased(t *testing.T) {
	l := newLarge(t)
	extensions := runtime.NewScheme()
	l.Expect(apiextensionsv1.AddToScheme(extensions)).To(Succeed())
	api, err := client.New(env.Config, client.Options{Scheme: extensions})
	l.Expect(err).NotTo(HaveOccurred())
	rr := testenv.MakeRemediation(l.namespace, "cart").Obj()
	rr.Finalizers, rr.Annotations, rr.Spec.Signal.Labels = []string{outbox.Finalizer}, map[string]string{pad: ""}, map[string]v1alpha1.LabelValue{}
	for i := range 64 {
		rr.Spec.Signal.Labels[fmt.Sprint(i, strings.Repeat("k", 24_300))] = "v"
	}
	l.Expect(env.Client.Create(ctx, rr.DeepCopy())).To(And(MatchError(ContainSubstring("spec.signal.labels")), MatchError(ContainSubstring("expected keys of at most 256 characters"))))

	crd := &apiextensionsv1.CustomResourceDefinition{}
	l.Expect(api.Get(ctx, client.ObjectKey{Name: "remediationrequests.holdfast.dev"}, crd)).To(Succeed())
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	labels := spec.Properties["signal"].Properties["labels"]
	labels.XValidations = nil
	spec.Properties["signal"].Properties["labels"] = labels
	l.Expect(api.Update(ctx, crd)).To(Succeed())
	restore := func() {
		l.Expect(config.Install(ctx, env.Config, io.Discard)).To(Succeed())
		l.Expect(env.WithoutFinalizerPolicy(ctx)).To(Succeed())
	}
	t.Cleanup(restore)
	l.Eventually(func() error { return env.Client.Create(ctx, rr.DeepCopy(), client.DryRunAll) }).WithTimeout(testenv.Timeout).Should(Succeed())
	l.Expect(env.Client.Create(ctx, rr)).To(Succeed())
	l.Expect(sizeOf(rr)).To(BeNumerically(">", 1_550_000))
	l.fill(rr)
	restore()
	l.Eventually(func() error {
		probe := testenv.MakeRemediation(l.namespace, "probe").Obj()
		probe.Spec.Signal.Labels = map[string]v1alpha1.LabelValue{strings.Repeat("k", 257): ""}
		return env.Client.Create(ctx, probe, client.DryRunAll)
	}).WithTimeout(testenv.Timeout).Should(MatchError(ContainSubstring("expected keys")))

	l.Expect(env.Client.Delete(ctx, rr.DeepCopy())).To(MatchError(ContainSubstring("etcdserver: request is too large")))
	draft := l.writer.Draft(rr)
	rr.Status.Phase = v1alpha1.RemediationPending
	l.Expect(draft.Save(ctx, &outbox.Change{Kind: entry.KindOrchestration, Event: "Received", Phase: "Pending", Record: map[string]any{"remediation_id": "r"}})).To(MatchError(outbox.ErrOversized))
	l.Expect(env.Client.Delete(ctx, rr)).To(Succeed())
	l.gone(rr)
}
