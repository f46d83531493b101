package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

// fixture is one resource and a writer over the real API server, whose calls a test can disturb.
type fixture struct {
	*WithT
	client client.WithWatch
	acks   *acknowledged
	writer *outbox.Writer
	// before and after run around each PUT of the status, between before each patch of it.
	before, after, between func() error
}

func setup(t *testing.T) (*fixture, *v1alpha1.NotificationRequest) {
	return setupIn(NewWithT(t), env.Namespace(ctx, "writer"))
}

func setupIn(g *WithT, namespace string) (*fixture, *v1alpha1.NotificationRequest) {
	return setupWith(g, namespace, &acknowledged{})
}

func setupWith(g *WithT, namespace string, acks *acknowledged) (*fixture, *v1alpha1.NotificationRequest) {
	f := &fixture{WithT: g, acks: acks}
	run := func(hook *func() error) error {
		if h := *hook; h != nil {
			*hook = nil
			return h()
		}
		return nil
	}
	f.client = interceptor.NewClient(env.Client, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			if err := run(&f.before); err != nil {
				return err
			}
			if err := c.SubResource(sub).Update(ctx, obj, opts...); err != nil {
				return err
			}
			return run(&f.after)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			if o := (&client.SubResourcePatchOptions{}).ApplyOptions(opts); len(o.DryRun) == 0 {
				if err := run(&f.between); err != nil {
					return err
				}
			}
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	})
	f.writer = outbox.NewWriter(f.client, env.Client, f.acks)
	obj := testenv.MakeNotification(namespace, "").Obj()
	obj.GenerateName = "n-"
	f.Expect(env.Client.Create(ctx, obj)).To(Succeed())
	return f, obj
}

func (f *fixture) live(obj client.Object) *v1alpha1.NotificationRequest {
	got := &v1alpha1.NotificationRequest{}
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), got)).To(Succeed())
	return got
}

func changeOf(event, phase string) *outbox.Change {
	return &outbox.Change{Kind: entry.KindNotification, Event: event, Phase: phase, Record: map[string]any{"remediation_id": "r", "event": event}}
}

// save does what a controller does in one reconcile.
func (f *fixture) save(obj *v1alpha1.NotificationRequest, phase v1alpha1.NotificationPhase, event string) error {
	draft := f.writer.Draft(obj)
	obj.Status.Phase = phase
	return draft.Save(ctx, changeOf(event, string(phase)))
}

func TestSaveWritesStateAndEntryTogetherBehindTheFinalizer(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "Started")).To(Succeed())
	got := f.live(obj)
	f.Expect(got.Finalizers).To(ContainElement(outbox.Finalizer))
	f.Expect(got.Status.Phase).To(Equal(v1alpha1.NotificationSending))
	f.Expect(got.Status.Outbox.Entries).To(HaveLen(1))
	f.Expect(got.Status.Outbox.Pending).To(HaveValue(BeEquivalentTo(1)))
	f.Expect(obj.ResourceVersion).To(Equal(got.ResourceVersion))
	text := got.Status.Outbox.Entries[0]
	f.Expect(entry.Hash([]byte(text))).To(Equal(got.Status.Outbox.HeadHash))
	f.Expect(outboxtest.Entries(t, got.Status.Outbox)[0].Salt).NotTo(Equal(entry.Salt{}.String()))

	f.Expect(f.save(obj, v1alpha1.NotificationRetrying, "Again")).To(Succeed(), "the draft goes on from what was saved")
	f.Expect(f.live(obj).Status.Outbox.LastSequence).To(BeEquivalentTo(2))
}

func TestSaveWithoutAChangeWritesOnlyDifferences(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "Started")).To(Succeed())
	version := obj.ResourceVersion
	f.acks.set(obj.UID, entry.Watermark{Sequence: 1, Hash: obj.Status.Outbox.HeadHash})
	f.Expect(f.writer.Draft(obj).Save(ctx, nil)).To(Succeed())
	f.Expect(f.live(obj).ResourceVersion).To(Equal(version), "an acknowledgement alone is no reason to write")

	draft := f.writer.Draft(obj)
	obj.Status.FailureReason = "x"
	f.Expect(draft.Save(ctx, nil)).To(Succeed())
	got := f.live(obj)
	f.Expect(got.Status.FailureReason).To(Equal("x"))
	f.Expect(got.Status.Outbox.Entries).To(BeEmpty(), "but it rides along")
	f.Expect(got.Status.Outbox.PersistedSequence).To(BeEquivalentTo(1))
}

