package relay_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

func newPlain(f *fixture, r *relay.Relay) *plain {
	config := rest.CopyConfig(env.Config)
	config.GroupVersion, config.APIPath = &v1alpha1.GroupVersion, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(env.Scheme).WithoutConversion()
	getter, err := rest.RESTClientFor(config)
	f.Expect(err).NotTo(HaveOccurred())
	c, err := client.New(env.Config, client.Options{Scheme: env.Scheme})
	f.Expect(err).NotTo(HaveOccurred())
	p := &plain{
		informer: cache.NewSharedIndexInformer(cache.NewListWatchFromClient(getter, "notificationrequests", f.namespace, fields.Everything()), &v1alpha1.NotificationRequest{}, 0, cache.Indexers{}),
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		writer:   outbox.NewWriter(c, c, r),
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

func (p *plain) run(ctx context.Context) {
	go p.informer.Run(ctx.Done())
	context.AfterFunc(ctx, p.queue.ShutDown)
	for {
		key, stopped := p.queue.Get()
		if stopped {
			return
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
	ended := make(chan error, 2)
	go func() { ended <- r.Run(running) }()
	go func() { newPlain(f, r).run(running); ended <- nil }()
	t.Cleanup(func() {
		stop()
		for range cap(ended) {
			f.Eventually(ended).Should(Receive(BeNil()))
		}
	})
	obj := f.create("plain")
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1}))
	f.Eventually(func() []outboxapi.Entry { return f.live(obj).Status.Outbox.Entries }).Should(BeEmpty(), "the relay trims what is durable")
	f.Expect(f.live(obj).Finalizers).To(ContainElement(outbox.Finalizer))
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Eventually(f.gone(obj), testenv.LongTimeout).Should(BeTrue())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2}))
}

func TestSetUpRefusesWhatCannotRun(t *testing.T) {
	f := setup(t)
	mgr, err := env.NewManager()
	f.Expect(err).NotTo(HaveOccurred())
	managed, err := relay.Add(mgr, f.store, relay.Config{}, &v1alpha1.NotificationRequest{})
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(managed.Run(ctx)).To(MatchError(ContainSubstring("the manager that was given to Add runs this one")))

	_, err = relay.Add(mgr, f.store, relay.Config{}, &elsewhere{})
	f.Expect(err).To(MatchError(And(ContainSubstring("elsewhere cannot be audited"), ContainSubstring("OutboxStatus returned no status"))))
	_, err = relay.New(env.Config, env.Scheme, f.store, relay.Config{Limits: outbox.Limits{EntryBytes: 1}}, &v1alpha1.NotificationRequest{})
	f.Expect(err).To(MatchError(ContainSubstring("entry limit is 1 bytes")))
}

// elsewhere is a kind that does not say where its outbox is.
type elsewhere struct{ v1alpha1.NotificationRequest }

func (*elsewhere) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) { return nil, nil }
