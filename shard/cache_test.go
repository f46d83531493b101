package shard

import (
	"fmt"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

var first, second = Shard{Index: 0, Total: 2}, Shard{Index: 1, Total: 2}

func rows(t *testing.T, uid types.UID) func() int {
	return func() int {
		found, err := env.Rows(t.Context(), "resource_audit", uid)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return len(found)
	}
}

func TestEachResourceHasOneManager(t *testing.T) {
	g := NewWithT(t)
	namespace := env.Namespace(t.Context(), "shards")
	members := []*member{start(t, first), start(t, second)}
	var all []*v1alpha1.NotificationRequest
	for i := range 40 {
		all = append(all, notification(t, namespace, fmt.Sprintf("news-%d", i), []Shard{first, second}[i%2]))
	}
	analysis := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "undivided"}}
	request := testenv.MakeRemediation(namespace, "cart").Obj()
	analysis.Spec = v1alpha1.AIAnalysisSpec{RemediationRef: v1alpha1.RemediationRef{Name: "cart", UID: "by-hand"}, Signal: request.Spec.Signal, Target: request.Spec.Target}
	g.Expect(env.Client.Create(t.Context(), analysis)).To(Succeed())

	for i, n := range all {
		g.Eventually(rows(t, n.UID), testenv.Timeout, testenv.Interval).Should(Equal(1))
		owner, other := members[i%2], members[1-i%2]
		g.Expect(owner.saw(n.UID)).To(BeTrue())
		g.Expect(other.saw(n.UID)).To(BeFalse())
		g.Expect(owner.store.was(n.UID)).To(BeTrue())
		g.Expect(other.store.was(n.UID)).To(BeFalse())
	}
	for _, m := range members {
		g.Eventually(func() bool { return m.sawOther("undivided") }, testenv.Timeout, testenv.Interval).Should(BeTrue(), "other kinds are not divided")
	}
	looksLikeItsShard(t, members, namespace, all)
}

// looksLikeItsShard reads in every way that a cache has.
func looksLikeItsShard(t *testing.T, members []*member, namespace string, all []*v1alpha1.NotificationRequest) {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	for i, m := range members {
		own, others := all[i], all[1-i]
		c := m.mgr.GetClient()
		list := &v1alpha1.NotificationRequestList{}
		g.Expect(c.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
		g.Expect(list.Items).To(HaveLen(20))
		g.Expect(c.List(ctx, list, client.InNamespace(namespace), client.Limit(7))).To(Succeed())
		g.Expect(list.Items).To(HaveLen(7), "others do not count")

		got := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"as": "before"}}}
		err := c.Get(ctx, client.ObjectKeyFromObject(others), got)
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
		g.Expect(got).To(Equal(&v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"as": "before"}}}), "left alone, as by any cache")
		g.Expect(c.Get(ctx, client.ObjectKeyFromObject(own), got)).To(Succeed())
		g.Expect(got.UID).To(Equal(own.UID))

		inner := m.mgr.GetCache().(*filtered).Cache
		kept := &v1alpha1.NotificationRequest{}
		g.Expect(inner.Get(ctx, client.ObjectKeyFromObject(others), kept)).To(Succeed())
		g.Expect(kept.Spec).To(BeZero(), "only its name is kept")
		g.Expect(kept.UID).To(BeEmpty())

		byObject, err := m.mgr.GetCache().GetInformer(ctx, own)
		g.Expect(err).NotTo(HaveOccurred())
		byKind, err := m.mgr.GetCache().GetInformerForKind(ctx, v1alpha1.GroupVersion.WithKind("NotificationRequest"))
		g.Expect(err).NotTo(HaveOccurred())
		for _, informer := range []cache.Informer{byObject, byKind} {
			for _, add := range []func(toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error){
				informer.AddEventHandler,
				func(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
					return informer.AddEventHandlerWithResyncPeriod(h, 0)
				},
				func(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
					return informer.AddEventHandlerWithOptions(h, toolscache.HandlerOptions{})
				},
			} {
				told := &events{}
				registration, err := add(told)
				g.Expect(err).NotTo(HaveOccurred())
				g.Eventually(registration.HasSynced, testenv.Timeout, testenv.Interval).Should(BeTrue())
				g.Expect(told.of(namespace)).To(HaveLen(20))
				g.Expect(informer.RemoveEventHandler(registration)).To(Succeed())
			}
		}
	}
}

// A name that is made again belongs to whoever the new uid says. What the old resource left undrained is its own manager's to save.
func TestANameThatIsMadeAgainCrossesShards(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	namespace := env.Namespace(ctx, "shards")
	old, young := start(t, first), start(t, second)
	old.store.shutUp()
	before := notification(t, namespace, "again", first)
	g.Eventually(func() bool { return old.store.was(before.UID) }, testenv.Timeout, testenv.Interval).Should(BeTrue(), "its entry is under way, and does not arrive")
	g.Expect(env.Vanish(ctx, before)).To(Succeed())
	after := notification(t, namespace, "again", second)

	g.Eventually(rows(t, after.UID), testenv.Timeout, testenv.Interval).Should(Equal(1))
	g.Expect(rows(t, before.UID)()).To(BeZero())
	old.store.let()
	g.Eventually(rows(t, before.UID), testenv.Timeout, testenv.Interval).Should(Equal(1))
	g.Expect(young.saw(before.UID)).To(BeFalse())
	g.Expect(young.store.was(before.UID)).To(BeFalse())
	g.Expect(old.saw(after.UID)).To(BeFalse())
	g.Expect(old.store.was(after.UID)).To(BeFalse())
}