func TestAcknowledgedEntriesLeaveWithTheNextWrite(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "Two")).To(Succeed())
	f.acks.set(obj.UID, entry.Watermark{Sequence: 2, Hash: obj.Status.Outbox.HeadHash, Time: now})
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "Three")).To(Succeed())
	o := f.live(obj).Status.Outbox
	f.Expect(o.Entries).To(HaveLen(1))
	f.Expect(entry.PendingOf("", o).Sequence(0)).To(BeEquivalentTo(3))
	f.Expect(o.PersistedSequence).To(BeEquivalentTo(2))
	f.Expect(o.LastSequence).To(BeEquivalentTo(3))

	f.acks.set(obj.UID, entry.Watermark{Sequence: 3, Hash: "of another history", Time: now})
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "Four")).To(Succeed())
	f.Expect(f.live(obj).Status.Outbox.Entries).To(HaveLen(2), "a watermark of another history acknowledges nothing")
}

// trim does what the relay does while a Save is under way.
func (f *fixture) trim(obj *v1alpha1.NotificationRequest) func() error {
	return func() error {
		patch := []byte(`[{"op":"add","path":"/status/outbox/entries","value":[]},{"op":"add","path":"/status/outbox/pending","value":0},{"op":"add","path":"/status/outbox/persistedSequence","value":1}]`)
		return env.Client.Status().Patch(ctx, f.live(obj), client.RawPatch(types.JSONPatchType, patch))
	}
}

func TestRebaseOverATrimPutsTheSameEntryOnce(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
	first := obj.Status.Outbox.HeadHash
	f.before = f.trim(obj)
	f.Expect(f.save(obj, v1alpha1.NotificationRetrying, "Two")).To(Succeed())
	got := f.live(obj)
	f.Expect(got.Status.Phase).To(Equal(v1alpha1.NotificationRetrying))
	f.Expect(got.Status.Outbox.Entries).To(HaveLen(1), "the trimmed entry did not come back")
	entries := outboxtest.Entries(t, got.Status.Outbox)
	f.Expect(entries[0].Sequence).To(BeEquivalentTo(2))
	f.Expect(entries[0].PreviousHash).To(Equal(first))
	f.Expect(got.Status.Outbox.PersistedSequence).To(BeEquivalentTo(1))
}

func TestAStateWithoutAnEntryFollowsATrimToo(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
	f.before = f.trim(obj)
	draft := f.writer.Draft(obj)
	obj.Status.FailureReason = "what came of an effect"
	f.Expect(draft.Save(ctx, nil)).To(Succeed(), "else the caller starts over, and so does the effect")
	got := f.live(obj)
	f.Expect(got.Status.FailureReason).To(Equal("what came of an effect"))
	f.Expect(got.Status.Outbox.Entries).To(BeEmpty(), "the trimmed entry did not come back")
	f.Expect(got.Status.Outbox.PersistedSequence).To(BeEquivalentTo(1))

	f.before = func() error { return f.save(f.live(obj), v1alpha1.NotificationRetrying, "Other") }
	draft = f.writer.Draft(obj)
	obj.Status.FailureReason = "mine"
	f.Expect(apierrors.IsConflict(draft.Save(ctx, nil))).To(BeTrue())
	f.Expect(f.live(obj).Status.FailureReason).NotTo(Equal("mine"))

	obj = f.live(obj)
	f.before = func() error { // another manager, with the very same intent
		other := f.live(obj)
		draft := f.writer.Draft(other)
		other.Status.FailureReason = "about to act"
		return draft.Save(ctx, nil)
	}
	draft = f.writer.Draft(obj)
	obj.Status.FailureReason = "about to act"
	f.Expect(apierrors.IsConflict(draft.Save(ctx, nil))).To(BeTrue(), "or both would act")
}

func TestAChangeThatCannotBeAppendedLeavesNoFinalizer(t *testing.T) {
	f, obj := setup(t)
	huge := changeOf("Started", "Sending")
	huge.Record = map[string]any{"text": strings.Repeat("x", 65<<10)}
	f.Expect(f.writer.Draft(obj).Save(ctx, huge)).To(MatchError(outbox.ErrTooLarge))
	f.Expect(f.live(obj).Finalizers).To(BeEmpty(), "nothing would ever release it")
}

