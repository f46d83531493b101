package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/shard"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

// moved is the shard that is looked at.
var moved = shard.Shard{Index: 0, Total: 2}

// moves are managers that work while shards move between them.
type moves struct {
	*bench
	namespace, url string
	database       *pgx.Conn
	managers       []*process
	calm           time.Duration // between two moves
}

// moveShards has a manager die and its standby take over, goes from two shards to one and back, and asks the oracle what was lost.
func moveShards(ctx context.Context, b *bench) (err error) {
	m := &moves{bench: b, namespace: b.env.Namespace(ctx, "moves"), calm: 2 * time.Second}
	if m.url, m.database, err = b.connectNew(ctx); err != nil {
		return err
	}
	defer m.database.Close(context.WithoutCancel(ctx))
	witness, err := oracle.Start(ctx, b.env.Config)
	if err != nil {
		return err
	}
	defer witness.Stop()
	defer func() {
		for _, p := range m.managers {
			_ = p.end()
		}
	}()
	working, stop := context.WithCancel(ctx)
	defer stop()
	var work errgroup.Group
	work.Go(func() error { return m.work(working) })
	err = m.moveAll(ctx)
	stop()
	if err := errors.Join(err, work.Wait()); err != nil {
		return err
	}
	return m.judge(ctx, witness)
}

// work makes ten notifications a second until ctx ends.
func (m *moves) work(ctx context.Context) error {
	const forever = 1 << 20
	var failed error
	_ = pace(ctx, forever, 10, func(i int, _ time.Time) { // ends with ctx
		if err := m.env.Client.Create(ctx, noticeIn(m.namespace, fmt.Sprintf("news-%05d", i), shard.Shard{})); err != nil && ctx.Err() == nil {
			failed = err
		}
	})
	return failed
}

func (m *moves) start(ctx context.Context, index, total int) (*process, error) {
	p, err := m.startShard(ctx, m.url, index, total, "--namespaces", m.namespace, "--leader-elect", "--leader-elect-namespace", m.namespace)
	if err == nil {
		m.managers = append(m.managers, p)
	}
	return p, err
}

func (m *moves) moveAll(ctx context.Context) error {
	first, err := m.start(ctx, 0, 2)
	if err != nil {
		return err
	}
	second, err := m.start(ctx, 1, 2)
	if err != nil {
		return err
	}
	if err := m.rowAfter(ctx, time.Now()); err != nil { // it has the lease, so whoever comes is its standby
		return err
	}
	standby, err := m.start(ctx, 0, 2)
	if err != nil {
		return err
	}
	var whole *process
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"undisturbed", func(context.Context) error { return nil }},
		{"manager killed, standby takes over", func(context.Context) error { return first.Kill() }},
		{"two shards to one, managers stopped before", func(ctx context.Context) (err error) {
			err = errors.Join(standby.end(), second.end())
			if err == nil {
				whole, err = m.start(ctx, 0, 1)
			}
			return err
		}},
		{"one shard to two, with overlap", func(ctx context.Context) error {
			_, one := m.start(ctx, 0, 2)
			_, two := m.start(ctx, 1, 2)
			return errors.Join(one, two, whole.end())
		}},
	} {
		gap, err := m.longestGap(ctx, step.do)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		m.report.add("shards", "longest time without a row of the shard: "+step.name, "s", "", gap.Seconds())
	}
	return nil
}

// longestGap is the longest time between two rows of the moved shard from before a step until it is calm again.
func (m *moves) longestGap(ctx context.Context, step func(context.Context) error) (longest time.Duration, _ error) {
	if err := pause(m.calm)(ctx); err != nil {
		return 0, err
	}
	from := time.Now().Add(-m.calm)
	if err := errors.Join(step(ctx), m.rowAfter(ctx, time.Now()), pause(m.calm)(ctx)); err != nil {
		return 0, err
	}
	rows, err := m.rows(ctx, from)
	if err != nil {
		return 0, err
	}
	for i := 1; i < len(rows); i++ {
		longest = max(longest, rows[i].Sub(rows[i-1]))
	}
	return longest, nil
}

// rowAfter waits for a row of the moved shard.
func (m *moves) rowAfter(ctx context.Context, from time.Time) error {
	return wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.LongTimeout, true, func(ctx context.Context) (bool, error) {
		rows, err := m.rows(ctx, from)
		return len(rows) > 0, err
	})
}

// rows are the times at which those of the moved shard were made, from a time on.
func (m *moves) rows(ctx context.Context, from time.Time) (times []time.Time, _ error) {
	rows, err := m.database.Query(ctx, "SELECT remediation_id, created_at FROM notification_audit WHERE created_at >= $1 ORDER BY created_at", from)
	if err != nil {
		return nil, err
	}
	var remediation string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&remediation, &at}, func() error {
		if moved.Owns(remediation) {
			times = append(times, at)
		}
		return nil
	})
	return times, err
}

// judge waits until the oracle finds nothing wrong, for as long as that may take, and reports what it found.
func (m *moves) judge(ctx context.Context, witness *oracle.Oracle) error {
	var report oracle.Report
	err := wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.Timeout, true, func(ctx context.Context) (_ bool, err error) {
		behind := witness.CaughtUp(ctx)
		report, err = witness.Judge(ctx, m.database, m.namespace)
		return behind == nil && report.Clean(), err
	})
	if err != nil && !wait.Interrupted(err) { // what is wrong then is in the report
		return err
	}
	for _, c := range []struct {
		what   string
		n      int
		target string
	}{
		{"entries appended", report.Total.Appended, ""}, {"rows", report.Total.Rows, ""}, {"dead letters", report.Total.DeadLetters, ""},
		{"lost", report.Total.Lost, "<= 0"}, {"doubled", report.Total.Doubled, "<= 0"},
		{"out of order, changed, undrained or a broken chain", report.Total.OutOfOrder + report.Total.Changed + report.Total.Undrained + report.Total.ChainBreaks, "<= 0"},
	} {
		m.report.add("shards", "while shards moved: "+c.what, "", c.target, float64(c.n))
	}
	return nil
}
