//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fileLock is an advisory lock on a file. The kernel drops it with the process, however that ends.
type fileLock struct{ file *os.File }

// tryLock locks the file and writes this process's id into it. When another process has the lock, ok is false.
func tryLock(path string) (lock *fileLock, ok bool, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, false, fmt.Errorf("open lock file: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		file.Close()
		return nil, false, nil
	}
	if err != nil {
		file.Close()
		return nil, false, fmt.Errorf("lock %s: %w", path, err)
	}
	_ = file.Truncate(0)
	_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return &fileLock{file}, true, nil
}

// waitLock is tryLock until it succeeds or ctx ends; waiting is called once, if it has to wait.
func waitLock(ctx context.Context, path string, waiting func(holder string)) (*fileLock, error) {
	for first := true; ; first = false {
		lock, ok, err := tryLock(path)
		if err != nil || ok {
			return lock, err
		}
		if first {
			waiting(lockHolder(path))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for process %s, which holds %s: %w", lockHolder(path), path, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lockHolder names the process that wrote its id into the lock file.
func lockHolder(path string) string {
	content, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(content)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}

func (l *fileLock) unlock() {
	if l != nil {
		_ = l.file.Close()
	}
}

// stateDir is the folder that one run owns.
type stateDir struct {
	path      string
	temporary bool
	lock      *fileLock
}

// openStateDir makes the folder (a temporary one for ""), locks it, and removes from it what an earlier run left in the
// entries named: every start begins with fresh data. Temporary folders lie in base ("" is the system's place); those that
// a killed run left there are removed.
func openStateDir(path, base, kind string, entries ...string) (*stateDir, error) {
	d := &stateDir{path: path}
	if path == "" {
		sweep(base, kind)
		temporary, err := os.MkdirTemp(base, temporaryPrefix(kind))
		if err != nil {
			return nil, fmt.Errorf("create a temporary directory for the %s: %w", kind, err)
		}
		d.path, d.temporary = temporary, true
	}
	absolute, err := filepath.Abs(d.path)
	if err != nil {
		return nil, fmt.Errorf("find the directory %s: %w", d.path, err)
	}
	d.path = absolute
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return nil, fmt.Errorf("create the directory for the %s: %w", kind, err)
	}
	lockPath := d.in(lockName(kind))
	lock, ok, err := tryLock(lockPath)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("directory %s is in use: process %s runs a %s there; stop it or choose another directory",
			d.path, lockHolder(lockPath), kind)
	}
	d.lock = lock
	for _, entry := range entries {
		if err := os.RemoveAll(d.in(entry)); err != nil {
			return nil, errors.Join(fmt.Errorf("remove leftovers of an earlier run: %w", err), d.close())
		}
	}
	if err := os.MkdirAll(d.in("logs"), 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("create the log directory: %w", err), d.close())
	}
	return d, nil
}

func temporaryPrefix(kind string) string { return "holdfast-" + kind + "-" }

func lockName(kind string) string { return kind + ".lock" }

// sweep removes the temporary folders of runs that were killed: their lock is there and nobody holds it. A folder is left
// alone while it is young, since its maker may be about to take the lock.
func sweep(base, kind string) {
	if base == "" {
		base = os.TempDir()
	}
	abandoned, err := filepath.Glob(filepath.Join(base, temporaryPrefix(kind)+"*", lockName(kind)))
	if err != nil {
		return
	}
	for _, path := range abandoned {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if lock, ok, err := tryLock(path); err == nil && ok {
			_ = unmountDisk(filepath.Join(filepath.Dir(path), kind)) // the disk of a PostgreSQL
			_ = os.RemoveAll(filepath.Dir(path))
			lock.unlock()
		}
	}
}

func (d *stateDir) in(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// close gives the folder free and, when it is a temporary one, removes it.
func (d *stateDir) close() error {
	defer d.lock.unlock()
	if !d.temporary {
		return nil
	}
	if err := os.RemoveAll(d.path); err != nil {
		return fmt.Errorf("remove the temporary directory: %w", err)
	}
	return nil
}
