//go:build unix

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Program is a command of the caller's own that runs beside the servers under the same supervision: in a process group of its own, so that a terminal's
// Ctrl-C reaches only the caller, and gone when the caller ends in whatever way.
type Program struct {
	// Name is for messages.
	Name string
	Path string
	Args []string
	// Env is the whole environment, as KEY=value: nothing is inherited.
	Env []string
	// Log is the file that stdout and stderr are appended to; its folder is made.
	Log string
	// Ready is polled until it returns nil; nil: ready at once.
	Ready func(context.Context) error
	// ReadyTimeout bounds that; default 1 min.
	ReadyTimeout time.Duration
}

// Running is a Program that was started.
type Running struct{ process *process }

// StartProgram starts a program and returns when it is ready. On failure it is gone, and the error has the end of its log.
func StartProgram(ctx context.Context, p Program) (*Running, error) {
	if err := os.MkdirAll(filepath.Dir(p.Log), 0o755); err != nil {
		return nil, err
	}
	child, err := command{name: p.Name, path: p.Path, args: p.Args, env: p.Env, log: p.Log, deathSignal: syscall.SIGKILL}.start()
	if err != nil {
		return nil, err
	}
	if p.Ready != nil {
		timeout := p.ReadyTimeout
		if timeout == 0 {
			timeout = time.Minute
		}
		if err := child.waitReady(ctx, timeout, p.Ready); err != nil {
			return nil, errors.Join(err, child.stop(syscall.SIGKILL, killTimeout))
		}
	}
	return &Running{process: child}, nil
}

// Stop sends SIGTERM and, after the grace, SIGKILL. It returns when the program is gone.
func (r *Running) Stop(grace time.Duration) error { return r.process.stop(syscall.SIGTERM, grace) }

// PID is the process's number, for what the system says of it.
func (r *Running) PID() int { return r.process.cmd.Process.Pid }

// Kill sends SIGKILL and returns when the program is gone.
func (r *Running) Kill() error { return r.process.stop(syscall.SIGKILL, killTimeout) }

// Signal sends any signal, such as SIGSTOP.
func (r *Running) Signal(s syscall.Signal) error { return r.process.cmd.Process.Signal(s) }

// Done is closed when the program has ended; Failure then says how, with the end of its log.
func (r *Running) Done() <-chan struct{} { return r.process.exited }

// Failure describes the end of a program that ended by itself.
func (r *Running) Failure() error { return r.process.failure("ended", r.process.err) }
