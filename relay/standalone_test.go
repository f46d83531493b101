package relay_test

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// plain is a controller of client-go: an informer, a workqueue, a worker, and no manager.
type plain struct {
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[string]
	writer   *outbox.Writer
}

func newPlain(f *fixture, writer *outbox.Writer) *plain {
	config := rest.CopyConfig(env.Config)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(env.Scheme).WithoutConversion()
	getter, err := rest.RESTClientFor(config)
	f.Expect(err).NotTo(HaveOccurred())
	p := &plain{
		informer: cache.NewSharedIndexInformer(cache.NewListWatchFromClient(getter, "notificationrequests", f.namespace, fields.Everything()), &v1alpha1.NotificationRequest{}, 0, cache.Indexers{}),
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		writer:   writer,
	}
	add := func(obj any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			p.queue.Add(key)
		}
	}
	_, err = p.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, obj any) { add(obj) }, DeleteFunc: add})
	f.Expect(err).NotTo(HaveOccurred())
	return p
}

func (p *plain) run(ctx context.Context) error {
	go p.informer.Run(ctx.Done())
	context.AfterFunc(ctx, p.queue.ShutDown)
	for {
		key, stopped := p.queue.Get()
		if stopped {
			return nil
		}
		after, err := p.sync(ctx, key)
		switch {
		case err != nil:
			p.queue.AddRateLimited(key)
		case after > 0:
			p.queue.AddAfter(key, after)
		default:
			p.queue.Forget(key)
		}
		p.queue.Done(key)
	}
}

// sync works on a request until it is deleted, which ends its record.
func (p *plain) sync(ctx context.Context, key string) (time.Duration, error) {
	cached, exists, err := p.informer.GetIndexer().GetByKey(key)
	if err != nil || !exists {
		return 0, err
	}
	obj := cached.(*v1alpha1.NotificationRequest).DeepCopy() // the informer's is everybody's
	if wait := p.writer.Stale(obj); wait > 0 {
		return wait, nil
	}
	if o := outboxapi.Get(obj); o != nil && o.Closed {
		return 0, nil
	}
	draft := p.writer.Draft(obj)
	event := v1alpha1.NotificationSending
	if obj.DeletionTimestamp != nil {
		event = v1alpha1.NotificationCancelled
	}
	if obj.Status.Phase == event {
		return 0, nil
	}
	if err := draft.Reserve(ctx, 1); err != nil {
		return 0, err
	}
	obj.Status.Phase = event
	return 0, draft.Save(ctx, &outbox.Change{Kind: entry.KindNotification, Event: string(event), Phase: string(event), Final: obj.DeletionTimestamp != nil, Record: map[string]any{
		"remediation_id": string(obj.UID), "notification_requested_at": obj.CreationTimestamp.Time,
	}})
}

func TestARelayRunsWithoutAManager(t *testing.T) {
	f := setup(t)
	r, err := relay.New(env.Config, env.Scheme, f.store, relay.Config{IdleTrimDelay: 100 * time.Millisecond, Namespaces: []string{f.namespace}}, &v1alpha1.NotificationRequest{})
	f.Expect(err).NotTo(HaveOccurred())
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	controller := newPlain(f, r.Writer())
	go func() { ended <- r.Run(running, controller.run) }()
	t.Cleanup(func() {
		stop()
		f.Eventually(ended).Should(Receive(BeNil()))
	})
	obj := f.create("plain")
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1}))
	f.Eventually(func() []outboxapi.Entry { return f.live(obj).Status.Outbox.Entries }).Should(BeEmpty(), "the relay trims what is durable")
	f.Expect(f.live(obj).Finalizers).To(ContainElement(outbox.Finalizer))
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Eventually(f.gone(obj), testenv.LongTimeout).Should(BeTrue())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2}))
}

// An entry that is written on the way out is drained too: the relay stops after the controllers.
func TestTheRelayStopsAfterTheControllers(t *testing.T) {
	f := setup(t)
	h := &hooks{Store: f.store}
	r, err := relay.New(env.Config, env.Scheme, h, relay.Config{Namespaces: []string{f.namespace}}, &v1alpha1.NotificationRequest{})
	f.Expect(err).NotTo(HaveOccurred())
	running, stop := context.WithCancel(ctx)
	defer stop()
	f.Expect(r.Run(running, func(working context.Context) error {
		stop()
		<-working.Done()
		obj := f.create("late")
		f.append(obj, 1, true)
		f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1}))
		return nil
	})).To(Succeed())
}

