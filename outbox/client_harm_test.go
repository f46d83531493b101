package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

// A CustomResourceDefinition can be newer than the type. What the type does not know stays, and its zero values are not sent.
func TestAPatchWritesWhatItNames(t *testing.T) {
	w := open(t, nil)
	audited := w.writer.Client(describeGadget)
	w.merge(`{"newer":{"big":9007199254740993,"list":[{"a":1}]}}`)
	newer := w.field("newer")
	for _, c := range []struct {
		phase string
		patch client.Patch
		opts  []client.SubResourcePatchOption
	}{
		{"Merged", client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Merged"}}`)), nil},
		{"Listed", client.RawPatch(types.JSONPatchType, []byte(`[{"op":"test","path":"/status/newer/big","value":9007199254740993},{"op":"add","path":"/status/phase","value":"Listed"}]`)), nil},
		{"Applied", w.applied(map[string]any{"phase": "Applied"}), []client.SubResourcePatchOption{client.FieldOwner("mine"), client.ForceOwnership}},
	} {
		t.Run(c.phase, func(t *testing.T) {
			g := NewWithT(t)
			before, was := w.live().Status.Outbox, w.live().Status.Phase
			o := &gadget{ObjectMeta: metav1.ObjectMeta{Namespace: w.key.Namespace, Name: w.key.Name}}
			g.Expect(audited.Status().Patch(ctx, o, c.patch, c.opts...)).To(Succeed())
			g.Expect(o.Status.Phase).To(Equal(c.phase))
			g.Expect(o).To(Equal(w.live()))
			g.Expect(w.field("phase")).To(Equal(c.phase))
			g.Expect(w.field("newer")).To(Equal(newer))
			g.Expect([]any{w.field("level"), w.field("replicas")}).To(Equal([]any{nil, nil}), "zero values of the type")
			g.Expect(w.live().Status.Outbox.LastSequence).To(Equal(before.LastSequence + 1))
			entries := outboxtest.Entries(t, w.live().Status.Outbox)
			g.Expect(string(entries[len(entries)-1].Record)).To(Equal(record(was, c.phase)))
		})
	}

	o := w.live()
	w.Expect(audited.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(`{"status":{"newer":{"more":true}}}`)))).To(Succeed())
	w.Expect(w.field("newer", "more")).To(BeTrue(), "a field that the type does not know can be patched, too")
	w.Expect(w.field("newer", "big")).To(BeEquivalentTo(9007199254740993))
	w.Expect(audited.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(`{"status":null}`)))).To(Succeed())
	w.Expect(w.field("newer")).To(BeNil())
	w.Expect(w.live().Status.Outbox.LastSequence).To(BeEquivalentTo(4), "the outbox is nobody's to remove")
}

