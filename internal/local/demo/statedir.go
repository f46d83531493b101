//go:build unix

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	dirPrefix = "holdfast-demo-"
	dirLock   = "demo.lock"
)

// stateDir is the folder of one demo. A temporary one is locked while its demo lives, so that the next one can remove what a killed demo left.
type stateDir struct {
	path string
	lock *os.File // nil: the user's own folder, which stays
}

func openStateDir(path string) (stateDir, error) {
	if path != "" {
		path, err := filepath.Abs(path)
		return stateDir{path: path}, err
	}
	sweep(os.TempDir())
	path, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return stateDir{}, fmt.Errorf("create a directory for the demo: %w", err)
	}
	lock, err := lockFile(filepath.Join(path, dirLock))
	if err != nil {
		return stateDir{}, errors.Join(err, os.RemoveAll(path))
	}
	return stateDir{path, lock}, nil
}

// lockFile makes the file and locks it. The kernel drops the lock with the process.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory of the demo: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return file, nil
}

// sweep removes the folders of demos that were killed. A young one is left alone, since its demo may be about to lock it.
func sweep(base string) {
	left, err := filepath.Glob(filepath.Join(base, dirPrefix+"*", dirLock))
	if err != nil {
		return
	}
	for _, path := range left {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if lock, err := lockFile(path); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
			_ = lock.Close()
		}
	}
}

// leave removes a temporary folder. After a failure the logs stay, and the error says where.
func (s stateDir) leave(err error) error {
	logs := filepath.Join(s.path, "logs")
	interrupted := errors.Is(err, context.Canceled)
	if s.lock != nil {
		defer s.lock.Close()
		if err == nil || interrupted {
			return errors.Join(err, os.RemoveAll(s.path))
		}
		entries, _ := os.ReadDir(s.path)
		for _, e := range entries {
			if e.Name() != "logs" {
				err = errors.Join(err, os.RemoveAll(filepath.Join(s.path, e.Name())))
			}
		}
	}
	if err == nil || interrupted {
		return err
	}
	return fmt.Errorf("%w\nThe logs of the manager and of all servers are in %s", err, logs)
}
