//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Profile says which servers a cluster has.
type Profile string

const (
	// ControlPlane is etcd and kube-apiserver: for tests and benchmarks. It has no controllers, hence no garbage
	// collection, no namespace deletion and no default service accounts; a token can be requested for any account made.
	ControlPlane Profile = "control-plane"
	// Full adds kube-controller-manager, kube-scheduler and kwok with one simulated node: for dev and demo.
	Full Profile = "full"
)

// startAttempts: the ports are chosen anew when somebody took one between its reservation and the server's listen.
const startAttempts = 3

// Options say where and what to start.
type Options struct {
	// Dir gets the certificates, data, logs and the kubeconfig. Start removes what an earlier run left of them; a second
	// run on one folder is refused. "" makes a temporary folder, which Stop removes.
	Dir string
	// Leftovers are more files of an earlier run, by their names in Dir. Like its own, Start removes them once no other run has the folder.
	Leftovers []string
	// Profile is ControlPlane when empty.
	Profile Profile
	// Progress gets one line a step, with what is downloaded or compiled and how long that may take; nil is silent.
	Progress io.Writer
}

// Cluster is a running cluster. Its methods may be called from several goroutines.
type Cluster struct {
	profile  Profile
	dir      *stateDir
	progress *progress
	programs map[string]string
	ports    clusterPorts
	ca       keyPair
	clients  map[string]keyPair // by user
	client   *kubernetes.Clientset

	mu      sync.Mutex // guards what follows: starting, restarting and stopping servers
	stopped bool
	etcd    *process
	api     *process
	others  []*process // what the profile Full adds, in the order of their start
}

// clusterPorts are the loopback ports of the servers; those of servers that the profile does not have are unused.
type clusterPorts struct{ etcd, etcdPeer, apiServer, controllerManager, scheduler, kwok int }

func (p *clusterPorts) all() []*int {
	return []*int{&p.etcd, &p.etcdPeer, &p.apiServer, &p.controllerManager, &p.scheduler, &p.kwok}
}

// Start gets the programs (see Binaries), starts the servers of the profile on free loopback ports, and returns when all of
// them are ready. When it fails, or ctx ends before, everything it started is gone; once it has returned, ctx no
// longer matters and Stop ends the cluster. The servers also end when this process does, in whatever way.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Profile == "" {
		o.Profile = ControlPlane
	}
	programs, err := o.Profile.programs(ctx, o.Progress)
	if err != nil {
		return nil, fmt.Errorf("start a local cluster: %w", err)
	}
	for attempt := 1; ; attempt++ {
		c, err := startOnce(ctx, o, programs)
		if err == nil {
			return c, nil
		}
		if attempt == startAttempts || !errors.Is(err, errPortTaken) {
			return nil, fmt.Errorf("start a local cluster: %w", err)
		}
	}
}

// Prepare gets the programs of a profile, which Start then finds: compiling them takes minutes, the first time.
func Prepare(ctx context.Context, p Profile, progress io.Writer) error {
	if _, err := p.programs(ctx, progress); err != nil {
		return fmt.Errorf("prepare a local cluster: %w", err)
	}
	return nil
}

func (p Profile) programs(ctx context.Context, progress io.Writer) (map[string]string, error) {
	names := []string{"etcd", "kube-apiserver"}
	switch p {
	case ControlPlane:
	case Full:
		names = append(names, "kube-controller-manager", "kube-scheduler", "kwok")
	default:
		return nil, fmt.Errorf("the profile is %q, expected %q or %q", p, ControlPlane, Full)
	}
	return Binaries(ctx, progress, names...)
}

func startOnce(ctx context.Context, o Options, programs map[string]string) (*Cluster, error) {
	leftovers := append([]string{"certs", "etcd", "run", "kubeconfig"}, o.Leftovers...)
	for name := range programs {
		leftovers = append(leftovers, filepath.Join("logs", name+".log"))
	}
	dir, err := openStateDir(o.Dir, "", "cluster", leftovers...)
	if err != nil {
		return nil, err
	}
	c := &Cluster{profile: o.Profile, dir: dir, progress: newProgress(o.Progress), programs: programs}
	if err := c.bringUp(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// bringUp takes the steps of a start, in their order.
func (c *Cluster) bringUp(ctx context.Context) error {
	begin := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.prepare(); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	if err := c.waitForNamespaces(ctx); err != nil {
		return err
	}
	if c.profile == Full {
		if err := c.startOthers(ctx); err != nil {
			return err
		}
	}
	c.progress.say("local cluster (%s): ready after %s, in %s", c.profile, time.Since(begin).Round(100*time.Millisecond), c.dir.path)
	return nil
}

// prepare reserves the ports and writes certificates and kubeconfigs.
func (c *Cluster) prepare() error {
	got, err := ports.reserve(len(c.ports.all()))
	if err != nil {
		return err
	}
	for i, port := range c.ports.all() {
		*port = got[i]
	}
	if err := os.MkdirAll(c.dir.in("run"), 0o755); err != nil {
		return fmt.Errorf("create the working directory of the servers: %w", err)
	}
	if c.ca, c.clients, err = writeCredentials(c.dir.in("certs")); err != nil {
		return err
	}
	for _, user := range users[1:] {
		if err := c.writeKubeconfig(c.dir.in("run", user+".kubeconfig"), user); err != nil {
			return err
		}
	}
	if err := c.writeKubeconfig(c.Kubeconfig(), admin); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.RESTConfig()); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return nil
}

// RESTConfig is a new configuration of a cluster-admin (client certificate, group system:masters) without a rate limit.
func (c *Cluster) RESTConfig() *rest.Config { return c.restConfig(admin) }

// Kubeconfig is the path of a kubeconfig file of the same cluster-admin.
func (c *Cluster) Kubeconfig() string { return c.dir.in("kubeconfig") }

// RestartAPIServer kills kube-apiserver (SIGKILL) and starts it again on its port. It returns when it is ready.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("restart kube-apiserver: the cluster is stopped")
	}
	if err := c.api.stop(syscall.SIGKILL, killTimeout); err != nil {
		return err
	}
	return c.startAPIServer(ctx)
}

// RestartEtcd kills etcd (SIGKILL) and starts it again on its ports and its data. It returns when the API server is
// ready on it. Nothing that was acknowledged is lost: etcd wrote it, and the operating system outlives the process.
func (c *Cluster) RestartEtcd(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("restart etcd: the cluster is stopped")
	}
	if err := c.etcd.stop(syscall.SIGKILL, killTimeout); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	return c.api.waitReady(ctx, readyTimeout, c.apiServerReady)
}

// Stop ends all servers, the API server's clients before it and etcd last, and returns when they are gone. It may be
// called again. The data is of no use to a later start, so they are killed; it takes less than a second.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	var errs []error
	for i := len(c.others) - 1; i >= 0; i-- {
		errs = append(errs, c.others[i].stop(syscall.SIGKILL, killTimeout))
	}
	errs = append(errs, c.api.stop(syscall.SIGKILL, killTimeout), c.etcd.stop(syscall.SIGKILL, killTimeout))
	if c.client != nil {
		closeIdle(c.client)
	}
	var reserved []int
	for _, port := range c.ports.all() {
		if *port != 0 {
			reserved = append(reserved, *port)
		}
	}
	ports.release(reserved)
	errs = append(errs, c.dir.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the local cluster: %w", err)
	}
	return nil
}
