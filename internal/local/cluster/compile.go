//go:build unix

package cluster

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// moduleFiles hold a go.mod and a go.sum for each module that programs are compiled from. They carry other names here,
// since a folder with a go.mod in it would be another module, which cannot be embedded.
//
//go:embed build/*.mod.txt build/*.sum.txt
var moduleFiles embed.FS

// inherited are the settings that the compiler takes over from this process: where modules and caches are.
var inherited = []string{
	"PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "GOPATH", "GOROOT", "GOCACHE", "GOMODCACHE", "GOPROXY",
	"GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOTOOLCHAIN", "GOENV", "GOINSECURE", "GOAUTH", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}

// compile builds the program from its Go module, without cgo, into the given path.
func (b binary) compile(ctx context.Context, p *progress, work, to string) error {
	buildLog := b.cached() + ".build.log" // stays when the build fails
	compiler, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("find the Go compiler: %w", err)
	}
	for _, file := range []string{"mod", "sum"} {
		content, err := moduleFiles.ReadFile("build/" + b.module + "." + file + ".txt")
		if err != nil {
			return fmt.Errorf("read the embedded go.%s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(work, "go."+file), content, 0o644); err != nil {
			return fmt.Errorf("write the module's go.%s: %w", file, err)
		}
	}
	_ = os.Remove(buildLog)
	defer p.beat("compiling " + b.name)()
	build, err := command{
		name: "go build " + b.pkg,
		path: compiler,
		args: []string{"build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-tags=" + b.tags, "-ldflags=" + b.ldflags, "-o", to, b.pkg},
		dir:  work,
		env: append(environment(inherited...),
			"CGO_ENABLED=0", "GOWORK=off", "GO111MODULE=on", "PWD="+work),
		log:         buildLog,
		deathSignal: syscall.SIGTERM,
	}.start()
	if err != nil {
		return err
	}
	select {
	case <-build.exited:
	case <-ctx.Done():
		_ = syscall.Kill(-build.cmd.Process.Pid, syscall.SIGKILL) // its compilers too
		<-build.exited
		return fmt.Errorf("%s was cancelled: %w", build.name, ctx.Err())
	}
	if build.err != nil {
		return build.failure(fmt.Sprintf("failed (%v)", build.err), nil)
	}
	_ = os.Remove(buildLog)
	return nil
}

// environment returns the named variables as this process has them.
func environment(names ...string) []string {
	var env []string
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
