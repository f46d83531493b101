package relay_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

var (
	env *testenv.Env
	ctx = context.Background()
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

// fixture is a namespace, a producer that is not the relay's process, and the database's real store.
type fixture struct {
	*WithT
	t         *testing.T
	namespace string
	writer    *outbox.Writer
	store     *postgres.Store
}

func setup(t *testing.T) *fixture {
	f := &fixture{WithT: NewWithT(t), t: t, namespace: env.Namespace(ctx, "relay"), writer: outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{})}
	f.SetDefaultEventuallyTimeout(testenv.Timeout)
	f.SetDefaultEventuallyPollingInterval(testenv.Interval)
	var err error
	f.store, err = postgres.Open(ctx, env.DatabaseURL, postgres.Options{})
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.store.Close() })
	return f
}

// hooks stand around the real store and the real API server.
type hooks struct {
	relay.Store
	mu sync.Mutex
	// committed runs after the store's COMMIT; its error is what the relay gets.
	committed func(context.Context) error
	// patched runs before a patch (op is trim or release); its error is what the relay gets.
	patched func(op string) error
	batches [][]relay.Item
	// gaps are the entries before which the store has lost some.
	gaps    []relay.Item
	patches map[string]int
}

func (h *hooks) Persist(ctx context.Context, batch []relay.Item) ([]relay.Outcome, error) {
	outcomes, err := h.Store.Persist(ctx, batch)
	h.mu.Lock()
	h.batches = append(h.batches, batch)
	for i, o := range outcomes {
		if o.PreviousMissing {
			h.gaps = append(h.gaps, batch[i])
		}
	}
	hook := h.committed
	h.mu.Unlock()
	if err == nil && hook != nil {
		err = hook(ctx)
	}
	return outcomes, err
}

func (h *hooks) patch(op string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.patched != nil {
		if err := h.patched(op); err != nil {
			return err
		}
	}
	if h.patches == nil {
		h.patches = map[string]int{}
	}
	h.patches[op]++
	return nil
}

func (h *hooks) count(op string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.patches[op]
}

func (h *hooks) lost() []relay.Item {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.gaps)
}

func (h *hooks) newClient(config *rest.Config, o client.Options) (client.Client, error) {
	real, err := client.NewWithWatch(config, o)
	if err != nil {
		return nil, err
	}
	return interceptor.NewClient(real, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := h.patch("trim"); err != nil {
				return err
			}
			return c.SubResource(sub).Patch(ctx, obj, p, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := h.patch("release"); err != nil {
				return err
			}
			return c.Patch(ctx, obj, p, opts...)
		},
	}), nil
}

// run starts a manager with the relay; the test's end stops it unless the caller does. It knows the test's namespace alone: what the tests before left would be counted with
// what this one expects.
func (f *fixture) run(h *hooks, c relay.Config) (*relay.Relay, func()) {
	if h.Store == nil {
		h.Store = f.store
	}
	mgr, err := env.NewManager(func(o *ctrl.Options) {
		o.NewClient = h.newClient
		o.Cache.DefaultNamespaces = map[string]cache.Config{f.namespace: {}}
	})
	f.Expect(err).NotTo(HaveOccurred())
	c.Recorder, err = testenv.Recorder(mgr, "holdfast-relay")
	f.Expect(err).NotTo(HaveOccurred())
	r, err := relay.Add(mgr, h, c, testenv.Kinds()...)
	f.Expect(err).NotTo(HaveOccurred())
	stop, err := testenv.Run(mgr)
	f.Expect(err).NotTo(HaveOccurred())
	var once sync.Once
	end := func() { once.Do(func() { f.Expect(stop()).To(Succeed()) }) }
	f.t.Cleanup(end)
	return r, end
}

func (f *fixture) create(name string) *v1alpha1.NotificationRequest {
	obj := testenv.MakeNotification(f.namespace, name).Obj()
	f.Expect(env.Client.Create(ctx, obj)).To(Succeed())
	return obj
}

// append saves n entries, and the closing one if final.
func (f *fixture) append(obj *v1alpha1.NotificationRequest, n int, final bool) {
	for i := range n {
		c := &entry.Change{Kind: entry.KindNotification, Event: "Attempted", Phase: "Sending", Final: final && i == n-1, Record: map[string]any{
			"remediation_id": string(obj.UID), "notification_requested_at": obj.CreationTimestamp.Time, "subject": fmt.Sprintf("change %d", i),
		}}
		f.Expect(f.writer.Draft(obj).Save(ctx, c)).To(Succeed())
	}
}

func (f *fixture) live(obj client.Object) *v1alpha1.NotificationRequest {
	got := &v1alpha1.NotificationRequest{}
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), got)).To(Succeed())
	return got
}

func (f *fixture) gone(obj client.Object) func() bool {
	return func() bool {
		err := env.Client.Get(ctx, client.ObjectKeyFromObject(obj), &v1alpha1.NotificationRequest{})
		return err != nil && client.IgnoreNotFound(err) == nil
	}
}

// sequences are those of the resource's rows, in order. After a restart of PostgreSQL the pool's connections fail once each.
func (f *fixture) sequences(uid types.UID) func() ([]int64, error) {
	return func() ([]int64, error) {
		var s []int64
		err := f.store.DB().NewRaw("SELECT sequence FROM notification_audit WHERE source_uid = ? ORDER BY sequence", string(uid)).Scan(ctx, &s)
		return s, err
	}
}

func (f *fixture) deadLetters(uid types.UID) func() []string {
	return func() []string {
		var s []string
		err := f.store.DB().NewRaw("SELECT error FROM audit_dead_letter WHERE entry LIKE ? ORDER BY sequence", "%"+string(uid)+"%").Scan(ctx, &s)
		f.Expect(err).NotTo(HaveOccurred())
		return s
	}
}
