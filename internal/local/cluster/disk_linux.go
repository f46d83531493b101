package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ballast is the file that fills a disk. PostgreSQL ignores it.
const ballast = "ballast"

// ErrNoDisk is the error of a small disk (PostgresOptions.DiskMiB) where this process may not mount one.
var ErrNoDisk = errors.New("only root with CAP_SYS_ADMIN can mount a small disk")

// mountDisk mounts a tmpfs of so many MiB on a folder.
func mountDisk(on string, mib int) error {
	err := syscall.Mount("holdfast", on, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("size=%dm,mode=0700", mib))
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (mount a tmpfs on %s: %w)", ErrNoDisk, on, err)
	}
	if err != nil {
		return fmt.Errorf("mount a tmpfs on %s: %w", on, err)
	}
	return nil
}

// unmountDisk does nothing for a folder that is no mount.
func unmountDisk(from string) error {
	err := syscall.Unmount(from, syscall.MNT_DETACH)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// FillDisk writes a file until the disk of the data (PostgresOptions.DiskMiB) has no byte left. What PostgreSQL writes from then on fails as on any full disk.
func (p *Postgres) FillDisk() error {
	if p.disk == 0 {
		return errors.New("fill the disk of PostgreSQL: it has none of its own, set DiskMiB")
	}
	file, err := os.OpenFile(filepath.Join(p.data(), ballast), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk of PostgreSQL: %w", err)
	}
	defer file.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := file.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			return fmt.Errorf("fill the disk of PostgreSQL: %w", err)
		}
	}
	return nil
}

// FreeDisk gives back what FillDisk took.
func (p *Postgres) FreeDisk() error {
	if err := os.Remove(filepath.Join(p.data(), ballast)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("free the disk of PostgreSQL: %w", err)
	}
	return nil
}
