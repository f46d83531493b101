package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// process is one of our programs, as it is deployed.
type process struct {
	*localcluster.Running
	began time.Time
	// url is its metrics'.
	url string
}

// startManager runs `holdfast manager` and returns when it is ready.
func (b *bench) startManager(ctx context.Context, kubeconfig, database string, args ...string) (*process, error) {
	metrics, err := localcluster.FreeAddress()
	if err != nil {
		return nil, err
	}
	health, err := localcluster.FreeAddress()
	if err != nil {
		return nil, err
	}
	env := []string{"KUBECONFIG=" + kubeconfig, "HOLDFAST_DATABASE_URL=" + database}
	args = append([]string{"manager", "--metrics-bind-address", metrics, "--health-probe-bind-address", health}, args...)
	return b.start(ctx, env, "http://"+health+"/readyz", "http://"+metrics+"/metrics", args...)
}

// startStorage runs `holdfast storage`, which takes everybody.
func (b *bench) startStorage(ctx context.Context, database string) (p *process, address string, _ error) {
	address, err := localcluster.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	p, err = b.start(ctx, []string{"HOLDFAST_DATABASE_URL=" + database}, "http://"+address+"/readyz", "http://"+address+"/metrics", "storage", "--insecure-no-auth", "--insecure-http",
		"--bind-address", address, "--caller-requests-per-second", "1000000", "--caller-burst", "1000000", "--log-level", "error")
	return p, "http://" + address, err
}

func (b *bench) start(ctx context.Context, env []string, ready, metrics string, args ...string) (*process, error) {
	began := time.Now()
	running, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name: args[0], Path: b.program, Args: args, Env: env, Log: filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-bench-%d-%s.log", os.Getpid(), args[0])),
		Ready: localcluster.Answers(ready),
	})
	if err != nil {
		return nil, fmt.Errorf("start %s (`make build` makes it): %w", b.program, err)
	}
	return &process{Running: running, began: began, url: metrics}, nil
}

// end stops it as an operator would.
func (p *process) end() error { return p.Stop(20 * time.Second) }

// memory is VmRSS or, since it began, VmHWM, in MiB.
func (p *process) memory(of string) float64 { return memoryOf(p.PID(), of) }

// memoryOf is the same of any process, 0 if it has ended.
func memoryOf(pid int, of string) float64 {
	kib, _, _ := strings.Cut(field(fmt.Sprintf("/proc/%d/status", pid), of), " ")
	n, err := strconv.ParseFloat(kib, 64)
	if err != nil {
		return 0
	}
	return n / 1024
}

// processor is the seconds of CPU that it has used.
func (p *process) processor() float64 {
	s, _ := readStat(fmt.Sprintf("/proc/%d/stat", p.PID()))
	return s.processor
}

// cores is how many of them it keeps busy over a while.
func (p *process) cores(ctx context.Context, during func(context.Context) error) (float64, error) {
	start, before := time.Now(), p.processor()
	err := during(ctx)
	return (p.processor() - before) / time.Since(start).Seconds(), err
}

// pause is during of cores when nothing is done.
func pause(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		}
	}
}
