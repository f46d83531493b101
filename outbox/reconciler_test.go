package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

type notifications = outbox.Reconciler[*v1alpha1.NotificationRequest]

func request(obj client.Object) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}
}

func TestTheReconcilerEndsEachErrorAsAWorkqueueShould(t *testing.T) {
	f, obj := setup(t)
	away := errors.New("the API server is away")
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "t", errors.New("changed"))
	later := reconcile.Result{RequeueAfter: time.Minute}
	for name, c := range map[string]struct {
		err  error
		want reconcile.Result
	}{
		"nothing":                        {nil, later},
		"a conflict of something else":   {fmt.Errorf("write a child: %w", conflict), reconcile.Result{RequeueAfter: time.Second}},
		"released":                       {fmt.Errorf("%w: shop/cart", outbox.ErrReleased), reconcile.Result{}},
		"too large":                      {fmt.Errorf("save: %w", outbox.ErrOversized), reconcile.Result{}},
		"no room":                        {fmt.Errorf("save: %w", outbox.ErrFull), reconcile.Result{RequeueAfter: 10 * time.Second}},
		"no room, and a conflict beside": {errors.Join(outbox.ErrFull, conflict), reconcile.Result{RequeueAfter: 10 * time.Second}},
		"another":                        {away, reconcile.Result{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := outbox.AsReconciler(f.writer, notifications{Reconcile: func(context.Context, *v1alpha1.NotificationRequest, *outbox.Draft) (reconcile.Result, error) {
				return later, c.err
			}})
			result, err := r.Reconcile(ctx, request(obj))
			g.Expect(result).To(Equal(c.want))
			if errors.Is(c.err, away) {
				g.Expect(err).To(MatchError(away))
			} else {
				g.Expect(err).NotTo(HaveOccurred())
			}
		})
	}
}

func TestAnErrorOfTheDraftCountsThoughNobodyReturnsIt(t *testing.T) {
	for name, c := range map[string]struct {
		disturb func(f *fixture, obj *v1alpha1.NotificationRequest)
		match   func(reconcile.Result, error) bool
	}{
		"a conflict is silent": {func(f *fixture, obj *v1alpha1.NotificationRequest) {
			f.before = func() error {
				return env.Client.Patch(ctx, f.live(obj), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))
			}
		}, func(r reconcile.Result, err error) bool { return r.IsZero() && err == nil }},
		"a failed write is an error": {func(f *fixture, _ *v1alpha1.NotificationRequest) {
			f.before = func() error { return errRefused }
		}, func(_ reconcile.Result, err error) bool { return errors.Is(err, errRefused) }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, swallowed := range []bool{true, false} {
				f, obj := setup(t)
				r := outbox.AsReconciler(f.writer, notifications{Reconcile: func(ctx context.Context, obj *v1alpha1.NotificationRequest, draft *outbox.Draft) (reconcile.Result, error) {
					obj.Status.Phase = v1alpha1.NotificationSending
					_ = draft.Save(ctx, changeOf("Started", "Sending"))
					err := draft.Save(ctx, nil) // says that the draft is spent, and why
					if swallowed {
						return reconcile.Result{}, nil
					}
					return reconcile.Result{}, err
				}})
				c.disturb(f, obj)
				f.Expect(c.match(r.Reconcile(ctx, request(obj)))).To(BeTrue())
				f.Expect(f.live(obj).Status.Outbox.IsZero()).To(BeTrue())
			}
		})
	}
}

// trace records which function was called.
func trace(called *[]string, reconciled func(*v1alpha1.NotificationRequest, *outbox.Draft) error) notifications {
	return notifications{
		Reconcile: func(_ context.Context, obj *v1alpha1.NotificationRequest, draft *outbox.Draft) (reconcile.Result, error) {
			*called = append(*called, "reconcile")
			return reconcile.Result{}, reconciled(obj, draft)
		},
		Closed: func(context.Context, *v1alpha1.NotificationRequest) (reconcile.Result, error) {
			*called = append(*called, "closed")
			return reconcile.Result{}, nil
		},
		Gone: func(_ context.Context, key client.ObjectKey) error {
			*called = append(*called, "gone "+key.Name)
			return nil
		},
	}
}

