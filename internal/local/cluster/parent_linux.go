//go:build linux && !watchdog

package cluster

import (
	"os/exec"
	"syscall"
)

// parentGuard ends a child with its parent. On Linux the kernel does it: the signal is delivered when the thread that
// forked ends, which the starting goroutine holds until the child is gone.
type parentGuard struct{}

func newParentGuard(cmd *exec.Cmd, signal syscall.Signal) *parentGuard {
	cmd.SysProcAttr.Pdeathsig = signal
	return &parentGuard{}
}

func (*parentGuard) watch(int) error { return nil }

func (*parentGuard) release() {}