func TestAControllerThatFailsEndsTheOthers(t *testing.T) {
	f := setup(t)
	r, err := relay.New(env.Config, env.Scheme, f.store, relay.Config{Namespaces: []string{f.namespace}}, &v1alpha1.NotificationRequest{})
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(r.Run(ctx,
		func(context.Context) error { return errors.New("no credentials") },
		func(working context.Context) error { <-working.Done(); return nil },
	)).To(MatchError(ContainSubstring("no credentials")))
}

// Without this its informer would ask for ever, and nothing would be drained.
func TestARelaySaysWhereItMayNotList(t *testing.T) {
	f := setup(t)
	f.Expect(env.Client.Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "operator"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"notificationrequests"}, Verbs: []string{"get", "list", "watch", "patch"}}},
	})).To(Succeed())
	user := "operator-of-" + f.namespace
	f.Expect(env.Client.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "operator"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "operator"},
	})).To(Succeed())
	config := rest.CopyConfig(env.Config)
	config.Impersonate.UserName = user
	run := func(beside func(context.Context) error, namespaces ...string) error {
		r, err := relay.New(config, env.Scheme, f.store, relay.Config{Namespaces: namespaces}, &v1alpha1.NotificationRequest{})
		f.Expect(err).NotTo(HaveOccurred())
		return r.Run(ctx, beside)
	}
	never := func(context.Context) error { return errors.New("the relay has started") }
	f.Expect(run(never)).To(MatchError(And(ContainSubstring("watch NotificationRequest.holdfast.dev in all namespaces"), ContainSubstring("forbidden"), ContainSubstring("set relay.Config.Namespaces"))))
	f.Expect(run(never, "default")).To(MatchError(And(ContainSubstring("in namespace default"), ContainSubstring("grant get, list, watch and patch there"))))

	done := errors.New("done")
	f.Expect(run(func(context.Context) error { return done }, f.namespace)).To(MatchError(done))
}

// Its outboxes would fill up, and nobody would say why.
func TestAKindThatNobodyDrainsIsRefused(t *testing.T) {
	f := setup(t)
	r, err := relay.New(env.Config, env.Scheme, f.store, relay.Config{}, &v1alpha1.RemediationRequest{})
	f.Expect(err).NotTo(HaveOccurred())
	writer := outbox.NewWriter(env.Client, env.Client, r)
	says := And(ContainSubstring("the Writer's relay does not drain NotificationRequest.holdfast.dev"), ContainSubstring("add &NotificationRequest{} to the kinds of relay.Add or relay.New"))

	obj := f.create("undrained")
	f.Expect(writer.Draft(f.live(obj)).Reserve(ctx, 1)).To(MatchError(says))
	change := &outbox.Change{Kind: entry.KindNotification, Event: "Sending", Record: map[string]any{}}
	f.Expect(writer.Draft(f.live(obj)).Save(ctx, change)).To(MatchError(says))
	audited := writer.Client(func(_, _ outbox.Object) *outbox.Change { return change })
	live := f.live(obj)
	live.Status.Phase = v1alpha1.NotificationSending
	f.Expect(audited.Status().Update(ctx, live)).To(MatchError(says))
	f.Expect(outboxapi.Get(f.live(obj)).IsZero()).To(BeTrue())
	f.Expect(func() {
		outbox.AsReconciler(writer, outbox.Reconciler[*v1alpha1.NotificationRequest]{Reconcile: func(context.Context, *v1alpha1.NotificationRequest, *outbox.Draft) (reconcile.Result, error) {
			return reconcile.Result{}, nil
		}})
	}).To(PanicWith(ContainSubstring("outbox.AsReconciler: the Writer's relay does not drain")))
}

func TestSetUpRefusesWhatCannotRun(t *testing.T) {
	f := setup(t)
	mgr, err := env.NewManager()
	f.Expect(err).NotTo(HaveOccurred())
	managed, err := relay.Add(mgr, f.store, relay.Config{}, &v1alpha1.NotificationRequest{})
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(managed.Run(ctx)).To(MatchError(ContainSubstring("a relay from Add is run by its manager")))

	_, err = relay.Add(mgr, f.store, relay.Config{}, &elsewhere{})
	f.Expect(err).To(MatchError(And(ContainSubstring("elsewhere cannot be audited"), ContainSubstring("OutboxStatus returned no status"))))
	_, err = relay.New(env.Config, env.Scheme, f.store, relay.Config{Limits: outbox.Limits{EntryBytes: 1}}, &v1alpha1.NotificationRequest{})
	f.Expect(err).To(MatchError(ContainSubstring("entry limit is 1 bytes")))
}

// elsewhere is a kind that does not say where its outbox is.
type elsewhere struct{ v1alpha1.NotificationRequest }

func (*elsewhere) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) { return nil, nil }
