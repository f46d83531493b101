//go:build unix

package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/holdfast-dev/holdfast/config"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/migrations"
)

// serviceGrace is how long one of our services may take to end after SIGTERM.
const serviceGrace = 20 * time.Second

// Options say where and what to start.
type Options struct {
	// Dir gets everything: kubeconfig, env, logs, data. "" makes a temporary folder, which Stop removes.
	Dir string
	// InfraOnly leaves Holdfast's own services out.
	InfraOnly bool
	// LeaderElection gives the manager a lease, as an installation has it. After a crash the next manager waits for it.
	LeaderElection bool
	// NarratorURL, NarratorModel and NarratorTokenFile are the report service's language model; "" is none.
	NarratorURL, NarratorModel, NarratorTokenFile string
	// Program is the holdfast binary that the services are started from.
	Program string
	// Progress gets one line a step; nil is silent.
	Progress io.Writer
}

// Stack is what runs.
type Stack struct {
	Dir      string
	Cluster  *localcluster.Cluster
	Postgres *localcluster.Postgres

	options   Options
	temporary bool
	manager   *localcluster.Running
	// MetricsURL is where the running manager serves its metrics.
	MetricsURL string

	storage *localcluster.Running
	// StorageURL is the Data Storage API, and StorageToken that of somebody who may post records to it.
	StorageURL, StorageToken string

	reports *localcluster.Running
	// ReportsURL is the Report API, and ReportsToken that of somebody who may read every report.
	ReportsURL, ReportsToken string

	gateway *localcluster.Running
	// GatewayURL is where Alertmanager posts with GatewayToken, which GatewayTokenFile has as well.
	GatewayURL, GatewayToken, GatewayTokenFile string
}

// Start brings everything up and returns when it is ready: the policies are enforced, the schema is there, manager, storage, report service and gateway are ready. On failure nothing is left.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	s := &Stack{options: o, Dir: o.Dir}
	if err := s.bringUp(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Stack) bringUp(ctx context.Context) (err error) {
	if err := s.prepareDir(); err != nil {
		return err
	}
	if s.Cluster, err = localcluster.Start(ctx, localcluster.Options{
		Dir: s.Dir, Profile: localcluster.Full, Progress: s.options.Progress,
		Leftovers: []string{filepath.Base(s.envFile())}, // a reader waits for this file: one of an earlier run would mislead it
	}); err != nil {
		return err
	}
	if s.Postgres, err = localcluster.StartPostgres(ctx, localcluster.PostgresOptions{Dir: s.Dir, Progress: s.options.Progress}); err != nil {
		return err
	}
	if err := migrations.Up(ctx, s.Postgres.URL(), s.options.Progress); err != nil {
		return err
	}
	if err := config.Install(ctx, s.Cluster.RESTConfig(), s.options.Progress); err != nil {
		return err
	}
	if !s.options.InfraOnly {
		for _, start := range []func(context.Context) error{s.StartManager, s.StartStorage, s.StartReports, s.StartGateway} {
			if err := start(ctx); err != nil {
				return err
			}
		}
	}
	return s.writeEnv()
}

func (s *Stack) prepareDir() (err error) {
	if s.Dir == "" {
		s.temporary = true
		if s.Dir, err = os.MkdirTemp("", "holdfast-"); err != nil {
			return fmt.Errorf("create a directory: %w", err)
		}
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("create the state directory: %w", err)
	}
	return nil
}

func (s *Stack) envFile() string { return filepath.Join(s.Dir, "env") }

// Env is what a Holdfast command needs, and nothing that this process inherited.
func (s *Stack) Env() []string {
	env := []string{"KUBECONFIG=" + s.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + s.Postgres.URL()}
	if s.StorageURL != "" {
		env = append(env, "HOLDFAST_STORAGE_URL="+s.StorageURL, "HOLDFAST_STORAGE_TOKEN="+s.StorageToken)
	}
	if s.ReportsURL != "" {
		env = append(env, "HOLDFAST_REPORTS_URL="+s.ReportsURL, "HOLDFAST_REPORTS_TOKEN="+s.ReportsToken)
	}
	if s.GatewayURL != "" {
		env = append(env, "HOLDFAST_GATEWAY_URL="+s.GatewayURL, "HOLDFAST_GATEWAY_TOKEN="+s.GatewayToken, "HOLDFAST_GATEWAY_TOKEN_FILE="+s.GatewayTokenFile)
	}
	return env
}

