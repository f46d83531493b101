package relay

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/holdfast-dev/holdfast/outbox"
)

// standalone is the manager of a relay from New.
type standalone struct {
	manager.Manager
	// running is closed once the manager's client answers.
	running chan struct{}
}

// New returns a relay for a program without a controller-runtime manager; Run runs it. It watches the kinds with its own informers, in Config.Namespaces. The kinds
// must be in the scheme. The store need not be reachable yet.
func New(config *rest.Config, scheme *runtime.Scheme, store Store, c Config, kinds ...outbox.Object) (*Relay, error) {
	mgr, err := manager.New(config, manager.Options{
		Scheme:                 scheme,
		Logger:                 klog.Background(), // what client-go logs to
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		Cache:                  cacheOf(c.Namespaces),
		Controller:             ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r, err := Add(mgr, store, c, kinds...)
	if err != nil {
		return nil, err
	}
	r.standalone = &standalone{mgr, make(chan struct{})}
	err = mgr.Add(manager.RunnableFunc(func(context.Context) error {
		close(r.standalone.running)
		return nil
	}))
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return r, nil
}

func cacheOf(namespaces []string) (o cache.Options) {
	for _, ns := range namespaces {
		if o.DefaultNamespaces == nil {
			o.DefaultNamespaces = map[string]cache.Config{}
		}
		o.DefaultNamespaces[ns] = cache.Config{}
	}
	return o
}

// Run runs a relay from New, and the program's controllers beside it, until ctx ends or one of them fails. The controllers start once the clients of Writer answer. They have to return when their
// context ends. Then the relay drains what it has observed (see Config.DrainTimeout). Its metrics are in controller-runtime's registry.
//
// A kind that may not be listed is an error.
func (r *Relay) Run(ctx context.Context, controllers ...func(context.Context) error) error {
	if r.standalone == nil {
		return errors.New("relay: Run needs a relay from New; a relay from Add is run by its manager")
	}
	if err := r.mayList(ctx); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	group, working := errgroup.WithContext(ctx)
	draining, stop := context.WithCancel(logf.IntoContext(context.WithoutCancel(ctx), klog.FromContext(ctx)))
	defer stop()
	ended := make(chan error, 1)
	group.Go(func() error { // until the controllers have returned, it goes on
		go func() { ended <- r.standalone.Start(draining) }()
		select {
		case err := <-ended:
			ended <- nil
			return err
		case <-working.Done():
			return nil
		}
	})
	for _, control := range controllers {
		group.Go(func() error {
			select {
			case <-r.standalone.running:
				return control(working)
			case <-working.Done():
				return nil
			}
		})
	}
	err := group.Wait()
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

// mayList returns an error for a kind that may not be listed where its informer would list it: again and again, with nothing but a log of client-go's.
func (r *Relay) mayList(ctx context.Context) error {
	namespaces, hint := r.config.Namespaces, "grant get, list, watch and patch there"
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
		hint = "set relay.Config.Namespaces to the namespaces in which the operator has rights, or grant get, list, watch and patch in all with a ClusterRole"
	}
	for _, kind := range r.kinds {
		for _, ns := range namespaces {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
			if err := r.live.List(ctx, list, client.InNamespace(ns), client.Limit(1)); apierrors.IsForbidden(err) { // what else fails, the informer tries again
				return fmt.Errorf("watch %s in %s: %w; %s", kind.GroupKind(), describe(ns), err, hint)
			}
		}
	}
	return nil
}

func describe(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "all namespaces"
	}
	return "namespace " + namespace
}
