package outbox_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

// describeFailure is what an operator says of its writes: each change of the failure reason is an entry, other writes are none.
func describeFailure(before, after outbox.Object) *outbox.Change {
	was, is := before.(*v1alpha1.NotificationRequest), after.(*v1alpha1.NotificationRequest)
	if was.Status.FailureReason == is.Status.FailureReason {
		return nil
	}
	return &outbox.Change{Kind: entry.KindNotification, Event: "Changed", Phase: string(is.Status.Phase), Record: map[string]any{"was": was.Status.FailureReason, "is": is.Status.FailureReason}}
}

// records are the records in the outbox, as was→is.
func (f *fixture) records(t *testing.T, obj client.Object) []string {
	t.Helper()
	var all []string
	for _, e := range outboxtest.Entries(t, f.live(obj).Status.Outbox) {
		all = append(all, string(e.Record))
	}
	return all
}

func record(was, is string) string { return fmt.Sprintf(`{"is":%q,"was":%q}`, is, was) }

// failWith is what an operator with an old habit does: it reads, changes and updates in a loop.
func failWith(c client.Client, key client.ObjectKey, reason string) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		obj := &v1alpha1.NotificationRequest{}
		if err := c.Get(ctx, key, obj); err != nil {
			return err
		}
		obj.Status.FailureReason = reason
		return c.Status().Update(ctx, obj)
	})
}

