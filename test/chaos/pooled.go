//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv/monitor"
)

// diskMiB is the size of a PostgreSQL's disk across failovers.
const diskMiB = 384

// startPostgres starts the first primary. Across failovers it has a small disk, where this process may mount one.
func (w *world) startPostgres(ctx context.Context, progress io.Writer) (err error) {
	if w.drain == acrossFailovers {
		w.disk = diskMiB
	}
	options := localcluster.PostgresOptions{Progress: progress, DiskMiB: w.disk, Rewindable: w.drain == acrossFailovers}
	w.postgres, err = localcluster.StartPostgres(ctx, options)
	if errors.Is(err, localcluster.ErrNoDisk) {
		fmt.Fprintln(progress, "NOT TRIED: full disks:", err)
		w.disk, options.DiskMiB = 0, 0
		w.postgres, err = localcluster.StartPostgres(ctx, options)
	}
	return err
}

// front is the URL of what the proxy leads to: PostgreSQL, or across failovers a pooler in front of it.
func (w *world) front(ctx context.Context) (string, error) {
	if w.drain != acrossFailovers {
		return w.postgres.URL(), nil
	}
	var err error
	if w.pooler, err = localcluster.StartPooler(ctx, w.postgres.URL()); err != nil {
		return "", err
	}
	return w.pooler.URL(w.postgres.URL()) + "&default_query_exec_mode=cache_describe", nil
}

// watch starts a Prometheus that scrapes the manager, where one is installed.
func (w *world) watch(ctx context.Context, progress io.Writer) (err error) {
	if w.drain != acrossFailovers {
		return nil
	}
	if w.metrics, err = localcluster.FreeAddress(); err != nil {
		return err
	}
	w.monitor, err = monitor.Start(ctx, monitor.Options{Dir: w.dir, Targets: []string{w.metrics}, Hurry: true})
	if errors.Is(err, monitor.ErrNotInstalled) {
		fmt.Fprintln(progress, "NOT TRIED: alerts:", err)
		return nil
	}
	return err
}

// await returns when these alerts fire: the fault lasts for as long as that takes. Without Prometheus it lasts for some seconds.
func (w *world) await(ctx context.Context, alerts ...string) error {
	if w.monitor == nil {
		pass(ctx, 3*time.Second)
		return nil
	}
	err := until(ctx, func(ctx context.Context) error {
		states, err := w.monitor.Alerts(ctx)
		if err != nil {
			return err
		}
		for _, alert := range alerts {
			if states[alert] != monitor.Firing {
				return fmt.Errorf("alert %s is %q, expected firing", alert, states[alert])
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("during the fault: %w", err)
	}
	return nil
}

// Alerts that are about losses: one fires after it, the others never.
const (
	entriesMissing = "HoldfastEntriesMissing"
	entriesDropped = "HoldfastEntriesDropped"
	historyForked  = "HoldfastHistoryForked"
	deadLetters    = "HoldfastDeadLetters"
)

// alertsOver notes which alerts fired in a schedule, and returns when none is left.
func (s *stage) alertsOver(ctx context.Context, p *played) error {
	if s.monitor == nil {
		return nil
	}
	err := until(ctx, func(ctx context.Context) error {
		states, err := s.monitor.Alerts(ctx)
		if err == nil && len(states) > 0 {
			err = fmt.Errorf("alerts after the end: %v", states)
		}
		return err
	})
	fired, queryErr := s.monitor.Query(ctx, fmt.Sprintf(`max by (alertname) (max_over_time(ALERTS{alertstate="firing"}[%dms]))`, time.Since(s.began).Milliseconds()))
	if err != nil || queryErr != nil {
		return errors.Join(err, queryErr)
	}
	for _, series := range fired {
		name := series.Labels["alertname"]
		p.Counts["alert "+name]++
		if name == entriesDropped || name == historyForked || name == deadLetters || name == entriesMissing && !s.lossy[s.namespace] {
			err = errors.Join(err, fmt.Errorf("alert %s fired, though nothing of the kind happened", name))
		}
	}
	return err
}
