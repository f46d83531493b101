package relay

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/holdfast-dev/holdfast/internal/kindcheck"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Relay drains outboxes into one store. It answers watermarks from memory, so that an outbox.Writer acknowledges with its next write.
type Relay struct {
	config  Config
	tracker *tracker
	flusher *flusher
	// run is what runs a relay without a manager of the caller's; nil with one.
	run func(context.Context) error
}

var _ outbox.Relay = (*Relay)(nil)

// Add registers kinds with a manager and a store: a reconciler for each and the flusher, all of which run while this manager leads. The kinds must be
// in the manager's scheme. The store need not be reachable yet.
//
// A kind that does not keep its outbox at status.outbox is an error.
func Add(mgr ctrl.Manager, store Store, config Config, kinds ...outbox.Object) (*Relay, error) {
	config.setDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	t := newTracker(config)
	r := &Relay{config: config, tracker: t, flusher: newFlusher(store, t, config)}
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

func (r *Relay) addKind(mgr ctrl.Manager, prototype outbox.Object) error {
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
	return nil
}

// Watermark is how far the store has a resource's entries, as far as this process knows: nothing, unless the store (Identified) confirmed it a moment ago.
func (r *Relay) Watermark(uid types.UID) entry.Watermark { return r.tracker.confirmedWatermark(uid) }

// Limits are those of the outboxes: the Writer's too.
func (r *Relay) Limits() outbox.Limits { return r.config.Limits }

// Healthy returns nil while the store takes entries, and the reason why it does not otherwise. It answers from memory: what the last batch met, or, of a store that is Identified, the
// last question, which is asked every second while resources have entries that the store acknowledged, and while it is away.
func (r *Relay) Healthy() error { return r.flusher.breaker.reason() }
