package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis"
	"github.com/holdfast-dev/holdfast/controllers/notification"
	"github.com/holdfast-dev/holdfast/controllers/remediation"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution"
	"github.com/holdfast-dev/holdfast/internal/failpoint"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/shard"
)

// shutdown bounds how long a stopping manager waits for its reconciles and the last flush, of the 20 s that it may take in all.
const shutdown = 15 * time.Second

// Config of a manager.
type Config struct {
	REST *rest.Config
	// Store takes the entries. Check tells at start what is wrong with it; nil: nothing to check.
	Store relay.Store
	Check func(context.Context) error
	// Relay settings; its limits are the writer's too.
	Relay relay.Config
	// Investigator asked by analyses; nil: the built-in rules.
	Investigator aianalysis.Investigator

	// MetricsBindAddress is where /metrics is served, host:port; "0": nowhere.
	MetricsBindAddress string
	// MetricsSecure serves them over TLS, to callers who may get the non-resource URL /metrics. Without it they are anybody's who reaches the address, which
	// must be a loopback one.
	MetricsSecure bool
	// MetricsCertFile and MetricsKeyFile are served then, and read again when they change; neither: a self-signed certificate.
	MetricsCertFile, MetricsKeyFile string
	HealthProbeBindAddress          string
	LeaderElect                     bool
	LeaderElectNamespace            string
	// LeaderElectID is the lease's name, but for the shard; empty: it follows from Namespaces, see Lease.
	LeaderElectID string
	// Namespaces to look after; none: all.
	Namespaces []string
	// Shard of the four kinds' resources to look after; the zero value: all.
	Shard shard.Shard
	// CoolDown is how long after a repair the same target is left alone for the same alert; 0: not at all.
	CoolDown time.Duration
	// Workers is the number of concurrent reconciles of a kind.
	Workers int
}

// Scheme knows Kubernetes' own kinds and Holdfast's four.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s))
}

// New makes a manager that is ready to be started.
func New(c Config) (ctrl.Manager, error) {
	scheme, err := Scheme()
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	metrics, watch, err := metricsOptions(c)
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	grace := shutdown
	failpoint.API(c.REST)
	mgr, err := ctrl.NewManager(c.REST, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metrics,
		HealthProbeBindAddress:        c.HealthProbeBindAddress,
		LeaderElection:                c.LeaderElect,
		LeaderElectionID:              c.Lease(),
		LeaderElectionNamespace:       c.LeaderElectNamespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &grace,
		Cache:                         cacheOptions(c.Namespaces),
		NewCache:                      shard.NewCache(c.Shard, divided(), shard.WithKey(root)),
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{
			// A cached read of one of these would watch all of them in the cluster.
			&corev1.Pod{}, &corev1.Secret{}, &corev1.Event{}, &eventsv1.Event{}, &corev1.ServiceAccount{},
			&appsv1.Deployment{}, &appsv1.ReplicaSet{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{},
		}}},
	})
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	if watch != nil {
		if err := mgr.Add(watch); err != nil {
			return nil, fmt.Errorf("manager: %w", err)
		}
	}
	if c.Check != nil {
		if err := mgr.Add(check(c.Check)); err != nil {
			return nil, fmt.Errorf("manager: %w", err)
		}
	}
	if err := announceLeading(mgr, c); err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	return mgr, addControllers(mgr, c)
}

func cacheOptions(namespaces []string) cache.Options {
	o := cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	if len(namespaces) > 0 {
		o.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range namespaces {
			o.DefaultNamespaces[ns] = cache.Config{}
		}
	}
	return o
}

func addControllers(mgr ctrl.Manager, c Config) error {
	c.Relay.Recorder, c.Relay.EventTarget = mgr.GetEventRecorder("holdfast-relay"), self()
	drained, err := relay.Add(mgr, c.Store, c.Relay, kinds()...)
	if err != nil {
		return err
	}
	cl, live := mgr.GetClient(), mgr.GetAPIReader()
	writer := outbox.NewWriter(cl, live, drained, outbox.WithRecorder(mgr.GetEventRecorder("holdfast-outbox")))

	var asked []aianalysis.Option
	if c.Investigator != nil {
		asked = append(asked, aianalysis.WithInvestigator(c.Investigator))
	}
	var deliveries []notification.Option
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		// In a Pod, loopback is the manager itself: no resource may post to it.
		deliveries = append(deliveries, notification.WithoutLoopback())
	}
	remediations, err1 := remediation.New(cl, live, writer, mgr.GetEventRecorder("holdfast-remediation"), remediation.WithCoolDown(c.CoolDown, everyShard(c.Shard, live)))
	analyses, err2 := aianalysis.New(cl, live, writer, mgr.GetEventRecorder("holdfast-analysis"), asked...)
	workflows, err3 := workflowexecution.New(cl, live, writer, mgr.GetEventRecorder("holdfast-workflow"), workflowexecution.WithRESTConfig(mgr.GetConfig()))
	notifications, err4 := notification.New(cl, live, writer, mgr.GetEventRecorder("holdfast-notification"), deliveries...)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("create the controllers: %w", err)
	}
	for _, add := range []func(ctrl.Manager, int) error{
		remediations.SetupWithManager, analyses.SetupWithManager, workflows.SetupWithManager, notifications.SetupWithManager,
	} {
		if err := add(mgr, c.Workers); err != nil {
			return err
		}
	}
	return nil
}

// self is what Events about the manager's store regard: its Pod, or the namespace where it runs.
func self() runtime.Object {
	if name, ns := os.Getenv("POD_NAME"), os.Getenv("POD_NAMESPACE"); name != "" && ns != "" {
		return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}}
	}
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "default"}}
}

// check says at start what is wrong with the store, rather than at the first entry. It does not keep anything from starting.
func check(store func(context.Context) error) everywhere {
	return func(ctx context.Context) error {
		if err := store(ctx); err != nil && ctx.Err() == nil {
			ctrl.Log.WithName("store").Error(err, "Audit store is not usable; controllers continue and entries stay in their resources")
		}
		return nil
	}
}

// everywhere runs in every replica, whether or not it is elected.
type everywhere func(context.Context) error

// Start implements manager.Runnable.
func (run everywhere) Start(ctx context.Context) error { return run(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everywhere) NeedLeaderElection() bool { return false }