func TestRebaseOverALabelKeepsIt(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
	f.before = func() error {
		return env.Client.Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"checkout"}}}`)))
	}
	f.Expect(f.save(obj, v1alpha1.NotificationRetrying, "Two")).To(Succeed())
	got := f.live(obj)
	f.Expect(got.Labels).To(HaveKeyWithValue("team", "checkout"))
	f.Expect(got.Status.Outbox.LastSequence).To(BeEquivalentTo(2))
	f.Expect(obj.Labels).To(HaveKeyWithValue("team", "checkout"))
}

func TestConflictsThatAreNotTheRelaysGoToTheCaller(t *testing.T) {
	for name, disturb := range map[string]func(f *fixture, obj *v1alpha1.NotificationRequest) error{
		"a changed spec": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			return env.Client.Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))
		},
		"another entry": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			return f.save(f.live(obj), v1alpha1.NotificationRetrying, "Other")
		},
		"a status without an entry": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			other := f.live(obj)
			draft := f.writer.Draft(other)
			other.Status.FailureReason = "written down by another manager"
			return draft.Save(ctx, nil)
		},
		"the same name made again": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			if err := env.Vanish(ctx, obj); err != nil {
				return err
			}
			return env.Client.Create(ctx, testenv.MakeNotification(obj.Namespace, obj.Name).Obj())
		},
		"a stripped finalizer": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			stripped := f.live(obj)
			stripped.Finalizers = nil
			return env.Client.Update(ctx, stripped)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, obj := setup(t)
			f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
			f.before = func() error { return disturb(f, obj) }
			err := f.save(obj, v1alpha1.NotificationSent, "Mine")
			f.Expect(apierrors.IsConflict(err)).To(BeTrue(), "got %v", err)
			for _, e := range outboxtest.Entries(t, f.live(obj).Status.Outbox) {
				f.Expect(e.Event).NotTo(Equal("Mine"))
			}
		})
	}
}

func TestLostReplyIsAnErrorAndTheEntryStandsOnce(t *testing.T) {
	f, obj := setup(t)
	lost := errors.New("connection reset")
	f.after = func() error { return lost }
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(MatchError(lost))
	f.Expect(f.live(obj).Status.Outbox.LastSequence).To(BeEquivalentTo(1))

	// A transport that repeats the request by itself meets our own write as a conflict.
	obj = f.live(obj)
	f.after = func() error {
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("notificationrequests").GroupResource(), obj.Name, errors.New("changed"))
	}
	f.Expect(f.save(obj, v1alpha1.NotificationSent, "Two")).To(Succeed())
	f.Expect(f.live(obj).Status.Outbox.LastSequence).To(BeEquivalentTo(2))
	f.Expect(obj.ResourceVersion).To(Equal(f.live(obj).ResourceVersion))
}

func TestFinalizerIsAddedOverAConcurrentLabel(t *testing.T) {
	f, obj := setup(t)
	old := f.live(obj)
	f.Expect(env.Client.Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/other"]}}`)))).To(Succeed())
	err := f.save(old, v1alpha1.NotificationSending, "One")
	f.Expect(apierrors.IsConflict(err)).To(BeTrue(), "got %v", err)
	f.Expect(f.live(obj).Finalizers).To(ConsistOf("example.com/other"), "another's finalizer was not overwritten")
	f.Expect(f.save(f.live(obj), v1alpha1.NotificationSending, "One")).To(Succeed())
	f.Expect(f.live(obj).Finalizers).To(ConsistOf("example.com/other", outbox.Finalizer))
}

func TestReleasedResourceGetsNoEntry(t *testing.T) {
	f, obj := setup(t)
	obj.Finalizers = []string{"example.com/other"}
	f.Expect(env.Client.Update(ctx, obj)).To(Succeed())
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Expect(f.save(f.live(obj), v1alpha1.NotificationCancelled, "Cancelled")).To(MatchError(outbox.ErrReleased))
	f.Expect(f.live(obj).Status.Outbox.IsZero()).To(BeTrue())
}

func TestStaleTellsAnOlderCache(t *testing.T) {
	f, obj := setup(t)
	old := f.live(obj)
	f.Expect(f.writer.Stale(old)).To(BeZero())
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
	f.Expect(f.writer.Stale(old)).To(And(BeNumerically(">", 0), BeNumerically("<=", 30*time.Second)))
	f.Expect(f.writer.Stale(f.live(obj))).To(BeZero())
}

