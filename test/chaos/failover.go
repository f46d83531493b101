//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// failovers are those of the database: a standby becomes the one that managers use. The standby is synchronous, so that PostgreSQL promises what the oracle asks for: what an
// asynchronous one has not got is lost by design, where the resource no longer holds it.
var failovers = []fault{
	{name: "standby away, then promoted", inflict: promoteWhatWasAway, watched: true},
	{name: "failover while idle", inflict: failOverIdle, watched: true},
	{name: "database read-only and back", inflict: readOnlyAndBack, watched: true},
}

// promoteWhatWasAway has COMMITs wait for a standby that is away. Somebody gives their waits up, again and again, so that their rows are visible, and nowhere else. Then
// the primary is lost, and the standby promoted: what only the primary had must not have been acknowledged.
func promoteWhatWasAway(ctx context.Context, w *world, hold time.Duration) error {
	standby, err := w.newStandby(ctx)
	if err != nil {
		return err
	}
	if err := standby.Stop(ctx); err != nil {
		return err
	}
	if err := w.giveWaitsUp(ctx, 2*hold); err != nil {
		return err
	}
	if err := w.postgres.Kill(ctx); err != nil {
		return err
	}
	if err := standby.Start(ctx); err != nil {
		return err
	}
	return w.promote(ctx, standby)
}

// giveWaitsUp ends each wait of a COMMIT, in turns by a cancel and by the end of its session.
func (w *world) giveWaitsUp(ctx context.Context, during time.Duration) error {
	c, err := pgx.Connect(ctx, w.postgres.URL())
	if err != nil {
		return fmt.Errorf("give waits up: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	for turn, begin := 0, time.Now(); time.Since(begin) < during && ctx.Err() == nil; turn++ {
		end := []string{"pg_cancel_backend", "pg_terminate_backend"}[turn%2]
		if _, err := c.Exec(ctx, "SELECT "+end+"(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); err != nil {
			return fmt.Errorf("give waits up: %w", err)
		}
		pass(ctx, look)
	}
	return nil
}

// failOverIdle waits until nothing is written any more, for a while at most: whoever is idle has no failing batch to notice it by.
func failOverIdle(ctx context.Context, w *world, hold time.Duration) error {
	standby, err := w.newStandby(ctx)
	if err != nil {
		return err
	}
	const most = 10 * time.Second
	last, since := "", time.Now()
	for begin := since; time.Since(since) < stall && time.Since(begin) < most && ctx.Err() == nil; pass(ctx, look) {
		now, err := ask(ctx, w, func(c *pgx.Conn) (position string, err error) {
			err = c.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&position)
			return position, err
		})
		if err != nil {
			return err
		}
		if now != last {
			last, since = now, time.Now()
		}
	}
	if err := w.postgres.Kill(ctx); err != nil {
		return err
	}
	if err := w.promote(ctx, standby); err != nil {
		return err
	}
	pass(ctx, hold)
	return nil
}

func readOnlyAndBack(ctx context.Context, w *world, hold time.Duration) error {
	const parameter = "default_transaction_read_only"
	if err := w.postgres.Configure(ctx, parameter, "on"); err != nil {
		return err
	}
	pass(ctx, hold)
	return w.postgres.Configure(context.WithoutCancel(ctx), parameter, "off")
}

// newStandby is one that COMMITs wait for.
func (w *world) newStandby(ctx context.Context) (*localcluster.Postgres, error) {
	standbys, err := w.newStandbys(ctx, 1)
	if err != nil {
		return nil, err
	}
	return standbys[0], w.postgres.WaitForStandbys(ctx)
}

// newStandbys are asynchronous so far.
func (w *world) newStandbys(ctx context.Context, n int) ([]*localcluster.Postgres, error) {
	if err := w.dismissStandbys(ctx); err != nil {
		return nil, err
	}
	for range n {
		standby, err := w.postgres.Standby(ctx, localcluster.PostgresOptions{DiskMiB: w.disk})
		if err != nil {
			return nil, err
		}
		w.standbys = append(w.standbys, standby)
	}
	return slices.Clone(w.standbys), nil
}

// dismissStandbys ends the standbys of a fault that failed in the middle.
func (w *world) dismissStandbys(ctx context.Context) error {
	var errs []error
	for _, standby := range w.standbys {
		errs = append(errs, standby.Close(), w.postgres.Forget(ctx, standby))
	}
	w.standbys = nil
	return errors.Join(errs...)
}

// promote makes the standby the database that managers use, and ends the one before.
func (w *world) promote(ctx context.Context, standby *localcluster.Postgres) error {
	before, err := w.switchTo(ctx, standby)
	if err != nil {
		return err
	}
	return before.Close()
}

// switchTo makes the standby the database that managers use, and returns the one before, whatever state that is in.
func (w *world) switchTo(ctx context.Context, standby *localcluster.Postgres) (before *localcluster.Postgres, err error) {
	if err := standby.Promote(ctx); err != nil {
		return nil, err
	}
	if err := w.lead(ctx, standby); err != nil {
		return nil, err
	}
	before, w.postgres = w.postgres, standby
	w.standbys = slices.DeleteFunc(w.standbys, func(p *localcluster.Postgres) bool { return p == standby })
	return before, nil
}

// lead has managers meet another server. Without a pooler, connections to the one before are cut.
func (w *world) lead(ctx context.Context, to *localcluster.Postgres) error {
	if w.pooler != nil {
		return w.pooler.Lead(ctx, to.URL())
	}
	u, err := url.Parse(to.URL())
	if err != nil {
		return errors.New("the database's URL can't be read")
	}
	if err := w.databaseProxy.Update(&toxiproxy.Proxy{Listen: w.databaseProxy.Listen, Upstream: u.Host, Enabled: true}); err != nil {
		return fmt.Errorf("lead the proxy to another database: %w", err)
	}
	return nil
}
