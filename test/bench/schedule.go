package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/outbox"
)

func inNamespace(namespace string) client.ListOption { return client.InNamespace(namespace) }

// write sends so many changes at a rate, the tickets in turns. Each ticket has a goroutine, so that one whose answer is late holds up only its own.
func write(ctx context.Context, writer *outbox.Writer, tickets []Ticket, writes int, rate float64, a *answers) (late sample, _ error) {
	group, ctx := errgroup.WithContext(ctx)
	due := make([]chan time.Time, len(tickets))
	delays := make([]sample, len(tickets))
	for i := range tickets {
		due[i] = make(chan time.Time, writes/len(tickets)+1)
		group.Go(func() error {
			t := &tickets[i]
			draft := writer.Draft(t)
			for at := range due[i] {
				delays[i] = append(delays[i], milliseconds(time.Since(at)))
				t.Status.Changes++
				t.Status.Phase = phases[t.Status.Changes%len(phases)]
				if err := draft.Save(ctx, change(string(t.UID), t.Status.Changes, false)); err != nil {
					return err
				}
				a.answer(t, time.Now())
			}
			return nil
		})
	}
	group.Go(func() error {
		defer func() {
			for i := range due {
				close(due[i])
			}
		}()
		return pace(ctx, writes, rate, func(i int, at time.Time) { due[i%len(due)] <- at })
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, d := range delays {
		late = append(late, d...)
	}
	return late, nil
}

// pace calls do so many times at a rate, from its first call on, with the time at which each was due.
func pace(ctx context.Context, times int, rate float64, do func(i int, at time.Time)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	for i := range times {
		at := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		timer.Reset(time.Until(at))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		do(i, at)
	}
	return nil
}