// The condition of a full outbox is written by us, not by the caller: it must not write anything else.
func TestTheConditionOfAFullOutboxIsAllThatIsWritten(t *testing.T) {
	w := open(t, nil)
	w.acks.limits = outbox.Limits{EntryBytes: 4 << 10, SoftBytes: 8 << 10, HardBytes: 16 << 10, HardEntries: 500}
	w.writer = outbox.NewWriter(w.client, w.client, w.acks)
	c := w.writer.Client(func(before, after outbox.Object) *outbox.Change {
		change := describeGadget(before, after)
		if change != nil {
			change.Record = map[string]any{"text": strings.Repeat("x", 3500)}
		}
		return change
	})
	w.merge(`{"newer":{"kept":true}}`)
	patch := func(phase string) error {
		return c.Status().Patch(ctx, w.live(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{"phase":%q}}`, phase)), client.FieldOwner("mine"))
	}
	blocked := func() bool { return meta.IsStatusConditionTrue(w.live().Status.Conditions, outbox.ConditionBlocked) }
	for i := range 3 {
		w.Expect(patch(fmt.Sprint(i))).To(Succeed())
	}
	w.Expect(patch("too much")).To(MatchError(outbox.ErrFull))
	w.Expect(blocked()).To(BeTrue())
	w.Expect(w.field("phase")).To(Equal("2"))
	w.Expect(w.writer.Draft(w.live()).Reserve(ctx, 2)).To(MatchError(outbox.ErrFull))
	w.Expect(w.field("newer", "kept")).To(BeTrue())

	w.acks.set(w.live().UID, entry.Watermark{Sequence: 3, Hash: w.live().Status.Outbox.HeadHash, Time: now})
	w.Expect(patch("again")).To(Succeed())
	w.Expect(blocked()).To(BeFalse())
	w.Expect([]any{w.field("newer", "kept"), w.field("level")}).To(Equal([]any{true, nil}))

	var owners []string
	for _, f := range w.live().ManagedFields {
		raw, err := f.FieldsV1.MarshalJSON()
		w.Expect(err).NotTo(HaveOccurred())
		text := string(raw)
		if strings.Contains(text, outbox.Finalizer) || strings.Contains(text, `"f:phase"`) {
			owners = append(owners, f.Manager)
		}
	}
	w.Expect(owners).To(HaveEach("mine"), "finalizer and status have the owner whom the caller named")
}

func TestAPatchIsReadAsTheAPIServerDoes(t *testing.T) {
	f, obj := setup(t)
	c := f.writer.Client(describeFailure)
	patch := func(text string, opts ...client.SubResourcePatchOption) error {
		return c.Status().Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(text)), opts...)
	}
	f.Expect(patch(`{"status":{"FailureReason":"another field"}}`)).To(Succeed())
	f.Expect(f.live(obj).Status.FailureReason).To(BeEmpty())
	f.Expect(f.live(obj).Status.Outbox.IsZero()).To(BeTrue(), "an entry of a change that was not made")

	strict := client.FieldValidation(metav1.FieldValidationStrict)
	f.Expect(patch(`{"status":{"failureReason":"one","strange":1}}`, strict)).To(MatchError(ContainSubstring(`unknown field "status.strange"`)))
	f.Expect(patch(`{"status":{"strange":1}}`, strict)).To(MatchError(ContainSubstring(`unknown field "status.strange"`)), "though nothing that the type knows changes")
	f.Expect(patch(`{"status":{"failureReason":"one","failureReason":"two"}}`, strict)).To(MatchError(ContainSubstring(`duplicate field "status.failureReason"`)))
	f.Expect(patch(`{"status":{"failureReason":7}}`)).To(Satisfy(apierrors.IsInvalid))
	f.Expect(f.live(obj).Status.FailureReason).To(BeEmpty())
	f.Expect(f.live(obj).Status.Outbox.IsZero()).To(BeTrue())
	f.Expect(patch(`{"status":{"failureReason":"one"}}`, strict)).To(Succeed())
	f.Expect(patch(`{"metadata":{"uid":"another"},"status":{"failureReason":"two"}}`)).To(Satisfy(apierrors.IsConflict))
	f.Expect(f.records(t, obj)).To(Equal([]string{record("", "one")}))
}

// The API server drops a field that its CustomResourceDefinition lacks. It must not save the state either.
func TestADefinitionWithoutTheOutboxIsFoundBeforeAnythingIsSaved(t *testing.T) {
	writes := map[string]func(w *workshop) error{
		"a draft": func(w *workshop) error {
			o := w.live()
			draft := w.writer.Draft(o)
			o.Status.Phase, o.Status.Level, o.Status.Replicas = "Begun", "low", 1
			return draft.Save(ctx, &outbox.Change{Kind: "gadgets.example.com", Event: "Begun"})
		},
		"an update": func(w *workshop) error {
			o := w.live()
			o.Status.Phase, o.Status.Level, o.Status.Replicas = "Begun", "low", 1
			return w.writer.Client(describeGadget).Status().Update(ctx, o)
		},
		"a patch": func(w *workshop) error {
			return w.writer.Client(describeGadget).Status().Patch(ctx, w.live(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Begun"}}`)))
		},
		"an apply": func(w *workshop) error {
			return w.writer.Client(describeGadget).Status().Patch(ctx, w.live(), w.applied(map[string]any{"phase": "Begun"}), client.FieldOwner("mine"))
		},
	}
	without := open(t, func(status *apiextensionsv1.JSONSchemaProps) { delete(status.Properties, "outbox") })
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(write(without)).To(MatchError(And(ContainSubstring("the API server drops status.outbox"), ContainSubstring("nothing was saved"), ContainSubstring("apply the CustomResourceDefinition of Gadget"))))
			g.Expect(without.field("phase")).To(BeNil())
			g.Expect(without.raw().GetFinalizers()).To(BeEmpty(), "nobody would remove it")
		})
		t.Run(name+" with a field that has no default", func(t *testing.T) {
			w := open(t, func(status *apiextensionsv1.JSONSchemaProps) {
				box := status.Properties["outbox"]
				box.Default = nil
				status.Properties["outbox"] = box
			})
			w.Expect(w.field("outbox")).To(BeNil())
			w.Expect(write(w)).To(Succeed())
			w.Expect(w.live().Status.Outbox.LastSequence).To(BeEquivalentTo(1))
			w.Expect(w.field("phase")).To(Equal("Begun"))
		})
	}
}

