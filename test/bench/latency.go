package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
)

// latency is the time from the answer of a status write to the return of the transaction that made its row durable, both in this process: an upper bound of
// the time to the commit. Writes come at fixed times, whether or not earlier ones are answered (open loop).
func latency(ctx context.Context, b *bench) error {
	o, err := b.run(ctx, trial{arm: plain, resources: b.size(300), changes: 10, writers: 16, filling: filling{entries: 1}})
	if err != nil {
		return err
	}
	b.report.add("latency", "plain rate, 16 writers", "writes/s", "", o.perSecond)
	for _, c := range []struct {
		percent, rounds int
		p50, p99        string
	}{{percent: 10, rounds: 1}, {percent: 50, rounds: 5, p50: "<= 3", p99: "<= 40"}, {percent: 90, rounds: 1}} {
		// The tail is waits for a processor, which come in spells: one round of ten seconds says little of it.
		var p50, p99, longest, late, event50, event99 sample
		for range b.rounds(c.rounds) {
			took, events, sentLate, err := b.openLoop(ctx, o.perSecond*float64(c.percent)/100, time.Duration(b.size(10))*time.Second)
			if err != nil {
				return err
			}
			p50, p99, longest = append(p50, took.percentile(50)), append(p99, took.percentile(99)), append(longest, took.percentile(100))
			event50, event99 = append(event50, events.percentile(50)), append(event99, events.percentile(99))
			late = append(late, sentLate.percentile(99))
		}
		name := fmt.Sprintf("at %d %% of it: ", c.percent)
		b.report.add("latency", name+"answer → row, p50", "ms", c.p50, p50...)
		b.report.add("latency", name+"answer → row, p99", "ms", c.p99, p99...)
		b.report.add("latency", name+"answer → row, max", "ms", "", longest...)
		b.report.add("latency", name+"of it, answer → watch event, p50", "ms", "", event50...)
		b.report.add("latency", name+"of it, answer → watch event, p99", "ms", "", event99...)
		b.report.add("latency", name+"writes sent late, p99", "ms", "", late...)
	}
	return nil
}

// answers knows when each write was answered and when its row was durable.
type answers struct {
	mu       sync.Mutex
	answered map[string]time.Time // by uid and sequence
	durable  map[string]time.Time
	observed map[string]time.Time // by the informer: the API server's own part of the way
}

func place(uid types.UID, sequence int64) string { return fmt.Sprintf("%s/%d", uid, sequence) }

func (a *answers) row(item relay.Item, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.durable[place(item.Source.UID, item.Sequence)] = at
}

func (a *answers) event(t *Ticket, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.Status.Outbox != nil {
		a.observed[place(t.UID, t.Status.Outbox.LastSequence)] = at
	}
}

func (a *answers) answer(t *Ticket, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered[place(t.UID, t.Status.Outbox.LastSequence)] = at
}

// reset drops the answers so far.
func (a *answers) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.answered)
}

// took lists the times between, in ms: to the row, and to the watch event, which the relay waits for. Either may come before the answer. That is 0.
func (a *answers) took() (rows, events sample) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, at := range a.answered {
		rows = append(rows, max(0, milliseconds(a.durable[key].Sub(at))))
		if event, ok := a.observed[key]; ok { // an informer may pass over a version
			events = append(events, max(0, milliseconds(event.Sub(at))))
		}
	}
	return rows, events
}

// openLoop writes at a rate for a while, over 300 tickets in turns, and waits until all rows are durable. late is by how much writes were sent after their
// time, because the ticket's last write was not answered yet: when that is long, the machine could not keep up with the rate.
func (b *bench) openLoop(ctx context.Context, rate float64, length time.Duration) (rows, events, late sample, _ error) {
	const tickets = 300
	namespace := b.env.Namespace(ctx, "latency")
	writes := int(rate * length.Seconds())
	a := &answers{answered: map[string]time.Time{}, durable: map[string]time.Time{}, observed: map[string]time.Time{}}
	mgr, err := newManager(b.env, b.tickets, namespace, (&meter{}).wrap)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := b.newStore(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	defer s.Close()
	w := newWitness(s, tickets+writes, a.row)
	drained, err := relay.Add(mgr, w, relay.Config{}, &Ticket{})
	if err != nil {
		return nil, nil, nil, err
	}
	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), drained)
	if err := b.makeTickets(ctx, b.tickets.client, namespace, trial{arm: audited, resources: tickets, writers: 16}); err != nil {
		return nil, nil, nil, err
	}
	list := &TicketList{}
	if err := b.tickets.client.List(ctx, list, inNamespace(namespace)); err != nil {
		return nil, nil, nil, err
	}
	informer, err := mgr.GetCache().GetInformer(ctx, &Ticket{})
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(_, newer any) { a.event(newer.(*Ticket), time.Now()) }}); err != nil {
		return nil, nil, nil, err
	}
	stop, err := testenv.Run(mgr)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = errors.Join(stop(), b.tickets.clear(ctx, namespace)) }()
	// The first writes connect to PostgreSQL and prepare statements, which a manager does once.
	if _, err = write(ctx, writer, list.Items, tickets, rate, a); err != nil {
		return nil, nil, nil, err
	}
	a.reset()
	if late, err = write(ctx, writer, list.Items, writes, rate, a); err != nil {
		return nil, nil, nil, err
	}
	select {
	case <-w.reached:
	case <-ctx.Done():
		return nil, nil, nil, ctx.Err()
	}
	rows, events = a.took()
	return rows, events, late, nil
}
