//go:build unix

package main

import (
	"context"
	"errors"
	"time"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// promoteWhatHasMore has COMMITs wait for any one of two standbys, each of which misses something that the other one has. The primary is lost, and the standby promoted that has received more,
// as docs/database.md says: the other one lacks entries that were acknowledged. That one follows, is waited for, and is promoted in its turn.
func promoteWhatHasMore(ctx context.Context, w *world, hold time.Duration) error {
	standbys, err := w.newStandbys(ctx, 2)
	if err != nil {
		return err
	}
	if err := w.postgres.WaitForAny(ctx, standbys...); err != nil {
		return err
	}
	witness, err := w.stage.newLedger(ctx, "quorum")
	if err != nil {
		return err
	}
	acknowledge := func() error { return errors.Join(witness.write(ctx, 3), witness.trimmed(ctx)) }
	ahead, behind := standbys[0], standbys[1]
	if err := errors.Join(ahead.Stop(ctx), acknowledge(), ahead.Start(ctx), w.postgres.CaughtUp(ctx, ahead)); err != nil {
		return err
	}
	if err := errors.Join(behind.Stop(ctx), acknowledge()); err != nil {
		return err
	}
	pass(ctx, hold)
	if err := errors.Join(w.postgres.Crash(ctx), ahead.Crash(ctx), ahead.Start(ctx), behind.Start(ctx)); err != nil {
		return err
	}
	most, other, err := byReceived(ctx, behind, ahead)
	if err != nil {
		return err
	}
	if err := errors.Join(w.promote(ctx, most), other.Stop(ctx), other.Rejoin(ctx, most), most.WaitForAny(ctx, other)); err != nil {
		return err
	}
	if err := acknowledge(); err != nil {
		return err
	}
	return errors.Join(w.postgres.Crash(ctx), w.promote(ctx, other), witness.end(ctx))
}

// byReceived returns first the standby that has received more.
func byReceived(ctx context.Context, a, b *localcluster.Postgres) (most, other *localcluster.Postgres, err error) {
	ofA, errA := a.Received(ctx)
	ofB, errB := b.Received(ctx)
	if ofA > ofB {
		return a, b, errors.Join(errA, errB)
	}
	return b, a, errors.Join(errA, errB)
}

// rewindThePrimary promotes a standby beside the primary, which goes on to write what nobody else has until it is lost. pg_rewind takes that back; the old primary follows as a standby, and is
// promoted again.
func rewindThePrimary(ctx context.Context, w *world, hold time.Duration) error {
	standby, err := w.newStandby(ctx)
	if err != nil {
		return err
	}
	pass(ctx, hold)
	before, err := w.switchTo(ctx, standby)
	if err != nil {
		return err
	}
	w.standbys = append(w.standbys, before)
	pass(ctx, hold)
	if err := errors.Join(before.Crash(ctx), before.Rejoin(ctx, standby), standby.WaitForStandbys(ctx)); err != nil {
		return err
	}
	pass(ctx, hold)
	return errors.Join(standby.Crash(ctx), w.promote(ctx, before))
}