func TestALoopAroundConflictsAppendsOncePerSave(t *testing.T) {
	for name, between := range map[string]func(f *fixture, obj *v1alpha1.NotificationRequest) error{
		"nothing comes between": nil,
		"somebody labels it": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			return env.Client.Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)))
		},
		"somebody changes the spec": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			return env.Client.Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))
		},
		"another part of the status is written": func(f *fixture, obj *v1alpha1.NotificationRequest) error {
			return env.Client.Status().Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"status":{"deliveryStatus":"other"}}`)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, obj := setup(t)
			c, key := f.writer.Client(describeFailure), client.ObjectKeyFromObject(obj)
			f.Expect(failWith(c, key, "one")).To(Succeed())
			if between != nil {
				f.before = func() error { return between(f, obj) }
			}
			f.Expect(failWith(c, key, "two")).To(Succeed())
			f.Expect(f.records(t, obj)).To(Equal([]string{record("", "one"), record("one", "two")}))
			f.Expect(f.live(obj).Status.FailureReason).To(Equal("two"))
			f.Expect(f.live(obj).Finalizers).To(ContainElement(outbox.Finalizer))

			version := f.live(obj).ResourceVersion
			f.Expect(failWith(c, key, "two")).To(Succeed())
			f.Expect(f.live(obj).ResourceVersion).To(Equal(version), "nothing changed: no write and no entry")
		})
	}
}

// A controller reads from a cache, which sets the kind, and patches later from what it read.
func TestTheObjectOfACallKeepsItsKind(t *testing.T) {
	for name, write := range map[string]func(c client.Client, obj, read *v1alpha1.NotificationRequest) error{
		"update": func(c client.Client, obj, _ *v1alpha1.NotificationRequest) error { return c.Status().Update(ctx, obj) },
		"patch": func(c client.Client, obj, read *v1alpha1.NotificationRequest) error {
			return c.Status().Patch(ctx, obj, client.MergeFrom(read))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, obj := setup(t)
			c, read := f.writer.Client(describeFailure), f.live(obj)
			read.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NotificationRequest"))
			obj = read.DeepCopy()
			obj.Status.FailureReason = "failed"
			f.Expect(write(c, obj, read)).To(Succeed())
			f.Expect(obj.TypeMeta).To(Equal(read.TypeMeta))
			obj.Labels = map[string]string{"a": "b"}
			f.Expect(c.Patch(ctx, obj, client.MergeFrom(read))).To(Succeed())
		})
	}
}

func TestAnUpdateOfAnOldObjectChangesNothing(t *testing.T) {
	f, obj := setup(t)
	c := f.writer.Client(describeFailure)
	old := f.live(obj)
	f.Expect(failWith(c, client.ObjectKeyFromObject(obj), "newer")).To(Succeed())
	tried, want := 0, old.DeepCopy()
	want.Status.FailureReason = "old"
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error { // a loop that does not read again
		tried++
		old.Status.FailureReason = "old"
		return c.Status().Update(ctx, old)
	})
	f.Expect(err).To(Satisfy(apierrors.IsConflict))
	f.Expect(tried).To(BeNumerically(">", 1))
	f.Expect(old).To(Equal(want), "a call that failed leaves its object alone")
	f.Expect(f.records(t, obj)).To(Equal([]string{record("", "newer")}))

	old.ResourceVersion = ""
	f.Expect(c.Status().Update(ctx, old)).To(MatchError(ContainSubstring("resourceVersion is empty")))
}

func TestAnErrorIsRecordedInTheStatusThatFailed(t *testing.T) {
	f, obj := setup(t)
	c := f.writer.Client(describeFailure)
	got := f.live(obj)
	f.before = func() error { return errRefused }
	got.Status.FailureReason = "lost"
	f.Expect(c.Status().Update(ctx, got)).To(MatchError(errRefused))
	got.Status.FailureReason = "the write failed" // the finalizer was added meanwhile: this one is of an old version
	f.Expect(c.Status().Update(ctx, got)).To(Satisfy(apierrors.IsConflict))
	got = f.live(obj)
	got.Status.FailureReason = "the write failed"
	f.Expect(c.Status().Update(ctx, got)).To(Succeed())
	got.Status.FailureReason = "and again"
	f.Expect(c.Status().Update(ctx, got)).To(Succeed(), "the object is what was saved")
	f.Expect(f.records(t, obj)).To(Equal([]string{record("", "the write failed"), record("the write failed", "and again")}))

	f.after = func() error { return errRefused } // the reply is lost
	got.Status.FailureReason = "landed"
	f.Expect(c.Status().Update(ctx, got)).To(MatchError(errRefused))
	f.Expect(failWith(c, client.ObjectKeyFromObject(obj), "landed")).To(Succeed())
	f.Expect(f.records(t, obj)).To(HaveLen(3))
}

func TestAPatchFromAnOldObjectIsMadeOnTheNewOne(t *testing.T) {
	f, obj := setup(t)
	c, key := f.writer.Client(describeFailure), client.ObjectKeyFromObject(obj)
	f.Expect(failWith(c, key, "one")).To(Succeed())
	old := f.live(obj)
	f.Expect(failWith(c, key, "two")).To(Succeed())

	patched := old.DeepCopy()
	patched.Status.FailureReason, patched.Status.Outbox = "three", nil // an outbox in memory is nobody's to change
	locked := patched.DeepCopy()
	f.Expect(c.Status().Patch(ctx, locked, client.MergeFromWithOptions(old, client.MergeFromWithOptimisticLock{}))).To(Satisfy(apierrors.IsConflict))
	f.between = func() error {
		return env.Client.Status().Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"status":{"deliveryStatus":"other"}}`)))
	}
	f.Expect(c.Status().Patch(ctx, patched, client.MergeFrom(old))).To(Succeed())
	f.Expect(f.records(t, obj)).To(Equal([]string{record("", "one"), record("one", "two"), record("two", "three")}))
	f.Expect(f.live(obj).Status.DeliveryStatus).To(Equal("other"), "it changes what it names, and nothing else")
	f.Expect(patched).To(Equal(f.live(obj)))

	f.Expect(c.Status().Patch(ctx, patched, client.RawPatch(types.JSONPatchType, []byte(`[{"op":"test","path":"/status/failureReason","value":"three"},{"op":"replace","path":"/status/failureReason","value":"four"}]`)))).To(Succeed())
	before := f.live(obj)
	err := c.Status().Patch(ctx, patched, client.RawPatch(types.JSONPatchType, []byte(`[{"op":"test","path":"/status/failureReason","value":"three"},{"op":"remove","path":"/status/failureReason"}]`)))
	f.Expect(err).To(Satisfy(apierrors.IsInvalid))
	f.Expect(f.live(obj)).To(Equal(before))
	f.Expect(f.records(t, obj)).To(HaveLen(4))
}

