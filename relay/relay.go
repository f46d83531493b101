package relay

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/holdfast-dev/holdfast/internal/kindcheck"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Relay drains outboxes into one store. It returns watermarks from memory, so that an outbox.Writer drops durable entries with its next write.
type Relay struct {
	config  Config
	tracker *tracker
	flusher *flusher
	// kinds are those that it drains.
	kinds []schema.GroupVersionKind
	// client and live are those of its manager.
	client client.Client
	live   client.Reader
	// standalone is the manager of a relay without one of the caller's; nil with one.
	standalone *standalone
}

var _ outbox.Relay = (*Relay)(nil)

// Add registers kinds with a manager and a store: a reconciler for each and the flusher, all of which run while this manager leads. The kinds must be
// in the manager's scheme. The store need not be reachable yet.
//
// A kind that does not keep its outbox at status.outbox is an error.
func Add(mgr manager.Manager, store Store, config Config, kinds ...outbox.Object) (*Relay, error) {
	config.setDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	t := newTracker(config)
	r := &Relay{config: config, tracker: t, flusher: newFlusher(store, t, config), client: mgr.GetClient(), live: mgr.GetAPIReader()}
	for _, kind := range kinds {
		if err := r.addKind(mgr, kind); err != nil {
			return nil, err
		}
	}
	if err := mgr.Add(r.flusher); err != nil {
		return nil, fmt.Errorf("add the relay's flusher: %w", err)
	}
	return r, nil
}

func (r *Relay) addKind(mgr manager.Manager, prototype outbox.Object) error {
	if err := kindcheck.Check(prototype); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	gvk, err := apiutil.GVKForObject(prototype, mgr.GetScheme())
	if err != nil {
		return fmt.Errorf("relay for %T: %w; add the kind to the manager's scheme", prototype, err)
	}
	goType := reflect.TypeOf(prototype).Elem()
	k := &kindReconciler{
		client:     mgr.GetClient(),
		tracker:    r.tracker,
		config:     r.config,
		confirm:    r.flusher.confirm,
		recorder:   r.config.Recorder,
		kind:       gvk.Kind,
		apiVersion: gvk.GroupVersion().String(),
		newObject: func() outbox.Object {
			return reflect.New(goType).Interface().(outbox.Object)
		},
	}
	name := "outbox-relay-" + strings.ToLower(gvk.Kind)
	c, err := controller.New(name, mgr, controller.Options{
		Reconciler:              k,
		MaxConcurrentReconciles: r.config.Workers,
		SkipNameValidation:      ptr.To(true),
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, r.config.MaxBackoff),
	})
	if err != nil {
		return fmt.Errorf("relay for %s: %w", gvk.Kind, err)
	}
	if err := c.Watch(source.Kind[outbox.Object](mgr.GetCache(), k.newObject(), &watcher{kind: k})); err != nil {
		return fmt.Errorf("relay for %s: watch: %w", gvk.Kind, err)
	}
	if err := c.Watch(source.Func(k.setQueue)); err != nil {
		return fmt.Errorf("relay for %s: %w", gvk.Kind, err)
	}
	r.tracker.addKind(gvk.Kind)
	r.kinds = append(r.kinds, gvk)
	return nil
}

// Watermark returns up to which entry of a resource the store has all entries, as far as this process knows. It is zero for an Identified store that has not confirmed it recently.
func (r *Relay) Watermark(uid types.UID) entry.Watermark { return r.tracker.confirmedWatermark(uid) }

// Drains reports whether the kind was given to Add or New. A Writer asks before it adds an entry that nobody would drain.
func (r *Relay) Drains(kind schema.GroupKind) bool {
	return slices.ContainsFunc(r.kinds, func(k schema.GroupVersionKind) bool { return k.GroupKind() == kind })
}

// Writer returns a Writer for this relay, with the clients of its manager. With a relay from New, use it in the functions that Run gets: before, its client does not answer.
func (r *Relay) Writer(options ...outbox.Option) *outbox.Writer {
	return outbox.NewWriter(r.client, r.live, r, options...)
}

// Limits returns the limits of the outboxes, for the Writer too.
func (r *Relay) Limits() outbox.Limits { return r.config.Limits }

// Healthy returns nil while the store accepts entries, and the reason otherwise. It answers from memory: the result of the last batch or, for an Identified store, of the
// last question, which is asked every second while resources have entries that the store acknowledged, and while it is away.
func (r *Relay) Healthy() error { return r.flusher.breaker.reason() }
