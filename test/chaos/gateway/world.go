//go:build unix

package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/config"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// seat is where a gateway listens, whichever process it is.
type seat struct {
	address string
	mu      sync.Mutex
	running *localcluster.Running
}

func (s *seat) url() string { return "http://" + s.address + "/api/v1/alertmanager" }

// world is what all schedules share.
type world struct {
	dir, program string
	cluster      *localcluster.Cluster
	client       client.Client
	witness      *witness
	gateways     [2]*seat
}

func start(ctx context.Context, dir string, progress io.Writer) (*world, error) {
	w := &world{dir: dir, program: filepath.Join(dir, "holdfast")}
	if err := w.bringUp(ctx, progress); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *world) bringUp(ctx context.Context, progress io.Writer) (err error) {
	if err := testenv.BuildProgram(ctx, w.program, progress); err != nil {
		return err
	}
	if w.cluster, err = localcluster.Start(ctx, localcluster.Options{Profile: localcluster.ControlPlane, Progress: progress}); err != nil {
		return err
	}
	if err := config.Install(ctx, w.cluster.RESTConfig(), io.Discard); err != nil {
		return err
	}
	cfg := rest.CopyConfig(w.cluster.RESTConfig())
	if w.client, err = client.New(cfg, client.Options{Scheme: testenv.Scheme()}); err != nil {
		return err
	}
	if w.witness, err = newWitness(ctx, cfg); err != nil {
		return err
	}
	for i := range w.gateways {
		address, err := localcluster.FreeAddress()
		if err != nil {
			return err
		}
		w.gateways[i] = &seat{address: address}
		if err := w.startGateway(ctx, w.gateways[i], true); err != nil {
			return err
		}
	}
	return nil
}

// startGateway starts a gateway in a seat. While the API server is away it does not become ready.
func (w *world) startGateway(ctx context.Context, s *seat, ready bool) (err error) {
	probe := localcluster.Answers("http://" + s.address + "/healthz")
	if ready {
		probe = localcluster.Answers("http://" + s.address + "/readyz")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, err = localcluster.StartProgram(ctx, localcluster.Program{
		Name: "gateway", Path: w.program, Args: []string{"gateway", "--insecure-http", "--insecure-no-auth", "--bind-address", s.address, "--alerts-timeout", "5s"},
		Env: []string{"KUBECONFIG=" + w.cluster.Kubeconfig()}, Log: filepath.Join(w.dir, "gateway-"+s.address+".log"), Ready: probe,
	})
	return err
}

func (w *world) stop() error {
	var errs []error
	for _, s := range w.gateways {
		if s != nil && s.running != nil {
			errs = append(errs, s.running.Stop(20*time.Second))
		}
	}
	if w.witness != nil {
		w.witness.close()
	}
	if w.cluster != nil {
		errs = append(errs, w.cluster.Stop())
	}
	return errors.Join(errs...)
}

// fault is something that goes wrong, and is put right.
type fault struct {
	name string
	do   func(context.Context, *world, *rand.Rand) error
}

var faults = []fault{
	{"gateway killed", func(ctx context.Context, w *world, r *rand.Rand) error { return w.kill(ctx, w.gateways[r.IntN(2)]) }},
	{"both gateways killed", func(ctx context.Context, w *world, _ *rand.Rand) error {
		return errors.Join(w.kill(ctx, w.gateways[0]), w.kill(ctx, w.gateways[1]))
	}},
	{"gateway stopped", func(ctx context.Context, w *world, r *rand.Rand) error {
		s := w.gateways[r.IntN(2)]
		if err := s.running.Stop(20 * time.Second); err != nil {
			return fmt.Errorf("stop a gateway: %w", err)
		}
		return w.startGateway(ctx, s, false)
	}},
	{"gateway paused", func(ctx context.Context, w *world, r *rand.Rand) error {
		s := w.gateways[r.IntN(2)]
		if err := s.running.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		pause(ctx, time.Duration(200+r.IntN(2000))*time.Millisecond)
		return s.running.Signal(syscall.SIGCONT)
	}},
	{"API server killed", func(ctx context.Context, w *world, _ *rand.Rand) error { return w.cluster.RestartAPIServer(ctx) }},
	{"etcd killed", func(ctx context.Context, w *world, _ *rand.Rand) error { return w.cluster.RestartEtcd(ctx) }},
	{"gateway killed while the API server is away", func(ctx context.Context, w *world, r *rand.Rand) error {
		back := make(chan error, 1)
		go func() { back <- w.cluster.RestartAPIServer(ctx) }()
		return errors.Join(w.kill(ctx, w.gateways[r.IntN(2)]), <-back)
	}},
}

func (w *world) kill(ctx context.Context, s *seat) error {
	if err := s.running.Kill(); err != nil {
		return fmt.Errorf("kill a gateway: %w", err)
	}
	return w.startGateway(ctx, s, false)
}

// pause is the pace of something; nothing is asserted about it.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