// configuration is an apply of a status with a failure reason, and more fields.
func configuration(obj client.Object, reason string, more map[string]any) *unstructured.Unstructured {
	status := map[string]any{}
	if reason != "" {
		status["failureReason"] = reason
	}
	maps.Copy(status, more)
	u := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NotificationRequest"))
	u.SetNamespace(obj.GetNamespace())
	u.SetName(obj.GetName())
	return u
}

// hasStatusApply is true from controller-runtime 0.23 on.
var _, hasStatusApply = reflect.TypeFor[client.SubResourceWriter]().MethodByName("Apply")

// applyStatus is c.Status().Apply, which the oldest controller-runtime that is supported does not have.
func applyStatus(c client.Client, u *unstructured.Unstructured, opts ...any) error {
	method := reflect.ValueOf(c.Status()).MethodByName("Apply")
	list := reflect.MakeSlice(method.Type().In(2), 0, len(opts))
	for _, o := range opts {
		list = reflect.Append(list, reflect.ValueOf(o))
	}
	err, _ := method.CallSlice([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(client.ApplyConfigurationFromUnstructured(u)), list})[0].Interface().(error)
	return err
}

func TestAnApplyHasItsEntryAndItsOwners(t *testing.T) {
	type applier func(f *fixture, u *unstructured.Unstructured, owner string, force bool) error
	for name, apply := range map[string]applier{
		"as a patch": func(f *fixture, u *unstructured.Unstructured, owner string, force bool) error {
			o := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName()}}
			text, err := u.MarshalJSON()
			f.Expect(err).NotTo(HaveOccurred())
			opts := []client.SubResourcePatchOption{client.FieldOwner(owner)}
			if force {
				opts = append(opts, client.ForceOwnership)
			}
			return f.writer.Client(describeFailure).Status().Patch(ctx, o, client.RawPatch(types.ApplyPatchType, text), opts...)
		},
		"as an apply": func(f *fixture, u *unstructured.Unstructured, owner string, force bool) error {
			opts := []any{client.FieldOwner(owner)}
			if force {
				opts = append(opts, client.ForceOwnership)
			}
			err := applyStatus(f.writer.Client(describeFailure), u, opts...)
			if err == nil {
				f.Expect(u.GetResourceVersion()).To(Equal(f.live(u).ResourceVersion), "the configuration is what was saved")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "as an apply" && !hasStatusApply {
				t.Skip("this controller-runtime has no apply of a status")
			}
			f, obj := setup(t)
			f.Expect(apply(f, configuration(obj, "one", map[string]any{"deliveryStatus": "mine"}), "mine", false)).To(Succeed())
			f.Expect(apply(f, configuration(obj, "two", map[string]any{"deliveryStatus": "mine"}), "mine", false)).To(Succeed(), "who owns a field changes it without force")
			f.Expect(f.records(t, obj)).To(Equal([]string{record("", "one"), record("one", "two")}))
			f.Expect(f.live(obj).Finalizers).To(ContainElement(outbox.Finalizer))

			before := f.live(obj)
			f.Expect(apply(f, configuration(obj, "theirs", nil), "theirs", false)).To(And(Satisfy(apierrors.IsConflict), MatchError(ContainSubstring(`conflict with "mine"`))))
			f.Expect(f.live(obj)).To(Equal(before))
			f.Expect(apply(f, configuration(obj, "theirs", nil), "theirs", true)).To(Succeed())
			f.Expect(apply(f, configuration(obj, "mine again", map[string]any{"deliveryStatus": "mine"}), "mine", false)).To(Satisfy(apierrors.IsConflict))

			f.acks.set(obj.UID, entry.Watermark{Sequence: 2, Hash: outboxtest.Entries(t, f.live(obj).Status.Outbox)[2].PreviousHash, Time: now})
			f.Expect(apply(f, configuration(obj, "", nil), "mine", false)).To(Succeed(), "it gives up what it owned, and has no entry")
			f.Expect(f.live(obj).Status.DeliveryStatus).To(BeEmpty())
			f.Expect(f.live(obj).Status.FailureReason).To(Equal("theirs"))
			f.between = func() error {
				return env.Client.Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)))
			}
			f.Expect(apply(f, configuration(obj, "last", nil), "theirs", false)).To(Succeed())
			f.Expect(f.records(t, obj)).To(Equal([]string{record("two", "theirs"), record("theirs", "last")}), "what the store has leaves with an apply, too")
			f.Expect(f.live(obj).Labels).To(HaveKeyWithValue("a", "b"))
			f.between = func() error {
				return env.Client.Status().Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"status":{"deliveryStatus":"other"}}`)))
			}
			f.Expect(apply(f, configuration(obj, "very last", nil), "theirs", false)).To(Succeed())
			f.Expect(f.records(t, obj)).To(HaveLen(3))
		})
	}
}

func TestWhatIsNotAuditedPassesThrough(t *testing.T) {
	f, obj := setup(t)
	var asked []string
	c := f.writer.Client(func(before, _ outbox.Object) *outbox.Change {
		asked = append(asked, before.GetName())
		return nil
	})
	labels := map[string]string{"app": "web"}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: obj.Namespace, Name: "web"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}}},
	}}
	f.Expect(c.Create(ctx, d)).To(Succeed())
	d.Status.ObservedGeneration = 1
	f.Expect(c.Status().Update(ctx, d)).To(Succeed())
	f.Expect(c.Status().Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(`{"status":{"collisionCount":3}}`)))).To(Succeed())
	applied := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"namespace": d.Namespace, "name": d.Name}, "status": map[string]any{"replicas": int64(2)}}}
	if hasStatusApply {
		f.Expect(applyStatus(c, applied, client.FieldOwner("me"))).To(Succeed())
	} else {
		f.Expect(c.Status().Patch(ctx, applied, client.Apply, client.FieldOwner("me"))).To(Succeed()) //nolint:staticcheck // the only one of this controller-runtime
	}
	scaled := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 3}}
	f.Expect(c.SubResource("scale").Update(ctx, d, client.WithSubResourceBody(scaled))).To(Succeed())
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(d), d)).To(Succeed())
	f.Expect(*d.Status.CollisionCount).To(BeEquivalentTo(3))
	f.Expect(d.Status.Replicas).To(BeEquivalentTo(2))
	f.Expect(*d.Spec.Replicas).To(BeEquivalentTo(3))

	got := f.live(obj)
	got.Labels = map[string]string{"a": "b"}
	f.Expect(c.Update(ctx, got)).To(Succeed(), "the resource itself")
	got.Status.FailureReason = "dry"
	f.Expect(c.Status().Update(ctx, got, client.DryRunAll)).To(Succeed())
	f.Expect(f.live(obj).Status.FailureReason).To(BeEmpty())
	f.Expect(asked).To(BeEmpty())

	u := &unstructured.Unstructured{}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(f.live(obj))
	f.Expect(err).NotTo(HaveOccurred())
	u.SetUnstructuredContent(content)
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("NotificationRequest"))
	f.Expect(c.Status().Update(ctx, u)).To(MatchError(ContainSubstring("the kind is audited, but the object is a *unstructured.Unstructured")))
	f.Expect(c.Status().Patch(ctx, u, client.RawPatch(types.MergePatchType, []byte(`{"status":{"failureReason":"x"}}`)))).To(MatchError(ContainSubstring("the kind is audited")))
	f.Expect(c.Status().Patch(ctx, f.live(obj), client.RawPatch(types.StrategicMergePatchType, []byte(`{}`)))).To(MatchError(ContainSubstring("cannot be audited")))
}

// older is a version of an audited kind whose type has no outbox.
type older struct{ corev1.ConfigMap }

func (o *older) DeepCopyObject() runtime.Object { return &older{*o.DeepCopy()} }

// A version without an outbox would save the state without its entry.
func TestAnotherVersionOfAnAuditedKindIsRefused(t *testing.T) {
	f, obj := setup(t)
	scheme, gv := runtime.NewScheme(), schema.GroupVersion{Group: v1alpha1.GroupVersion.Group, Version: "v1alpha0"}
	f.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	scheme.AddKnownTypeWithName(gv.WithKind("NotificationRequest"), &older{})
	live, err := client.New(env.Config, client.Options{Scheme: scheme})
	f.Expect(err).NotTo(HaveOccurred())
	c := outbox.NewWriter(live, live, nil).Client(describeFailure)
	o := &older{corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: obj.Namespace, Name: obj.Name, ResourceVersion: obj.ResourceVersion}}}
	says := MatchError(And(ContainSubstring("in holdfast.dev/v1alpha0: the kind is audited, but the object is a *outbox_test.older"), ContainSubstring("use a *v1alpha1.NotificationRequest")))
	f.Expect(c.Status().Update(ctx, o)).To(says)
	f.Expect(c.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(`{"status":{"failureReason":"x"}}`)))).To(says)
	if u := configuration(obj, "x", nil); hasStatusApply {
		u.SetGroupVersionKind(gv.WithKind("NotificationRequest"))
		f.Expect(applyStatus(c, u, client.FieldOwner("me"))).To(MatchError(ContainSubstring("the kind is audited")))
	}
}

func TestAWriteWithoutRoomIsRefusedUntilThereIsSome(t *testing.T) {
	f, obj := setupWith(NewWithT(t), env.Namespace(ctx, "writer"), &acknowledged{limits: outbox.Limits{EntryBytes: 4 << 10, SoftBytes: 8 << 10, HardBytes: 16 << 10, HardEntries: 500}})
	c, key := f.writer.Client(func(_, after outbox.Object) *outbox.Change {
		change := changeOf("Filled", "Sending")
		change.Record = map[string]any{"text": strings.Repeat("x", 3500), "why": after.(*v1alpha1.NotificationRequest).Status.FailureReason}
		return change
	}), client.ObjectKeyFromObject(obj)
	for i := range 3 {
		f.Expect(failWith(c, key, fmt.Sprint(i))).To(Succeed())
	}
	f.Expect(failWith(c, key, "too much")).To(MatchError(outbox.ErrFull))
	f.Expect(f.live(obj).Status.FailureReason).To(Equal("2"))
	f.Expect(meta.IsStatusConditionTrue(f.live(obj).Status.Conditions, outbox.ConditionBlocked)).To(BeTrue())
	f.acks.set(obj.UID, entry.Watermark{Sequence: 3, Hash: f.live(obj).Status.Outbox.HeadHash, Time: now})
	f.Expect(failWith(c, key, "again")).To(Succeed())
	f.Expect(meta.IsStatusConditionTrue(f.live(obj).Status.Conditions, outbox.ConditionBlocked)).To(BeFalse(), "the condition ends with the write that fits")
}

func TestAClientWritesNothingForAResourceThatIsGone(t *testing.T) {
	f, obj := setup(t)
	got := f.live(obj)
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	c := f.writer.Client(describeFailure)
	got.Status.FailureReason = "late"
	f.Expect(c.Status().Update(ctx, got)).To(Satisfy(apierrors.IsNotFound))
	f.Expect(c.Status().Patch(ctx, got, client.RawPatch(types.MergePatchType, []byte(`{"status":{"failureReason":"x"}}`)))).To(Satisfy(apierrors.IsNotFound))
	f.Expect(c.Status().Patch(ctx, got, client.RawPatch(types.ApplyPatchType, []byte(`{"status":{"failureReason":"x"}}`)), client.FieldOwner("me"))).To(Satisfy(apierrors.IsNotFound))
}

// An operator without a finalizer of its own writes the status of what is being deleted, changed or not. The change that ends the record is saved once.
func TestADeletionEndsTheRecordOnce(t *testing.T) {
	f, obj := setup(t)
	asked := 0
	c := f.writer.Client(func(before, after outbox.Object) *outbox.Change {
		asked++
		if after.GetDeletionTimestamp() != nil {
			return &outbox.Change{Kind: entry.KindNotification, Event: "Deleted", Final: true}
		}
		return describeFailure(before, after)
	})
	f.Expect(failWith(c, client.ObjectKeyFromObject(obj), "one")).To(Succeed())
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	asked = 0
	for range 3 {
		f.Expect(c.Status().Update(ctx, f.live(obj))).To(Succeed())
		f.Expect(c.Status().Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{}`)))).To(Succeed())
	}
	f.Expect(asked).To(Equal(1), "nobody is asked of a record that is closed")
	entries := outboxtest.Entries(t, f.live(obj).Status.Outbox)
	f.Expect(entries).To(HaveLen(2))
	f.Expect(f.live(obj).Status.Outbox.Closed).To(BeTrue())
	var record struct {
		Spec   v1alpha1.NotificationRequestSpec
		Status map[string]any
	}
	f.Expect(json.Unmarshal(entries[1].Record, &record)).To(Succeed(), "without a record of its own the entry has the resource's spec and status")
	f.Expect(record.Spec).To(Equal(obj.Spec))
	f.Expect(record.Status).To(Equal(map[string]any{"failureReason": "one"}))
	f.Expect(failWith(c, client.ObjectKeyFromObject(obj), "two")).To(MatchError(outbox.ErrClosed))
}

