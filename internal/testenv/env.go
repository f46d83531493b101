package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv/leaks"
)

// Named timeouts, for Eventually. They bound a failure; nothing is asserted about time.
const (
	Timeout     = 30 * time.Second
	LongTimeout = 2 * time.Minute
	Interval    = 50 * time.Millisecond
)

// Env is one suite's surroundings.
type Env struct {
	Config   *rest.Config
	Client   client.WithWatch // uncached
	Scheme   *runtime.Scheme
	Cluster  *localcluster.Cluster
	Postgres *localcluster.Postgres
	// DatabaseURL is a migrated database of this suite's own.
	DatabaseURL string

	before goleak.Option // what ran before Start
}

// Start brings up etcd, kube-apiserver, and PostgreSQL, and installs everything. Stop when done.
func Start(ctx context.Context) (*Env, error) {
	e := &Env{Scheme: Scheme(), before: goleak.IgnoreCurrent()}
	if err := e.bringUp(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("test environment: %w", err), e.Stop())
	}
	return e, nil
}

func (e *Env) bringUp(ctx context.Context) (err error) {
	ctrl.SetLogger(zap.New(zap.UseDevMode(true), zap.WriteTo(LogTo)))
	if e.Cluster, err = localcluster.Start(ctx, localcluster.Options{Profile: localcluster.ControlPlane}); err != nil {
		return err
	}
	e.Config = e.Cluster.RESTConfig()
	if err := config.Install(ctx, e.Config, io.Discard); err != nil {
		return err
	}
	if e.Client, err = client.NewWithWatch(e.Config, client.Options{Scheme: e.Scheme}); err != nil {
		return err
	}
	if e.Postgres, err = localcluster.StartPostgres(ctx, localcluster.PostgresOptions{}); err != nil {
		return err
	}
	e.DatabaseURL, err = e.Database(ctx, "suite")
	return err
}

// Stop ends what Start began, and fails when the suite has left a goroutine behind. It may be called on a nil or half-started Env.
func (e *Env) Stop() error {
	if e == nil {
		return nil
	}
	var errs []error
	if e.Cluster != nil {
		errs = append(errs, e.Cluster.Stop())
	}
	if e.Postgres != nil {
		errs = append(errs, e.Postgres.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return leaks.Find(e.before)
}

// LogTo takes what managers log; a suite points it at GinkgoWriter.
var LogTo = io.Discard

// Scheme knows Kubernetes' own kinds and Holdfast's four.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		panic(err)
	}
	return s
}

// Namespace makes a namespace of its own; it fails the test when it can't.
func (e *Env) Namespace(ctx context.Context, prefix string) string {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	if err := e.Client.Create(ctx, ns); err != nil {
		panic(fmt.Sprintf("make a namespace: %v", err))
	}
	return ns.Name
}

// NewManager makes a manager that serves nothing and elects nobody; change may adapt its options.
func (e *Env) NewManager(change ...func(*ctrl.Options)) (ctrl.Manager, error) {
	o := ctrl.Options{
		Scheme:         e.Scheme,
		Metrics:        metricsserver.Options{BindAddress: "0"},
		LeaderElection: false,
		Controller:     ctrlConfig(),
	}
	for _, c := range change {
		c(&o)
	}
	return ctrl.NewManager(e.Config, o)
}

// Run starts a manager and returns a function that stops it and waits until it has ended. It returns when the caches are filled.
func Run(mgr ctrl.Manager) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return nil, errors.Join(errors.New("the manager's caches did not fill"), stop())
	}
	return stop, nil
}

// Main starts an Env for a package of plain tests (func TestMain) and hands it over through env.
func Main(m *testing.M, env **Env) int {
	e, err := Start(context.Background())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return e.run(m, env)
}

func (e *Env) run(m *testing.M, env **Env) int {
	*env = e
	code := m.Run()
	if err := e.Stop(); err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}

// Vanish deletes a resource and takes its finalizers away by force, as somebody may who may delete it. A resource that is gone is fine.
func (e *Env) Vanish(ctx context.Context, obj client.Object) error {
	if err := client.IgnoreNotFound(e.Client.Delete(ctx, obj)); err != nil {
		return fmt.Errorf("delete %s: %w", obj.GetName(), err)
	}
	strip := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	gone := obj.DeepCopyObject().(client.Object)
	if err := client.IgnoreNotFound(e.Client.Patch(ctx, gone, strip)); err != nil {
		return fmt.Errorf("strip %s: %w", obj.GetName(), err)
	}
	return nil
}
