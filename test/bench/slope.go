package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// slope is what a pending entry adds to a status write, in objects that the API server allocates. Where the acknowledgement comes after the next write, as on a
// slow machine, entries gather: each write must not get much costlier for it.
func (b *bench) slope(ctx context.Context) error {
	counts := []int{1, 2, 4, 16}
	means := make([]float64, len(counts))
	for i, pending := range counts {
		var objects sample
		for range b.rounds(3) {
			o, err := b.pendingWrites(ctx, pending)
			if err != nil {
				return err
			}
			objects = append(objects, o)
		}
		means[i] = objects.median()
		b.report.add("overhead", fmt.Sprintf("a status write with %d pending entries: objects that the API server allocates", pending), "a write", "", objects...)
	}
	last := len(counts) - 1
	b.report.add("overhead", "the same, for each further pending entry", "a write", "<= 250", (means[last]-means[0])/float64(counts[last]-counts[0]))
	return nil
}

// acknowledged are watermarks by uid.
type acknowledged map[types.UID]entry.Watermark

// Watermark implements outbox.Relay.
func (a acknowledged) Watermark(uid types.UID) entry.Watermark { return a[uid] }

// Limits implements outbox.Relay.
func (acknowledged) Limits() outbox.Limits { return outbox.DefaultLimits() }

// pendingWrites are status writes that append one entry each and drop the oldest, so that as many stay pending.
func (b *bench) pendingWrites(ctx context.Context, pending int) (objects float64, _ error) {
	const tickets = 20
	namespace := b.env.Namespace(ctx, "slope")
	if err := b.makeTickets(ctx, b.tickets.client, namespace, trial{arm: audited, resources: tickets, writers: 4}); err != nil {
		return 0, err
	}
	list := &TicketList{}
	if err := b.tickets.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return 0, err
	}
	marks := acknowledged{}
	writer := outbox.NewWriter(b.tickets.client, b.tickets.client, marks)
	round := func() error {
		for i := range list.Items {
			t := &list.Items[i]
			if p := entry.PendingOf(t.UID, t.Status.Outbox); p.Len() >= pending {
				oldest := p.Len() - pending
				marks[t.UID] = entry.Watermark{Sequence: p.Sequence(oldest), Hash: p.Hash(oldest), Time: time.Now()}
			}
			draft := writer.Draft(t)
			t.Status.Changes++
			if err := draft.Save(ctx, change(string(t.UID), t.Status.Changes, false)); err != nil {
				return err
			}
		}
		return nil
	}
	for range pending + 1 {
		if err := round(); err != nil {
			return 0, err
		}
	}
	before, err := b.serverObjects(ctx)
	if err != nil {
		return 0, err
	}
	rounds := b.size(15)
	for range rounds {
		if err := round(); err != nil {
			return 0, err
		}
	}
	after, err := b.serverObjects(ctx)
	if err != nil {
		return 0, err
	}
	return (after - before) / float64(rounds*tickets), b.tickets.clear(ctx, namespace)
}
