//go:build unix

package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// pooledFaults are those of a primary and its standby behind a pooler. Each has work that goes on meanwhile.
var pooledFaults = []fault{
	{name: "primary killed, standby promoted", inflict: underLoad(loseThePrimary), watched: true},
	{name: "primary away until the alert, standby promoted", inflict: underLoad(missThePrimary), watched: true},
	{name: "primary goes on beside the promoted standby", inflict: underLoad(splitBrain), watched: true},
	{name: "asynchronous standby behind, then promoted", inflict: promoteWhatIsBehind, watched: true},
	{name: "two standbys behind in turns, the one with more promoted", inflict: underLoad(promoteWhatHasMore), watched: true},
	{name: "old primary rewound, then promoted again", inflict: underLoad(rewindThePrimary), watched: true},
	onASmallDisk("disk full", underLoad(fillTheDisk)),
	onASmallDisk("disk full, WAL", underLoad(fillTheLog)),
	onASmallDisk("disk of the standby full, then promoted", underLoad(fillTheStandby)),
}

const (
	storeUnavailable = "HoldfastStoreUnavailable"
	outboxFull       = "HoldfastOutboxFull"
)

type inflict = func(ctx context.Context, w *world, hold time.Duration) error

// underLoad has somebody write all the time that a fault lasts, and until what was written by its end is durable.
func underLoad(f inflict) inflict {
	return func(ctx context.Context, w *world, hold time.Duration) error {
		stop := w.stage.load(ctx)
		pass(ctx, hold/4)
		err := f(ctx, w, hold)
		if err == nil {
			err = w.stage.durable(ctx)
		}
		return errors.Join(err, stop())
	}
}

// notTried comes before the name of a fault that could not be inflicted here, where faults are counted.
const notTried = "NOT TRIED: "

// onASmallDisk is a fault that needs servers with disks of their own.
func onASmallDisk(name string, f inflict) fault {
	return fault{name: name, watched: true, inflict: func(ctx context.Context, w *world, hold time.Duration) error {
		if w.disk == 0 {
			w.stage.note(notTried + name)
			return nil
		}
		return f(ctx, w, hold)
	}}
}

func loseThePrimary(ctx context.Context, w *world, hold time.Duration) error {
	standby, err := w.newStandby(ctx)
	if err != nil {
		return err
	}
	pass(ctx, hold)
	return errors.Join(w.postgres.Crash(ctx), w.promote(ctx, standby))
}

func missThePrimary(ctx context.Context, w *world, _ time.Duration) error {
	standby, err := w.newStandby(ctx)
	if err != nil {
		return err
	}
	return errors.Join(w.postgres.Crash(ctx), w.await(ctx, storeUnavailable), w.promote(ctx, standby))
}

// splitBrain promotes a standby whose primary lives, and still has sessions of the pooler, whose COMMITs wait for ever.
func splitBrain(ctx context.Context, w *world, hold time.Duration) error {
	standby, err := w.newStandby(ctx)
	if err != nil {
		return err
	}
	pass(ctx, hold)
	before, err := w.switchTo(ctx, standby)
	if err != nil {
		return err
	}
	pass(ctx, hold)
	return before.Close()
}

// fillTheDisk leaves no room for another page of a table. The WAL has some left, in files that it uses again.
func fillTheDisk(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.postgres.FillDisk(); err != nil {
		return err
	}
	err := w.await(ctx, storeUnavailable, outboxFull)
	pass(ctx, hold)
	return errors.Join(err, w.revivePostgres(context.WithoutCancel(ctx)))
}

// fillTheLog has PostgreSQL ask for new files of the WAL, without which it does not live: it may be down, or start again and again, until there is room.
func fillTheLog(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.postgres.FillDisk(); err != nil {
		return err
	}
	stop := w.switchLog(ctx)
	err := w.await(ctx, storeUnavailable)
	pass(ctx, hold)
	stop()
	return errors.Join(err, w.revivePostgres(context.WithoutCancel(ctx)))
}

// fillTheStandby leaves a standby no room for the WAL, so that COMMITs wait. When it has room again it catches up from its slot, and can be promoted.
func fillTheStandby(ctx context.Context, w *world, hold time.Duration) error {
	standby, err := w.newStandby(ctx)
	if err != nil {
		return err
	}
	if err := standby.FillDisk(); err != nil {
		return err
	}
	stop := w.switchLog(ctx)
	err = until(ctx, func(ctx context.Context) error {
		n, err := ask(ctx, w, func(c *pgx.Conn) (n int, err error) {
			err = c.QueryRow(ctx, "SELECT count(*) FROM pg_stat_replication").Scan(&n)
			return n, err
		})
		if err == nil && n > 0 {
			err = errors.New("the standby whose disk is full is still there")
		}
		return err
	})
	stop()
	err = errors.Join(err, w.await(ctx, storeUnavailable))
	pass(ctx, hold)
	ctx = context.WithoutCancel(ctx)
	err = errors.Join(err, w.revive(ctx, standby))
	if err != nil {
		return err
	}
	return errors.Join(w.postgres.CaughtUp(ctx, standby), w.postgres.Crash(ctx), w.promote(ctx, standby))
}

// switchLog ends one file of the WAL after the other, until it is stopped.
func (w *world) switchLog(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = ask(ctx, w, func(c *pgx.Conn) (any, error) {
				for {
					// A switch does nothing in a file that nothing was written to.
					if _, err := c.Exec(ctx, "SELECT pg_logical_emit_message(true, 'chaos', ''), pg_switch_wal()"); err != nil {
						return nil, err
					}
					pass(ctx, look)
				}
			})
			pass(ctx, retry)
		}
	}()
	return func() { cancel(); <-done }
}

// revivePostgres has the database answer again, whatever state a fault left it in.
func (w *world) revivePostgres(ctx context.Context) error { return w.revive(ctx, w.postgres) }

func (w *world) revive(ctx context.Context, p *localcluster.Postgres) error {
	if w.disk != 0 {
		if err := p.FreeDisk(); err != nil {
			return err
		}
	}
	return until(ctx, func(ctx context.Context) error {
		if !p.Running() {
			return p.Start(ctx)
		}
		c, err := pgx.Connect(ctx, p.URL())
		if err != nil {
			return err
		}
		return c.Close(ctx)
	})
}

// promoteWhatIsBehind promotes a standby that has not got what its primary acknowledged last. What no resource holds any more is lost, and said to be.
func promoteWhatIsBehind(ctx context.Context, w *world, hold time.Duration) error {
	standbys, err := w.newStandbys(ctx, 1)
	if err != nil {
		return err
	}
	standby := standbys[0]
	stop := w.stage.load(ctx)
	witness, err := w.stage.newLedger(ctx, "behind")
	if err != nil {
		return errors.Join(err, stop())
	}
	if err := errors.Join(standby.Stop(ctx), witness.write(ctx, 3), witness.trimmed(ctx)); err != nil {
		return errors.Join(err, stop())
	}
	pass(ctx, hold)
	if err := errors.Join(w.postgres.Crash(ctx), standby.Start(ctx)); err != nil {
		return errors.Join(err, stop())
	}
	before, err := w.switchTo(ctx, standby)
	if err != nil {
		return errors.Join(err, stop())
	}
	switched := time.Now()
	err = errors.Join(w.stage.forfeit(ctx, before, switched), witness.write(ctx, 1), w.await(ctx, entriesMissing))
	return errors.Join(err, witness.end(ctx), stop(), before.Close())
}
