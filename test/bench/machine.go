package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"k8s.io/client-go/discovery"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/postgres"
)

// machine is the shape of what the figures were taken on.
type machine struct {
	Cores      int     `json:"cores"`
	Processor  string  `json:"processor"`
	MemoryGiB  float64 `json:"memoryGiB"`
	Kernel     string  `json:"kernel"`
	Go         string  `json:"go"`
	Kubernetes string  `json:"kubernetes"`
	PostgreSQL string  `json:"postgresql"`
	Commit     string  `json:"commit"`
	// Load is the load average of the last minute when the run began: above 0.5 or so somebody else was at work, too.
	Load string `json:"load"`
}

func (m machine) String() string {
	return fmt.Sprintf("%d cores (%s), %.0f GiB, Linux %s; %s, Kubernetes %s, PostgreSQL %s; commit %s; load at the start %s",
		m.Cores, m.Processor, m.MemoryGiB, m.Kernel, m.Go, m.Kubernetes, m.PostgreSQL, m.Commit, m.Load)
}

func describeMachine(ctx context.Context, env *testenv.Env) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Processor: field("/proc/cpuinfo", "model name"), Kernel: regexp.MustCompile(`^\d+\.\d+`).FindString(line("/proc/sys/kernel/osrelease"))}
	kib, _, _ := strings.Cut(field("/proc/meminfo", "MemTotal"), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	m.MemoryGiB = n / (1 << 20)
	m.Load, _, _ = strings.Cut(line("/proc/loadavg"), " ")
	if commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(commit))
	}
	servers, err := discovery.NewDiscoveryClientForConfig(env.Config)
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	version, err := servers.ServerVersion()
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	m.Kubernetes = version.GitVersion
	s, err := postgres.Open(ctx, env.DatabaseURL, postgres.Options{})
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	defer s.Close()
	if err := s.DB().QueryRowContext(ctx, "SHOW server_version").Scan(&m.PostgreSQL); err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	m.PostgreSQL, _, _ = strings.Cut(m.PostgreSQL, " ")
	return m, nil
}

// field is the value of the first line "name: value" of a file.
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for l := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func line(path string) string {
	text, _ := os.ReadFile(path)
	return strings.TrimSpace(string(text))
}
