//go:build unix

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	pollEvery   = 25 * time.Millisecond
	tailBytes   = 4 << 10
	tailLines   = 15
	killTimeout = 10 * time.Second
)

// errPortTaken marks the failure of a server whose port somebody took between the reservation and the listen.
var errPortTaken = errors.New("a port was taken by another program in the meantime")

// command says how a child is started.
type command struct {
	name string   // for messages and for the log's file name
	path string   // of the binary
	args []string // without the name
	dir  string   // working directory; "" is the parent's
	env  []string // the whole environment: nothing is inherited, since etcd and PostgreSQL read theirs for settings
	log  string   // file that stdout and stderr are appended to
	as   *syscall.Credential

	// deathSignal is what the child gets when this process ends in whatever way, SIGKILL included.
	deathSignal syscall.Signal
}

// process is a running child. It is in a process group of its own, so that a terminal's Ctrl-C reaches
// only the parent, and it does not outlive the parent.
type process struct {
	command
	cmd    *exec.Cmd
	exited chan struct{} // closed when the child was reaped; err is set then
	err    error
}

// start runs the command. Linux ties the parent-death signal to the thread that forked, so the goroutine that starts the
// child keeps its thread until the child is gone.
func (c command) start() (*process, error) {
	logFile, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer logFile.Close()

	cmd := exec.Command(c.path, c.args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.as}
	guard := newParentGuard(cmd, c.deathSignal)

	p := &process{command: c, cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		if err := guard.watch(cmd.Process.Pid); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		guard.release()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s (%s): %w", c.name, c.path, err)
	}
	return p, nil
}

// alive reports whether the child has not ended yet.
func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// finish waits for a child that ends by itself, and returns how it failed. It ends the child with ctx.
func (p *process) finish(ctx context.Context) error {
	select {
	case <-p.exited:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s was cancelled: %w", p.name, ctx.Err()), p.stop(syscall.SIGTERM, killTimeout))
	}
	if p.err != nil {
		return p.failure(fmt.Sprintf("failed (%v)", p.err), nil)
	}
	return nil
}

// stop sends the signal and, when the child is still there after the grace, SIGKILL. It returns when the child is reaped.
func (p *process) stop(signal syscall.Signal, grace time.Duration) error {
	if p == nil || !p.alive() {
		return nil
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
		return nil
	case <-time.After(grace):
	}
	_ = p.cmd.Process.Kill()
	select {
	case <-p.exited:
		return nil
	case <-time.After(killTimeout):
		return fmt.Errorf("%s (pid %d) is still running %s after SIGKILL", p.name, p.cmd.Process.Pid, killTimeout)
	}
}

// waitReady polls check until it succeeds. It fails when the child ends, when the time is up or with ctx; each error
// carries the end of the child's log.
func (p *process) waitReady(ctx context.Context, timeout time.Duration, check func(context.Context) error) error {
	deadline, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var last error
	for {
		attempt, done := context.WithTimeout(deadline, 5*time.Second)
		err := check(attempt)
		done()
		if err == nil {
			return nil
		}
		if deadline.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-p.exited:
			return p.failure(fmt.Sprintf("ended before it was ready (%v)", p.err), nil)
		case <-deadline.Done():
			if ctx.Err() != nil {
				return p.failure("was not ready when the start was given up", ctx.Err())
			}
			return p.failure(fmt.Sprintf("was not ready after %s", timeout), last)
		case <-ticker.C:
		}
	}
}

// failure describes what happened to the child, with the end of its log.
func (p *process) failure(what string, cause error) error {
	tail := logTail(p.log)
	if cause == nil && strings.Contains(strings.ToLower(tail), "address already in use") {
		cause = errPortTaken
	}
	if cause != nil {
		return fmt.Errorf("%s %s: %w; last lines of its log (%s):\n%s", p.name, what, cause, p.log, tail)
	}
	return fmt.Errorf("%s %s; the end of its log (%s):\n%s", p.name, what, p.log, tail)
}

// logTail returns the last lines of a file, or why they cannot be read.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd)
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
