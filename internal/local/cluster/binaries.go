//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"
)

// The versions of what is started. A change here needs the module files under build/ made anew: see build/README.md.
const (
	kubernetesVersion = "v1.37.2"
	etcdVersion       = "v3.7.3"
	kwokVersion       = "v0.8.0"
)

// binary says where a server's program comes from.
type binary struct {
	name    string
	version string
	module  string // folder-less name of the embedded module files: build/<module>.mod.txt and .sum.txt
	pkg     string // main package in that module
	ldflags string
	tags    string
	takes   string // how long the compiler needs on two cores, for people who wait
	release release
}

// catalogue lists what Binaries can get.
var catalogue = []binary{
	{name: "etcd", version: etcdVersion, module: "etcd", pkg: "go.etcd.io/etcd/server/v3", takes: "about a minute",
		ldflags: "-s -w", release: etcdRelease},
	kubernetesBinary("kube-apiserver", "four to five minutes"),
	kubernetesBinary("kube-controller-manager", "about a minute"),
	kubernetesBinary("kube-scheduler", "under a minute"),
	kubernetesBinary("kubectl", "under a minute"),
	{name: "kwok", version: kwokVersion, module: "kwok", pkg: "sigs.k8s.io/kwok/cmd/kwok", takes: "one to two minutes",
		ldflags: "-s -w", release: kwokRelease},
}

func kubernetesBinary(name, takes string) binary {
	ldflags := "-s -w"
	numbers := strings.Split(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	for _, pkg := range []string{"k8s.io/client-go/pkg/version", "k8s.io/component-base/version"} {
		ldflags += fmt.Sprintf(" -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s -X %s.gitTreeState=clean",
			pkg, kubernetesVersion, pkg, numbers[0], pkg, numbers[1], pkg)
	}
	return binary{
		name: name, version: kubernetesVersion, module: "kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name,
		ldflags: ldflags, tags: "selinux,notest,grpcnotrace", takes: takes, release: kubernetesRelease,
	}
}

// Binaries returns the path of each named program: etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
// kubectl, kwok. It looks in $KUBEBUILDER_ASSETS, then in the cache (a folder for each version under the user's cache
// folder), then downloads the official release and checks its published SHA-256, then compiles it with the local go
// from the Go modules, whose checksums are part of this package. What it gets it puts into the cache, once: other
// processes that want the same program meanwhile wait for it.
func Binaries(ctx context.Context, progressTo io.Writer, names ...string) (map[string]string, error) {
	p := newProgress(progressTo)
	paths := make(map[string]string, len(names))
	for _, name := range names {
		b, err := lookUp(name)
		if err != nil {
			return nil, err
		}
		path, err := b.find(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("get %s %s: %w", b.name, b.version, err)
		}
		paths[name] = path
	}
	return paths, nil
}

func lookUp(name string) (binary, error) {
	i := slices.IndexFunc(catalogue, func(b binary) bool { return b.name == name })
	if i < 0 {
		known := make([]string, 0, len(catalogue))
		for _, b := range catalogue {
			known = append(known, b.name)
		}
		sort.Strings(known)
		return binary{}, fmt.Errorf("unknown program %q, expected one of %s", name, strings.Join(known, ", "))
	}
	return catalogue[i], nil
}

func (b binary) find(ctx context.Context, p *progress) (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		if path := filepath.Join(assets, b.name); executable(path) {
			return filepath.Abs(path)
		}
	}
	path := b.cached()
	if executable(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("create the cache directory: %w", err)
	}
	lock, err := waitLock(ctx, path+".lock", func(holder string) {
		p.say("%s %s: waiting for process %s, which is getting it", b.name, b.version, holder)
	})
	if err != nil {
		return "", err
	}
	defer lock.unlock()
	if executable(path) {
		return path, nil
	}
	return path, b.install(ctx, p, path)
}

// install downloads the program or compiles it, beside its place in the cache, and moves it there in one step.
func (b binary) install(ctx context.Context, p *progress, path string) error {
	unfinished := filepath.Join(filepath.Dir(path), ".making-"+b.name+"-")
	killed, _ := filepath.Glob(unfinished + "*") // the lock is ours: nobody is at work there
	for _, left := range killed {
		_ = os.RemoveAll(left)
	}
	work, err := os.MkdirTemp(filepath.Dir(path), filepath.Base(unfinished))
	if err != nil {
		return fmt.Errorf("create a working directory: %w", err)
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, b.name)

	begin := time.Now()
	downloadErr := b.download(ctx, p, made)
	if downloadErr != nil {
		if ctx.Err() != nil {
			return downloadErr
		}
		p.say("%s %s: download failed (%v); compiling it once on this machine, which takes %s on two cores",
			b.name, b.version, downloadErr, b.takes)
		if err := b.compile(ctx, p, work, made); err != nil {
			return errors.Join(fmt.Errorf("download: %w", downloadErr), fmt.Errorf("compile: %w", err), b.advice())
		}
	}
	if err := os.Chmod(made, 0o755); err != nil {
		return fmt.Errorf("make it executable: %w", err)
	}
	if err := os.Rename(made, path); err != nil {
		return fmt.Errorf("move it to the cache: %w", err)
	}
	p.say("%s %s: ready after %s, kept in %s", b.name, b.version, time.Since(begin).Round(time.Second), path)
	return nil
}

func (b binary) advice() error {
	return fmt.Errorf("what helps: a network (downloads or a Go module proxy) and Go 1.26 on the PATH, or the program %s in a folder named by KUBEBUILDER_ASSETS, or at %s",
		b.name, b.cached())
}

// cached is the program's place in the cache; another version has another place.
func (b binary) cached() string {
	return filepath.Join(cacheDir(), fmt.Sprintf("%s-%s-%s-%s", b.module, b.version, runtime.GOOS, runtime.GOARCH), b.name)
}

// cacheDir is the user's cache folder, or one under the temporary folder where there is none (no HOME, or one that cannot
// be written).
func cacheDir() string {
	if dir, err := os.UserCacheDir(); err == nil {
		dir = filepath.Join(dir, "holdfast", "localcluster")
		if os.MkdirAll(dir, 0o755) == nil && syscall.Access(dir, writable) == nil {
			return dir
		}
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-cache-%d", os.Getuid()))
}

// writable is access(2)'s W_OK.
const writable = 2

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