func TestShardsByNamespaceWithinSomeNamespaces(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	var namespaces []string
	watched := map[string]cache.Config{}
	for range 4 {
		ns := env.Namespace(ctx, "shards")
		namespaces = append(namespaces, ns)
		watched[ns] = cache.Config{}
	}
	watched[namespaces[0]] = cache.Config{Transform: cache.TransformStripManagedFields()}
	outside := env.Namespace(ctx, "shards")
	restricted := func(o *ctrl.Options) { o.Cache.DefaultNamespaces = watched }
	members := []*member{start(t, Shard{Index: 0, Total: 2, By: ByNamespace}, restricted), start(t, Shard{Index: 1, Total: 2, By: ByNamespace}, restricted)}
	stranger := notification(t, outside, "news", Shard{})
	for _, ns := range namespaces {
		n := notification(t, ns, "news", Shard{})
		owner := 0
		if second.Owns(ns) {
			owner = 1
		}
		g.Eventually(rows(t, n.UID), testenv.Timeout, testenv.Interval).Should(Equal(1))
		g.Expect(members[owner].saw(n.UID)).To(BeTrue())
		g.Expect(members[1-owner].saw(n.UID)).To(BeFalse())
	}
	g.Expect(members[0].saw(stranger.UID) || members[1].saw(stranger.UID)).To(BeFalse())
}

func TestOneShardIsThePlainCache(t *testing.T) {
	g := NewWithT(t)
	mgr, err := env.NewManager(func(o *ctrl.Options) {
		o.NewCache = NewCache(Shard{Total: 1}, []client.Object{&v1alpha1.NotificationRequest{}})
	})
	g.Expect(err).NotTo(HaveOccurred())
	_, wrapped := mgr.GetCache().(*filtered)
	g.Expect(wrapped).To(BeFalse())
	_, err = env.NewManager(func(o *ctrl.Options) { o.NewCache = NewCache(Shard{Index: 2, Total: 2}, nil) })
	g.Expect(err).To(MatchError(ErrIndex))
}

// What a watch tells after a gap: a resource that was made again comes as an update, and one that is gone as a tombstone.
func TestEventsThatCrossShards(t *testing.T) {
	g := NewWithT(t)
	v := &view{shard: first, key: UID}
	object := func(in Shard) *v1alpha1.NotificationRequest {
		for i := 0; ; i++ {
			if uid := fmt.Sprintf("uid-%d-%s", i, in); in.Owns(uid) {
				return &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Name: "again", UID: types.UID(uid)}}
			}
		}
	}
	own, other := object(first), object(second)
	told := &events{}
	h := v.filter(told)
	h.OnUpdate(own, other)
	g.Expect(told.take()).To(Equal([]string{"delete " + string(own.UID)}))
	h.OnUpdate(own, reduced(other))
	g.Expect(told.take()).To(Equal([]string{"delete " + string(own.UID)}))
	h.OnUpdate(reduced(other), own)
	g.Expect(told.take()).To(Equal([]string{"add " + string(own.UID)}))
	h.OnUpdate(own, own)
	g.Expect(told.take()).To(Equal([]string{"update " + string(own.UID)}))
	h.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "again", Obj: own})
	g.Expect(told.take()).To(Equal([]string{"delete " + string(own.UID)}))
	h.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "again", Obj: reduced(other)})
	h.OnAdd(other, true)
	h.OnUpdate(other, other)
	h.OnDelete(other)
	g.Expect(told.take()).To(BeEmpty())
}

// events remembers what a handler was told.
type events struct {
	mu   sync.Mutex
	all  []string
	seen []client.Object
}

func (e *events) tell(what string, obj any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	o := obj.(outbox.Object)
	e.seen = append(e.seen, o)
	e.all = append(e.all, what+" "+string(o.GetUID()))
}

// OnAdd implements ResourceEventHandler.
func (e *events) OnAdd(obj any, _ bool) { e.tell("add", obj) }

// OnUpdate implements ResourceEventHandler.
func (e *events) OnUpdate(_, obj any) { e.tell("update", obj) }

// OnDelete implements ResourceEventHandler.
func (e *events) OnDelete(obj any) { e.tell("delete", obj) }

func (e *events) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.all
	e.all = nil
	return all
}

func (e *events) of(namespace string) map[types.UID]bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	uids := map[types.UID]bool{}
	for _, o := range e.seen {
		if o.GetNamespace() == namespace {
			uids[o.GetUID()] = true
		}
	}
	return uids
}
