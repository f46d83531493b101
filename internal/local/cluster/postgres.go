//go:build unix

package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser    = "postgres"
	mainDatabase = "holdfast"

	postgresStopGrace = 15 * time.Second
)

// PostgresOptions say where to start PostgreSQL.
type PostgresOptions struct {
	// Dir gets the data and the log; "" makes a temporary folder, which Close removes. Each StartPostgres makes a fresh
	// database cluster. As root the data lies in a temporary folder in any case, since the user that the server runs
	// as may not be able to reach Dir.
	Dir string
	// DiskMiB puts the data on a disk of its own (a tmpfs) of that size, so that it can be full: see FillDisk. 200 hold an empty server. The error is ErrNoDisk where
	// this process may not mount one. 0: no disk of its own.
	DiskMiB int
	// Rewindable has the server write what pg_rewind needs, so that it can Rejoin others after a failover. Its standbys have the same setting.
	Rewindable bool
	// Progress gets one line a step; nil is silent.
	Progress io.Writer
}

// Postgres is a PostgreSQL server on loopback. Its methods may be called from several goroutines.
type Postgres struct {
	state    *stateDir // lock and log
	home     *stateDir // data; the same as state unless root
	progress *progress
	bin      string
	as       *syscall.Credential
	port     int
	password string
	disk     int // MiB, see PostgresOptions

	rewindable bool

	mu     sync.Mutex // guards what follows
	server *process
	closed bool
}

// StartPostgres finds PostgreSQL's programs (on the PATH, under /usr/lib/postgresql, else downloaded), makes a fresh
// cluster (UTF-8, locale C) with the database holdfast, and returns when it answers. Run as root, it runs the server as
// the user postgres, or nobody. The server ends with this process. When StartPostgres fails, nothing is left.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	for attempt := 1; ; attempt++ {
		p, err := startPostgresOnce(ctx, o)
		if err == nil {
			return p, nil
		}
		if attempt == startAttempts || !errors.Is(err, errPortTaken) {
			return nil, fmt.Errorf("start PostgreSQL: %w", err)
		}
	}
}

func startPostgresOnce(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	begin := time.Now()
	p := &Postgres{progress: newProgress(o.Progress), password: rand.Text(), disk: o.DiskMiB, rewindable: o.Rewindable}
	if err := p.prepare(ctx, o.Dir); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := p.initialize(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := p.Start(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if _, err := p.CreateDatabase(ctx, mainDatabase); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.progress.say("PostgreSQL: ready after %s, on port %d, data in %s", time.Since(begin).Round(100*time.Millisecond), p.port, p.data())
	return p, nil
}

// prepare chooses user, folders, programs and port.
func (p *Postgres) prepare(ctx context.Context, dir string) error {
	base := ""
	var err error
	if os.Getuid() == 0 {
		if p.as, err = unprivileged(); err != nil {
			return err
		}
		if base, err = openFolder(); err != nil {
			return err
		}
	}
	if p.state, err = openStateDir(dir, base, "postgres", "postgres", filepath.Join("logs", "postgres.log")); err != nil {
		return err
	}
	p.home = p.state
	if p.as != nil && dir != "" {
		if p.home, err = openStateDir("", base, "postgres"); err != nil {
			return err
		}
	}
	if p.bin, err = postgresPrograms(ctx, p.progress, p.as != nil); err != nil {
		return err
	}
	got, err := ports.reserve(1)
	if err != nil {
		return err
	}
	p.port = got[0]
	return nil
}

func (p *Postgres) data() string { return p.home.in("postgres") }

// initialize runs initdb. It does not fsync, and neither does the server: what PostgreSQL acknowledged survives the death
// of its processes, which is all that tests inflict, but not the machine's.
func (p *Postgres) initialize(ctx context.Context) error {
	secret := p.home.in("password")
	if err := os.WriteFile(secret, []byte(p.password), 0o600); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	defer os.Remove(secret)
	if err := p.makeDataFolder(); err != nil {
		return err
	}
	if err := p.give(secret); err != nil {
		return err
	}
	initdb, err := p.run("initdb", "--pgdata="+p.data(), "--username="+superuser, "--pwfile="+secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return err
	}
	if err := initdb.finish(ctx); err != nil || !p.rewindable {
		return err
	}
	// In its file and not among its flags: pg_rewind starts the server by itself to recover it. What a primary before is rewound over must not have been recycled.
	return p.append("postgresql.conf", "wal_log_hints = on\nwal_keep_size = 64MB\nwal_retrieve_retry_interval = 100ms\n")
}

// append appends to a file of the data.
func (p *Postgres) append(name, text string) error {
	file, err := os.OpenFile(filepath.Join(p.data(), name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	return nil
}

// makeDataFolder makes the folder of the data, empty, of the server's user.
func (p *Postgres) makeDataFolder() error {
	if err := os.Mkdir(p.data(), 0o700); err != nil {
		return fmt.Errorf("create the data directory: %w", err)
	}
	if p.disk != 0 {
		if err := mountDisk(p.data(), p.disk); err != nil {
			return err
		}
	}
	if p.as != nil {
		if err := os.Chmod(p.home.path, 0o755); err != nil { // MkdirTemp closes it to others
			return fmt.Errorf("make the data directory accessible: %w", err)
		}
	}
	return p.give(p.data())
}

// give makes a file or a folder the server's user's.
func (p *Postgres) give(path string) error {
	if p.as == nil {
		return nil
	}
	if err := os.Chown(path, int(p.as.Uid), int(p.as.Gid)); err != nil {
		return fmt.Errorf("change the owner of %s to the user of the server: %w", path, err)
	}
	return nil
}

// run starts one of PostgreSQL's programs. A killed parent ends it with SIGQUIT, the server's immediate shutdown, which
// takes the server's own children along.
func (p *Postgres) run(name string, args ...string) (*process, error) {
	return command{
		name: name, path: filepath.Join(p.bin, name), args: args, dir: p.data(),
		env: append(environment("PATH"), "HOME="+p.data(), "LC_ALL=C", "TZ=UTC"),
		log: p.state.in("logs", "postgres.log"), as: p.as, deathSignal: syscall.SIGQUIT,
	}.start()
}

// URL leads to the database holdfast as superuser, over TCP, for libpq and pgx alike. It holds the password and stays
// the same over Stop, Kill and Start.
func (p *Postgres) URL() string { return p.url(mainDatabase) }

func (p *Postgres) url(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, p.password), Host: loopback(p.port),
		Path: "/" + database, RawQuery: "sslmode=disable",
	}).String()
}

// CreateDatabase makes another database, for a test suite of its own, and returns its URL. It fails when the name is taken.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) (string, error) {
	connection, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return "", fmt.Errorf("create database %q: connect: %w", name, err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	if _, err := connection.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("create database %q: %w", name, err)
	}
	return p.url(name), nil
}