// writeEnv comes last and by rename, so that whoever sees the file can rely on all of it.
func (s *Stack) writeEnv() error {
	temporary := s.envFile() + ".tmp"
	if err := os.WriteFile(temporary, []byte(strings.Join(s.Env(), "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the env file: %w", err)
	}
	if err := os.Rename(temporary, s.envFile()); err != nil {
		return fmt.Errorf("write the env file: %w", err)
	}
	return nil
}

// StartManager starts a manager and returns when it is ready.
func (s *Stack) StartManager(ctx context.Context) error {
	metrics, err := localcluster.FreeAddress()
	if err != nil {
		return err
	}
	health, err := localcluster.FreeAddress()
	if err != nil {
		return err
	}
	args := []string{"manager", "--metrics-bind-address", metrics, "--health-probe-bind-address", health}
	if s.options.LeaderElection {
		if err := s.makeNamespace(ctx, systemNamespace); err != nil {
			return err
		}
		args = append(args, "--leader-elect", "--leader-elect-namespace", systemNamespace)
	}
	begin := time.Now()
	s.manager, err = localcluster.StartProgram(ctx, localcluster.Program{
		Name:  "manager",
		Path:  s.options.Program,
		Args:  args,
		Env:   append(s.Env(), "PATH="+os.Getenv("PATH"), "TMPDIR="+os.TempDir()),
		Log:   s.ManagerLog(),
		Ready: localcluster.Answers("http://" + health + "/readyz"),
	})
	if err != nil {
		return err
	}
	s.MetricsURL = "http://" + metrics + "/metrics"
	fmt.Fprintf(s.options.Progress, "manager: ready after %s, metrics at %s\n", time.Since(begin).Round(100*time.Millisecond), s.MetricsURL)
	return nil
}

// systemNamespace is that of an installation, where kubectl holdfast looks for managers.
const systemNamespace = "holdfast-system"

func (s *Stack) makeNamespace(ctx context.Context, name string) error {
	client, err := kubernetes.NewForConfig(s.Cluster.RESTConfig())
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the namespace %s: %w", name, err)
	}
	return nil
}

// ManagerLog is the file that managers log to.
func (s *Stack) ManagerLog() string { return filepath.Join(s.Dir, "logs", "manager.log") }

// KillManager ends the manager as a crash would: SIGKILL.
func (s *Stack) KillManager() error {
	m := s.manager
	s.manager = nil
	return m.Kill()
}

// Wait returns when ctx ends (nil) or one of our services ends by itself (why).
func (s *Stack) Wait(ctx context.Context) error {
	if s.manager == nil || s.storage == nil || s.reports == nil || s.gateway == nil {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.manager.Done():
		return s.manager.Failure()
	case <-s.storage.Done():
		return s.storage.Failure()
	case <-s.reports.Done():
		return s.reports.Failure()
	case <-s.gateway.Done():
		return s.gateway.Failure()
	}
}

// Stop ends everything, newest first. It may be called on a half-started Stack, and twice.
func (s *Stack) Stop() error {
	var errs []error
	if s.Cluster != nil { // else the folder, and the file, may be another run's
		if err := os.Remove(s.envFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, s.stopServices())
	if s.Cluster != nil {
		errs = append(errs, s.Cluster.Stop())
	}
	if s.Postgres != nil {
		errs = append(errs, s.Postgres.Close())
	}
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.Dir))
	}
	return errors.Join(errs...)
}

// stopServices stops ours, all at once.
func (s *Stack) stopServices() error {
	var together errgroup.Group
	for _, service := range []*localcluster.Running{s.manager, s.storage, s.reports, s.gateway} {
		if service != nil {
			together.Go(func() error { return service.Stop(serviceGrace) })
		}
	}
	return together.Wait()
}
