package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
)

// apiWrites counts the writes of a ticket's whole life, by verb and by writer: controller and relay have a manager each, and with it an HTTP client that counts.
func apiWrites(ctx context.Context, b *bench) error {
	for _, entries := range []int{1, 5, 20, 100} {
		n := b.size(20)
		if entries == 100 {
			n = b.size(10)
		}
		w, err := b.twoManagers(ctx, n, entries, relay.Config{})
		if err != nil {
			return err
		}
		before, err := b.serverWrites(ctx, ticketVersion.Group)
		if err != nil {
			return err
		}
		if err := w.live(ctx, b, n); err != nil {
			return err
		}
		after, err := b.serverWrites(ctx, ticketVersion.Group)
		if err != nil {
			return err
		}
		lives := float64(n)
		name := fmt.Sprintf("a life of %d entries: ", entries)
		b.report.add("apiwrites", name+"the relay", "writes", "<= 2", float64(w.relay.writes.Load())/lives)
		b.report.add("apiwrites", name+"the controller (create, changes, delete)", "writes", "", float64(w.controller.writes.Load())/lives)
		made := after.since(before)
		b.report.add("apiwrites", name+"both, as the API server counts", "writes", "", made.total()/lives)
		for _, verb := range verbs {
			if n := made[verb]; n > 0 {
				b.report.add("apiwrites", name+"of these "+verb, "writes", "", n/lives)
			}
		}
	}
	return spells(ctx, b)
}

// spells has an open ticket change, be idle, and change again.
func spells(ctx context.Context, b *bench) error {
	const rounds = 3
	w, err := b.twoManagers(ctx, 1, 0, relay.Config{IdleTrimDelay: idleTrimDelay})
	if err != nil {
		return err
	}
	stop, err := w.start()
	if err != nil {
		return err
	}
	defer func() { _ = stop() }()
	if err := b.makeTickets(ctx, b.tickets.client, w.namespace, trial{arm: audited, resources: 1, writers: 1}); err != nil {
		return err
	}
	list := &TicketList{}
	if err := b.tickets.client.List(ctx, list, inNamespace(w.namespace)); err != nil {
		return err
	}
	ticket := &list.Items[0]
	draft := w.writer.Draft(ticket)
	for range rounds {
		for range 5 {
			ticket.Status.Changes++
			if err := draft.Save(ctx, change(string(ticket.UID), ticket.Status.Changes, false)); err != nil {
				return err
			}
		}
		if err := b.trimmed(ctx, ticket); err != nil {
			return err
		}
	}
	b.report.add("apiwrites", "an idle spell in an open record: the relay", "writes", "<= 1", float64(w.relay.writes.Load())/rounds)
	return nil
}

// trimmed waits until the resource shows itself drained.
func (b *bench) trimmed(ctx context.Context, t *Ticket) error {
	return wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.Timeout, true, func(ctx context.Context) (bool, error) {
		live := &Ticket{}
		err := b.tickets.client.Get(ctx, keyOf(t), live)
		return err == nil && len(live.Status.Outbox.Entries) == 0, err
	})
}

// pair is a controller and a relay that are told apart.
type pair struct {
	namespace         string
	relay, controller *meter
	writer            *outbox.Writer
	reconciler        *reconciler
	start             func() (stop func() error, _ error)
}

// idleTrimDelay is short for spells: the measure is how many trims they cost, not when.
const idleTrimDelay = 300 * time.Millisecond

func (b *bench) twoManagers(ctx context.Context, tickets, changes int, c relay.Config) (*pair, error) {
	p := &pair{namespace: b.env.Namespace(ctx, "writes"), relay: &meter{}, controller: &meter{}}
	s, err := b.newStore(ctx)
	if err != nil {
		return nil, err
	}
	drains, err := newManager(b.env, b.tickets, p.namespace, p.relay.wrap)
	if err != nil {
		return nil, err
	}
	drained, err := relay.Add(drains, s, c, &Ticket{})
	if err != nil {
		return nil, err
	}
	controls, err := newManager(b.env, b.tickets, p.namespace, p.controller.wrap)
	if err != nil {
		return nil, err
	}
	p.writer = outbox.NewWriter(controls.GetClient(), controls.GetAPIReader(), drained)
	if changes > 0 {
		p.reconciler = &reconciler{client: controls.GetClient(), writer: p.writer, changes: changes, life: true, open: make(chan struct{}), done: make(chan struct{})}
		p.reconciler.left.Store(int64(tickets))
		if err := p.reconciler.setUp(controls, 4); err != nil {
			return nil, err
		}
	}
	p.start = func() (func() error, error) {
		stopRelay, err := testenv.Run(drains)
		if err != nil {
			return nil, err
		}
		stopController, err := testenv.Run(controls)
		if err != nil {
			return nil, errors.Join(err, stopRelay())
		}
		return func() error {
			defer s.Close()
			return errors.Join(stopController(), stopRelay())
		}, nil
	}
	return p, nil
}

// live takes tickets through their lives.
func (p *pair) live(ctx context.Context, b *bench, tickets int) error {
	stop, err := p.start()
	if err != nil {
		return err
	}
	durable := make(chan struct{})
	close(durable)
	_, err = p.reconciler.time(ctx, durable, func() error {
		return b.makeTickets(ctx, p.reconciler.client, p.namespace, trial{arm: audited, resources: tickets, writers: 4})
	})
	return errors.Join(err, stop())
}
