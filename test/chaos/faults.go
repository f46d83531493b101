//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
)

// fault is one way to break the world. inflict returns when it is over; hold is how long it lasts.
type fault struct {
	name    string
	inflict func(ctx context.Context, w *world, hold time.Duration) error
	// watched: a manager goes on watching the API server meanwhile.
	watched bool
}

// Names of what jobs and namespaces do, where they are counted among the faults.
const (
	namespaceDeleted = "namespace deleted"
	poisoned         = "poison entry"
	atItsLimit       = "outbox at its limit"
)

// faults of processes and servers, and of the network in front of the database.
var faults = slices.Concat([]fault{
	{name: "manager killed", inflict: theManager.kill},
	{name: "manager killed again and again", inflict: theManager.killAgain},
	{name: "manager stopped", inflict: theManager.stop},
	{name: "manager paused", inflict: theManager.pause},
	{name: "manager paused and replaced", inflict: theManager.replace},
	{name: "two managers", inflict: twoManagers},
	{name: "PostgreSQL stopped", inflict: stopPostgres, watched: true},
	{name: "PostgreSQL killed", inflict: killPostgres, watched: true},
	{name: "PostgreSQL restarted", inflict: restartPostgres, watched: true},
	{name: "API server restarted", inflict: func(ctx context.Context, w *world, _ time.Duration) error { return w.cluster.RestartAPIServer(ctx) }},
	{name: "etcd restarted", inflict: func(ctx context.Context, w *world, _ time.Duration) error { return w.cluster.RestartEtcd(ctx) }},
}, failovers, network)

// network faults, of the connections to the database, may come beside others.
var network = []fault{
	toxic("connection reset", database, "reset_peer", "upstream", `{"timeout": 0}`),
	toxic("connection cut before COMMIT", database, cutAtCommit, "upstream", `{}`),
	toxic("connection cut after COMMIT", database, cutAtCommit, "downstream", `{}`),
	toxic("connection cut in a request", database, "limit_data", "upstream", `{"bytes": 3000}`),
	toxic("connection cut in a reply", database, "limit_data", "downstream", `{"bytes": 700}`),
	toxic("latency", database, "latency", "downstream", `{"latency": 60, "jitter": 50}`),
	toxic("half-open connection", database, "timeout", "downstream", `{"timeout": 0}`),
}

// faults of managers that drain there.
func (d drain) faults() []fault {
	switch d {
	case overAPI:
		return slices.Concat(faults, serviceFaults, serviceNetwork)
	case acrossShards:
		return inTurns(slices.Concat(faults, shardFaults))
	case acrossFailovers:
		return slices.Concat(pooledFaults, failovers, []fault{{name: "manager killed", inflict: theManager.kill}, {name: "PostgreSQL killed", inflict: killPostgres, watched: true}})
	}
	return faults
}

func (d drain) network() []fault {
	if d == overAPI {
		return slices.Concat(network, serviceNetwork)
	}
	return network
}

func (d drain) watching() []fault {
	var some []fault
	for _, f := range d.faults() {
		if f.watched {
			some = append(some, f)
		}
	}
	return some
}

// faultsNamed are those whose names have a text in them; "standby|read-only" has either.
func faultsNamed(of []fault, text string) []fault {
	return slices.DeleteFunc(slices.Clone(of), func(f fault) bool {
		return !slices.ContainsFunc(strings.Split(text, "|"), func(part string) bool { return strings.Contains(f.name, part) })
	})
}

func database(w *world) *toxiproxy.Proxy { return w.databaseProxy }

func toxic(name string, of func(*world) *toxiproxy.Proxy, kind, stream, attributes string) fault {
	return fault{name: name, watched: true, inflict: func(ctx context.Context, w *world, hold time.Duration) error {
		return poison(ctx, of(w), fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "attributes": %s}`, name, kind, stream, attributes), name, hold)
	}}
}

// victim is one of ours that works, and what starts the next, which then works in its place.
type victim struct {
	working func(*world) *localcluster.Running
	start   func(*world, context.Context) error
	grace   time.Duration
}

var (
	theManager = victim{func(w *world) *localcluster.Running { return w.manager }, (*world).startManager, managerGrace}
	theService = victim{func(w *world) *localcluster.Running { return w.service }, (*world).startService, serviceGrace}
)

func (v victim) kill(ctx context.Context, w *world, hold time.Duration) error {
	if err := v.working(w).Kill(); err != nil {
		return err
	}
	pass(ctx, hold)
	return v.start(w, ctx)
}

func (v victim) killAgain(ctx context.Context, w *world, hold time.Duration) error {
	for range 3 {
		if err := v.kill(ctx, w, hold/10); err != nil {
			return err
		}
		pass(ctx, hold/3)
	}
	return nil
}

func (v victim) stop(ctx context.Context, w *world, hold time.Duration) error {
	if err := v.working(w).Stop(v.grace); err != nil {
		return err
	}
	pass(ctx, hold)
	return v.start(w, ctx)
}

func (v victim) restart(ctx context.Context, w *world, _ time.Duration) error {
	return v.stop(ctx, w, 0)
}

func (v victim) pause(ctx context.Context, w *world, hold time.Duration) error {
	if err := v.working(w).Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pass(ctx, hold)
	return v.working(w).Signal(syscall.SIGCONT)
}

// replace lets a second one do what the first, which does not know that time has passed, goes on with: it may be in the middle of a transaction.
func (v victim) replace(ctx context.Context, w *world, hold time.Duration) error {
	first := v.working(w)
	if err := first.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := v.start(w, ctx); err != nil {
		return err
	}
	pass(ctx, hold)
	if err := first.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	pass(ctx, hold)
	return first.Kill()
}

func twoManagers(ctx context.Context, w *world, hold time.Duration) error {
	first := w.manager
	if err := w.startManager(ctx); err != nil {
		return err
	}
	pass(ctx, hold)
	return first.Kill()
}

func stopPostgres(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.postgres.Stop(ctx); err != nil {
		return err
	}
	pass(ctx, 2*hold)
	return w.postgres.Start(ctx)
}

func killPostgres(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.postgres.Kill(ctx); err != nil {
		return err
	}
	pass(ctx, hold)
	return w.postgres.Start(ctx)
}

func restartPostgres(ctx context.Context, w *world, _ time.Duration) error {
	return stopPostgres(ctx, w, 0)
}

// pass lets time go by, or ctx end.
func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