func TestAWriterRefusesAKindAtSetUp(t *testing.T) {
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	scheme.AddKnownTypeWithName(v1alpha1.GroupVersion.WithKind("Elsewhere"), &elsewhere{})
	c, err := client.New(env.Config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(func() { outbox.NewWriter(c, c, nil).Client(describeFailure) }).To(PanicWith(ContainSubstring("*outbox_test.elsewhere cannot be audited")))
}

func TestAClientHasNoWatchThatFails(t *testing.T) {
	f, _ := setup(t)
	_, watches := f.writer.Client(describeFailure).(client.WithWatch)
	f.Expect(watches).To(BeFalse())
}

// A cache that is behind shows the version that the caller has read. Only the API server knows that there is a newer one.
func TestAnOldObjectIsAConflictThoughItChangesNothing(t *testing.T) {
	f, obj := setup(t)
	f.Expect(failWith(f.writer.Client(describeFailure), client.ObjectKeyFromObject(obj), "one")).To(Succeed())
	old := f.live(obj)
	f.Expect(failWith(f.writer.Client(describeFailure), client.ObjectKeyFromObject(obj), "two")).To(Succeed())
	behind := interceptor.NewClient(env.Client, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
		old.DeepCopyInto(o.(*v1alpha1.NotificationRequest))
		return nil
	}})
	c := outbox.NewWriter(behind, env.Client, nil).Client(describeFailure)
	f.Expect(c.Status().Update(ctx, old.DeepCopy())).To(Satisfy(apierrors.IsConflict))
	f.Expect(f.records(t, obj)).To(HaveLen(2))
}

// What a cache lends is not changed.
func TestACacheThatLendsItsObjectsKeepsThem(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
	obj.Status.Conditions = []metav1.Condition{{Type: outbox.ConditionBlocked, Status: metav1.ConditionTrue, Reason: "OutboxFull", LastTransitionTime: metav1.Now()}}
	f.Expect(env.Client.Status().Update(ctx, obj)).To(Succeed())

	lending, err := cache.New(env.Config, cache.Options{Scheme: env.Client.Scheme(), DefaultUnsafeDisableDeepCopy: ptr.To(true), DefaultNamespaces: map[string]cache.Config{obj.Namespace: {}}})
	f.Expect(err).NotTo(HaveOccurred())
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- lending.Start(running) }()
	defer func() { stop(); f.Expect(<-ended).To(Succeed()) }()
	c, err := client.New(env.Config, client.Options{Scheme: env.Client.Scheme(), Cache: &client.CacheOptions{Reader: lending}})
	f.Expect(err).NotTo(HaveOccurred())
	lent := &v1alpha1.NotificationRequest{}
	f.Eventually(func() error { return c.Get(ctx, client.ObjectKeyFromObject(obj), lent) }, testenv.Timeout, testenv.Interval).Should(Succeed())
	before, err := json.Marshal(lent)
	f.Expect(err).NotTo(HaveOccurred())

	w := outbox.NewWriter(c, env.Client, nil)
	try := func(ctx context.Context, o *v1alpha1.NotificationRequest, draft *outbox.Draft) (reconcile.Result, error) {
		if err := draft.Reserve(ctx, 1); err != nil { // ends the condition in the object
			return reconcile.Result{}, err
		}
		controllerutil.RemoveFinalizer(o, outbox.Finalizer) // the caller owns what it is given
		return reconcile.Result{}, nil
	}
	_, err = outbox.AsReconciler(w, notifications{Reconcile: try}).Reconcile(ctx, request(obj))
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(w.Draft(lent).Reserve(ctx, 1)).To(Succeed())
	f.Expect(meta.IsStatusConditionFalse(lent.Status.Conditions, outbox.ConditionBlocked)).To(BeTrue())
	again := &v1alpha1.NotificationRequest{}
	f.Expect(c.Get(ctx, client.ObjectKeyFromObject(obj), again)).To(Succeed())
	after, err := json.Marshal(again)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(string(after)).To(Equal(string(before)))
}

// A merge patch replaces the list of finalizers. One from an older object does not know ours.
func TestAPatchOfFinalizersKeepsOurs(t *testing.T) {
	f, obj := setup(t)
	c := f.writer.Client(describeFailure)
	old := f.live(obj)
	f.Expect(failWith(c, client.ObjectKeyFromObject(obj), "one")).To(Succeed())
	mine := old.DeepCopy()
	mine.Finalizers = []string{"example.com/mine"}
	f.Expect(c.Patch(ctx, mine, client.MergeFrom(old))).To(Succeed())
	f.Expect(mine.Finalizers).To(ConsistOf("example.com/mine", outbox.Finalizer))
	f.Expect(mine).To(Equal(f.live(obj)))

	bare := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: obj.Namespace, Name: obj.Name}}
	bare.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NotificationRequest"))
	f.Expect(c.Patch(ctx, bare, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
	f.Expect(f.live(obj).Finalizers).To(ConsistOf(outbox.Finalizer))

	fresh := testenv.MakeNotification(obj.Namespace, "fresh").Obj()
	f.Expect(c.Create(ctx, fresh)).To(Succeed())
	f.Expect(c.Patch(ctx, fresh, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/mine"]}}`)))).To(Succeed())
	f.Expect(f.live(fresh).Finalizers).To(ConsistOf("example.com/mine"), "a resource without a record does not get ours")
	locked := client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{})
	f.Expect(c.Patch(ctx, mine, locked)).To(Satisfy(apierrors.IsConflict))
}
