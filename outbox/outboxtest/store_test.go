package outboxtest_test

import (
	"context"
	"errors"
	"os"
	"testing"

	. "github.com/onsi/gomega"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
	"github.com/holdfast-dev/holdfast/relay"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

// The whole path of an embedding operator, with a store that is held, fails and refuses.
func TestAStoreThatIsHeldFailsAndRefuses(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	g.SetDefaultEventuallyTimeout(testenv.Timeout)
	mgr, err := env.NewManager()
	g.Expect(err).NotTo(HaveOccurred())
	store := &outboxtest.Store{}
	r, err := relay.Add(mgr, store, relay.Config{}, &v1alpha1.NotificationRequest{})
	g.Expect(err).NotTo(HaveOccurred())
	w := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r)
	stop, err := testenv.Run(mgr)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(stop()).To(Succeed()) })

	obj := testenv.MakeNotification(env.Namespace(ctx, "outboxtest"), "n").Obj()
	g.Expect(env.Client.Create(ctx, obj)).To(Succeed())
	save := func(event string, final bool) {
		g.Expect(w.Draft(obj).Save(ctx, &outbox.Change{Kind: entry.KindNotification, Event: event, Phase: "Sending", Final: final, Record: map[string]any{"event": event}})).To(Succeed())
	}
	rows := func() []string { return outboxtest.Trail(store.Entries(obj.UID)) }

	store.Hold()
	save("One", false)
	outboxtest.RequireEntries(t, obj, "One/Sending")
	g.Consistently(rows, "200ms").Should(BeEmpty())
	store.Release()
	g.Eventually(rows).Should(Equal([]string{"One/Sending"}))

	away := errors.New("away")
	store.Fail(away)
	save("Two", false)
	g.Eventually(r.Healthy).Should(MatchError(away))
	store.Refuse(func(i relay.Item) string {
		if i.Entry.Event == "Two" {
			return "for the test"
		}
		return ""
	})
	store.Fail(nil)
	save("Three", true)
	g.Eventually(rows, testenv.LongTimeout).Should(Equal([]string{"One/Sending", "Three/Sending/final"}))
	g.Expect(store.DeadLetters(obj.UID)).To(ConsistOf(HaveField("Entry.Event", "Two")))
	g.Expect(client.IgnoreNotFound(env.Client.Delete(ctx, obj))).To(Succeed())
	g.Eventually(func() bool {
		return apierrors.IsNotFound(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj))
	}, testenv.LongTimeout).Should(BeTrue(), "a dead letter holds nothing")
}

func TestARelayThatAcknowledgesOnDemand(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	r := outboxtest.NewRelay(outbox.Limits{EntryBytes: 4 << 10, SoftBytes: 8 << 10, HardBytes: 16 << 10, HardEntries: 8})
	w := outbox.NewWriter(env.Client, env.Client, r)
	obj := testenv.MakeNotification(env.Namespace(ctx, "outboxtest"), "n").Obj()
	g.Expect(env.Client.Create(ctx, obj)).To(Succeed())
	reconciler := outbox.AsReconciler(w, outbox.Reconciler[*v1alpha1.NotificationRequest]{
		Reconcile: func(ctx context.Context, obj *v1alpha1.NotificationRequest, draft *outbox.Draft) (ctrl.Result, error) {
			if err := draft.Reserve(ctx, 1); err != nil {
				return ctrl.Result{}, err
			}
			obj.Status.Phase = v1alpha1.NotificationSending
			return ctrl.Result{}, draft.Save(ctx, &outbox.Change{Kind: entry.KindNotification, Event: "Looked", Phase: "Sending", Record: map[string]any{}})
		},
	})
	once := func() ctrl.Result {
		result, err := reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
		return result
	}
	room := 0
	for once().RequeueAfter == 0 {
		room++
	}
	g.Expect(obj.Status.Outbox.Entries).To(HaveLen(room))
	r.Acknowledge(obj)
	g.Expect(once()).To(BeZero())
	outboxtest.RequireEntries(t, obj, "Looked/Sending")
}
