//go:build unix && (!linux || watchdog)

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// parentGuard ends a child with its parent where the kernel has no signal for it: a small shell blocks on a pipe whose
// other end only this process holds. When this process ends the kernel closes that end, the shell's read returns, and
// it signals the child. The tag "watchdog" selects this file on Linux too, so that it can be tested there.
type parentGuard struct {
	signal syscall.Signal
	shell  *exec.Cmd
	hold   *os.File
}

func newParentGuard(_ *exec.Cmd, signal syscall.Signal) *parentGuard {
	return &parentGuard{signal: signal}
}

// watch starts the shell for the child with this process id. A parent that is killed between the child's start and this
// leaves the child behind: the price of not having the kernel's help.
func (g *parentGuard) watch(pid int) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make the pipe that ends the child with its parent: %w", err)
	}
	defer read.Close()
	shell := exec.Command("/bin/sh", "-c", `read -r _ <&3; kill -"$1" "$2"`, "sh",
		strconv.Itoa(int(g.signal)), strconv.Itoa(pid))
	shell.ExtraFiles = []*os.File{read}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := shell.Start(); err != nil {
		write.Close()
		return fmt.Errorf("start the shell that ends the child with its parent: %w", err)
	}
	g.shell, g.hold = shell, write
	return nil
}

// release ends the shell, before the child's process id can belong to somebody else.
func (g *parentGuard) release() {
	_ = g.shell.Process.Kill()
	_ = g.shell.Wait()
	_ = g.hold.Close()
}
