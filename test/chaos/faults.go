//go:build unix

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
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

// faults of processes and servers, and of the network between manager and database.
var faults = append([]fault{
	{name: "manager killed", inflict: killManager},
	{name: "manager killed again and again", inflict: killManagers},
	{name: "manager stopped", inflict: stopManager},
	{name: "manager paused", inflict: pauseManager},
	{name: "manager paused and replaced", inflict: replaceManager},
	{name: "two managers", inflict: twoManagers},
	{name: "PostgreSQL stopped", inflict: stopPostgres, watched: true},
	{name: "PostgreSQL killed", inflict: killPostgres, watched: true},
	{name: "PostgreSQL restarted", inflict: restartPostgres, watched: true},
	{name: "API server restarted", inflict: func(ctx context.Context, w *world, _ time.Duration) error { return w.cluster.RestartAPIServer(ctx) }},
	{name: "etcd restarted", inflict: func(ctx context.Context, w *world, _ time.Duration) error { return w.cluster.RestartEtcd(ctx) }},
}, network...)

// network faults may come beside others.
var network = []fault{
	toxic("connection reset", "reset_peer", "upstream", `{"timeout": 0}`),
	toxic("connection cut before COMMIT", cutAtCommit, "upstream", `{}`),
	toxic("connection cut after COMMIT", cutAtCommit, "downstream", `{}`),
	toxic("connection cut in a request", "limit_data", "upstream", `{"bytes": 3000}`),
	toxic("connection cut in a reply", "limit_data", "downstream", `{"bytes": 700}`),
	toxic("latency", "latency", "downstream", `{"latency": 60, "jitter": 50}`),
	toxic("half-open connection", "timeout", "downstream", `{"timeout": 0}`),
}

func watching() []fault {
	var some []fault
	for _, f := range faults {
		if f.watched {
			some = append(some, f)
		}
	}
	return some
}

func toxic(name, kind, stream, attributes string) fault {
	return fault{name: name, watched: true, inflict: func(ctx context.Context, w *world, hold time.Duration) error {
		return w.poisonProxy(ctx, fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "attributes": %s}`, name, kind, stream, attributes), name, hold)
	}}
}

func killManager(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.manager.Kill(); err != nil {
		return err
	}
	pass(ctx, hold)
	return w.startManager(ctx)
}

func killManagers(ctx context.Context, w *world, hold time.Duration) error {
	for range 3 {
		if err := killManager(ctx, w, hold/10); err != nil {
			return err
		}
		pass(ctx, hold/3)
	}
	return nil
}

func stopManager(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.manager.Stop(managerGrace); err != nil {
		return err
	}
	pass(ctx, hold)
	return w.startManager(ctx)
}

func pauseManager(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.manager.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pass(ctx, hold)
	return w.manager.Signal(syscall.SIGCONT)
}

// replaceManager lets a second manager do what the first, which does not know that time has passed, goes on with.
func replaceManager(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.manager.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	first := w.manager
	if err := w.startManager(ctx); err != nil {
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
