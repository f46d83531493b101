//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// SaveEtcd copies etcd's data to a folder that does not exist yet, as a backup does. etcd is killed for it and started again; it returns when the API server is
// ready.
func (c *Cluster) SaveEtcd(ctx context.Context, into string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("save etcd: the cluster is stopped")
	}
	if err := c.etcd.stop(syscall.SIGKILL, killTimeout); err != nil {
		return err
	}
	if err := os.CopyFS(into, os.DirFS(c.dir.in("etcd"))); err != nil {
		return fmt.Errorf("save etcd: %w", err)
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	return c.api.waitReady(ctx, readyTimeout, c.apiServerReady)
}

// RestoreEtcd puts the data of SaveEtcd in the place of etcd's own, and starts etcd and the API server, whose caches are of another history, anew.
func (c *Cluster) RestoreEtcd(ctx context.Context, from string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return errors.New("restore etcd: the cluster is stopped")
	}
	if err := errors.Join(c.api.stop(syscall.SIGKILL, killTimeout), c.etcd.stop(syscall.SIGKILL, killTimeout)); err != nil {
		return err
	}
	data := c.dir.in("etcd")
	if err := errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(from)), os.Chmod(data, 0o700)); err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	return c.startAPIServer(ctx)
}
