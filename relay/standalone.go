package relay

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/holdfast-dev/holdfast/outbox"
)

// New makes a relay for a program that has no controller-runtime manager; Run runs it. It watches the kinds with informers of its own, in Config.Namespaces. The kinds
// must be in the scheme. The store need not be reachable yet.
func New(config *rest.Config, scheme *runtime.Scheme, store Store, c Config, kinds ...outbox.Object) (*Relay, error) {
	mgr, err := ctrl.NewManager(config, ctrl.Options{
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
	r.run = mgr.Start
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

// Run runs a relay that New made until ctx ends and it has drained (see Config.DrainTimeout). Its metrics are in controller-runtime's registry.
func (r *Relay) Run(ctx context.Context) error {
	if r.run == nil {
		return errors.New("relay: Run is for a relay that New made; the manager that was given to Add runs this one")
	}
	if err := r.run(logf.IntoContext(ctx, klog.FromContext(ctx))); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}