func TestTheReconcilerKnowsClosedReleasedAndGone(t *testing.T) {
	f, obj := setup(t)
	var called []string
	r := outbox.AsReconciler(f.writer, trace(&called, func(obj *v1alpha1.NotificationRequest, draft *outbox.Draft) error {
		obj.Status.Phase = v1alpha1.NotificationSent
		last := changeOf("Sent", "Sent")
		last.Final = true
		return draft.Save(ctx, last)
	}))
	run := func(o client.Object) {
		result, err := r.Reconcile(ctx, request(o))
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(result).To(BeZero())
	}
	run(obj)
	run(obj)
	f.Expect(env.Vanish(ctx, f.live(obj))).To(Succeed())
	run(obj)

	released := testenv.MakeNotification(obj.Namespace, "released").Obj()
	released.Finalizers = []string{"example.com/mine"}
	f.Expect(env.Client.Create(ctx, released)).To(Succeed())
	f.Expect(env.Client.Delete(ctx, released)).To(Succeed())
	run(released)
	f.Expect(called).To(Equal([]string{"reconcile", "closed", "gone " + obj.Name, "closed"}))

	bare := outbox.AsReconciler(f.writer, notifications{Reconcile: trace(&called, nil).Reconcile})
	for _, o := range []client.Object{obj, released} {
		result, err := bare.Reconcile(ctx, request(o))
		f.Expect(err).NotTo(HaveOccurred(), "the other functions are optional")
		f.Expect(result).To(BeZero())
	}
	f.Expect(called).To(HaveLen(4))
}

func TestTheReconcilerWaitsForAnOldCache(t *testing.T) {
	f, obj := setup(t)
	old, stale := f.live(obj), false
	cached := interceptor.NewClient(env.Client, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if n, ok := o.(*v1alpha1.NotificationRequest); ok && stale {
			old.DeepCopyInto(n)
			return nil
		}
		return c.Get(ctx, key, o, opts...)
	}})
	w := outbox.NewWriter(cached, env.Client, nil)
	var called []string
	r := outbox.AsReconciler(w, trace(&called, func(obj *v1alpha1.NotificationRequest, draft *outbox.Draft) error {
		obj.Status.Phase = v1alpha1.NotificationSending
		return draft.Save(ctx, changeOf("Started", "Sending"))
	}))
	for _, stale = range []bool{false, true, false} {
		result, err := r.Reconcile(ctx, request(obj))
		f.Expect(err).NotTo(HaveOccurred())
		if stale {
			f.Expect(result.RequeueAfter).To(BeNumerically(">", 0))
		} else {
			f.Expect(result).To(BeZero())
		}
	}
	f.Expect(called).To(Equal([]string{"reconcile", "reconcile"}))
	f.Expect(f.live(obj).Status.Outbox.LastSequence).To(BeEquivalentTo(2))
}

func TestTheReconcilerRefusesAKindAtSetUp(t *testing.T) {
	f, _ := setup(t)
	g := NewWithT(t)
	g.Expect(func() { outbox.AsReconciler(f.writer, notifications{}) }).To(PanicWith(ContainSubstring("Reconcile of *v1alpha1.NotificationRequest is nil")))
	g.Expect(func() {
		outbox.AsReconciler(f.writer, outbox.Reconciler[*elsewhere]{Reconcile: func(context.Context, *elsewhere, *outbox.Draft) (reconcile.Result, error) { panic("not called") }})
	}).To(PanicWith(ContainSubstring("*outbox_test.elsewhere cannot be audited")))
}

func TestTheBaseOfADraftIsACopyOfWhatWasRead(t *testing.T) {
	f, obj := setup(t)
	draft := f.writer.Draft(obj)
	obj.Status.Phase = v1alpha1.NotificationSending
	base := draft.Base().(*v1alpha1.NotificationRequest)
	f.Expect(base.Status.Phase).To(BeEmpty())
	base.Status.Phase, base.Labels = "Strange", map[string]string{"a": "b"}
	f.Expect(draft.Save(ctx, changeOf("Started", "Sending"))).To(Succeed())
	f.Expect(f.live(obj).Status.Phase).To(Equal(v1alpha1.NotificationSending))
	f.Expect(draft.Base()).To(Equal(f.live(obj)), "it is what the last save left")
}

// strange is a relay with limits that cannot work.
type strange struct{ *acknowledged }

func (strange) Limits() outbox.Limits { return outbox.Limits{EntryBytes: 1} }

func TestAWriterRefusesLimitsThatCannotWork(t *testing.T) {
	g := NewWithT(t)
	g.Expect(func() { outbox.NewWriter(env.Client, env.Client, strange{&acknowledged{}}) }).To(PanicWith(ContainSubstring("outbox.NewWriter: entry limit is 1 bytes, expected 4096 to 65536")))
}
