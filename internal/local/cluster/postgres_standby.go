//go:build unix

package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby makes a streaming standby of this server, which must run: a base backup (pg_basebackup) in a folder of its own, started as a hot standby. A
// replication slot keeps the WAL that it has not got yet, until Forget. Its URL differs from this server's in the port only. It returns when the standby
// answers, and streams. The caller closes it.
func (p *Postgres) Standby(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	for attempt := 1; ; attempt++ {
		s, err := p.standbyOnce(ctx, o)
		if err == nil {
			return s, nil
		}
		if attempt == startAttempts || !errors.Is(err, errPortTaken) {
			return nil, fmt.Errorf("start a standby of PostgreSQL: %w", err)
		}
	}
}

func (p *Postgres) standbyOnce(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	begin := time.Now()
	s := &Postgres{progress: newProgress(o.Progress), password: p.password, disk: o.DiskMiB, rewindable: p.rewindable}
	if err := s.prepare(ctx, o.Dir); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.copyFrom(ctx, p); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := errors.Join(s.Start(ctx), p.streams(ctx, s)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.progress.say("PostgreSQL: standby ready after %s, on port %d, data in %s", time.Since(begin).Round(100*time.Millisecond), s.port, s.data())
	return s, nil
}

// Forget drops the replication slot of a standby that has ended, if it has one, so that this server keeps no WAL for it.
func (p *Postgres) Forget(ctx context.Context, standby *Postgres) error {
	return p.until(ctx, fmt.Sprintf("SELECT count(pg_drop_replication_slot(slot_name)) >= 0 FROM pg_replication_slots WHERE slot_name = '%s'", standby.name()))
}

// name is what a standby calls itself, and its replication slot, at its primary.
func (p *Postgres) name() string { return "standby_" + strconv.Itoa(p.port) }

// streams returns when a standby streams from this server.
func (p *Postgres) streams(ctx context.Context, standby *Postgres) error {
	return p.until(ctx, fmt.Sprintf("SELECT count(*) > 0 FROM pg_stat_replication WHERE application_name = '%s' AND state = 'streaming'", standby.name()))
}

// copyFrom makes the data folder of a standby.
func (p *Postgres) copyFrom(ctx context.Context, primary *Postgres) error {
	if err := p.makeDataFolder(); err != nil {
		return err
	}
	return p.finish(ctx, "pg_basebackup", "--pgdata="+p.data(), "--dbname="+p.conninfo(primary), "--create-slot", "--slot="+p.name(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
}

// conninfo is how this server reaches its primary.
func (p *Postgres) conninfo(primary *Postgres) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s sslmode=disable application_name=%s", primary.port, superuser, p.password, p.name())
}

// finish runs one of PostgreSQL's programs, which not every package of it has, to its end.
func (p *Postgres) finish(ctx context.Context, name string, args ...string) error {
	if !executable(filepath.Join(p.bin, name)) {
		return fmt.Errorf("%s is not in %s; install the PostgreSQL programs (Debian: postgresql)", name, p.bin)
	}
	program, err := p.run(name, args...)
	if err != nil {
		return err
	}
	return program.finish(ctx)
}

// Rejoin makes this server, which has ended, in whatever way, a standby of another that went on from the same history. pg_rewind takes back what only this server has written: it must be Rewindable.
// It returns when this server streams.
func (p *Postgres) Rejoin(ctx context.Context, primary *Postgres) error {
	if err := p.rejoin(ctx, primary); err != nil {
		return fmt.Errorf("rejoin PostgreSQL: %w", err)
	}
	return nil
}

func (p *Postgres) rejoin(ctx context.Context, primary *Postgres) error {
	// Until a server that was promoted has written a checkpoint, the pg_rewind of PostgreSQL 15 takes it for one that has not, says that no rewind is required, and what only this server has stays.
	err := primary.ask(ctx, func(c *pgx.Conn) error { _, err := c.Exec(ctx, "CHECKPOINT"); return err })
	if err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	if err := primary.until(ctx, fmt.Sprintf("SELECT slot_name IS NOT NULL FROM pg_create_physical_replication_slot('%s', true)", p.name())); err != nil {
		return err
	}
	if err := p.finish(ctx, "pg_rewind", "--target-pgdata="+p.data(), "--source-server="+p.conninfo(primary)+" dbname=postgres", "--write-recovery-conf", "--no-sync"); err != nil {
		return err
	}
	if err := p.append("postgresql.auto.conf", "primary_slot_name = '"+p.name()+"'\n"); err != nil { // the file is now the primary's, with its slot
		return err
	}
	return errors.Join(p.Start(ctx), primary.streams(ctx, p))
}

// Promote makes a standby a primary that waits for no standby of its own, and returns when it takes writes.
func (p *Postgres) Promote(ctx context.Context) error {
	err := p.ask(ctx, func(c *pgx.Conn) error {
		var done bool
		if err := c.QueryRow(ctx, "SELECT pg_promote(true, 60)").Scan(&done); err != nil {
			return err
		}
		if !done {
			return errors.New("it is still in recovery after 60 s")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("promote PostgreSQL: %w", err)
	}
	return p.Configure(ctx, "synchronous_standby_names", "")
}

// WaitForStandbys makes each COMMIT wait for one standby from now on, and returns when a standby is there to be waited for.
func (p *Postgres) WaitForStandbys(ctx context.Context) error {
	if err := p.Configure(ctx, "synchronous_standby_names", "*"); err != nil {
		return err
	}
	return p.until(ctx, "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'")
}

// WaitForAny makes each COMMIT wait for any one of these standbys from now on, and returns when all of them are there to be waited for.
func (p *Postgres) WaitForAny(ctx context.Context, standbys ...*Postgres) error {
	names := make([]string, len(standbys))
	for i, s := range standbys {
		names[i] = s.name()
	}
	if err := p.Configure(ctx, "synchronous_standby_names", "ANY 1 ("+strings.Join(names, ", ")+")"); err != nil {
		return err
	}
	return p.until(ctx, fmt.Sprintf("SELECT count(*) = %d FROM pg_stat_replication WHERE sync_state = 'quorum'", len(standbys)))
}

// Received is the WAL position up to which this standby has everything, also after it was restarted and cannot reach its primary: pg_last_wal_receive_lsn is then the beginning of a file of the WAL,
// and NULL until all that is here was replayed.
func (p *Postgres) Received(ctx context.Context) (position uint64, err error) {
	if err := p.until(ctx, "SELECT pg_last_wal_receive_lsn() IS NOT NULL"); err != nil {
		return 0, fmt.Errorf("read what a standby has received: %w", err)
	}
	err = p.ask(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::bigint").Scan(&position)
	})
	if err != nil {
		return 0, fmt.Errorf("read what a standby has received: %w", err)
	}
	return position, nil
}

// Configure sets a parameter of the server (ALTER SYSTEM) and returns when new sessions have it.
func (p *Postgres) Configure(ctx context.Context, parameter, value string) error {
	err := p.ask(ctx, func(c *pgx.Conn) error {
		for _, statement := range []string{"ALTER SYSTEM SET " + pgx.Identifier{parameter}.Sanitize() + " = " + literal(value), "SELECT pg_reload_conf()"} {
			if _, err := c.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("configure PostgreSQL: set %s to %q: %w", parameter, value, err)
	}
	return p.until(ctx, fmt.Sprintf("SELECT current_setting(%s) = %s", literal(parameter), literal(value)))
}

// CaughtUp returns when the standby has replayed all that its primary has written so far.
func (p *Postgres) CaughtUp(ctx context.Context, standby *Postgres) error {
	var position string
	if err := p.ask(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, "SELECT pg_current_wal_lsn()::text").Scan(&position) }); err != nil {
		return fmt.Errorf("read the WAL position of PostgreSQL: %w", err)
	}
	return standby.until(ctx, fmt.Sprintf("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", literal(position)))
}

// ask runs questions on a session of its own.
func (p *Postgres) ask(ctx context.Context, question func(*pgx.Conn) error) error {
	connection, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	return question(connection)
}

// until waits until a query, on a new session each time, answers true.
func (p *Postgres) until(ctx context.Context, query string) error {
	check := func(ctx context.Context) error {
		var yes bool
		err := p.ask(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, query).Scan(&yes) })
		if err == nil && !yes {
			err = fmt.Errorf("%s: still false", query)
		}
		return err
	}
	p.mu.Lock()
	server := p.server
	p.mu.Unlock()
	return server.waitReady(ctx, readyTimeout, check)
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