func TestReserveHoldsBackAndSaysSo(t *testing.T) {
	limits := outbox.Limits{EntryBytes: 4 << 10, SoftBytes: 8 << 10, HardBytes: 16 << 10, HardEntries: 500}
	f, obj := setupWith(NewWithT(t), env.Namespace(ctx, "writer"), &acknowledged{limits: limits})
	blocked := func() *metav1.Condition {
		return meta.FindStatusCondition(f.live(obj).Status.Conditions, outbox.ConditionBlocked)
	}
	for range 2 {
		draft := f.writer.Draft(obj)
		f.Expect(draft.Reserve(ctx, 1)).To(Succeed())
		change := changeOf("Filled", "Sending")
		change.Record = map[string]any{"text": strings.Repeat("x", 3500)}
		f.Expect(draft.Save(ctx, change)).To(Succeed())
	}
	f.Expect(blocked()).To(BeNil(), "a resource that never was blocked does not carry the condition")

	draft := f.writer.Draft(obj)
	obj.Status.Phase = v1alpha1.NotificationFailed
	f.Expect(draft.Reserve(ctx, 2)).To(MatchError(outbox.ErrFull))
	f.Expect(f.live(obj).Status.Phase).NotTo(Equal(v1alpha1.NotificationFailed), "a state that has no entry is not saved")
	f.Expect(blocked().Status).To(Equal(metav1.ConditionTrue))
	f.Expect(f.live(obj).Status.Outbox.LastSequence).To(BeEquivalentTo(2), "no entry was made")

	f.acks.set(obj.UID, entry.Watermark{Sequence: 2, Hash: obj.Status.Outbox.HeadHash, Time: now})
	draft = f.writer.Draft(obj)
	f.Expect(draft.Reserve(ctx, 2)).To(Succeed())
	f.Expect(draft.Save(ctx, changeOf("Went", "Sending"))).To(Succeed())
	f.Expect(blocked().Status).To(Equal(metav1.ConditionFalse))
	raw, err := json.Marshal(f.live(obj).Status.Outbox)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(len(raw)).To(BeNumerically("<", limits.HardBytes))
}

func TestRoomThatNoOutboxHasIsAnErrorNotAWait(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.writer.Draft(obj).Reserve(ctx, 8)).To(MatchError(outbox.ErrTooLarge))
}

// The API server writes < in six bytes. What a record takes there counts, and the closing entry fits all the same.
func TestTheClosingEntryFitsBehindTextsThatGrowInTheServer(t *testing.T) {
	f, obj := setup(t)
	c := changeOf("Filled", "Sending")
	c.Record = map[string]any{"text": strings.Repeat("<", 40<<10)}
	var err error
	for err == nil {
		err = f.writer.Draft(obj).Save(ctx, c)
	}
	f.Expect(err).To(MatchError(outbox.ErrFull))
	obj = f.live(obj)
	raw, err := json.Marshal(obj.Status.Outbox)
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(len(raw)).To(BeNumerically("<", outbox.DefaultLimits().HardBytes))
	f.Expect(obj.Status.Outbox.Entries).NotTo(BeEmpty())
	c.Final = true
	f.Expect(f.writer.Draft(obj).Save(ctx, c)).To(Succeed())
}

func TestAnEntryThatDoesNotFitLeavesTheStateAsItIsAndSaysSo(t *testing.T) {
	limits := outbox.Limits{EntryBytes: 4 << 10, SoftBytes: 8 << 10, HardBytes: 16 << 10, HardEntries: 500}
	f, obj := setupWith(NewWithT(t), env.Namespace(ctx, "writer"), &acknowledged{limits: limits})
	big := changeOf("Filled", "Sending")
	big.Record = map[string]any{"text": strings.Repeat("x", 3500)}
	for range 3 {
		f.Expect(f.writer.Draft(obj).Save(ctx, big)).To(Succeed())
	}
	draft := f.writer.Draft(obj)
	obj.Status.Phase = v1alpha1.NotificationRetrying
	f.Expect(draft.Save(ctx, big)).To(MatchError(outbox.ErrFull))
	got := f.live(obj)
	f.Expect(got.Status.Phase).NotTo(Equal(v1alpha1.NotificationRetrying))
	f.Expect(got.Status.Outbox.LastSequence).To(BeEquivalentTo(3))
	f.Expect(meta.IsStatusConditionTrue(got.Status.Conditions, outbox.ConditionBlocked)).To(BeTrue())
}