// CreateLogin makes a login that is a member of a role, and returns the URL of the main database for it.
func (p *Postgres) CreateLogin(ctx context.Context, name, role string) (string, error) {
	connection, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return "", fmt.Errorf("create login %q: connect: %w", name, err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	password := rand.Text() // letters and digits
	if _, err := connection.Exec(ctx, "CREATE ROLE "+pgx.Identifier{name}.Sanitize()+" LOGIN PASSWORD '"+password+"' IN ROLE "+pgx.Identifier{role}.Sanitize()); err != nil {
		return "", fmt.Errorf("create login %q: %w", name, err)
	}
	u, err := url.Parse(p.URL())
	if err != nil {
		return "", fmt.Errorf("create login %q: %w", name, err)
	}
	u.User = url.UserPassword(name, password)
	return u.String(), nil
}

// Start starts the server again after Stop or Kill, on the same port and data, and returns when it answers, recovery
// included. It fails when the server runs.
func (p *Postgres) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("start PostgreSQL: it is closed")
	}
	if p.server != nil && p.server.alive() {
		return errors.New("start PostgreSQL: it is already running")
	}
	settings := []string{
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
		"-c", "fsync=off", "-c", "synchronous_commit=on", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
	}
	if p.disk != 0 { // the defaults let the WAL grow to more than there is
		settings = append(settings, "-c", "min_wal_size=32MB", "-c", "max_wal_size=64MB")
	}
	server, err := p.run("postgres", append([]string{"-D", p.data(), "-p", strconv.Itoa(p.port)}, settings...)...)
	if err != nil {
		return err
	}
	if err := server.waitReady(ctx, readyTimeout, p.answers); err != nil {
		return errors.Join(err, server.stop(syscall.SIGQUIT, killTimeout))
	}
	p.server = server
	return nil
}

func (p *Postgres) answers(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	return connection.Ping(ctx)
}

// Stop is a fast shutdown: it ends the clients' sessions, writes a checkpoint, and leaves the data. It returns when the
// server is gone, or with ctx. It does nothing when the server does not run.
func (p *Postgres) Stop(ctx context.Context) error { return p.end(ctx, "stop", syscall.SIGINT) }

// Kill is an immediate shutdown: no checkpoint, so the next Start recovers from the log as after a crash.
func (p *Postgres) Kill(ctx context.Context) error { return p.end(ctx, "kill", syscall.SIGQUIT) }

// Crash ends the server's processes with SIGKILL, as the loss of its machine does, and returns when they are gone, so that the next Start or Rejoin meets none of them. Where the system does not list
// them (it is Linux that does), it ends the first one, and the others notice.
func (p *Postgres) Crash(ctx context.Context) error {
	p.mu.Lock()
	var others []int
	if p.server != nil && p.server.alive() {
		first := p.server.cmd.Process
		_ = first.Signal(syscall.SIGSTOP) // no more are started
		others = children(first.Pid)
		for _, pid := range others {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	p.mu.Unlock()
	if err := p.end(ctx, "crash", syscall.SIGKILL); err != nil {
		return err
	}
	for _, pid := range others {
		for runs(pid) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("crash PostgreSQL: process %d has not ended yet: %w", pid, ctx.Err())
			case <-time.After(pollEvery):
			}
		}
	}
	return nil
}

// runs reports whether a process is there, and more than a zombie that nobody has reaped.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(text[max(0, bytes.LastIndexByte(text, ')')):], []byte(" ")) // behind the program's name
	return !bytes.HasPrefix(state, []byte("Z")) && !bytes.HasPrefix(state, []byte("X"))
}

// children of a process.
func children(of int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", of))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Running reports whether the server's first process is alive.
func (p *Postgres) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server != nil && p.server.alive()
}

func (p *Postgres) end(ctx context.Context, what string, signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil || !p.server.alive() {
		return nil
	}
	if err := p.server.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("%s PostgreSQL: %w", what, err)
	}
	select {
	case <-p.server.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s PostgreSQL: it has not stopped yet: %w", what, ctx.Err())
	}
}

// Close stops the server, in bounded time, and removes its temporary folder. It may be called again.
func (p *Postgres) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	errs := []error{p.server.stop(syscall.SIGINT, postgresStopGrace)}
	if p.port != 0 {
		ports.release([]int{p.port})
	}
	if p.home != nil && p.disk != 0 {
		errs = append(errs, unmountDisk(p.data()))
	}
	if p.home != nil && p.home != p.state {
		errs = append(errs, p.home.close())
	}
	if p.state != nil {
		errs = append(errs, p.state.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close PostgreSQL: %w", err)
	}
	return nil
}
