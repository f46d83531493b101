package shard

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

// remediationOf is a key that is not the resource's own uid.
func remediationOf(o client.Object) string {
	return string(o.(*v1alpha1.NotificationRequest).Spec.RemediationRef.UID)
}

// member is a manager with a shard: a controller that appends one entry to each resource, and the relay.
type member struct {
	mgr   ctrl.Manager
	store *gate
	mu    sync.Mutex
	// reconciled are the uids of the resources that the controller was shown, missed the names that it was not.
	reconciled, missed []string
	// others are the names of what it was shown of kinds that are not divided.
	others []string
}

// start runs a member until the test ends.
func start(t *testing.T, s Shard, change ...func(*ctrl.Options)) *member {
	t.Helper()
	g := NewWithT(t)
	kinds := []client.Object{&v1alpha1.NotificationRequest{}}
	mgr, err := env.NewManager(append(change, func(o *ctrl.Options) { o.NewCache = NewCache(s, kinds, WithKey(remediationOf)) })...)
	g.Expect(err).NotTo(HaveOccurred())
	database, err := postgres.Open(t.Context(), env.DatabaseURL, postgres.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	m := &member{mgr: mgr, store: &gate{Store: database, open: make(chan struct{})}}
	drained, err := relay.Add(mgr, m.store, relay.Config{}, &v1alpha1.NotificationRequest{})
	g.Expect(err).NotTo(HaveOccurred())
	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), drained)
	g.Expect(ctrl.NewControllerManagedBy(mgr).For(&v1alpha1.NotificationRequest{}).
		Complete(reconcile.Func(func(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
			return ctrl.Result{}, m.reconcile(ctx, writer, r)
		}))).To(Succeed())
	g.Expect(ctrl.NewControllerManagedBy(mgr).Named("others").Watches(&v1alpha1.AIAnalysis{}, &handler.EnqueueRequestForObject{}).
		Complete(reconcile.Func(func(_ context.Context, r ctrl.Request) (ctrl.Result, error) {
			m.note(&m.others, r.Name)
			return ctrl.Result{}, nil
		}))).To(Succeed())
	stop, err := testenv.Run(mgr)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		m.store.let()
		g.Expect(stop()).To(Succeed())
		database.Close()
	})
	return m
}

// reconcile appends an entry to a resource that has none.
func (m *member) reconcile(ctx context.Context, w *outbox.Writer, r ctrl.Request) error {
	n := &v1alpha1.NotificationRequest{}
	if err := m.mgr.GetClient().Get(ctx, r.NamespacedName, n); err != nil {
		m.note(&m.missed, r.Name)
		return client.IgnoreNotFound(err)
	}
	m.note(&m.reconciled, string(n.UID))
	if !n.Status.Outbox.IsZero() {
		return nil
	}
	draft := w.Draft(n)
	err := draft.Save(ctx, &entry.Change{Kind: "shards.example.com", Event: "Seen", Phase: "Seen", Record: map[string]string{"name": n.Name}})
	if errors.Is(err, outbox.ErrReleased) || apierrors.IsConflict(err) {
		return nil
	}
	return client.IgnoreNotFound(err)
}

func (m *member) note(into *[]string, what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	*into = append(*into, what)
}

func (m *member) saw(uid types.UID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.reconciled, string(uid))
}

func (m *member) sawOther(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.others, name)
}

// gate is a store that remembers whose entries it was given, and takes none while it is shut.
type gate struct {
	relay.Store
	mu   sync.Mutex
	shut bool
	open chan struct{} // closed by let
	uids []types.UID
}

// Persist implements relay.Store.
func (s *gate) Persist(ctx context.Context, batch []relay.Item) ([]relay.Outcome, error) {
	s.mu.Lock()
	for _, item := range batch {
		s.uids = append(s.uids, item.Source.UID)
	}
	shut := s.shut
	s.mu.Unlock()
	if shut {
		select {
		case <-s.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Store.Persist(ctx, batch)
}

func (s *gate) shutUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
}

// let may be called more than once.
func (s *gate) let() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		s.shut = false
		close(s.open)
	}
}

func (s *gate) was(uid types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.uids, uid)
}

// notification makes one whose key is in a shard.
func notification(t *testing.T, namespace, name string, in Shard) *v1alpha1.NotificationRequest {
	t.Helper()
	n := testenv.MakeNotification(namespace, name).Obj()
	for n.Spec.RemediationRef.UID = types.UID(uuid.NewString()); !in.Owns(remediationOf(n)); {
		n.Spec.RemediationRef.UID = types.UID(uuid.NewString())
	}
	NewWithT(t).Expect(env.Client.Create(t.Context(), n)).To(Succeed())
	return n
}
