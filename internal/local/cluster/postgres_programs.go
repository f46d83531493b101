//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// downloadedPostgres is used where the machine has no PostgreSQL.
const downloadedPostgres = embedded.V15

// postgresRepository is where embedded-postgres finds its archives.
const postgresRepository = "https://repo1.maven.org/maven2"

// postgresPrograms returns the folder with initdb and postgres. As root only folders count that another user can reach.
func postgresPrograms(ctx context.Context, p *progress, root bool) (string, error) {
	for _, dir := range installedPostgres() {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) && (!root || reachable(dir)) {
			return dir, nil
		}
	}
	home := filepath.Join(cacheDir(), "postgres")
	if root {
		base, err := openFolder("/var/cache")
		if err != nil {
			return "", err
		}
		home = filepath.Join(base, "holdfast", "postgres")
	}
	dir, err := downloadPostgres(ctx, p, home)
	if err != nil {
		return "", fmt.Errorf("find PostgreSQL: not on the PATH, not under /usr/lib/postgresql, and the download failed; install it (Debian: postgresql) or allow network access: %w", err)
	}
	return dir, nil
}

// installedPostgres lists the folders to look in: the PATH's first, then those of Linux packages, newest first.
func installedPostgres() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/%d/bin", "/usr/pgsql-%d/bin"} {
		for major := 30; major >= 12; major-- {
			dirs = append(dirs, fmt.Sprintf(pattern, major))
		}
	}
	return dirs
}

// downloadPostgres gets PostgreSQL's programs through embedded-postgres, once, into a folder of the cache.
func downloadPostgres(ctx context.Context, p *progress, home string) (string, error) {
	dir := filepath.Join(home, fmt.Sprintf("%s-%s-%s", downloadedPostgres, runtime.GOOS, runtime.GOARCH))
	bin := filepath.Join(dir, "bin")
	if executable(filepath.Join(bin, "postgres")) {
		return bin, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", fmt.Errorf("create the cache directory: %w", err)
	}
	lock, err := waitLock(ctx, dir+".lock", func(holder string) {
		p.say("PostgreSQL: waiting for process %s, which is getting it", holder)
	})
	if err != nil {
		return "", err
	}
	defer lock.unlock()
	if executable(filepath.Join(bin, "postgres")) {
		return bin, nil
	}
	// The library asks without a timeout; this finds out in seconds whether there is anything to ask.
	if err := reach(ctx, postgresRepository+"/"); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(home, ".making-")
	if err != nil {
		return "", fmt.Errorf("create a working directory: %w", err)
	}
	defer os.RemoveAll(work)
	if err := unpackPostgres(ctx, p, work); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(work, "programs"), dir); err != nil {
		return "", fmt.Errorf("move it to the cache: %w", err)
	}
	return bin, nil
}

// unpackPostgres lets embedded-postgres fill work/programs. The library has no call for that alone: it also starts a
// server, which is stopped again, and which cannot start as root. Either way the programs are there before.
func unpackPostgres(ctx context.Context, p *progress, work string) error {
	port, err := ports.reserve(1)
	if err != nil {
		return err
	}
	defer ports.release(port)
	p.say("PostgreSQL %s: downloading it from %s", downloadedPostgres, postgresRepository)
	defer p.beat("downloading PostgreSQL")()
	server := embedded.NewDatabase(embedded.DefaultConfig().
		Version(downloadedPostgres).Port(uint32(port[0])).BinaryRepositoryURL(postgresRepository).Logger(io.Discard).
		CachePath(filepath.Join(work, "cache")).RuntimePath(filepath.Join(work, "runtime")).BinariesPath(filepath.Join(work, "programs")))
	started := make(chan error, 1)
	go func() {
		err := server.Start()
		if err == nil {
			err = server.Stop()
		}
		started <- err
	}()
	select {
	case err = <-started:
	case <-ctx.Done():
		return fmt.Errorf("download PostgreSQL: %w", ctx.Err())
	}
	if executable(filepath.Join(work, "programs", "bin", "postgres")) {
		return nil
	}
	return errors.Join(fmt.Errorf("download PostgreSQL %s", downloadedPostgres), err)
}

// unprivileged is the user that the server runs as when this process is root, which PostgreSQL refuses.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as; run this as an ordinary user")
}

// openFolder returns the first folder that root can write and every user can reach: those preferred, then the places
// for temporary files.
func openFolder(preferred ...string) (string, error) {
	candidates := slices.Concat(preferred, []string{os.TempDir(), "/tmp", "/var/tmp"})
	for _, dir := range candidates {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && reachable(dir) && syscall.Access(dir, writable) == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find a folder that every user can reach, for PostgreSQL's data: none of %q is", candidates)
}

// reachable reports whether every user may pass through the folder and all above it.
func reachable(dir string) bool {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for ; ; real = filepath.Dir(real) {
		info, err := os.Stat(real)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if real == filepath.Dir(real) {
			return true
		}
	}
}