// A controller with a finalizer of its own writes the status while it cleans up, more than once. The record ends when it is done.
func TestACleanUpIsRecordedBeforeTheRecordEnds(t *testing.T) {
	f, obj := setup(t)
	c := f.writer.Client(func(before, after outbox.Object) *outbox.Change {
		return &outbox.Change{Kind: entry.KindNotification, Event: "Changed", Final: outbox.Ending(after)}
	})
	key := client.ObjectKeyFromObject(obj)
	obj.Finalizers = append(obj.Finalizers, "example.com/mine")
	f.Expect(env.Client.Update(ctx, obj)).To(Succeed())
	f.Expect(failWith(c, key, "one")).To(Succeed())
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Expect(failWith(c, key, "clean-up failed")).To(Succeed())
	f.Expect(failWith(c, key, "cleaned up")).To(Succeed())
	f.Expect(f.live(obj).Status.Outbox.Closed).To(BeFalse())
	mine := f.live(obj)
	mine.Finalizers = []string{outbox.Finalizer}
	f.Expect(env.Client.Update(ctx, mine)).To(Succeed())
	f.Expect(c.Status().Update(ctx, f.live(obj))).To(Succeed())
	f.Expect(f.live(obj).Status.Outbox.Closed).To(BeTrue())
	f.Expect(outboxtest.Entries(t, f.live(obj).Status.Outbox)).To(HaveLen(4))
}

func TestAReleasedResourceIsWrittenWithoutAnEntry(t *testing.T) {
	f, obj := setup(t)
	obj.Finalizers = []string{"example.com/mine"}
	f.Expect(env.Client.Update(ctx, obj)).To(Succeed())
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Expect(failWith(f.writer.Client(describeFailure), client.ObjectKeyFromObject(obj), "clean-up failed")).To(Succeed())
	f.Expect(f.live(obj).Status.FailureReason).To(Equal("clean-up failed"))
	f.Expect(f.live(obj).Status.Outbox.IsZero()).To(BeTrue())
}
