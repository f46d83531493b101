//go:build unix && !linux

package cluster

import "errors"

// ErrNoDisk is the error of a small disk (PostgresOptions.DiskMiB) where this process may not mount one.
var ErrNoDisk = errors.New("small disks are mounted on Linux only")

func mountDisk(string, int) error { return ErrNoDisk }

func unmountDisk(string) error { return nil }

// FillDisk needs Linux.
func (*Postgres) FillDisk() error { return ErrNoDisk }

// FreeDisk needs Linux.
func (*Postgres) FreeDisk() error { return ErrNoDisk }
