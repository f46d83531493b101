//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoPooler is the error of StartPooler where PgBouncer is not installed.
var ErrNoPooler = errors.New("pgbouncer is not installed (Debian: apt-get install pgbouncer)")

// Pooler is PgBouncer in transaction mode, in front of one database. Its methods may not be called at once.
type Pooler struct {
	dir     *stateDir
	address string
	server  *process
}

// StartPooler starts PgBouncer in front of the database of a URL, and returns when sessions reach the database. As root, it runs as the user that PostgreSQL runs as. The caller closes it.
func StartPooler(ctx context.Context, database string) (*Pooler, error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // not on the PATH of ordinary users
	}
	if !executable(program) {
		return nil, ErrNoPooler
	}
	p := &Pooler{}
	if err := p.start(ctx, program, database); err != nil {
		return nil, errors.Join(fmt.Errorf("start PgBouncer: %w", err), p.Close())
	}
	return p, nil
}

func (p *Pooler) start(ctx context.Context, program, database string) (err error) {
	base := ""
	var as *syscall.Credential
	if os.Getuid() == 0 {
		if as, err = unprivileged(); err != nil {
			return err
		}
		if base, err = openFolder(); err != nil {
			return err
		}
	}
	if p.dir, err = openStateDir("", base, "pgbouncer"); err != nil {
		return err
	}
	if err := os.Chmod(p.dir.path, 0o755); err != nil { // MkdirTemp closes it to others
		return fmt.Errorf("make its directory accessible: %w", err)
	}
	if p.address, err = FreeAddress(); err != nil {
		return err
	}
	if err := p.configure(database); err != nil {
		return err
	}
	if as != nil {
		if err := os.Chown(p.dir.in(poolerUsers), int(as.Uid), int(as.Gid)); err != nil {
			return fmt.Errorf("change the owner of its passwords: %w", err)
		}
	}
	p.server, err = command{
		name: "pgbouncer", path: program, args: []string{p.dir.in(poolerConfig)}, log: p.dir.in("logs", "pgbouncer.log"), as: as, deathSignal: syscall.SIGKILL,
	}.start()
	if err != nil {
		return err
	}
	return p.server.waitReady(ctx, readyTimeout, func(ctx context.Context) error { return p.answers(ctx, database) })
}

const (
	poolerConfig = "pgbouncer.ini"
	poolerUsers  = "users"
)

// configure writes where it leads to. server_login_retry is how long it refuses sessions after it could not reach the server; the default is 15 s.
func (p *Pooler) configure(database string) error {
	u, err := url.Parse(database)
	if err != nil {
		return errors.New("the database's URL can't be read")
	}
	listen, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return err
	}
	password, _ := u.User.Password()
	name := filepath.Base(u.Path)
	settings := fmt.Sprintf(`[databases]
%s = host=%s port=%s
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = md5
auth_file = %s
pool_mode = transaction
server_login_retry = 1
`, name, u.Hostname(), u.Port(), listen, port, p.dir.in(poolerUsers))
	for file, text := range map[string]string{poolerUsers: fmt.Sprintf("%q %q\n", u.User.Username(), password), poolerConfig: settings} {
		mode := os.FileMode(0o644)
		if file == poolerUsers {
			mode = 0o600
		}
		if err := os.WriteFile(p.dir.in(file), []byte(text), mode); err != nil {
			return fmt.Errorf("write its settings: %w", err)
		}
	}
	return nil
}

// URL is that of the database, through the pooler. Who uses it may keep no prepared statements.
func (p *Pooler) URL(database string) string {
	u, err := url.Parse(database)
	if err != nil {
		return ""
	}
	u.Host = p.address
	return u.String()
}

// answers checks that sessions reach this database.
func (p *Pooler) answers(ctx context.Context, database string) error {
	settings, err := pgx.ParseConfig(p.URL(database))
	if err != nil {
		return err
	}
	settings.DefaultQueryExecMode = pgx.QueryExecModeExec
	c, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	var port string
	if err := c.QueryRow(ctx, "SELECT inet_server_port()::text").Scan(&port); err != nil {
		return err
	}
	if port != u.Port() {
		return fmt.Errorf("it leads to port %s, expected %s", port, u.Port())
	}
	return nil
}

// Lead makes it lead to a database of the same name and login on another server, as an operator does after a failover: RELOAD. Sessions at the server before end, each after its transaction.
func (p *Pooler) Lead(ctx context.Context, database string) error {
	if err := p.configure(database); err != nil {
		return fmt.Errorf("lead PgBouncer to another server: %w", err)
	}
	if err := p.server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("lead PgBouncer to another server: %w", err)
	}
	return p.server.waitReady(ctx, readyTimeout, func(ctx context.Context) error { return p.answers(ctx, database) })
}

// Close ends it. It may be called again.
func (p *Pooler) Close() error {
	errs := []error{p.server.stop(syscall.SIGTERM, time.Second)}
	if p.dir != nil {
		errs = append(errs, p.dir.close())
		p.dir = nil
	}
	return errors.Join(errs...)
}
